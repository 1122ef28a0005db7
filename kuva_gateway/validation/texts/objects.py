"""The words of the rules on single objects: what they are, how they are encoded, their UIDs, their duplicates."""

from __future__ import annotations

from typing import Final

from kuva_gateway.dicom.statuses import CLASS_NOT_SUPPORTED, DATA_SET_MISMATCH
from kuva_gateway.validation.wording import Message, Rule, Text

SOP_01 = Rule(
    id="SOP-01",
    severity="refuse",
    immediate=True,
    title=Text(
        "Object and command agree, and the SOP class may be stored",
        "Objekti vastaa komentoa, ja sen SOP-luokan saa tallentaa",
    ),
    looks_at=Text(
        "SOP class and SOP instance of the data set and of the command; the storage classes of the standard and"
        " private_storage_classes. Bytes that cannot be parsed are refused with C000 before any rule sees them.",
        "Tietojoukon ja komennon SOP-luokka ja SOP-instanssi; standardin tallennusluokat ja private_storage_classes."
        " Tavut, joita ei voi jäsentää, hylätään koodilla C000 ennen sääntöjä.",
    ),
    remedy=Text(
        "Send the object under its own SOP class; allow a private class in private_storage_classes.",
        "Lähetä objekti sen omalla SOP-luokalla; salli yksityinen luokka asetuksessa private_storage_classes.",
    ),
    messages={
        "missing": Message(
            text=Text("{keyword} is missing (instances: {instances})", "{keyword} puuttuu (instansseja: {instances})"),
            status=DATA_SET_MISMATCH,
        ),
        "differs": Message(
            text=Text(
                "{keyword} of the data set, {found}, is not that of the command, {expected}",
                "Tietojoukon {keyword} {found} ei ole sama kuin komennon {expected}",
            ),
            status=DATA_SET_MISMATCH,
        ),
        "not_allowed": Message(
            text=Text(
                "The SOP class {sop_class} may not be stored (instances: {instances})",
                "SOP-luokkaa {sop_class} ei saa tallentaa (instansseja: {instances})",
            ),
            status=CLASS_NOT_SUPPORTED,
        ),
        "without_study": Message(
            text=Text(
                "Objects of the SOP class {sop_class} belong to no study (instances: {instances})",
                "SOP-luokan {sop_class} objektit eivät kuulu mihinkään tutkimukseen (instansseja: {instances})",
            ),
            status=CLASS_NOT_SUPPORTED,
        ),
    },
)


def _syntax_message(kind_en: str, kind_fi: str) -> Message:
    return Message(
        text=Text(
            f"{{syntax}} is not on the archive's list for {kind_en}: {{sop_class}} (instances: {{instances}})",
            f"{{syntax}} ei ole arkiston luettelossa: {kind_fi}, {{sop_class}} (instansseja: {{instances}})",
        )
    )


TS_01 = Rule(
    id="TS-01",
    severity="hold",
    immediate=True,
    title=Text(
        "The archive takes the transfer syntax for this kind of object",
        "Arkisto ottaa vastaan siirtosyntaksin tälle objektityypille",
    ),
    looks_at=Text(
        "The transfer syntax and the SOP class. The lists are those of the archive product's conformance statement, by"
        " kind of object: images, video, structured reports, everything else (waveforms, encapsulated documents,"
        " presentation states). They never narrow what is negotiated with a sender.",
        "Siirtosyntaksi ja SOP-luokka. Luettelot ovat arkistotuotteen yhteensopivuuslausumasta objektityypeittäin:"
        " kuvat, videot, rakenteiset raportit, kaikki muu (käyrät, kapseloidut asiakirjat, esitystilat). Ne eivät"
        " rajoita sitä, mistä lähettäjän kanssa sovitaan.",
    ),
    remedy=Text(
        "Let the sender propose a syntax that is on the list, and send the study again.",
        "Aseta lähettäjä ehdottamaan luettelossa olevaa syntaksia ja lähetä tutkimus uudelleen.",
    ),
    messages={
        "image": _syntax_message("images", "kuvat"),
        "video": _syntax_message("video", "videot"),
        "report": _syntax_message("structured reports", "rakenteiset raportit"),
        "other": _syntax_message("waveforms, documents and other objects", "käyrät, asiakirjat ja muut objektit"),
        "unknown": _syntax_message("any kind of object", "kaikki objektityypit"),
        "destination": Message(
            text=Text(
                "{destination} did not accept {syntax} for {sop_class} (instances: {instances})",
                "{destination} ei ottanut vastaan: {syntax}, {sop_class} (instansseja: {instances})",
            ),
            remedy=Text(
                "Let the destination accept the syntax, or explicit or implicit little endian (and decompress: true for"
                " compressed images), or the sender use another one.",
                "Salli kohteessa tämä syntaksi tai explicit tai implicit little endian (pakatuille kuville decompress:"
                " true), tai vaihda lähettäjän käyttämä syntaksi.",
            ),
        ),
        "not_reencoded": Message(
            text=Text(
                "{destination} did not accept {syntax} for {sop_class}, and it could not be sent uncompressed: {why}"
                " (instances: {instances})",
                "{destination} ei ottanut vastaan: {syntax}, {sop_class}; lähetys pakkaamattomana ei onnistunut: {why}"
                " (instansseja: {instances})",
            ),
            remedy=Text(
                "Let the destination accept the syntax, or the sender send the image uncompressed.",
                "Salli syntaksi kohteessa tai lähetä kuva lähettäjältä pakkaamattomana.",
            ),
        ),
    },
)

_UID_INVALID: Final = Message(
    text=Text(
        "{keyword} {uid} is not valid: 1 to 64 digits and dots, no empty part, no leading zero (instances:"
        " {instances})",
        "{keyword} {uid} ei kelpaa: 1–64 numeroa ja pistettä, ei tyhjää osaa, ei etunollaa (instansseja: {instances})",
    ),
    status=DATA_SET_MISMATCH,
)

UID_01 = Rule(
    id="UID-01",
    severity="refuse",
    immediate=True,
    title=Text("The UIDs are valid", "UID-tunnisteet kelpaavat"),
    looks_at=Text(
        "Study, Series and SOP Instance UID: 1 to 64 characters, digits and dots, no empty part, no part with a leading"
        " zero (PS3.5 9.1). An object without one of them is refused whatever severity is configured: there is no other"
        " key to keep it under.",
        "Tutkimuksen, sarjan ja SOP-instanssin UID: 1–64 merkkiä, numeroita ja pisteitä, ei tyhjää osaa, ei osaa,"
        " joka alkaa nollalla (PS3.5 9.1). Objekti, jolta jokin niistä puuttuu, hylätään vakavuusasetuksesta"
        " riippumatta: sitä ei voi säilyttää minkään muun avaimen varassa.",
    ),
    remedy=Text(
        "Have the sender's software corrected; an invalid UID cannot be archived.",
        "Korjauta lähettävä ohjelmisto; virheellistä UID-tunnistetta ei voi arkistoida.",
    ),
    messages={
        "missing": Message(
            text=Text("{keyword} is missing (instances: {instances})", "{keyword} puuttuu (instansseja: {instances})"),
            status=DATA_SET_MISMATCH,
        ),
        "invalid": _UID_INVALID,
    },
)

UID_02 = Rule(
    id="UID-02",
    severity="hold",
    title=Text("A UID means one thing", "UID tarkoittaa yhtä asiaa"),
    looks_at=Text(
        "Whether a SOP Instance UID came under another study or series before, and whether the instances of one Study"
        " Instance UID name one patient.",
        "Onko sama SOP Instance UID tullut aiemmin toisessa tutkimuksessa tai sarjassa, ja nimeävätkö saman Study"
        " Instance UID:n instanssit yhden potilaan.",
    ),
    remedy=Text(
        "Find out which object is right, correct the other at its source and send it again under new UIDs, or reject"
        " the study. The archive refuses both as they are.",
        "Selvitä, kumpi objekti on oikea, korjaa toinen lähteessään ja lähetä se uusilla UID-tunnisteilla, tai hylkää"
        " tutkimus. Sellaisinaan arkisto ei ota vastaan kumpaakaan.",
    ),
    messages={
        "other_study": Message(
            text=Text(
                "The SOP Instance UID {sop_instance} is in use in the study {other} as well (instances: {instances})",
                "SOP Instance UID {sop_instance} on käytössä myös tutkimuksessa {other} (instansseja: {instances})",
            )
        ),
        "other_series": Message(
            text=Text(
                "The SOP Instance UID {sop_instance} is in use in another series of this study as well"
                " (instances: {instances})",
                "SOP Instance UID {sop_instance} on käytössä myös tämän tutkimuksen toisessa sarjassa"
                " (instansseja: {instances})",
            )
        ),
        "patients": Message(
            text=Text(
                "Instances of this Study Instance UID name {patients} patients",
                "Tämän Study Instance UID:n instanssit nimeävät {patients} potilasta",
            )
        ),
    },
)

UID_03 = Rule(
    id="UID-03",
    severity="warning",
    title=Text("The Study Instance UID has an expected root", "Study Instance UID alkaa odotetulla juurella"),
    looks_at=Text(
        "The beginning of Study Instance UID against archive.study_uid_roots; with none configured every root is"
        " right. The archive regulates the form of this UID since 2024; its rule is not public, hence the setting.",
        "Study Instance UID:n alku verrattuna asetukseen archive.study_uid_roots; jos juuria ei ole asetettu, kaikki"
        " kelpaavat. Arkisto säätelee tunnisteen muotoa vuodesta 2024; sääntö ei ole julkinen, siksi asetus.",
    ),
    remedy=Text(
        "Have the device give UIDs under the organisation's own root, or add its root to the configuration.",
        "Asetuta laite antamaan tunnisteet organisaation oman juuren alta, tai lisää sen juuri asetuksiin.",
    ),
    messages={
        "root": Message(
            text=Text(
                "The Study Instance UID {uid} begins with none of the expected roots",
                "Study Instance UID {uid} ei ala millään odotetuista juurista",
            )
        )
    },
)

DUP_01 = Rule(
    id="DUP-01",
    severity="warning",
    title=Text("A SOP Instance UID has one content", "SOP Instance UID:llä on yksi sisältö"),
    looks_at=Text(
        "Other bytes under a SOP Instance UID that is here already. Before delivery the policy (duplicates: newest"
        " or first) says which counts; after delivery the new object is kept, held and never sent. The same bytes"
        " again are no event.",
        "Eri tavut jo tunnetulla SOP Instance UID:llä. Ennen toimitusta asetus duplicates (newest tai first) ratkaisee,"
        " kumpi on voimassa; toimituksen jälkeen uusi objekti säilytetään, pidätetään eikä sitä lähetetä koskaan. Samat"
        " tavut uudelleen eivät ole tapahtuma.",
    ),
    remedy=Text(
        "Find out why the sender used the UID again. A correction of what is archived needs new UIDs.",
        "Selvitä, miksi lähettäjä käytti tunnistetta uudelleen. Arkistoidun aineiston korjaus vaatii uudet"
        " UID-tunnisteet.",
    ),
    messages={
        "replaced": Message(
            text=Text(
                "Different bytes came under one SOP Instance UID before delivery (instances: {instances}, one of them"
                " {sop_instance})",
                "Samalla SOP Instance UID:llä tuli eri tavuja ennen toimitusta (instansseja: {instances}, niistä yksi"
                " {sop_instance})",
            )
        ),
        "delivered": Message(
            text=Text(
                "Different bytes came under a SOP Instance UID that was delivered already (instances: {instances},"
                " one of them {sop_instance}); they are not sent",
                "Jo toimitetulla SOP Instance UID:llä tuli eri tavuja (instansseja: {instances}, niistä yksi"
                " {sop_instance}); niitä ei lähetetä",
            ),
            severity="hold",
        ),
    },
)

QUA_02 = Rule(
    id="QUA-02",
    severity="warning",
    title=Text("Events fit the study's state", "Tapahtumat sopivat tutkimuksen tilaan"),
    looks_at=Text(
        "Events that the study's state does not know, as the catalog reports them.",
        "Tapahtumat, joita tutkimuksen tila ei tunne, luettelon ilmoittamina.",
    ),
    remedy=Text(
        "Look at the study's story (studies trace) and report it to the gateway's makers.",
        "Katso tutkimuksen vaiheet (studies trace) ja ilmoita asiasta yhdyskäytävän tekijöille.",
    ),
    messages={
        "event": Message(
            text=Text(
                "Something happened that the study's state does not know (times: {instances})",
                "Tapahtui jotain, mitä tutkimuksen tila ei tunne (kertoja: {instances})",
            )
        )
    },
)

QUA_03 = Rule(
    id="QUA-03",
    severity="hold",
    title=Text(
        "What was decided and delivered before is known",
        "Aiemmat päätökset ja toimitukset ovat tiedossa",
    ),
    looks_at=Text(
        "Whether the catalog had to be made anew from the stored files (catalog rebuild) after its database was lost.",
        "Onko luettelo jouduttu tekemään uudelleen tiedostoista (catalog rebuild) tietokannan tuhouduttua.",
    ),
    remedy=Text(
        "Find out whether the archive has the study and whether anybody rejected it; then release or reject it.",
        "Selvitä, onko tutkimus jo arkistossa ja onko joku hylännyt sen; vapauta tai hylkää se sitten.",
    ),
    messages={
        "rebuilt": Message(
            text=Text(
                "The catalog was rebuilt after a loss: earlier deliveries and decisions on this study are not known",
                "Luettelo on palautettu tuhoutumisen jälkeen: tutkimuksen aiempia toimituksia ja päätöksiä ei tiedetä",
            )
        )
    },
)

RULES: tuple[Rule, ...] = (SOP_01, TS_01, UID_01, UID_02, UID_03, DUP_01, QUA_02, QUA_03)
