"""Who does what a rule's remedy says: the one whom the night shift calls or writes to.

Keeps one answer for each rule. A hospital may divide the work otherwise; the page of rules says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from kuva_gateway.validation.wording import Text

SENDER: Final = Text(
    "the administrator of the sending device or PACS, with its vendor",
    "lähettävän laitteen tai PACSin pääkäyttäjä, tarvittaessa toimittajan kanssa",
)
UNIT: Final = Text("the unit that did the examination", "tutkimuksen tehnyt yksikkö")
REGISTRATION: Final = Text(
    "who keeps the patients' data (RIS, registration)", "potilastietojen ylläpito (RIS, kirjaamo)"
)
DOCUMENTS: Final = Text("the support of the patient record system", "potilastietojärjestelmän tuki")
ORGANISER: Final = Text("the organiser of the service", "palvelun järjestäjä")
OPERATOR: Final = Text("the gateway's operator", "yhdyskäytävän ylläpitäjä")
DECIDER: Final = Text(
    "who may decide about the study, in the unit that did it", "tutkimuksesta päättävä henkilö yksikössä"
)
NOBODY: Final = Text("nobody", "ei kukaan")

RESPONSIBLE: Final[Mapping[str, Text]] = MappingProxyType(
    {
        **dict.fromkeys(
            ("SOP-01", "TS-01", "UID-01", "UID-02", "UID-03", "DUP-01", "PID-03", "COD-04", "ECG-01"), SENDER
        ),
        **dict.fromkeys(("PID-01", "PID-04", "PID-05", "PID-06"), REGISTRATION),
        **dict.fromkeys(("PID-07", "ACC-01", "COD-01", "COD-02", "COD-03", "COD-05", "COD-06", "DOC-04"), UNIT),
        **dict.fromkeys(("DOC-01", "DOC-02", "DOC-05"), DOCUMENTS),
        **dict.fromkeys(("OSV-01", "OSV-02", "OSV-03", "OSV-04"), ORGANISER),
        **dict.fromkeys(
            ("PID-02", "QUA-02", "QUA-03", "AMD-01", "AMD-02", "MAP-01", "CON-01", "ORG-01", "ORG-02"), OPERATOR
        ),
        **dict.fromkeys(("IOC-01", "REJ-01"), DECIDER),
        "DOC-03": NOBODY,
    }
)
"""Rule id to who acts."""
