"""TS-01 as a destination itself says it, in negotiation: the transfer syntaxes that it did not accept.

Keeps nothing. Names SOP classes and syntaxes, and why nothing else than such a syntax was possible.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from kuva_gateway.dicom import syntaxes
from kuva_gateway.dicom.sop_classes import class_name
from kuva_gateway.validation.findings import Finding, Language
from kuva_gateway.validation.texts.objects import TS_01
from kuva_gateway.validation.wording import Message, Text

RULE = TS_01.id


def place(destination: str) -> str:
    """Where such a finding is: it concerns one destination."""
    return f"destination {destination}"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Refused:
    """One instance's kind; ``why`` it could not be written in a syntax that the destination accepts, "" if there is
    none that it accepts."""

    sop_class: str
    syntax: str
    why: str = ""


def refused_syntaxes(destination: str, kinds: Iterable[Refused], language: Language) -> tuple[Finding, ...]:
    """A finding for each kind of instance that ``destination`` did not accept; one of ``kinds`` per instance."""
    return tuple(
        Finding(
            rule=RULE,
            severity="hold",
            where=place(destination),
            message=_message(one).text.say(
                language,
                {
                    "destination": destination,
                    "syntax": f"{syntaxes.name(one.syntax)} ({one.syntax})",
                    "sop_class": class_name(one.sop_class),
                    "instances": str(instances),
                    "why": one.why,
                },
            ),
            remedy=_remedy(one).say(language),
        )
        for one, instances in sorted(Counter(kinds).items())
    )


def _message(one: Refused) -> Message:
    return TS_01.messages["not_reencoded" if one.why else "destination"]


def _remedy(one: Refused) -> Text:
    found = _message(one).remedy
    assert found is not None
    return found
