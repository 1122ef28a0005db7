"""DOC-01, DOC-02, DOC-04 and DOC-05: the documents that a study needs."""

from __future__ import annotations

from typing import Any

import pytest

from kuva_gateway.validation.facts import StudyFacts
from tests.unit.validation.known import HETU, OTHER_HETU, STUDY, document, facts, found, header

REQUEST = document("request")
ENTRY = document("examination_entry")


def with_documents(*documents: Any) -> StudyFacts:
    return facts(documents=documents)


def rules(study: StudyFacts) -> list[str]:
    return [one.rule for one in found(study)]


def test_request_and_entry_are_enough() -> None:
    assert rules(with_documents(REQUEST, ENTRY)) == []


def test_without_documents_both_rules_hold_and_name_the_accession_number() -> None:
    findings = found(with_documents())
    assert [(one.rule, one.severity) for one in findings] == [("DOC-01", "hold"), ("DOC-02", "hold")]
    assert all("A0001" in one.message for one in findings)


@pytest.mark.parametrize(("kept", "missing"), [(REQUEST, "DOC-02"), (ENTRY, "DOC-01")])
def test_each_is_missed_by_its_own_rule(kept: Any, missing: str) -> None:
    assert rules(with_documents(kept)) == [missing]


@pytest.mark.parametrize("kind", ["other", "report"])
def test_other_kinds_count_for_nothing(kind: str) -> None:
    study = with_documents(document(kind, patient_id=HETU))
    assert [one for one in rules(study) if one != "DOC-03"] == ["DOC-01", "DOC-02"]


def test_a_document_of_no_known_kind_is_not_compared_either() -> None:
    assert rules(with_documents(REQUEST, ENTRY, document("other", patient_id=OTHER_HETU))) == []


def test_a_draft_holds_and_says_its_status() -> None:
    draft = document("request", ready=False, record_status="1", version=4)
    findings = found(with_documents(draft, ENTRY))
    assert [one.rule for one in findings] == ["DOC-01", "DOC-05"]
    assert findings[1].where == draft.document.oid
    assert findings[1].message == ("The request (version 4) is not ready for archiving: its record status is 1, not 3")


def test_a_superseded_version_whose_successor_is_elsewhere_holds() -> None:
    findings = found(with_documents(REQUEST, document("examination_entry", current=False)))
    assert [one.rule for one in findings] == ["DOC-02", "DOC-05"]
    assert "was replaced" in findings[1].message


def test_old_versions_beside_the_current_one_are_no_fault() -> None:
    old = document("request", 2, current=False, set_id=REQUEST.document.set_id, patient_id=OTHER_HETU)
    assert rules(with_documents(old, REQUEST, ENTRY)) == []


def test_a_new_version_that_is_a_draft_is_named_alone() -> None:
    old = document("request", 1, current=False)
    new = document("request", 2, set_id=old.document.set_id, ready=False, version=2)
    findings = found(with_documents(old, new, ENTRY), "DOC-05")
    assert [one.where for one in findings] == [new.document.oid]


def test_a_draft_beside_a_document_that_counts_is_no_fault() -> None:
    draft = document("request", 2, ready=False, patient_id=OTHER_HETU)
    assert rules(with_documents(REQUEST, draft, ENTRY)) == []


def test_a_report_that_is_not_ready_only_informs() -> None:
    (finding,) = found(with_documents(REQUEST, ENTRY, document("report", ready=False)))
    assert (finding.rule, finding.severity) == ("DOC-05", "info")


def test_a_document_about_somebody_else_holds_and_shows_nobody() -> None:
    (finding,) = found(with_documents(REQUEST, document("examination_entry", patient_id=OTHER_HETU)))
    assert (finding.rule, finding.severity, finding.where) == ("DOC-04", "hold", ENTRY.document.oid)
    assert HETU not in finding.message
    assert OTHER_HETU not in finding.message


def test_a_differing_separator_is_somebody_else_and_is_named() -> None:
    study = with_documents(REQUEST, document("examination_entry", patient_id=HETU.replace("B", "A")))
    assert rules(study) == ["PID-06", "DOC-04"]
    (finding,) = found(study, "DOC-04")
    assert "only in the separator" in finding.message


def test_case_and_blanks_of_the_patient_id_do_not_matter() -> None:
    assert rules(with_documents(REQUEST, document("examination_entry", patient_id=f" {HETU.lower()}"))) == []


def test_a_document_without_a_patient_holds() -> None:
    (finding,) = found(with_documents(REQUEST, document("examination_entry", patient_id="")))
    assert "names no patient" in finding.message


def test_other_accession_numbers_hold() -> None:
    other = document("request", accessions=(("1.2.3", "B0002"), ("1.2.3", "B0003")))
    (finding,) = found(with_documents(other, ENTRY))
    assert finding.message == "The document does not name the images' accession number A0001"


@pytest.mark.parametrize("accessions", [(), (("1.2.3", "B0002"), ("1.2.3", "A0001"))])
def test_no_accession_number_or_the_right_one_among_others_passes(accessions: Any) -> None:
    assert rules(with_documents(document("request", accessions=accessions), ENTRY)) == []


def test_a_study_without_an_accession_number_is_not_compared_by_it() -> None:
    assert [one.rule for one in found(facts(header(accession_number="")))] == ["ACC-01"]


def test_another_study_in_a_document_that_is_linked_by_accession_number_holds() -> None:
    other = document("request", linked_by="accession", study_uids=("1.2.840.1.99", "2.25.1", "2.25.2", "2.25.3"))
    (finding,) = found(with_documents(other, ENTRY))
    assert "names other studies (1.2.840.1.99, 2.25.1, 2.25.2, …)" in finding.message


def test_three_other_studies_are_named_in_full() -> None:
    other = document("request", linked_by="accession", study_uids=("2.25.1", "2.25.2", "2.25.3"))
    (finding,) = found(with_documents(other, ENTRY))
    assert "(2.25.1, 2.25.2, 2.25.3)" in finding.message


@pytest.mark.parametrize(
    "uids",
    [
        (),
        ("2.25.1", STUDY),
        ("1.2.246.10.99999984.100",),  # the root of its accession numbers
        ("1.2.246.10.99999984.91.2024.7", "1.2.246.537.6.2.2007", "1.2.246.21"),
    ],
)
def test_uids_that_name_no_other_study_pass(uids: tuple[str, ...]) -> None:
    assert rules(with_documents(document("request", linked_by="accession", study_uids=uids), ENTRY)) == []


def test_another_procedure_code_holds_and_names_both() -> None:
    (finding,) = found(with_documents(document("request", procedure_codes=("GD1AA",)), ENTRY))
    assert finding.message == "The document names the procedure code GD1AA, the images GD1AD"


@pytest.mark.parametrize("codes", [(), ("GD1AA", "GD1AD")])
def test_no_procedure_code_or_the_right_one_among_others_passes(codes: tuple[str, ...]) -> None:
    assert rules(with_documents(document("request", procedure_codes=codes), ENTRY)) == []


def test_a_lone_draft_is_compared_so_that_one_look_tells_every_cause() -> None:
    draft = document("request", ready=False, patient_id=OTHER_HETU)
    assert rules(with_documents(draft, ENTRY)) == ["DOC-01", "DOC-04", "DOC-05"]


def test_a_report_that_counts_is_compared_as_well() -> None:
    assert rules(with_documents(REQUEST, ENTRY, document("report", patient_id=OTHER_HETU))) == ["DOC-04", "DOC-03"]
