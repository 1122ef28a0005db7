"""Facts out of the catalog's view."""

from __future__ import annotations

from datetime import UTC, datetime

from kuva_gateway.catalog.records import LinkedDocument, StudyRecord, StudyView
from kuva_gateway.validation.facts import facts_from_view, told
from kuva_gateway.validation.rules import judge
from tests.unit.validation.known import DOCUMENTS, HETU, STUDY, TODAY, fact_set, header, look_up, seen

NOW = datetime(2024, 3, 4, tzinfo=UTC)


def view(**changes: object) -> StudyView:
    study = StudyRecord(
        id=1,
        study_instance_uid=STUDY,
        state="settled",
        revision=3,
        facts_version=2,
        patient_id=HETU,
        accession_number="A0001",
        study_date="20240304",
        modalities=("CT",),
        procedure_code="GD1AD",
        series=1,
        instances=10,
        bytes=1,
        peer="ct1",
        first_arrival=NOW,
        last_arrival=NOW,
        delivered=False,
    )
    linked = tuple(
        LinkedDocument(document=one.document, current=one.current, linked_by=one.linked_by, received_at=NOW)
        for one in DOCUMENTS
    )
    values: dict[str, object] = {
        "study": study,
        "facts": (fact_set(header(), 10),),
        "documents": linked,
        "instance_findings": (),
        "revision": 3,
        "facts_version": 2,
        "delivered": False,
        **changes,
    }
    return StudyView(**values)  # type: ignore[arg-type]


def test_a_view_says_what_the_rules_need() -> None:
    made = facts_from_view(
        view(instance_findings=(seen("DUP-01", "warning"),)),
        periods_for=look_up,
        environment="test",
        today=TODAY,
        private_classes=(),
    )
    assert (made.study_instance_uid, made.revision, made.peer, made.today) == (STUDY, 3, "ct1", TODAY)
    assert [one.document.kind for one in made.documents] == ["request", "examination_entry"]
    assert set(made.code_periods) == {"GD1AD"}
    assert [one.rule for one in judge(made).findings] == ["DUP-01"]


def test_distinct_values_are_told_with_their_numbers_and_an_example() -> None:
    sets = [fact_set(header(sex=sex), number, number) for number, sex in ((5, "M"), (2, "F"), (3, "M"))]
    assert [(one.value, one.instances, one.example) for one in told(sets, lambda one: one.sex)] == [
        ("M", 8, "2.25.100.1.5"),
        ("F", 2, "2.25.100.1.2"),
    ]
