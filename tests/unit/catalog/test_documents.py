"""Documents: links in both orders, versions in any order, and the questions that they open."""

from __future__ import annotations

import pytest

from kuva_gateway.catalog import documents, studies
from kuva_gateway.errors import NotFoundError, StateError
from tests.unit.catalog.making import HETU, Hospital, imaging_document


def linked(hospital: Hospital, study: str = "1.2.1") -> list[tuple[str, str, bool]]:
    found = studies.view(hospital.catalog, study).documents
    return [(one.document.oid, one.linked_by, one.current) for one in found]


BY_UID = {"accessions": (), "study_uids": ("1.2.1",)}


@pytest.mark.parametrize("first", ["study", "document"])
@pytest.mark.parametrize(("values", "linked_by"), [({}, "accession"), (BY_UID, "study_uid")])
def test_document_and_study_find_each_other_whichever_is_first(
    hospital: Hospital, first: str, values: dict[str, tuple[str, ...]], linked_by: str
) -> None:
    if first == "study":
        hospital.send()
        assert hospital.add_document(**values).studies_affected == ("1.2.1",)
    else:
        assert hospital.add_document(**values).studies_affected == ()
        hospital.send()
    assert linked(hospital) == [("1.9.1", linked_by, True)]


def test_a_study_uid_counts_for_more_than_an_accession_number(hospital: Hospital) -> None:
    hospital.send()
    hospital.add_document(study_uids=("1.2.1",))
    assert linked(hospital) == [("1.9.1", "study_uid", True)]


def test_an_accession_number_of_another_patient_links_nothing(hospital: Hospital) -> None:
    hospital.send()
    hospital.add_document(patient_id="010516B903X")
    hospital.add_document("1.9.2", patient_id="")
    assert linked(hospital) == []


def test_a_study_uid_links_whatever_the_patient(hospital: Hospital) -> None:
    """The rules say what is wrong with such a pair (DOC-04); without the link nobody would see it."""
    hospital.send()
    hospital.add_document(patient_id="010516B903X", **BY_UID)
    assert linked(hospital) == [("1.9.1", "study_uid", True)]


def test_case_and_blanks_of_a_patient_id_do_not_matter_and_the_separator_does(hospital: Hospital) -> None:
    hospital.send(PatientID=" 010594y9032")
    hospital.add_document(patient_id=HETU)
    hospital.add_document("1.9.2", patient_id="010594-9032")
    assert [oid for oid, *_ in linked(hospital)] == ["1.9.1"]


def test_an_accession_number_that_comes_with_a_later_instance_links_too(hospital: Hospital) -> None:
    hospital.add_document()
    hospital.receive(AccessionNumber="")
    hospital.index()
    assert linked(hospital) == []
    hospital.receive(instance=2)
    hospital.index()
    assert linked(hospital) == [("1.9.1", "accession", True)]


def test_one_document_may_belong_to_several_studies(hospital: Hospital) -> None:
    hospital.send("1.2.1")
    hospital.send("1.2.2")
    assert hospital.add_document().studies_affected == ("1.2.1", "1.2.2")


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_the_newest_version_of_a_set_is_current_in_whatever_order_they_come(
    hospital: Hospital, order: tuple[int, int]
) -> None:
    hospital.send()
    for version in order:
        hospital.add_document(f"1.9.{version}", set_id="1.9.1", version=version)
    assert sorted(linked(hospital)) == [("1.9.1", "accession", False), ("1.9.2", "accession", True)]


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_a_document_that_replaces_another_is_current_in_whatever_order_they_come(
    hospital: Hospital, order: tuple[int, int]
) -> None:
    hospital.send()
    replaces = {1: (), 2: ("1.9.1",)}
    for number in order:
        hospital.add_document(f"1.9.{number}", replaces=replaces[number])
    assert sorted(linked(hospital)) == [("1.9.1", "accession", False), ("1.9.2", "accession", True)]


def test_a_new_version_that_names_another_study_opens_the_old_ones_question(hospital: Hospital) -> None:
    hospital.hold()
    hospital.add_document()
    hospital.judge()
    assert studies.to_judge(hospital.catalog, 10) == []
    added = hospital.add_document("1.9.2", set_id="1.9.1", version=2, accessions=(("1.2", "A9"),))
    assert (added.new, added.superseded, added.studies_affected) == (True, ("1.9.1",), ("1.2.1",))
    assert linked(hospital) == [("1.9.1", "accession", False)]
    assert studies.to_judge(hospital.catalog, 10) == ["1.2.1"]


def test_the_same_document_again_changes_nothing(hospital: Hospital) -> None:
    hospital.hold()
    hospital.add_document()
    hospital.judge()
    again = hospital.add_document()
    assert (again.id, again.new, again.studies_affected) == ("1.9.1", False, ())
    assert studies.to_judge(hospital.catalog, 10) == []


def test_other_content_under_the_same_oid_replaces_what_was_read(hospital: Hospital) -> None:
    hospital.send()
    hospital.add_document(ready=False)
    added = hospital.add_document(ready=True, title="better")
    assert (added.new, added.studies_affected) == (True, ("1.2.1",))
    [document] = studies.view(hospital.catalog, "1.2.1").documents
    assert (document.document.ready, document.document.title) == (True, "better")
    assert len(documents.listing(hospital.catalog)) == 1


def test_a_document_is_read_as_it_was_written() -> None:
    document = imaging_document(procedure_codes=("GD1AD",), title="Tutkimusmerkintä", study_uids=("1.2",))
    assert documents.from_json(documents.to_json(document)) == document


def test_documents_are_listed_the_newest_first(hospital: Hospital) -> None:
    hospital.add_document()
    hospital.clock.forward(seconds=1)
    hospital.add_document("1.9.2", kind="request", ready=False, accessions=(("1", "A7"),))
    hospital.send()
    assert documents.listing(hospital.catalog) == [
        {
            "id": "1.9.2",
            "kind": "request",
            "version": 1,
            "current": True,
            "ready": False,
            "received_at": "2026-11-22T03:00:01.000000Z",
            "linked_by": None,
            "invalidated": None,
        },
        {
            "id": "1.9.1",
            "kind": "examination_entry",
            "version": 1,
            "current": True,
            "ready": True,
            "received_at": "2026-11-22T03:00:00.000000Z",
            "linked_by": "accession",
            "invalidated": None,
        },
    ]


def test_one_document_is_shown_with_all_that_was_read_in_it(hospital: Hospital) -> None:
    hospital.send()
    hospital.add_document()
    shown = documents.show(hospital.catalog, "1.9.1")
    assert (shown["id"], shown["studies"], shown["stored_as"]) == ("1.9.1", ["1.2.1"], "1.9.1.xml")
    assert shown["content"]["accessions"] == [["1.2.246.10", "A1"]]
    with pytest.raises(NotFoundError):
        documents.show(hospital.catalog, "9.9")


def test_a_document_that_a_person_invalidates_counts_no_more_and_its_studies_are_judged_again(
    hospital: Hospital,
) -> None:
    hospital.accept()
    hospital.add_document()
    assert hospital.judge(destinations=())
    assert documents.invalidate(hospital.catalog, "1.9.1", by="anna", reason="wrong patient") == ("1.2.1",)
    assert linked(hospital) == [("1.9.1", "accession", False)]
    assert studies.to_judge(hospital.catalog, 10) == ["1.2.1"]
    (told,) = [one for one in studies.trace(hospital.catalog, "1.2.1") if one["event"] == "document_invalidated"]
    assert (told["by"], told["detail"]["document"], told["detail"]["reason"]) == ("anna", "1.9.1", "wrong patient")
    shown = documents.show(hospital.catalog, "1.9.1")
    assert (shown["current"], shown["invalidated"]["by"]) == (False, "anna")
    with pytest.raises(StateError, match="already"):
        documents.invalidate(hospital.catalog, "1.9.1", by="anna", reason="again")
    with pytest.raises(NotFoundError):
        documents.invalidate(hospital.catalog, "1.9.9", by="anna", reason="no such")


def test_no_older_version_takes_the_place_of_an_invalidated_one_and_a_newer_one_does(hospital: Hospital) -> None:
    hospital.send()
    hospital.add_document("1.9.1", set_id="1.9")
    hospital.add_document("1.9.2", set_id="1.9", version=2)
    documents.invalidate(hospital.catalog, "1.9.2", by="anna", reason="wrong")
    assert {oid: current for oid, _, current in linked(hospital)} == {"1.9.1": False, "1.9.2": False}
    hospital.add_document("1.9.1", set_id="1.9")
    assert {oid: current for oid, _, current in linked(hospital)} == {"1.9.1": False, "1.9.2": False}
    hospital.add_document("1.9.3", set_id="1.9", version=3)
    assert {oid: current for oid, _, current in linked(hospital)} == {"1.9.1": False, "1.9.2": False, "1.9.3": True}
