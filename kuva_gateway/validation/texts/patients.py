"""The words of the rules on patients. No message here names an id, a name or a birth date."""

from __future__ import annotations

from kuva_gateway.dicom.statuses import NOT_AUTHORISED
from kuva_gateway.validation.wording import Message, Rule, Text


def _code_message(fault_en: str, fault_fi: str) -> Message:
    return Message(
        text=Text(
            f"The personal identity code has {fault_en} (instances: {{instances}})",
            f"Henkilötunnuksessa on {fault_fi} (instansseja: {{instances}})",
        )
    )


PID_01 = Rule(
    id="PID-01",
    severity="hold",
    immediate=True,
    title=Text("The patient id is a valid personal identity code", "Potilastunniste on oikea henkilötunnus"),
    looks_at=Text(
        "Patient ID: form (DDMMYY, separator, NNN, check character), that the date exists, the check character."
        " Upper and lower case and blanks make no difference. A temporary id (its issuer is"
        " 1.2.246.10.<organisation>.22.<year>) is judged by PID-05.",
        "Patient ID: muoto (PPKKVV, välimerkki, NNN, tarkistusmerkki), päivän olemassaolo ja tarkistusmerkki."
        " Isoilla ja pienillä kirjaimilla tai välilyönneillä ei ole väliä. Tilapäisen tunnisteen (antaja"
        " 1.2.246.10.<organisaatio>.22.<vuosi>) arvioi PID-05.",
    ),
    remedy=Text(
        "Correct the patient at the source (PACS or RIS) and send the study again, or amend it (studies amend).",
        "Korjaa potilas lähteessä (PACS tai RIS) ja lähetä tutkimus uudelleen, tai oikaise se (studies amend).",
    ),
    messages={
        "missing": Message(
            text=Text(
                "The patient id is missing (instances: {instances})",
                "Potilastunniste puuttuu (instansseja: {instances})",
            )
        ),
        "form": Message(
            text=Text(
                "The patient id does not have the form of a personal identity code (instances: {instances})",
                "Potilastunniste ei ole henkilötunnuksen muotoinen (instansseja: {instances})",
            )
        ),
        "date": _code_message("a date of birth that does not exist", "syntymäaika, jota ei ole olemassa"),
        "number": _code_message("an individual number that is never given", "yksilönumero, jota ei anneta kenellekään"),
        "check": _code_message("a wrong check character", "väärä tarkistusmerkki"),
    },
)

PID_02 = Rule(
    id="PID-02",
    severity="hold",
    title=Text("The issuer of the patient id is known", "Potilastunnisteen antaja tiedetään"),
    looks_at=Text(
        "Issuer of Patient ID and the universal id of its qualifiers, where there is a patient id: 1.2.246.21 for"
        " personal identity codes, 1.2.246.10.<organisation>.22.<year> for temporary ids. The qualifiers count before"
        " Issuer of Patient ID. Where both are absent, issuer_of_patient_id of the sending peer is filled in first.",
        "IssuerOfPatientID ja sen tarkenteiden yleinen tunniste, kun potilastunniste on annettu: henkilötunnuksilla"
        " 1.2.246.21, tilapäisillä tunnisteilla 1.2.246.10.<organisaatio>.22.<vuosi>. Tarkenteet menevät"
        " IssuerOfPatientID-kentän edelle. Jos molemmat puuttuvat, täydennetään ensin lähettäjän issuer_of_patient_id.",
    ),
    remedy=Text(
        "Configure issuer_of_patient_id for the sending peer, correct the source, or amend the study (studies amend).",
        "Aseta lähettäjälle issuer_of_patient_id, korjaa lähde tai oikaise tutkimus (studies amend).",
    ),
    messages={
        "missing": Message(
            text=Text(
                "The issuer of the patient id is missing (instances: {instances})",
                "Potilastunnisteen antaja puuttuu (instansseja: {instances})",
            )
        ),
        "other": Message(
            text=Text(
                "The issuer of the patient id is {issuer}, neither that of personal identity codes nor one of temporary"
                " ids (instances: {instances})",
                "Potilastunnisteen antaja on {issuer}, joka ei ole henkilötunnusten eikä tilapäisten tunnisteiden"
                " antaja (instansseja: {instances})",
            )
        ),
        "differ": Message(
            text=Text(
                "Issuer of Patient ID and its qualifiers name two issuers: {issuer} and {other} (instances:"
                " {instances})",
                "IssuerOfPatientID ja sen tarkenteet nimeävät kaksi antajaa: {issuer} ja {other} (instansseja:"
                " {instances})",
            )
        ),
    },
)

PID_03 = Rule(
    id="PID-03",
    severity="hold",
    immediate=True,
    title=Text(
        "Test persons stay in test, real people in production",
        "Testihenkilöt pysyvät testissä, oikeat ihmiset tuotannossa",
    ),
    looks_at=Text(
        "The individual number of the personal identity code (900-999: test persons and temporary ids) and the"
        " environment. In production a number of the 900 series holds; in test any other is refused with 0124, or held"
        " where the rule is configured so.",
        "Henkilötunnuksen yksilönumero (900–999: testihenkilöt ja tilapäiset tunnukset) ja ympäristö. Tuotannossa"
        " 900-sarjan numero pidättää tutkimuksen; testissä muu numero hylätään koodilla 0124 tai pidätetään, jos sääntö"
        " on asetettu niin.",
    ),
    remedy=Text(
        "Send test persons to the test gateway and real patients to the production gateway.",
        "Lähetä testihenkilöt testin yhdyskäytävään ja oikeat potilaat tuotannon yhdyskäytävään.",
    ),
    messages={
        "test_in_production": Message(
            text=Text(
                "A personal identity code of the 900 series in production (instances: {instances})",
                "900-sarjan henkilötunnus tuotannossa (instansseja: {instances})",
            ),
            status=NOT_AUTHORISED,
        ),
        "real_in_test": Message(
            text=Text(
                "A real personal identity code in the test environment (instances: {instances})",
                "Oikea henkilötunnus testiympäristössä (instansseja: {instances})",
            ),
            severity="refuse",
            status=NOT_AUTHORISED,
        ),
    },
)

PID_04 = Rule(
    id="PID-04",
    severity="hold",
    immediate=True,
    title=Text(
        "Birth date and sex agree with the personal identity code", "Syntymäaika ja sukupuoli vastaavat henkilötunnusta"
    ),
    looks_at=Text(
        "Patient's Birth Date and Patient's Sex against a valid personal identity code. An absent value is no"
        " disagreement. A differing sex only warns.",
        "Patient's Birth Date ja Patient's Sex verrattuna oikeaan henkilötunnukseen. Puuttuva arvo ei ole ristiriita."
        " Poikkeava sukupuoli antaa vain varoituksen.",
    ),
    remedy=Text(
        "Find out whether id or birth date is wrong, correct the patient at the source and send the study again.",
        "Selvitä, onko tunnus vai syntymäaika väärä, korjaa potilas lähteessä ja lähetä tutkimus uudelleen.",
    ),
    messages={
        "birth_date": Message(
            text=Text(
                "The birth date differs from that of the personal identity code (instances: {instances})",
                "Syntymäaika poikkeaa henkilötunnuksesta (instansseja: {instances})",
            )
        ),
        "birth_date_form": Message(
            text=Text(
                "The birth date is no date of the form YYYYMMDD (instances: {instances})",
                "Syntymäaika ei ole päivä muodossa VVVVKKPP (instansseja: {instances})",
            )
        ),
        "sex": Message(
            text=Text(
                "The sex differs from that of the personal identity code (instances: {instances})",
                "Sukupuoli poikkeaa henkilötunnuksesta (instansseja: {instances})",
            ),
            severity="warning",
        ),
    },
)

PID_05 = Rule(
    id="PID-05",
    severity="hold",
    immediate=True,
    title=Text(
        "A temporary patient id is replaced before archiving", "Tilapäinen potilastunniste korvataan ennen arkistointia"
    ),
    looks_at=Text(
        "The issuer of the patient id: 1.2.246.10.<organisation>.22.<year> is the root of temporary ids. A gateway"
        " that may archive them sets the rule to off.",
        "Potilastunnisteen antaja: 1.2.246.10.<organisaatio>.22.<vuosi> on tilapäisten tunnisteiden juuri. Jos niitä"
        " saa arkistoida, säännölle annetaan arvo off.",
    ),
    remedy=Text(
        "Wait for the patient's personal identity code (an ADT message brings it), or link it by hand (patients link):"
        " the study then goes on by itself.",
        "Odota potilaan henkilötunnusta (ADT-sanoma tuo sen) tai liitä se käsin (patients link): tutkimus jatkaa sitten"
        " itsestään.",
    ),
    messages={
        "temporary": Message(
            text=Text(
                "The patient id is a temporary one issued by {issuer} (instances: {instances})",
                "Potilastunniste on tilapäinen, antaja {issuer} (instansseja: {instances})",
            )
        )
    },
)

PID_06 = Rule(
    id="PID-06",
    severity="hold",
    title=Text(
        "The identity code's separator is that of the documents and of the order's other studies",
        "Henkilötunnuksen välimerkki on sama kuin asiakirjoissa ja tilauksen muissa tutkimuksissa",
    ),
    looks_at=Text(
        "The personal identity code against those of linked documents, and of documents and studies with the same"
        " accession number, where all but the separator agrees. The separator is part of the code, and the check"
        " character does not tell a wrong one; two people may have the same digits.",
        "Henkilötunnus verrattuna liitettyjen asiakirjojen sekä saman accession-numeron asiakirjojen ja tutkimusten"
        " tunnuksiin, kun kaikki muu kuin välimerkki täsmää. Välimerkki on osa tunnusta, eikä tarkistusmerkki paljasta"
        " väärää; kahdella ihmisellä voi olla samat numerot.",
    ),
    remedy=Text(
        "Find out which separator is the patient's, and correct the other one: the study (studies amend, patients link)"
        " or the document.",
        "Selvitä, kumpi välimerkki on potilaan, ja korjaa toinen: tutkimus (studies amend, patients link) tai"
        " asiakirja.",
    ),
    messages={
        "document": Message(
            text=Text(
                "A document has a personal identity code that differs only in the separator",
                "Asiakirjan henkilötunnus eroaa vain välimerkiltään",
            )
        ),
        "study": Message(
            text=Text(
                "The study {other} has the same accession number and a personal identity code that differs only in the"
                " separator",
                "Tutkimuksella {other} on sama accession-numero ja henkilötunnus, joka eroaa vain välimerkiltään",
            )
        ),
    },
)

PID_07 = Rule(
    id="PID-07",
    severity="hold",
    title=Text("All instances of a study have one patient", "Tutkimuksen kaikilla instansseilla on yksi potilas"),
    looks_at=Text(
        "The patient ids of all instances; for ids that are no personal identity codes their issuers too. The"
        " separator of a personal identity code is part of it. Instances without an id are PID-01's.",
        "Kaikkien instanssien potilastunnisteet; muiden kuin henkilötunnusten kohdalla myös antajat. Henkilötunnuksen"
        " välimerkki on osa tunnusta. Instanssit ilman tunnistetta kuuluvat säännölle PID-01.",
    ),
    remedy=Text(
        "Find out which instances belong to another patient, correct them at the source under a study of their own, and"
        " send both again.",
        "Selvitä, mitkä instanssit kuuluvat toiselle potilaalle, korjaa ne lähteessä omaksi tutkimuksekseen ja lähetä"
        " molemmat uudelleen.",
    ),
    messages={
        "patients": Message(
            text=Text(
                "The instances name {patients} patient ids ({counts}); {example} is one that differs",
                "Instansseissa on {patients} potilastunnistetta ({counts}); poikkeava on esimerkiksi {example}",
            )
        ),
        "separator": Message(
            text=Text(
                "The instances' personal identity codes differ only in the separator ({counts}); {example} is one that"
                " differs",
                "Instanssien henkilötunnukset eroavat vain välimerkiltään ({counts}); poikkeava on esimerkiksi"
                " {example}",
            )
        ),
        "issuers": Message(
            text=Text(
                "The instances name one patient id of {issuers} issuers",
                "Instansseissa on sama potilastunniste {issuers} antajalta",
            )
        ),
    },
)

RULES: tuple[Rule, ...] = (PID_01, PID_02, PID_03, PID_04, PID_05, PID_06, PID_07)
