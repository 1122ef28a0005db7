"""The words of the rules on what the archive takes at all: content classes, and the forms of ECG."""

from __future__ import annotations

from typing import Final

from kuva_gateway.validation.wording import Message, Rule, Text

CON_01 = Rule(
    id="CON-01",
    severity="hold",
    title=Text("The archive takes this content today", "Arkisto ottaa sisällön vastaan tänään"),
    looks_at=Text(
        "The content class of the study's code (content-classes.yaml, or archive.content_classes) and the day on which"
        " the archive opened or opens it. A study of a class that opens later goes on its own on that day.",
        "Tutkimuksen koodin sisältöluokka (content-classes.yaml tai archive.content_classes) ja päivä, jona arkisto on"
        " avannut tai avaa sen. Myöhemmin avautuvan luokan tutkimus lähtee itsestään avautumispäivänä.",
    ),
    remedy=Text(
        "Nothing needs to be done until the class opens; reject the study if it does not belong into the archive, or"
        " correct the content classes if the archive takes it already.",
        "Mitään ei tarvitse tehdä ennen luokan avautumista; hylkää tutkimus, jos se ei kuulu arkistoon, tai korjaa"
        " sisältöluokat, jos arkisto ottaa sen jo vastaan.",
    ),
    messages={
        "opens": Message(
            text=Text(
                "{code} belongs to the content class {class}, which opens on {day}; the study goes then",
                "{code} kuuluu sisältöluokkaan {class}, joka avautuu {day}; tutkimus lähtee silloin",
            )
        ),
        "closed": Message(
            text=Text(
                "{code} belongs to the content class {class}, which is closed until further notice",
                "{code} kuuluu sisältöluokkaan {class}, joka on toistaiseksi suljettu",
            )
        ),
        "early": Message(
            text=Text(
                "{code} belongs to the content class {class}, which is archived for studies from {day} on (study"
                " date {date})",
                "{code} kuuluu sisältöluokkaan {class}, josta arkistoidaan tutkimukset {day} alkaen (tutkimuspäivä"
                " {date})",
            ),
            remedy=Text(
                "Reject the study, or correct study_date_from in the content classes if the archive takes it.",
                "Hylkää tutkimus, tai korjaa sisältöluokkien study_date_from, jos arkisto ottaa sen vastaan.",
            ),
        ),
        "no_class": Message(
            text=Text(
                "{code} belongs to no content class",
                "{code} ei kuulu mihinkään sisältöluokkaan",
            ),
            remedy=Text(
                "Give the code a class in the content classes' file, and say since when the archive takes it.",
                "Anna koodille luokka sisältöluokkien tiedostossa ja kerro, mistä alkaen arkisto ottaa sen vastaan.",
            ),
        ),
    },
)

ECG_01 = Rule(
    id="ECG-01",
    severity="hold",
    title=Text("The ECG has the form that is archived", "EKG on arkistoitavassa muodossa"),
    looks_at=Text(
        "At rest (FP1?5, FP2?5, 1270 to 1272): a 12-lead, general or general 32-bit ECG object, modality ECG, with"
        " samples in Waveform Sequence. Under stress (FP3?5, 2063 to 2065, 2068 to 2070): an encapsulated PDF of the"
        " type application/pdf whose bytes begin with %PDF-. ECG of a day or longer is not archived.",
        "Levossa (FP1?5, FP2?5, 1270–1272): 12-kytkentäinen, yleinen tai yleinen 32-bittinen EKG-objekti,"
        " modaliteetti ECG, näytteitä Waveform Sequence -rakenteessa. Rasituksessa (FP3?5, 2063–2065, 2068–2070):"
        " kapseloitu PDF, jonka tyyppi on application/pdf ja jonka tavut alkavat %PDF-. Vuorokauden tai pidempää"
        " EKG:tä ei arkistoida.",
    ),
    remedy=Text(
        "Let the device or its server send a resting ECG as a waveform and an exercise ECG as a PDF, and send the"
        " study again; correct the code at the source if it names the wrong examination.",
        "Aseta laite tai sen palvelin lähettämään lepo-EKG käyränä ja rasitus-EKG PDF:nä, ja lähetä tutkimus"
        " uudelleen; korjaa koodi lähteessä, jos se on väärän tutkimuksen.",
    ),
    messages={
        "rest_class": Message(
            text=Text(
                "{code} is an ECG at rest, which is archived as a waveform; this is {found} (instances: {instances})",
                "{code} on lepo-EKG, joka arkistoidaan käyränä; tämä on {found} (instansseja: {instances})",
            )
        ),
        "rest_empty": Message(
            text=Text(
                "{code} is an ECG at rest, and the waveform has no samples (instances: {instances})",
                "{code} on lepo-EKG, eikä käyrässä ole näytteitä (instansseja: {instances})",
            )
        ),
        "rest_modality": Message(
            text=Text(
                "{code} is an ECG at rest, whose modality is ECG and not {found} (instances: {instances})",
                "{code} on lepo-EKG, jonka modaliteetti on ECG eikä {found} (instansseja: {instances})",
            )
        ),
        "rest_none": Message(
            text=Text("{code} is an ECG at rest, and there is no waveform", "{code} on lepo-EKG, eikä käyrää ole")
        ),
        "stress_class": Message(
            text=Text(
                "{code} is an ECG under stress, which is archived as an encapsulated PDF; this is {found} (instances:"
                " {instances})",
                "{code} on rasitus-EKG, joka arkistoidaan kapseloituna PDF:nä; tämä on {found} (instansseja:"
                " {instances})",
            )
        ),
        "stress_type": Message(
            text=Text(
                "{code} is an ECG under stress, whose document type is application/pdf and not {found} (instances:"
                " {instances})",
                "{code} on rasitus-EKG, jonka asiakirjan tyyppi on application/pdf eikä {found} (instansseja:"
                " {instances})",
            )
        ),
        "stress_bytes": Message(
            text=Text(
                "{code} is an ECG under stress, and the bytes of its document are no PDF: they do not begin with"
                " %PDF- (instances: {instances})",
                "{code} on rasitus-EKG, eivätkä asiakirjan tavut ole PDF: ne eivät ala %PDF- (instansseja:"
                " {instances})",
            )
        ),
        "stress_none": Message(
            text=Text("{code} is an ECG under stress, and there is no PDF", "{code} on rasitus-EKG, eikä PDF:ää ole")
        ),
        "long": Message(
            text=Text(
                "{code} is an ECG of a day or longer, which the archive does not take",
                "{code} on vuorokauden tai pidempi EKG, jota arkisto ei ota vastaan",
            )
        ),
    },
)

RULES: Final[tuple[Rule, ...]] = (CON_01, ECG_01)
