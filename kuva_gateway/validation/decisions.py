"""What people decided on the study before: REJ-01. Keeps nothing."""

from __future__ import annotations

from collections.abc import Iterator

from kuva_gateway.validation.facts import StudyFacts
from kuva_gateway.validation.findings import Fault


def judge_decisions(facts: StudyFacts) -> Iterator[Fault]:
    """A rejection holds for what arrives later too, until a person says otherwise."""
    if facts.rejection is None:
        return
    yield Fault(
        rule="REJ-01",
        message="rejected",
        where="study",
        values={"day": facts.rejection.at.date().isoformat()},
        quoted={"by": facts.rejection.by, "reason": facts.rejection.reason},
    )
