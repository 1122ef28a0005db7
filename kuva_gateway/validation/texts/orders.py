"""The words of the rules on what was ordered and done: accession number and procedure codes."""

from __future__ import annotations

from kuva_gateway.validation.wording import Message, Rule, Text

ACC_01 = Rule(
    id="ACC-01",
    severity="hold",
    immediate=True,
    title=Text("The accession number can be archived", "Accession-numeron voi arkistoida"),
    looks_at=Text(
        "Accession Number: not empty, at most 16 characters, no control characters, no backslash (PS3.5 6.2, SH); that"
        " its issuer is told (0008,0051), after issuer_of_accession_number of the sending peer was filled in.",
        "Accession Number: ei tyhjä, enintään 16 merkkiä, ei ohjausmerkkejä eikä kenoviivaa (PS3.5 6.2, SH); että sen"
        " antaja on kerrottu (0008,0051), kun lähettäjän issuer_of_accession_number on ensin täydennetty.",
    ),
    remedy=Text(
        "Give the study its accession number at the source (worklist or PACS) and send it again, or amend it (studies"
        " amend). Where only its issuer is missing, configure issuer_of_accession_number for the sending peer.",
        "Anna tutkimukselle accession-numero lähteessä (työlista tai PACS) ja lähetä se uudelleen, tai oikaise se"
        " (studies amend). Jos vain numeron antaja puuttuu, aseta lähettäjälle issuer_of_accession_number.",
    ),
    messages={
        "missing": Message(
            text=Text(
                "The accession number is missing (instances: {instances})",
                "Accession-numero puuttuu (instansseja: {instances})",
            )
        ),
        "long": Message(
            text=Text(
                "The accession number has {length} characters, 16 are allowed (instances: {instances})",
                "Accession-numerossa on {length} merkkiä, kun 16 on sallittu (instansseja: {instances})",
            )
        ),
        "characters": Message(
            text=Text(
                "The accession number has a control character or a backslash (instances: {instances})",
                "Accession-numerossa on ohjausmerkki tai kenoviiva (instansseja: {instances})",
            )
        ),
        "issuer": Message(
            text=Text(
                "The issuer of the accession number is not told (instances: {instances})",
                "Accession-numeron antajaa ei ole kerrottu (instansseja: {instances})",
            ),
            severity="warning",
        ),
    },
)

COD_01 = Rule(
    id="COD-01",
    severity="hold",
    title=Text("The study names a code of the national list", "Tutkimuksella on kansallisen luettelon koodi"),
    looks_at=Text(
        "The first five characters of Study Description, which are what the archive checks, and the codes in"
        " Procedure Code Sequence and Requested Procedure Code Sequence (also inside Request Attributes Sequence)."
        " Items of other code lists beside a national one do not count; an item without a national scheme counts only"
        " if its code is in the list. A description that some instances lack is no fault where others have it.",
        "Study Description -kentän viisi ensimmäistä merkkiä, jotka arkisto tarkistaa, sekä Procedure Code Sequence-"
        " ja Requested Procedure Code Sequence -rakenteiden koodit (myös Request Attributes Sequence -rakenteessa)."
        " Muiden koodistojen koodeja ei lasketa kansallisen rinnalla; koodi ilman kansallista koodistoa lasketaan"
        " vain, jos se on luettelossa. Joiltakin instansseilta puuttuva kuvaus ei ole virhe, jos se on muilla.",
    ),
    remedy=Text(
        "Let the source write the procedure code at the start of Study Description and send the study again; import the"
        " newest code list if the code is new.",
        "Kirjaa tutkimuskoodi lähteessä Study Description -kentän alkuun ja lähetä tutkimus uudelleen; tuo uusin"
        " koodisto, jos koodi on uusi.",
    ),
    messages={
        "missing": Message(
            text=Text(
                "The study names no procedure code (instances: {instances})",
                "Tutkimuksella ei ole tutkimuskoodia (instansseja: {instances})",
            )
        ),
        "not_a_code": Message(
            text=Text(
                "The description starts with '{start}', which is no procedure code (instances: {instances})",
                "Kuvauksen alussa on '{start}', joka ei ole tutkimuskoodi (instansseja: {instances})",
            )
        ),
        "only_in_sequences": Message(
            text=Text(
                "The code {code} stands only in {place}; the archive looks at the first five characters of Study"
                " Description (instances: {instances})",
                "Koodi {code} on vain kentässä {place}; arkisto katsoo Study Description -kentän viittä ensimmäistä"
                " merkkiä (instansseja: {instances})",
            )
        ),
        "unknown": Message(
            text=Text(
                "The code {code} is not in the code list (instances: {instances})",
                "Koodia {code} ei ole koodistossa (instansseja: {instances})",
            )
        ),
    },
)

COD_02 = Rule(
    id="COD-02",
    severity="hold",
    title=Text("All sources name one code", "Kaikki lähteet nimeävät saman koodin"),
    looks_at=Text(
        "The code in Study Description against those in the sequences, and against those of the study's other"
        " instances. An absent code disagrees with nothing.",
        "Study Description -kentän koodi verrattuna rakenteiden koodeihin ja tutkimuksen muihin instansseihin."
        " Puuttuva koodi ei ole ristiriidassa minkään kanssa.",
    ),
    remedy=Text(
        "Find out what was done, correct the code at the source and send the study again.",
        "Selvitä, mikä tutkimus tehtiin, korjaa koodi lähteessä ja lähetä tutkimus uudelleen.",
    ),
    messages={
        "between_instances": Message(
            text=Text("The instances name different codes: {codes}", "Instansseilla on eri koodeja: {codes}")
        ),
        "description_and_sequence": Message(
            text=Text(
                "Study Description says {code}, {place} says {other}",
                "Study Description -kentässä on {code}, kentässä {place} on {other}",
            )
        ),
        "sequences": Message(
            text=Text("The sequences name different codes: {codes}", "Rakenteissa on eri koodeja: {codes}")
        ),
    },
)

COD_03 = Rule(
    id="COD-03",
    severity="hold",
    title=Text("The code was valid on the study date", "Koodi oli voimassa tutkimuspäivänä"),
    looks_at=Text(
        "Each code's periods of validity in the code list against Study Date, which must be there and be a date that"
        " has come. What replaces an ended code is followed until a code is valid on that day.",
        "Koodin voimassaolojaksot koodistossa verrattuna Study Date -kenttään, jonka on oltava olemassa ja jo tullut"
        " päivä. Päättyneen koodin korvaajia seurataan, kunnes koodi on voimassa tutkimuspäivänä.",
    ),
    remedy=Text(
        "Use a code that was valid on the study date, correct it at the source and send the study again; import the"
        " newest code list if this one is old.",
        "Käytä tutkimuspäivänä voimassa ollutta koodia, korjaa se lähteessä ja lähetä tutkimus uudelleen; tuo uusin"
        " koodisto, jos tämä on vanha.",
    ),
    messages={
        "ended_replaced": Message(
            text=Text(
                "{code} ended {ended}; use {replacement} (study date {date})",
                "{code} päättyi {ended}; käytä {replacement} (tutkimuspäivä {date})",
            )
        ),
        "ended": Message(
            text=Text(
                "{code} ended {ended}; the code list names no replacement (study date {date})",
                "{code} päättyi {ended}; koodisto ei nimeä korvaavaa koodia (tutkimuspäivä {date})",
            )
        ),
        "not_yet": Message(
            text=Text(
                "{code} is valid only from {begins} (study date {date})",
                "{code} on voimassa vasta {begins} alkaen (tutkimuspäivä {date})",
            )
        ),
        "no_date": Message(
            text=Text(
                "The study date is missing, so validity cannot be judged (instances: {instances})",
                "Tutkimuspäivä puuttuu, joten voimassaoloa ei voi arvioida (instansseja: {instances})",
            )
        ),
        "bad_date": Message(
            text=Text(
                "The study date '{date}' is no date of the form YYYYMMDD (instances: {instances})",
                "Tutkimuspäivä '{date}' ei ole päivä muodossa VVVVKKPP (instansseja: {instances})",
            )
        ),
        "future": Message(
            text=Text(
                "The study date {date} has not come yet (instances: {instances})",
                "Tutkimuspäivä {date} ei ole vielä tullut (instansseja: {instances})",
            )
        ),
    },
)

COD_04 = Rule(
    id="COD-04",
    severity="warning",
    title=Text("The code's scheme is a national code list", "Koodin koodisto on kansallinen"),
    looks_at=Text(
        "Coding Scheme UID and Coding Scheme Designator of the items that hold the study's code: 1.2.246.537.6.2,"
        " .4, .33 or .3 (with or without a version), or a designator that names THL or Kuntaliitto.",
        "Tutkimuksen koodin Coding Scheme UID ja Coding Scheme Designator: 1.2.246.537.6.2, .4, .33 tai .3"
        " (versiolla tai ilman) tai tunnus, jossa on THL tai Kuntaliitto.",
    ),
    remedy=Text(
        "Let the source write the code list's OID in Coding Scheme UID.",
        "Kirjaa koodiston OID-tunnus lähteessä Coding Scheme UID -kenttään.",
    ),
    messages={
        "scheme": Message(
            text=Text(
                "The code {code} is given without a national coding scheme (instances: {instances})",
                "Koodilla {code} ei ole kansallista koodistoa (instansseja: {instances})",
            )
        )
    },
)

COD_05 = Rule(
    id="COD-05",
    severity="hold",
    title=Text("The code stands for images", "Koodi tarkoittaa kuvantamista"),
    looks_at=Text(
        "The code list's own marks: radiology or visible light, or one of the laboratory's ECG numbers; not a"
        " heading, not a statement, copy or other work without images (fifth letter W).",
        "Koodiston omat merkinnät: radiologia tai näkyvän valon kuva, tai jokin laboratorion EKG-numeroista; ei"
        " otsikko eikä lausunto, kopio tai muu työ ilman kuvia (viides kirjain W).",
    ),
    remedy=Text(
        "Use the code of the examination that the images belong to, correct it at the source and send the study again.",
        "Käytä sen tutkimuksen koodia, johon kuvat kuuluvat, korjaa se lähteessä ja lähetä tutkimus uudelleen.",
    ),
    messages={
        "heading": Message(
            text=Text(
                "{code} is a heading of the code list, not a code for examinations",
                "{code} on koodiston otsikko eikä tutkimuksen koodi",
            )
        ),
        "without_images": Message(
            text=Text(
                "{code} stands for a statement, a copy or other work without images of its own",
                "{code} tarkoittaa lausuntoa, kopiota tai muuta työtä ilman omia kuvia",
            )
        ),
        "not_imaging": Message(
            text=Text("{code} is no imaging code in the code list", "{code} ei ole koodistossa kuvantamisen koodi")
        ),
    },
)

COD_06 = Rule(
    id="COD-06",
    severity="warning",
    title=Text("The method of the code made the images", "Kuvat on tehty koodin menetelmällä"),
    looks_at=Text(
        "Modality against those that go with the code's method letter (its fifth, for radiological codes) or with its"
        " pattern; reports, presentation states, key objects and segmentations go with every code. The letters'"
        " meanings are inferred from the code list; archive.method_modalities replaces any row.",
        "Modality verrattuna koodin menetelmäkirjaimeen (radiologisen koodin viides kirjain) tai koodin muotoon;"
        " rakenteiset raportit, esitystilat, avainobjektit ja segmentoinnit sopivat jokaiseen koodiin. Kirjainten"
        " merkitys on päätelty koodistosta; archive.method_modalities korvaa minkä tahansa rivin.",
    ),
    remedy=Text(
        "Find out whether code or modality is wrong and correct it at the source; if both are right, add the modality"
        " in archive.method_modalities.",
        "Selvitä, onko koodi vai modaliteetti väärä, ja korjaa se lähteessä; jos kumpikin on oikein, lisää"
        " modaliteetti asetukseen archive.method_modalities.",
    ),
    messages={
        "modality": Message(
            text=Text(
                "The code {code} goes with {expected}, the instances say {modality} (instances: {instances})",
                "Koodiin {code} sopii {expected}, instansseissa on {modality} (instansseja: {instances})",
            )
        ),
        "no_modality": Message(
            text=Text(
                "The code {code} goes with {expected}, the instances name no modality (instances: {instances})",
                "Koodiin {code} sopii {expected}, instansseissa ei ole modaliteettia (instansseja: {instances})",
            )
        ),
    },
)

RULES: tuple[Rule, ...] = (ACC_01, COD_01, COD_02, COD_03, COD_04, COD_05, COD_06)
