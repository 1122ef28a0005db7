"""Authorizations: versions in any order, invalidation, and the studies whose question they open again."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from kuva_gateway.catalog import authorizations, documents, studies
from kuva_gateway.catalog.records import Added, FindingRecord
from kuva_gateway.errors import NotFoundError, RefusedError, StateError
from tests.authorizations import KEEPER, ORGANISER, PRODUCER, authorization
from tests.unit.catalog.making import HETU, Hospital

FIRST, SECOND = f"{ORGANISER}.91.2024.1", f"{ORGANISER}.91.2024.2"
OTHER_HETU = "010516B903X"
UNAUTHORISED = FindingRecord(rule="OSV-01", severity="hold", where="study", message="none here", remedy="get one")


def add(hospital: Hospital, **changes: Any) -> Added:
    made = authorization(**changes)
    digest = hashlib.sha256(authorizations.to_json(made).encode()).hexdigest()
    return authorizations.add(hospital.catalog, made, f"{made.oid}.xml", digest, hospital.clock())


def version(hospital: Hospital, **changes: Any) -> Added:
    return add(hospital, **{"oid": SECOND, "set_id": FIRST, "version": 2, "replaces": FIRST, **changes})


def counting(hospital: Hospital, *patients: str) -> list[str]:
    found = authorizations.concerning(hospital.catalog, [PRODUCER], [KEEPER], patients)
    return [one.authorization.oid for one in found if one.counts]


def facts_version(hospital: Hospital, study: str = "1.2.1") -> int:
    return studies.view(hospital.catalog, study).facts_version


def test_what_was_read_comes_back_whole(hospital: Hospital) -> None:
    events = (f"{ORGANISER}.14.2024.1",)
    changes: dict[str, Any] = {"patient": HETU, "events": events, "span": ("20240101", "20240131")}
    add(hospital, **changes)
    (found,) = authorizations.concerning(hospital.catalog, [PRODUCER], [KEEPER], [HETU])
    assert found.authorization == authorization(**changes)
    assert found.counts


def test_the_same_bytes_again_change_nothing(hospital: Hospital) -> None:
    hospital.hold("1.2.1", UNAUTHORISED)
    assert add(hospital).new
    before = facts_version(hospital)
    assert not add(hospital).new
    assert facts_version(hospital) == before


def test_a_version_that_is_ready_never_changes(hospital: Hospital) -> None:
    add(hospital)
    with pytest.raises(RefusedError, match="is here with other content"):
        add(hospital, valid=("20240101", "20250101"))
    assert counting(hospital) == [FIRST]


def test_a_draft_may_be_finished_under_its_own_oid(hospital: Hospital) -> None:
    add(hospital, status="1")
    assert counting(hospital) == []
    assert add(hospital).new
    assert counting(hospital) == [FIRST]


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_new_version_replaces_the_old_one_in_any_order(hospital: Hospital, newest_first: bool) -> None:
    steps = [add, version]
    for step in reversed(steps) if newest_first else steps:
        step(hospital)
    assert counting(hospital) == [SECOND]


def test_a_version_that_is_not_ready_ends_what_it_replaces(hospital: Hospital) -> None:
    add(hospital)
    assert version(hospital, status="5", without=tuple(range(43))).superseded == (FIRST,)
    assert counting(hospital) == []


def test_a_person_invalidates_one_and_only_once(hospital: Hospital) -> None:
    add(hospital)
    hospital.hold("1.2.1", UNAUTHORISED)
    assert authorizations.invalidate(hospital.catalog, FIRST, by="anna", reason="contract ended") == ("1.2.1",)
    assert counting(hospital) == []
    (shown,) = authorizations.listing(hospital.catalog)
    assert (shown["invalidated"]["by"], shown["invalidated"]["reason"]) == ("anna", "contract ended")
    with pytest.raises(StateError):
        authorizations.invalidate(hospital.catalog, FIRST, by="anna", reason="again")
    with pytest.raises(NotFoundError):
        authorizations.invalidate(hospital.catalog, "1.2.3", by="anna", reason="no such")


def test_what_one_of_this_patient_and_of_populations_comes_before_what_others_have(hospital: Hospital) -> None:
    add(hospital, oid=f"{FIRST}.1", patient=OTHER_HETU)
    add(hospital, oid=f"{FIRST}.2", patient=HETU)
    add(hospital, oid=f"{FIRST}.3")
    found = [one.authorization.oid for one in authorizations.concerning(hospital.catalog, [PRODUCER], [KEEPER], [HETU])]
    assert found == [f"{FIRST}.3", f"{FIRST}.2", f"{FIRST}.1"]


def test_only_the_producers_own_for_that_keeper_are_found(hospital: Hospital) -> None:
    add(hospital)
    assert authorizations.concerning(hospital.catalog, ["1.2.246.10.5.10.0"], [KEEPER], [HETU]) == ()
    assert authorizations.concerning(hospital.catalog, [PRODUCER], ["1.2.246.10.5.19.0"], [HETU]) == ()


# -- which studies are asked about again -------------------------------------------------------------------------------


def test_a_study_whose_document_lies_in_that_keepers_register_is_judged_again(hospital: Hospital) -> None:
    hospital.add_document(register_keeper=KEEPER, register="2")
    hospital.hold()
    assert studies.to_judge(hospital.catalog, 10) == []
    assert add(hospital).studies_affected == ("1.2.1",)
    assert studies.to_judge(hospital.catalog, 10) == ["1.2.1"]


def test_a_study_in_another_keepers_register_is_left_alone(hospital: Hospital) -> None:
    hospital.add_document(register_keeper="1.2.246.10.5.19.0", register="2")
    hospital.hold()
    assert add(hospital).studies_affected == ()
    assert studies.to_judge(hospital.catalog, 10) == []


def test_one_patients_authorization_concerns_that_patients_studies_alone(hospital: Hospital) -> None:
    hospital.add_document(register_keeper=KEEPER, register="2")
    hospital.hold()
    assert add(hospital, patient=OTHER_HETU).studies_affected == ()
    assert version(hospital, replaces="", set_id=SECOND, patient=HETU).studies_affected == ("1.2.1",)


def test_a_new_version_for_another_patient_concerns_the_first_ones_studies_too(hospital: Hospital) -> None:
    hospital.add_document(register_keeper=KEEPER, register="2")
    hospital.hold()
    add(hospital, patient=HETU)
    assert version(hospital, patient=OTHER_HETU).studies_affected == ("1.2.1",)


def test_an_accepted_study_is_judged_again_until_its_delivery_has_begun(hospital: Hospital) -> None:
    hospital.add_document(register_keeper=KEEPER, register="2")
    hospital.accept()
    add(hospital)
    assert studies.to_judge(hospital.catalog, 10) == ["1.2.1"]
    assert hospital.judge()
    hospital.deliver()
    authorizations.invalidate(hospital.catalog, FIRST, by="anna", reason="ended")
    assert studies.to_judge(hospital.catalog, 10) == []


def test_the_listing_tells_rights_and_scope_and_only_that_there_is_a_patient(hospital: Hospital) -> None:
    add(hospital, patient=HETU, everything=False, events=(f"{ORGANISER}.14.2024.1",))
    (shown,) = authorizations.listing(hospital.catalog)
    assert HETU not in str(shown)
    assert shown["has_patient"] is True
    assert (shown["type"], shown["valid_from"], shown["valid_to"]) == ("patient", "2024-01-01", "2024-12-31")
    assert shown["storing"] == {"register_keeper": KEEPER, "register": "2", "specifier": None}
    assert (shown["search"]["scope"], shown["search"]["service_events"]) == ("events", [f"{ORGANISER}.14.2024.1"])


# -- documents follow the same rules of versions -----------------------------------------------------------------------


def test_a_document_that_is_ready_never_changes_under_its_oid(hospital: Hospital) -> None:
    hospital.add_document()
    with pytest.raises(RefusedError, match=r"the document 1.9.1 is here with other content"):
        hospital.add_document(kind="request")
    assert documents.show(hospital.catalog, "1.9.1")["kind"] == "examination_entry"


def test_a_draft_of_a_document_is_finished_under_its_own_oid(hospital: Hospital) -> None:
    hospital.add_document(ready=False)
    hospital.add_document(ready=True, register_keeper=KEEPER)
    assert documents.show(hospital.catalog, "1.9.1")["ready"] is True
    assert hospital.column("SELECT keeper FROM document_registers") == [KEEPER]
