"""The words of the rules on imaging documents: request, examination entry, report."""

from __future__ import annotations

from kuva_gateway.validation.wording import Message, Rule, Text

DOC_01 = Rule(
    id="DOC-01",
    severity="hold",
    title=Text("The request is here", "Pyyntö on saapunut"),
    looks_at=Text(
        "The documents that are linked to the study by Study Instance UID, or by accession number and patient: one"
        " must be a request (pyyntö), current and ready for archiving.",
        "Asiakirjat, jotka liittyvät tutkimukseen Study Instance UID:n tai accession-numeron ja potilaan"
        " perusteella: yhden on oltava pyyntö, voimassa ja arkistointivalmis.",
    ),
    remedy=Text(
        "Store the request in the patient data repository first, and let a copy reach the gateway; the study goes on"
        " by itself.",
        "Tallenna ensin pyyntö potilastietovarantoon ja toimita siitä kopio yhdyskäytävään; tutkimus jatkaa itsestään.",
    ),
    messages={
        "missing": Message(
            text=Text(
                "No request that is current and ready is linked (accession number {accession})",
                "Tutkimukseen ei liity voimassa olevaa, valmista pyyntöä (accession-numero {accession})",
            )
        )
    },
)

DOC_02 = Rule(
    id="DOC-02",
    severity="hold",
    title=Text("The examination entry is here", "Tutkimusmerkintä on saapunut"),
    looks_at=Text(
        "The same for an examination entry (tutkimusmerkintä).",
        "Sama tutkimusmerkinnän osalta.",
    ),
    remedy=Text(
        "Store the examination entry in the patient data repository first, and let a copy reach the gateway; the"
        " study goes on by itself.",
        "Tallenna ensin tutkimusmerkintä potilastietovarantoon ja toimita siitä kopio yhdyskäytävään; tutkimus jatkaa"
        " itsestään.",
    ),
    messages={
        "missing": Message(
            text=Text(
                "No examination entry that is current and ready is linked (accession number {accession})",
                "Tutkimukseen ei liity voimassa olevaa, valmista tutkimusmerkintää (accession-numero {accession})",
            )
        )
    },
)

DOC_03 = Rule(
    id="DOC-03",
    severity="info",
    title=Text("A report is linked", "Lausunto liittyy tutkimukseen"),
    looks_at=Text(
        "Linked reports (lausunto) that are current and ready. A report is optional; this only tells that it is there.",
        "Tutkimukseen liittyvät lausunnot, jotka ovat voimassa ja arkistointivalmiita. Lausunto ei ole pakollinen; tämä"
        " vain kertoo siitä.",
    ),
    remedy=Text("Nothing needs to be done.", "Mitään ei tarvitse tehdä."),
    messages={
        "linked": Message(
            text=Text(
                "A report (version {version}) that is current and ready is linked",
                "Tutkimukseen liittyy voimassa oleva, valmis lausunto (versio {version})",
            )
        )
    },
)

DOC_04 = Rule(
    id="DOC-04",
    severity="hold",
    title=Text("Documents and images agree", "Asiakirjat ja kuvat vastaavat toisiaan"),
    looks_at=Text(
        "Of each linked request, examination entry and report that counts: the patient id (the separator is part of"
        " it), the accession numbers and the procedure codes, if document and study name any; the study UIDs, if the"
        " document is linked by accession number and names UIDs that are no national OIDs; the register keepers of all"
        " of them, and the sender's (peers.NAME.register_keeper), where that is configured.",
        "Jokaisesta tutkimukseen liittyvästä pyynnöstä, tutkimusmerkinnästä ja lausunnosta: potilastunniste"
        " (välimerkki on osa sitä), accession-numerot ja tutkimuskoodit, jos niitä on molemmissa; tutkimuksen UID,"
        " jos asiakirja liittyy accession-numerolla ja nimeää UID-tunnisteita, jotka eivät ole kansallisia"
        " OID-tunnuksia; kaikkien rekisterinpitäjät ja lähettäjän (peers.NAME.register_keeper), jos se on asetettu.",
    ),
    remedy=Text(
        "Find out whether document or images are wrong; send a corrected version of the document, or correct the"
        " images at the source and send them again.",
        "Selvitä, ovatko asiakirja vai kuvat väärin; lähetä asiakirjasta korjattu versio tai korjaa kuvat lähteessä"
        " ja lähetä ne uudelleen.",
    ),
    messages={
        "patient": Message(
            text=Text(
                "The document is about another patient than the images", "Asiakirja koskee eri potilasta kuin kuvat"
            )
        ),
        "separator": Message(
            text=Text(
                "The document's personal identity code differs from the images' only in the separator",
                "Asiakirjan henkilötunnus eroaa kuvien tunnuksesta vain välimerkiltään",
            )
        ),
        "no_patient": Message(text=Text("The document names no patient", "Asiakirjassa ei ole potilasta")),
        "accession": Message(
            text=Text(
                "The document does not name the images' accession number {accession}",
                "Asiakirjassa ei ole kuvien accession-numeroa {accession}",
            )
        ),
        "study": Message(
            text=Text(
                "The document names other studies ({other}), not this one",
                "Asiakirja nimeää muita tutkimuksia ({other}), ei tätä",
            )
        ),
        "keeper": Message(
            text=Text(
                "The document belongs to the register keeper {other}, another document of the study to {keeper}",
                "Asiakirjan rekisterinpitäjä on {other}, tutkimuksen toisen asiakirjan {keeper}",
            )
        ),
        "senders_keeper": Message(
            text=Text(
                "The document belongs to the register keeper {other}, the images of this sender to {keeper}",
                "Asiakirjan rekisterinpitäjä on {other}, tämän lähettäjän kuvien {keeper}",
            )
        ),
        "code": Message(
            text=Text(
                "The document names the procedure code {other}, the images {code}",
                "Asiakirjassa on tutkimuskoodi {other}, kuvissa {code}",
            )
        ),
    },
)


def _status(kind_en: str, kind_fi: str) -> Message:
    return Message(
        text=Text(
            f"The {kind_en} (version {{version}}) is not ready for archiving: its record status is {{status}}, not 3",
            f"{kind_fi} (versio {{version}}) ei ole arkistointivalmis: asiakirjan tila on {{status}} eikä 3",
        ),
        severity="info" if kind_en == "report" else None,
    )


def _superseded(kind_en: str, kind_fi: str) -> Message:
    return Message(
        text=Text(
            f"The {kind_en} (version {{version}}) was replaced by a version that is not linked to this study",
            f"{kind_fi} (versio {{version}}) on korvattu versiolla, joka ei liity tähän tutkimukseen",
        ),
        severity="info" if kind_en == "report" else None,
    )


_KINDS = {
    "request": ("request", "Pyyntö"),
    "examination_entry": ("examination entry", "Tutkimusmerkintä"),
    "report": ("report", "Lausunto"),
}

DOC_05 = Rule(
    id="DOC-05",
    severity="hold",
    title=Text("The documents are current and ready", "Asiakirjat ovat voimassa ja valmiita"),
    looks_at=Text(
        "Linked requests and examination entries, where none of that kind is current and ready: which ones are"
        " there, and what they lack. Reports are optional; for them the rule only informs.",
        "Tutkimukseen liittyvät pyynnöt ja tutkimusmerkinnät, kun yksikään samaa lajia ei ole voimassa ja valmis:"
        " mitä niistä puuttuu. Lausunto ei ole pakollinen; siitä sääntö vain ilmoittaa.",
    ),
    remedy=Text(
        "Finish the document in the patient record system, and let the version that is ready reach the gateway.",
        "Viimeistele asiakirja potilastietojärjestelmässä ja toimita valmis versio yhdyskäytävään.",
    ),
    messages={
        **{f"{kind}_not_ready": _status(*names) for kind, names in _KINDS.items()},
        **{f"{kind}_superseded": _superseded(*names) for kind, names in _KINDS.items()},
    },
)

RULES: tuple[Rule, ...] = (DOC_01, DOC_02, DOC_03, DOC_04, DOC_05)
