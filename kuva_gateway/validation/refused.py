"""TS-01 as a destination itself says it, in negotiation: the transfer syntaxes that it did not accept.

Keeps nothing. Names SOP classes and syntaxes alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from kuva_gateway.dicom import syntaxes
from kuva_gateway.dicom.sop_classes import class_name
from kuva_gateway.validation.findings import Finding, Language
from kuva_gateway.validation.texts.objects import TS_01

RULE = TS_01.id


def place(destination: str) -> str:
    """Where such a finding is: it concerns one destination."""
    return f"destination {destination}"


def refused_syntaxes(destination: str, kinds: Iterable[tuple[str, str]], language: Language) -> tuple[Finding, ...]:
    """A finding for each SOP class and transfer syntax that ``destination`` did not accept; one kind per instance."""
    message = TS_01.messages["destination"]
    assert message.remedy is not None
    return tuple(
        Finding(
            rule=RULE,
            severity="hold",
            where=place(destination),
            message=message.text.say(
                language,
                {
                    "destination": destination,
                    "syntax": f"{syntaxes.name(syntax)} ({syntax})",
                    "sop_class": class_name(sop_class),
                    "instances": str(instances),
                },
            ),
            remedy=message.remedy.say(language),
        )
        for (sop_class, syntax), instances in sorted(Counter(kinds).items())
    )
