"""Patient ids that stand for others, for studies that are here and for those that come."""

from __future__ import annotations

from typing import Any

import pytest

from kuva_gateway.catalog import linked, patients, studies
from kuva_gateway.catalog.records import FindingRecord, Linked
from kuva_gateway.dicom.amendments import issuer_items
from kuva_gateway.errors import RefusedError
from tests.unit.catalog.making import HETU, Hospital

TEMPORARY = "T-1"
ROOT = "1.2.246.10.99999984.22.2024"
THIRD = "030694W9024"


def identity(patient_id: str = HETU, **more: Any) -> dict[str, Any]:
    return {
        "PatientID": patient_id,
        "IssuerOfPatientID": "1.2.246.21",
        "IssuerOfPatientIDQualifiersSequence": issuer_items("1.2.246.21"),
        **more,
    }


def link(hospital: Hospital, old: str = TEMPORARY, changes: dict[str, Any] | None = None, **keywords: Any) -> Linked:
    return patients.link(hospital.catalog, old, changes or identity(), by="anna", reason="found out", **keywords)


def arrive(hospital: Hospital, uid: str, patient_id: str = TEMPORARY, **values: Any) -> None:
    hospital.send(uid, PatientID=patient_id, **{"IssuerOfPatientID": ROOT, **values})
    hospital.settle(uid)


def effective(hospital: Hospital, uid: str) -> set[str]:
    return {one.header.patient_id for one in studies.view(hospital.catalog, uid).facts}


def follow(hospital: Hospital, uid: str) -> None:
    """What admission does with links before it judges."""
    view = studies.view(hospital.catalog, uid)
    studies.replace_following(hospital.catalog, view, linked.wanted(view.received, view.amendments, view.links))


def test_every_study_with_the_old_id_gets_the_new_one_and_others_do_not(hospital: Hospital) -> None:
    arrive(hospital, "1.2.1")
    arrive(hospital, "1.2.2", " t-1 ")
    arrive(hospital, "1.2.3", "T-2")
    assert link(hospital) == Linked(amended=("1.2.1", "1.2.2"), delivered=())
    assert [effective(hospital, uid) for uid in ("1.2.1", "1.2.2", "1.2.3")] == [{HETU}, {HETU}, {"T-2"}]
    assert studies.show(hospital.catalog, "1.2.1")["patient_id"] == HETU
    (step,) = [one for one in studies.trace(hospital.catalog, "1.2.1") if one["event"] == "amended"]
    assert (step["by"], step["detail"]["origin"]) == ("anna", "link")


def test_a_study_that_comes_later_with_the_old_id_gets_the_link_before_it_is_judged(hospital: Hospital) -> None:
    assert link(hospital) == Linked(amended=(), delivered=())
    arrive(hospital, "1.2.1")
    follow(hospital, "1.2.1")
    assert effective(hospital, "1.2.1") == {HETU}
    follow(hospital, "1.2.1")
    assert len(studies.view(hospital.catalog, "1.2.1").amendments) == 1


def test_what_was_delivered_is_told_of_and_not_changed(hospital: Hospital) -> None:
    arrive(hospital, "1.2.1")
    assert hospital.judge("1.2.1")
    hospital.deliver()
    assert link(hospital) == Linked(amended=(), delivered=("1.2.1",))
    assert effective(hospital, "1.2.1") == {TEMPORARY}
    assert studies.view(hospital.catalog, "1.2.1").links


def test_the_same_id_of_another_issuer_is_another_patient(hospital: Hospital) -> None:
    arrive(hospital, "1.2.1")
    arrive(hospital, "1.2.2", IssuerOfPatientID="1.2.246.10.1.22.2023")
    arrive(hospital, "1.2.3", IssuerOfPatientID="")
    with pytest.raises(RefusedError, match="several issuers"):
        link(hospital)
    assert hospital.rows("SELECT * FROM patient_links") == []
    assert link(hospital, issuer=ROOT).amended == ("1.2.1", "1.2.3")
    assert effective(hospital, "1.2.2") == {TEMPORARY}


def test_links_lead_on_from_one_to_the_next_and_not_in_a_circle(hospital: Hospital) -> None:
    link(hospital, TEMPORARY, identity("T-2"))
    link(hospital, "T-2", identity(HETU))
    arrive(hospital, "1.2.1")
    follow(hospital, "1.2.1")
    assert effective(hospital, "1.2.1") == {HETU}
    link(hospital, HETU, identity(TEMPORARY))
    arrive(hospital, "1.2.2")
    follow(hospital, "1.2.2")
    assert effective(hospital, "1.2.2") <= {HETU, TEMPORARY}


def test_a_second_merge_follows_the_first_one_on_studies_that_are_here(hospital: Hospital) -> None:
    arrive(hospital, "1.2.1")
    link(hospital, TEMPORARY, identity("T-2"))
    assert link(hospital, "T-2", identity(HETU)).amended == ("1.2.1",)
    assert effective(hospital, "1.2.1") == {HETU}
    follow(hospital, "1.2.1")
    assert effective(hospital, "1.2.1") == {HETU}


def test_an_amendment_that_a_person_made_afterwards_stands(hospital: Hospital) -> None:
    arrive(hospital, "1.2.1")
    link(hospital)
    studies.amend(hospital.catalog, "1.2.1", {"PatientID": THIRD}, by="anna", reason="it was somebody else")
    follow(hospital, "1.2.1")
    assert effective(hospital, "1.2.1") == {THIRD}


def test_of_a_study_with_two_patients_only_the_old_one_is_changed(hospital: Hospital) -> None:
    hospital.receive("1.2.1", instance=1)
    hospital.receive("1.2.1", instance=2, PatientID=TEMPORARY)
    hospital.index()
    hospital.settle()
    mixed = FindingRecord(rule="PID-07", severity="hold", where="", message="two", remedy="")
    assert hospital.judge("1.2.1", mixed)
    assert link(hospital).amended == ("1.2.1",)
    assert effective(hospital, "1.2.1") == {HETU}


def test_news_of_a_patient_changes_name_and_birth_date_and_the_newest_count(hospital: Hospital) -> None:
    arrive(hospital, "1.2.1")
    link(hospital, changes={"PatientName": "Uusi^Anna", "PatientBirthDate": "19940501"})
    link(hospital, changes={"PatientName": "Uudempi^Anna"})
    link(hospital)
    follow(hospital, "1.2.1")
    (header,) = {one.header for one in studies.view(hospital.catalog, "1.2.1").facts}
    assert (header.patient_id, header.patient_name) == (HETU, "Uudempi^Anna")
