"""Queries see amended studies as they are now, or as they were received: found by those values, and shown with them."""

from __future__ import annotations

from typing import Any

import pytest

from kuva_gateway.catalog import patients, studies
from kuva_gateway.catalog.visibility import EVERYTHING, selection, without_states
from kuva_gateway.dicom.information_model import Level
from tests.unit.catalog.making import Hospital
from tests.unit.catalog.test_search import ask

NEW = "020594X903P"


@pytest.fixture
def amended(hospital: Hospital) -> Hospital:
    """Three studies of patient P1, of which the first is somebody else's now."""
    for uid in ("1.2.1", "1.2.2", "1.2.3"):
        hospital.send(uid, PatientID="P1", PatientName="Vanha^Anna", InstitutionName="Old")
    changes: dict[str, Any] = {
        "PatientID": NEW,
        "PatientName": "Uusi^Aino",
        "PatientBirthDate": "19940502",
        "AccessionNumber": "B7",
        "StudyDescription": "GD1AA Thorax",
        "InstitutionName": "New",
    }
    studies.amend(hospital.catalog, "1.2.1", changes, by="anna", reason="wrong label")
    return hospital


@pytest.mark.parametrize("as_received", [False, True])
@pytest.mark.parametrize(
    ("keyword", "old", "new"),
    [
        ("PatientID", "P1", NEW),
        ("PatientName", "Vanha*", "Uusi*"),
        ("PatientName", "*anha^a*", "*usi^ai*"),
        ("AccessionNumber", "A1", "B7"),
        ("StudyDescription", "GD1AD*", "GD1AA*"),
        ("PatientBirthDate", "", "19940502"),
    ],
)
def test_a_study_is_found_by_the_values_that_the_asker_sees(
    amended: Hospital, keyword: str, old: str, new: str, as_received: bool
) -> None:
    def found(value: str) -> list[str]:
        return list(ask(amended.catalog, Level.STUDY, as_received=as_received, **{keyword: value}))

    everything, rest = ["1.2.1", "1.2.2", "1.2.3"], ["1.2.2", "1.2.3"]
    assert found(new) == ([] if as_received else ["1.2.1"])
    assert found(old) == (everything if as_received or not old else rest)


@pytest.mark.parametrize("level", [Level.STUDY, Level.SERIES, Level.IMAGE])
def test_the_values_that_are_shown_are_those_too(amended: Hospital, level: Level) -> None:
    def shown(wanted: str, **keywords: Any) -> list[str]:
        return sorted(set(ask(amended.catalog, level, wanted=wanted, StudyInstanceUID="1.2.1", **keywords)))

    for wanted, old, new in (("PatientID", "P1", NEW), ("PatientName", "Vanha^Anna", "Uusi^Aino")):
        assert shown(wanted) == [new]
        assert shown(wanted, as_received=True) == [old]


def test_patients_are_told_apart_by_the_ids_that_the_asker_sees(amended: Hospital) -> None:
    assert ask(amended.catalog, Level.PATIENT) == sorted([NEW, "P1"])
    assert ask(amended.catalog, Level.PATIENT, as_received=True) == ["P1"]


def test_the_institution_of_the_series_follows_an_amendment(amended: Hospital) -> None:
    amended.receive("1.2.1", series=2, PatientID="P1", InstitutionName="Old")
    amended.index()
    assert set(ask(amended.catalog, Level.SERIES, wanted="InstitutionName", StudyInstanceUID="1.2.1")) == {"New"}


def test_restrictions_hold_for_studies_as_they_were_received(amended: Hospital) -> None:
    amended.settle("1.2.1")
    hidden = without_states(["settled"])
    found = ask(amended.catalog, Level.STUDY, as_received=True, PatientID="P1", restriction=hidden)
    assert found == ["1.2.2", "1.2.3"]


def test_images_that_come_later_are_seen_with_the_same_values(amended: Hospital) -> None:
    amended.receive("1.2.1", instance=9, PatientID="P1")
    amended.index()
    assert ask(amended.catalog, Level.IMAGE, as_received=True, PatientID="P1", SOPInstanceUID="1.2.1.1.9") != []
    assert ask(amended.catalog, Level.IMAGE, PatientID=NEW, SOPInstanceUID="1.2.1.1.9") != []


def test_a_link_is_seen_at_once_and_what_was_received_stays(hospital: Hospital) -> None:
    hospital.send("1.2.1", PatientID="T1")
    patients.link(hospital.catalog, "T1", {"PatientID": NEW}, by="anna", reason="seen")
    assert ask(hospital.catalog, Level.STUDY, PatientID=NEW) == ["1.2.1"]
    assert ask(hospital.catalog, Level.STUDY, PatientID="T1") == []
    assert ask(hospital.catalog, Level.STUDY, PatientID="T1", as_received=True) == ["1.2.1"]


@pytest.mark.parametrize(
    ("patient_id", "now", "then"),
    [("P1", ["1.2.2", "1.2.3"], ["1.2.1", "1.2.2", "1.2.3"]), (NEW, ["1.2.1"], [])],
)
def test_retrieval_by_patient_id_means_the_id_that_the_asker_sees(
    amended: Hospital, patient_id: str, now: list[str], then: list[str]
) -> None:
    def chosen(as_received: bool) -> list[str]:
        condition = selection({Level.PATIENT: (patient_id,)}, EVERYTHING, as_received=as_received)
        return list(
            amended.column(
                "SELECT DISTINCT s.uid FROM instances i JOIN series e ON e.id = i.series_id "
                f"JOIN studies s ON s.id = i.study_id WHERE {condition.sql} ORDER BY s.uid",
                *condition.values,
            )
        )

    assert chosen(False) == now
    assert chosen(True) == then
