"""The page's words in English and Finnish, and alerts in Finnish (English ones say it themselves).

A test holds that both languages have the same words, and that every alert has its Finnish ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

Language = Literal["en", "fi"]

WORDS: Final[Mapping[Language, Mapping[str, str]]] = {
    "en": {
        "well": "All is well",
        "warning": "Something needs looking at",
        "critical": "Act now",
        "what_to_do": "What to do",
        "studies": "Studies",
        "destinations": "Destinations",
        "held": "Held studies",
        "held_none": "No study is held.",
        "rule": "Rule",
        "number": "Studies",
        "destination": "Destination",
        "entries": "Entries",
        "state": "State",
        "in_use": "in use",
        "rests": "rests since {since}, next try {until} ({code})",
        "waiting": "Images that wait for the catalog",
        "oldest": "Oldest study not archived, first image",
        "none": "none",
        "room": "Room left on the spool's disk",
        "unknown": "not known now",
        "stopped": "Stopped at {at}.",
        "as_of": "As of {at}. Reloads itself every 30 seconds.",
        "other": "Suomeksi",
        "list_held": "See which: kuva-gateway studies list --state held",
    },
    "fi": {
        "well": "Kaikki on kunnossa",
        "warning": "Jokin vaatii huomiota",
        "critical": "Toimi heti",
        "what_to_do": "Mitä tehdä",
        "studies": "Tutkimukset",
        "destinations": "Kohteet",
        "held": "Pidätetyt tutkimukset",
        "held_none": "Yhtään tutkimusta ei ole pidätetty.",
        "rule": "Sääntö",
        "number": "Tutkimuksia",
        "destination": "Kohde",
        "entries": "Lähetykset",
        "state": "Tila",
        "in_use": "käytössä",
        "rests": "lepää {since} alkaen, seuraava yritys {until} ({code})",
        "waiting": "Luetteloa odottavia kuvia",
        "oldest": "Vanhin arkistoimaton tutkimus, ensimmäinen kuva",
        "none": "ei ole",
        "room": "Vastaanottolevyllä tilaa",
        "unknown": "ei tiedossa nyt",
        "stopped": "Pysähtyi {at}.",
        "as_of": "Tilanne {at}. Sivu päivittyy 30 sekunnin välein.",
        "other": "In English",
        "list_held": "Katso mitkä: kuva-gateway studies list --state held",
    },
}

STATES: Final[Mapping[str, str]] = {
    "receiving": "vastaanotettavana",
    "settled": "tarkistettavana",
    "held": "pidätetty",
    "accepted": "hyväksytty",
    "archived": "arkistoitu",
    "rejected": "hylätty",
    "withdrawn": "peruttu",
    "removed": "poistettu",
    "queued": "jonossa",
    "sending": "lähetettävänä",
    "sent": "lähetetty",
    "deferred": "siirretty myöhemmäksi",
    "failed": "epäonnistunut",
    "cancelled": "peruutettu",
    "superseded": "korvattu",
}
"""States of studies and entries in Finnish; in English a state is its own name."""

ALERTS_FI: Final[Mapping[str, tuple[str, str]]] = {
    "KuvaGatewayDown": (
        "Yhdyskäytävä ei ole käynnissä",
        "Lue journalctl -u kuva-gateway, korjaa mitä se sanoo ja käynnistä yhdyskäytävä.",
    ),
    "KuvaGatewayNotReady": ("Kuvia ei voi lähettää", "Kysy osoitteesta /readyz mitä puuttuu; lue loki."),
    "KuvaGatewayReceiversFailing": (
        "Vastaanottavia prosesseja on päättynyt",
        "Lue lokista miksi ne päättyivät; tarkista muisti.",
    ),
    "KuvaGatewayCatalogAway": (
        "Luettelo ei vastaa",
        "Katso, onko tietokanta käynnissä ja onko sillä tilaa; kuvat ovat tallessa vastaanottolevyllä.",
    ),
    "KuvaGatewayIndexBehind": (
        "Kuvat odottavat luetteloa",
        "Katso, onko tietokanta tai levy hidas tai vioittunut.",
    ),
    "KuvaGatewaySpoolLow": (
        "Vastaanottolevy on täyttymässä",
        "Vapauta tilaa tai selvitä, miksi tutkimuksia ei arkistoida ja poisteta.",
    ),
    "KuvaGatewaySpoolFull": (
        "Vastaanottolevy on täynnä",
        "Vapauta tilaa heti: siihen asti kuvat torjutaan tilalla A700.",
    ),
    "KuvaGatewayRefusesImages": (
        "Kuvia torjutaan",
        "Etsi lokista 'not stored': levy, vastaanotto, prosessit.",
    ),
    "KuvaGatewayPeerOverLimit": (
        "Lähettäjä ylittää rajansa",
        "Selvitä, miksi se lähettää niin paljon; muuten nosta rajaa (peers[].limits).",
    ),
    "KuvaGatewaySlowToAcknowledge": (
        "Kuittaukset ovat hitaita",
        "Katso, mikä kuormittaa levyä; vertaa komentoon kuva-gateway doctor.",
    ),
    "KuvaGatewayStudyHeldTooLong": (
        "Tutkimus on ollut pidätettynä liian kauan",
        "kuva-gateway studies list --state held; tee mitä havainnot sanovat.",
    ),
    "KuvaGatewayStudyUnarchivedTooLong": (
        "Tutkimus on ollut arkistoimatta liian kauan",
        "kuva-gateway studies list; katso vanhimman arkistoimattoman vaiheet (studies trace).",
    ),
    "KuvaGatewayEntriesFailed": (
        "Lähetyksiä on epäonnistunut",
        "kuva-gateway queue list --state failed; korjaa syy ja yritä uudelleen (queue retry).",
    ),
    "KuvaGatewayDestinationResting": (
        "Kohteeseen ei saada yhteyttä",
        "kuva-gateway stats sanoo syyn; soita kohteen ylläpitoon.",
    ),
    "KuvaGatewayCommitmentOverdue": (
        "Arkiston säilytysvahvistus on myöhässä",
        "Kysy arkiston ylläpidolta, miksi se ei vastaa vahvistuspyyntöihin.",
    ),
    "KuvaGatewayCertificateExpiresSoon": ("Varmenne vanhenee pian", "Tilaa varmenteen uusiminen."),
    "KuvaGatewayCertificateExpiresNow": (
        "Varmenne vanhenee nyt",
        "Uusi varmenne heti: ilman sitä TLS-yhteydet eivät toimi.",
    ),
    "KuvaGatewayAuditBehind": (
        "Tapahtumaloki on jäljessä",
        "Katso, voiko tapahtumalokin kirjoittaa ja vastaako sen kerääjä.",
    ),
}
"""What is the matter, and what to do."""
