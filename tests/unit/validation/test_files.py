"""Files put together to studies as the catalog would."""

from __future__ import annotations

from typing import Any

from kuva_gateway.clinical.documents import ImagingDocument
from kuva_gateway.validation.facts import StudyFacts
from kuva_gateway.validation.files import FileInstance, facts_from_files, is_current
from kuva_gateway.validation.rules import judge
from tests.unit.validation.known import DOCUMENTS, HETU, OTHER_HETU, STUDY, TODAY, document, header, look_up


def instance(number: int, digest: str = "", **changes: Any) -> FileInstance:
    return FileInstance(header=header(sop_instance_uid=f"2.25.100.1.{number}", **changes), digest=digest)


def put_together(*instances: FileInstance, documents: Any = None, **changes: Any) -> tuple[StudyFacts, ...]:
    papers = [one.document for one in DOCUMENTS] if documents is None else documents
    values: dict[str, Any] = {"periods_for": look_up, "environment": "test", "today": TODAY, "private_classes": ()}
    return facts_from_files(instances, papers, **{**values, **changes})


def rules(study: StudyFacts) -> list[str]:
    return [one.rule for one in judge(study).findings]


def papers(**changes: Any) -> list[ImagingDocument]:
    return [document(kind, **changes).document for kind in ("request", "examination_entry")]


def test_a_complete_study_passes_and_its_instances_are_few_facts() -> None:
    (study,) = put_together(*(instance(number, instance_number=str(number)) for number in range(100)))
    assert [one.instances for one in study.sets] == [100]
    assert rules(study) == []


def test_studies_stay_apart_and_in_order() -> None:
    other = instance(2, study_instance_uid="2.25.200", accession_number="B0002")
    first, second = put_together(instance(1), other)
    assert (first.study_instance_uid, second.study_instance_uid) == (STUDY, "2.25.200")
    assert rules(second) == ["DOC-01", "DOC-02"]


def test_documents_without_the_study_uid_belong_by_accession_number_and_patient() -> None:
    (study,) = put_together(instance(1), documents=papers(study_uids=()))
    assert [one.linked_by for one in study.documents] == ["accession", "accession"]
    assert rules(study) == []
    (study,) = put_together(instance(1), documents=papers(study_uids=(), patient_id=OTHER_HETU))
    assert study.documents == ()
    (study,) = put_together(instance(1), documents=papers(study_uids=(), patient_id=HETU.lower()))
    assert len(study.documents) == 2


def test_an_empty_accession_number_or_patient_links_nothing() -> None:
    for number, patient in (("", ""), ("", HETU), ("A0001", "")):
        nothing = papers(study_uids=(), patient_id=patient, accessions=(("1.2", number),))
        (study,) = put_together(instance(1, accession_number=number, patient_id=patient), documents=nothing)
        assert study.documents == ()


def test_later_versions_and_replacements_count() -> None:
    first, second = ImagingDocument(oid="1.1", set_id="1.1"), ImagingDocument(oid="1.2", set_id="1.1", version=2)
    replacing = ImagingDocument(oid="1.9", set_id="1.9", replaces=("1.2",))
    assert not is_current(first, [first, second])
    assert is_current(second, [second, first])
    assert not is_current(second, [first, second, replacing])
    assert is_current(replacing, [first, second, replacing])


def test_a_document_does_not_replace_itself() -> None:
    odd = ImagingDocument(oid="1.1", set_id="1.1", replaces=("1.1",))
    assert is_current(odd, [odd])


def test_of_equal_versions_the_last_counts() -> None:
    one, other = ImagingDocument(oid="1.1", set_id="1.1"), ImagingDocument(oid="1.2", set_id="1.1")
    assert [is_current(each, [one, other]) for each in (one, other)] == [False, True]


def test_the_same_file_twice_is_no_event() -> None:
    (study,) = put_together(instance(1, "aa"), instance(1, "aa"))
    assert rules(study) == []
    assert [one.instances for one in study.sets] == [1]


def test_other_bytes_under_one_uid_follow_the_policy_and_warn() -> None:
    both = (instance(1, "aa"), instance(1, "bb", accession_number="B0002"))
    for duplicates, number in (("newest", "B0002"), ("first", "A0001")):
        (study,) = put_together(*both, duplicates=duplicates, documents=papers(accessions=()))
        assert rules(study) == ["DUP-01"]
        assert [one.header.accession_number for one in study.sets] == [number]


def test_one_uid_in_two_series_or_two_studies_holds() -> None:
    (study,) = put_together(instance(1, "aa"), instance(1, "bb", series_instance_uid="2.25.100.3"))
    assert rules(study) == ["UID-02"]
    first, second = put_together(instance(1, "aa"), instance(1, "bb", study_instance_uid="2.25.200"))
    assert "UID-02" in rules(first)
    assert "UID-02" in rules(second)


def test_bad_uids_of_single_instances_and_series_are_found() -> None:
    (study,) = put_together(instance(1), FileInstance(header=header(sop_instance_uid="1.02")))
    (finding,) = judge(study).findings
    assert (finding.rule, finding.severity, finding.where) == ("UID-01", "refuse", "SOPInstanceUID (0008,0018)")
    (study,) = put_together(instance(1), instance(2, series_instance_uid=""))
    (finding,) = judge(study).findings
    assert finding.message.startswith("SeriesInstanceUID is missing")
    (study,) = put_together(instance(1, study_instance_uid=""), documents=papers(study_uids=()))
    assert rules(study) == ["UID-01"]
