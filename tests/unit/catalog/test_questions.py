"""Studies that are judged again: because their day has come, or because rules and tables have changed."""

from __future__ import annotations

from datetime import date

import pytest

from kuva_gateway.catalog import questions, studies
from kuva_gateway.catalog.routing import traits
from tests.unit.catalog.making import ARCHIVE, MISSING, Hospital

DAY = date(2026, 12, 1)
BEFORE = date(2026, 11, 30)


def waiting(hospital: Hospital, study: str, day: date | None = DAY) -> None:
    """A held study whose verdict may change on ``day``."""
    hospital.send(study, 1)
    hospital.settle(study)
    view = studies.view(hospital.catalog, study)
    assert studies.record_verdict(
        hospital.catalog, view, False, [MISSING], [ARCHIVE], look_again_on=day, content_classes=["eye", "ct"]
    )


def test_only_studies_whose_day_has_come_are_opened_and_each_once(hospital: Hospital) -> None:
    waiting(hospital, "1.2.1")
    waiting(hospital, "1.2.2", date(2027, 1, 1))
    waiting(hospital, "1.2.3", None)
    assert studies.open_due(hospital.catalog, BEFORE) == 0
    assert studies.to_judge(hospital.catalog, 10) == []
    assert studies.open_due(hospital.catalog, DAY) == 1
    assert studies.to_judge(hospital.catalog, 10) == ["1.2.1"]
    assert studies.open_due(hospital.catalog, DAY) == 0


def test_a_day_that_was_missed_counts_later(hospital: Hospital) -> None:
    waiting(hospital, "1.2.1")
    assert studies.open_due(hospital.catalog, date(2027, 6, 1)) == 1


def test_a_later_verdict_forgets_the_day(hospital: Hospital) -> None:
    waiting(hospital, "1.2.1")
    studies.recheck(hospital.catalog, ["1.2.1"])
    assert hospital.judge("1.2.1", MISSING)
    assert studies.open_due(hospital.catalog, DAY) == 0


def test_what_a_person_decided_stays_decided_when_the_day_comes(hospital: Hospital) -> None:
    for study in ("1.2.1", "1.2.2"):
        waiting(hospital, study)
    studies.reject(hospital.catalog, "1.2.1", by="aino", reason="no")
    studies.release(hospital.catalog, "1.2.2", by="aino", reason="yes", destinations=[ARCHIVE])
    studies.open_due(hospital.catalog, DAY)
    assert studies.to_judge(hospital.catalog, 10) == []
    assert (hospital.state("1.2.1"), hospital.state("1.2.2")) == ("rejected", "accepted")


def test_more_studies_than_one_transaction_takes_are_opened_in_several(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 3):
        waiting(hospital, f"1.2.{number}")
    monkeypatch.setattr(questions, "AT_ONCE", 2)
    assert [studies.open_due(hospital.catalog, DAY) for _ in range(3)] == [2, 1, 0]
    assert len(studies.to_judge(hospital.catalog, 10)) == 3


def test_the_question_of_a_day_looks_only_at_studies_that_wait_for_one(hospital: Hospital) -> None:
    if hospital.catalog.postgresql:
        return
    plan = hospital.rows(
        "EXPLAIN QUERY PLAN SELECT id FROM studies WHERE look_again_on <= ? ORDER BY look_again_on LIMIT ?", "2026", 1
    )
    assert ["studies_look_again" in row["detail"] for row in plan] == [True]


def test_new_rules_or_tables_open_every_question_once(hospital: Hospital) -> None:
    waiting(hospital, "1.2.1", None)
    hospital.accept("1.2.2")
    hospital.hold("1.2.3")
    studies.reject(hospital.catalog, "1.2.3", by="aino", reason="no")
    assert studies.judged_by(hospital.catalog, "first") == 2
    assert sorted(studies.to_judge(hospital.catalog, 10)) == ["1.2.1", "1.2.2"]
    for study in ("1.2.1", "1.2.2"):
        assert hospital.judge(study, MISSING)
    assert studies.judged_by(hospital.catalog, "first") == 0
    assert studies.to_judge(hospital.catalog, 10) == []
    assert studies.judged_by(hospital.catalog, "second") == 2


def test_what_is_being_sent_is_not_judged_again(hospital: Hospital) -> None:
    hospital.accept()
    hospital.deliver()
    assert studies.judged_by(hospital.catalog, "new") == 0


def test_the_content_classes_of_the_verdict_are_what_filters_look_at(hospital: Hospital) -> None:
    hospital.send("1.2.1", 1)
    with hospital.catalog.read() as session:
        study_id = session.value("SELECT id FROM studies")
        assert traits(session, study_id).content_classes == frozenset()
    hospital.settle("1.2.1")
    view = studies.view(hospital.catalog, "1.2.1")
    studies.record_verdict(hospital.catalog, view, False, [MISSING], [ARCHIVE], content_classes=["eye", "ct"])
    with hospital.catalog.read() as session:
        assert traits(session, study_id).content_classes == {"eye", "ct"}
