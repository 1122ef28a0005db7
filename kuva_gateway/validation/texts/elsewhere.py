"""What the rules' table also names, and other parts of the gateway see to: rules without findings and severities."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from kuva_gateway.validation.wording import Text

ELSEWHERE: Final[Mapping[str, tuple[Text, Text]]] = MappingProxyType(
    {
        "CPL-01": (
            Text("A study is complete before it is judged", "Tutkimus on täydellinen ennen arviointia"),
            Text(
                "Admission settles a study when nothing has arrived for settle_after, everything acknowledged before is"
                " catalogued and no sender is in the middle of it; at the latest settle_at_most after its first image.",
                "Tutkimus arvioidaan, kun mitään ei ole saapunut ajassa settle_after, kaikki kuitattu on luettelossa"
                " eikä mikään lähettäjä ole kesken; viimeistään settle_at_most ensimmäisestä kuvasta.",
            ),
        ),
        "FWD-01": (
            Text("An answer decides what happens next", "Vastaus ratkaisee jatkon"),
            Text(
                "Delivery tells answers that are worth another try from those that are a person's matter, and what"
                " concerns an instance, a study, a SOP class or the destination: queue list shows it with its remedy.",
                "Lähetys erottaa vastaukset, joiden jälkeen kannattaa yrittää uudelleen, henkilön ratkaistavista, ja"
                " sen, koskeeko vastaus instanssia, tutkimusta, SOP-luokkaa vai kohdetta: queue list näyttää sen.",
            ),
        ),
        "STC-01": (
            Text("Archived is what the archive has committed to", "Arkistoitu on se, minkä arkisto on vahvistanut"),
            Text(
                "An entry is archived when the destination has committed to every instance; what it did not commit to"
                " is sent again, asked about again, or a person's matter, by the reason that it gave.",
                "Lähetys on arkistoitu, kun kohde on vahvistanut jokaisen instanssin; vahvistamaton lähetetään tai"
                " kysytään uudelleen tai jää henkilön ratkaistavaksi kohteen ilmoittaman syyn mukaan.",
            ),
        ),
        "QUA-01": (
            Text("A kept file is what was received", "Säilytetty tiedosto on se, joka vastaanotettiin"),
            Text(
                "A file that cannot be read, or whose digest differs when it is read again, goes to corrupt/ with an"
                " alarm in the log; spool verify reads every file.",
                "Tiedosto, jota ei voi lukea tai jonka tiiviste poikkeaa uudelleen luettaessa, siirretään kansioon"
                " corrupt/ ja lokiin tulee hälytys; spool verify lukee kaikki tiedostot.",
            ),
        ),
    }
)
"""Rule id to its title and to who sees to it."""
