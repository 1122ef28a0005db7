"""The words of the rules on organisations, providers and service-purchase authorizations."""

from __future__ import annotations

from kuva_gateway.validation.wording import Message, Rule, Text

ORG_01 = Rule(
    id="ORG-01",
    severity="hold",
    title=Text("Organisations are named by their OIDs", "Organisaatiot on yksilöity OID-tunnuksin"),
    looks_at=Text(
        "The register keepers of the linked documents and of the peer's configuration: they lie under 1.2.246.10 and,"
        " if register_keepers is configured, are among those (or a peer's, a destination's, a provider's). The"
        " institution code of the images, if there is one, only warns.",
        "Tutkimukseen liittyvien asiakirjojen ja lähettäjän asetusten rekisterinpitäjät: ne ovat juuren 1.2.246.10"
        " alla ja, jos register_keepers on asetettu, kuuluvat siihen (tai lähettäjän, kohteen tai palvelunantajan"
        " asetuksiin). Kuvien laitoskoodi, jos sellainen on, aiheuttaa vain varoituksen.",
    ),
    remedy=Text(
        "Correct the OID in the document (a new version) or in the gateway's configuration; a register keeper that this"
        " gateway serves belongs into register_keepers.",
        "Korjaa OID-tunnus asiakirjaan (uusi versio) tai yhdyskäytävän asetuksiin; rekisterinpitäjä, jota tämä"
        " yhdyskäytävä palvelee, kuuluu asetukseen register_keepers.",
    ),
    messages={
        "institution": Message(
            text=Text(
                "The images' institution code {found} is no OID under 1.2.246.10",
                "Kuvien laitoskoodi {found} ei ole OID-tunnus juuren 1.2.246.10 alla",
            ),
            severity="warning",
            remedy=Text(
                "Set the organisation's OID as institution code in the modality, or leave the code empty.",
                "Aseta organisaation OID-tunnus laitoskoodiksi kuvauslaitteeseen tai jätä koodi tyhjäksi.",
            ),
        ),
        "keeper_form": Message(
            text=Text(
                "The register keeper {keeper} is no OID under 1.2.246.10",
                "Rekisterinpitäjä {keeper} ei ole OID-tunnus juuren 1.2.246.10 alla",
            )
        ),
        "keeper_unknown": Message(
            text=Text(
                "This gateway does not serve the register keeper {keeper}",
                "Tämä yhdyskäytävä ei palvele rekisterinpitäjää {keeper}",
            )
        ),
    },
)

ORG_02 = Rule(
    id="ORG-02",
    severity="info",
    title=Text("The provider has joined the archive", "Palvelunantaja on liittynyt arkistoon"),
    looks_at=Text(
        "The register keeper, where an operator has given its OID to a provider of the list (providers set): the date"
        " of joining against the day of delivery. Others get no finding.",
        "Rekisterinpitäjä, jos ylläpitäjä on antanut sen OID-tunnuksen luettelon palvelunantajalle (providers set):"
        " liittymispäivä verrattuna toimituspäivään. Muista ei tule havaintoa.",
    ),
    remedy=Text(
        "Correct the date (providers set NAME --joined DATE), or keep the study until the provider has joined.",
        "Korjaa päivä (providers set NAME --joined DATE) tai pidä tutkimus, kunnes palvelunantaja on liittynyt.",
    ),
    messages={
        "not_joined": Message(
            text=Text(
                "{provider} joins the archive on {joined}, after today",
                "{provider} liittyy arkistoon vasta {joined}",
            )
        )
    },
)

_TO_WHOM = Text(
    "Ask the organiser of the service for an authorization for this producer (field 13) and this register (fields 21"
    " and 22), and drop it into authorizations/incoming; the study goes on by itself. Where the producer's OID is"
    " wrong, correct peers.NAME.producer.",
    "Pyydä palvelun järjestäjältä valtuutus tälle tuottajalle (kenttä 13) ja tähän rekisteriin (kentät 21 ja 22) ja"
    " toimita se kansioon authorizations/incoming; tutkimus jatkaa itsestään. Jos tuottajan OID-tunnus on väärä, korjaa"
    " asetus peers.NAME.producer.",
)

OSV_01 = Rule(
    id="OSV-01",
    severity="hold",
    title=Text(
        "The producer may store into the organiser's register",
        "Tuottaja saa tallentaa järjestäjän rekisteriin",
    ),
    looks_at=Text(
        "Each peer that sent the study and has a producer configured, against the register keeper and register of the"
        " linked documents (without documents: the peer's register_keeper). Within one organisation nothing is needed;"
        " into another's register an authorization must name this producer, this keeper and this register, and its"
        " organiser must be of the keeper's organisation. A sender that is not configured any more counts as the"
        " producer that the documents name.",
        "Jokainen tutkimuksen lähettäjä, jolle on asetettu tuottaja, verrattuna tutkimukseen liittyvien asiakirjojen"
        " rekisterinpitäjään ja rekisteriin (ilman asiakirjoja: lähettäjän register_keeper). Saman organisaation"
        " sisällä ei tarvita mitään; toisen rekisteriin tallentamiseen valtuutuksen on nimettävä tämä tuottaja, tämä"
        " rekisterinpitäjä ja tämä rekisteri, ja järjestäjän on oltava rekisterinpitäjän organisaatiota. Lähettäjä,"
        " jota ei enää ole asetuksissa, katsotaan asiakirjojen nimeämäksi tuottajaksi.",
    ),
    remedy=_TO_WHOM,
    messages={
        "none": Message(
            text=Text(
                "The producer {producer} has no authorization to store into the register of {keeper} (register"
                " {register})",
                "Tuottajalla {producer} ei ole valtuutusta tallentaa rekisterinpitäjän {keeper} rekisteriin (rekisteri"
                " {register})",
            )
        ),
        "ended": Message(
            text=Text(
                "The authorization of the producer {producer} for the register of {keeper} (register {register}) was"
                " replaced, invalidated or is not ready",
                "Tuottajan {producer} valtuutus rekisterinpitäjän {keeper} rekisteriin (rekisteri {register}) on"
                " korvattu, mitätöity tai keskeneräinen",
            )
        ),
        "no_keeper": Message(
            text=Text(
                "No linked document names its register keeper: whether {producer} may store it cannot be told",
                "Yksikään tutkimukseen liittyvä asiakirja ei nimeä rekisterinpitäjää: tuottajan {producer} oikeutta"
                " tallentaa ei voida todeta",
            ),
            remedy=Text(
                "Send a version of the documents that names the register keeper (custodian).",
                "Lähetä asiakirjoista versio, joka nimeää rekisterinpitäjän (custodian).",
            ),
        ),
    },
)

OSV_02 = Rule(
    id="OSV-02",
    severity="hold",
    title=Text("The authorization is valid on the day", "Valtuutus on voimassa"),
    looks_at=Text(
        "The study dates and the day of delivery against the validity (field 6, both ends inclusive) of the"
        " authorizations that OSV-01 and OSV-03 leave. authorizations.valid_on says which of the days holds; the other"
        " one warns.",
        "Tutkimuspäivät ja toimituspäivä verrattuna niiden valtuutusten voimassaoloon (kenttä 6, molemmat päät mukaan"
        " lukien), jotka OSV-01 ja OSV-03 hyväksyvät. authorizations.valid_on määrää, kumpi päivä pysäyttää; toinen"
        " varoittaa.",
    ),
    remedy=Text(
        "Ask the organiser for an authorization (or a new version) that covers the day; the study goes on by itself."
        " Where the study date is wrong, correct it at the source.",
        "Pyydä järjestäjältä valtuutus (tai uusi versio), joka kattaa päivän; tutkimus jatkaa itsestään. Jos"
        " tutkimuspäivä on väärä, korjaa se lähteessä.",
    ),
    messages={
        "study_date": Message(
            text=Text(
                "The study date {day} is outside the validity of the authorization of {producer} ({periods})",
                "Tutkimuspäivä {day} ei ole tuottajan {producer} valtuutuksen voimassaoloaikana ({periods})",
            )
        ),
        "no_study_date": Message(
            text=Text(
                "The images have no study date to compare with the authorization of {producer} ({periods})",
                "Kuvissa ei ole tutkimuspäivää, jota verrata tuottajan {producer} valtuutukseen ({periods})",
            )
        ),
        "delivery_date": Message(
            text=Text(
                "Today, {today}, is outside the validity of the authorization of {producer} ({periods})",
                "Tämä päivä {today} ei ole tuottajan {producer} valtuutuksen voimassaoloaikana ({periods})",
            )
        ),
    },
)

OSV_03 = Rule(
    id="OSV-03",
    severity="hold",
    title=Text("The authorization is for this patient and register", "Valtuutus koskee tätä potilasta ja rekisteriä"),
    looks_at=Text(
        "The authorizations that OSV-01 leaves: for register 4 (occupational health care) the specifier (field 23)"
        " against the documents'; for one patient's (type 1) the identity code (field 26) against the images', the"
        " separator included.",
        "OSV-01:n hyväksymät valtuutukset: rekisterissä 4 (työterveyshuolto) rekisterin tarkenne (kenttä 23) verrattuna"
        " asiakirjoihin; potilaskohtaisessa (tyyppi 1) henkilötunnus (kenttä 26) verrattuna kuviin, välimerkki mukaan"
        " lukien.",
    ),
    remedy=_TO_WHOM,
    messages={
        "patient": Message(
            text=Text(
                "The authorizations of {producer} for the register of {keeper} are for other patients",
                "Tuottajan {producer} valtuutukset rekisterinpitäjän {keeper} rekisteriin koskevat muita potilaita",
            )
        ),
        "separator": Message(
            text=Text(
                "The patient of the authorization of {producer} for the register of {keeper} differs from the images'"
                " only in the separator of the personal identity code",
                "Tuottajan {producer} valtuutuksen (rekisterinpitäjä {keeper}) potilaan henkilötunnus eroaa kuvien"
                " tunnuksesta vain välimerkiltään",
            )
        ),
        "specifier": Message(
            text=Text(
                "The authorizations of {producer} for the register of {keeper} (register {register}) have another"
                " specifier than the documents",
                "Tuottajan {producer} valtuutuksissa rekisterinpitäjän {keeper} rekisteriin (rekisteri {register}) on"
                " eri tarkenne kuin asiakirjoissa",
            )
        ),
    },
)

OSV_04 = Rule(
    id="OSV-04",
    severity="hold",
    title=Text(
        "A producer sees what its search right covers",
        "Tuottaja näkee sen, minkä hakuoikeus kattaa",
    ),
    looks_at=Text(
        "Queries and retrieval of a peer that has a producer configured; it concerns no verdict. The producer sees what"
        " its own organisation's peers sent, what lies in its own organisation's registers, and what the search right"
        " (fields 16 to 19) of an authorization that is valid today covers: this patient or a population, and all"
        " documents, a range of study dates or service events (fields 30 to 32). Everything else is hidden, without an"
        " error. With the severity off nothing is hidden; every other one hides.",
        "Sellaisen lähettäjän kyselyt ja haut, jolle on asetettu tuottaja; ei koske tutkimuksen arviointia. Tuottaja"
        " näkee oman organisaationsa lähettäjien tutkimukset, oman organisaationsa rekistereissä olevat ja ne, jotka"
        " tänään voimassa olevan valtuutuksen hakuoikeus (kentät 16–19) kattaa: tämä potilas tai väestö, ja kaikki"
        " asiakirjat, tutkimuspäivien väli tai palvelutapahtumat (kentät 30–32). Muu on piilossa, ilman virhettä."
        " Vakavuudella off mitään ei piiloteta; kaikki muut piilottavat.",
    ),
    remedy=Text(
        "Where a producer misses a study, ask the organiser for an authorization with a search right that covers it.",
        "Jos tuottajalta puuttuu tutkimus, pyydä järjestäjältä valtuutus, jonka hakuoikeus kattaa sen.",
    ),
    messages={},
)

RULES: tuple[Rule, ...] = (ORG_01, ORG_02, OSV_01, OSV_02, OSV_03, OSV_04)
