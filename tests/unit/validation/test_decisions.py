"""REJ-01: a person's rejection holds for what arrives later too."""

from __future__ import annotations

from datetime import UTC, datetime

from kuva_gateway.catalog.records import Rejection
from kuva_gateway.validation.rules import judge
from tests.unit.validation.known import facts

REJECTION = Rejection(by="anna", at=datetime(2024, 3, 5, 12, tzinfo=UTC), reason="a phantom")


def test_a_study_that_was_rejected_before_is_held_with_who_and_why() -> None:
    verdict = judge(facts(rejection=REJECTION))
    assert not verdict.passed
    (finding,) = [one for one in verdict.findings if one.rule == "REJ-01"]
    assert finding.message == "anna rejected this study on 2024-03-05: a phantom; instances have arrived since"


def test_a_study_that_nobody_rejected_has_no_such_finding() -> None:
    assert "REJ-01" not in {one.rule for one in judge(facts()).findings}


def test_a_site_may_let_later_instances_undo_a_rejection() -> None:
    assert judge(facts(rejection=REJECTION), {"REJ-01": "info"}).passed
