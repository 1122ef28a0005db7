"""The words of the rule on people's earlier decisions."""

from __future__ import annotations

from typing import Final

from kuva_gateway.validation.wording import Message, Rule, Text

REJ_01 = Rule(
    id="REJ-01",
    severity="hold",
    title=Text(
        "No person has rejected the study before",
        "Kukaan ei ole aiemmin hylännyt tutkimusta",
    ),
    looks_at=Text(
        "The rejection of an earlier revision (studies reject); instances that arrive later do not undo it.",
        "Aiemman version hylkäys (studies reject); myöhemmin saapuvat instanssit eivät kumoa sitä.",
    ),
    remedy=Text(
        "Release the study if it may go after all, or reject it again.",
        "Vapauta tutkimus, jos se saa sittenkin lähteä, tai hylkää se uudelleen.",
    ),
    messages={
        "rejected": Message(
            text=Text(
                "{by} rejected this study on {day}: {reason}; instances have arrived since",
                "{by} hylkäsi tutkimuksen {day}: {reason}; sen jälkeen on saapunut instansseja",
            )
        )
    },
)

RULES: Final[tuple[Rule, ...]] = (REJ_01,)
