"""Which instances others may see."""

from __future__ import annotations

import pytest

from kuva_gateway.catalog import studies
from kuva_gateway.catalog.visibility import EVERYTHING, HELD, Condition, one_of, selection, without_states
from kuva_gateway.dicom.information_model import Level
from tests.unit.catalog.making import Hospital
from tests.unit.catalog.test_rejections import receive_note


def seen(hospital: Hospital, restriction: Condition = EVERYTHING, **keys: object) -> list[str]:
    named = {Level[name.upper()]: tuple(values) for name, values in keys.items()}  # type: ignore[arg-type]
    chosen = selection(named, restriction)
    return sorted(
        hospital.column(
            "SELECT i.uid FROM instances i JOIN series e ON e.id = i.series_id JOIN studies s ON s.id = i.study_id "
            f"WHERE {chosen.sql}",
            *chosen.values,
        )
    )


def test_unique_keys_choose_instances_at_every_level(hospital: Hospital) -> None:
    hospital.send("1.2.1", instances=2)
    hospital.send("1.2.2", instances=1, PatientID="other")
    assert seen(hospital) == ["1.2.1.1.1", "1.2.1.1.2", "1.2.2.1.1"]
    assert seen(hospital, study=["1.2.1"]) == ["1.2.1.1.1", "1.2.1.1.2"]
    assert seen(hospital, patient=["other"], study=[]) == ["1.2.2.1.1"]
    assert seen(hospital, study=["1.2.1"], series=["1.2.1.1"], image=["1.2.1.1.2", "1.2.2.1.1"]) == ["1.2.1.1.2"]
    assert seen(hospital, study=["1.2.1' OR '1' = '1"]) == []


def test_of_two_objects_with_one_uid_the_one_that_counts_is_seen(hospital: Hospital) -> None:
    hospital.send("1.2.1", instances=1)
    hospital.clock.forward(seconds=1)
    hospital.send("1.2.1", instances=1, Rows=8)
    assert len(hospital.rows("SELECT id FROM instances")) == 2
    assert seen(hospital) == ["1.2.1.1.1"]


def test_held_studies_are_seen_unless_the_restriction_says_no(hospital: Hospital) -> None:
    hospital.hold("1.2.1")
    hospital.send("1.2.2", instances=1)
    assert len(seen(hospital)) == 3
    assert seen(hospital, without_states(HELD)) == ["1.2.2.1.1"]


def test_rejected_studies_are_seen_and_removed_ones_are_not(hospital: Hospital) -> None:
    hospital.hold("1.2.1")
    studies.reject(hospital.catalog, "1.2.1", by="nurse", reason="test")
    assert len(seen(hospital)) == 2
    assert seen(hospital, without_states(("rejected",))) == []
    with hospital.catalog.write() as session:
        session.execute("UPDATE studies SET state = 'removed'")
    hospital.by_hand = True
    assert seen(hospital) == []


def test_thousands_of_uids_are_one_condition(hospital: Hospital) -> None:
    hospital.send("1.2.1", instances=1)
    many = [f"1.9.{number}" for number in range(3000)] + ["1.2.1"]
    assert seen(hospital, study=many) == ["1.2.1.1.1"]
    assert one_of("s.uid", ()).sql == "(1 = 0)"


@pytest.mark.parametrize("code", ["113001", "113037", "113038", "113039"])
def test_what_a_rejection_note_names_is_not_seen(hospital: Hospital, code: str) -> None:
    hospital.accept("1.2.1")
    receive_note(hospital, code)
    assert seen(hospital, study=["1.2.1"], image=["1.2.1.1.1"]) == []
    assert seen(hospital, study=["1.2.1"], image=["1.2.1.1.2"]) == ["1.2.1.1.2"]
