"""SOP-01, TS-01 and UID-01: what an object is and how it is encoded."""

from __future__ import annotations

import pytest

from kuva_gateway.dicom import syntaxes
from kuva_gateway.dicom.sop_classes import STORAGE_CLASSES
from kuva_gateway.validation.objects import kind_of
from tests.unit.validation.known import CT, changed, facts, found, header, only

ECG = "1.2.840.10008.5.1.4.1.1.9.1.1"
PDF = "1.2.840.10008.5.1.4.1.1.104.1"
VIDEO = "1.2.840.10008.5.1.4.1.1.77.1.1.1"
KEY_OBJECTS = "1.2.840.10008.5.1.4.1.1.88.59"
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
PRIVATE = "1.2.826.0.1.3680043.9.1.1"
LOSSLESS = "1.2.840.10008.1.2.4.70"
MPEG4 = "1.2.840.10008.1.2.4.102"


def test_a_good_study_has_no_finding() -> None:
    assert found(facts()) == []


def test_a_private_class_passes_only_where_it_is_configured() -> None:
    study = facts(header(sop_class_uid=PRIVATE))
    finding = only(study)
    assert (finding.rule, finding.severity, finding.where) == ("SOP-01", "refuse", "SOPClassUID (0008,0016)")
    assert PRIVATE in finding.message
    assert found(facts(header(sop_class_uid=PRIVATE), private_classes={PRIVATE})) == []


def test_an_absent_class_and_one_that_knows_no_study_are_not_taken() -> None:
    assert "SOPClassUID is missing (instances: 10)" in only(changed(sop_class_uid="")).message
    assert "belong to no study" in only(changed(sop_class_uid="1.2.840.10008.5.1.4.38.1")).message


@pytest.mark.parametrize(
    ("sop_class", "kind"),
    [(CT, "image"), (SEGMENTATION, "image"), (VIDEO, "video"), (KEY_OBJECTS, "report"), (ECG, "other"), (PDF, "other")],
)
def test_each_class_belongs_to_one_of_the_archives_lists(sop_class: str, kind: str) -> None:
    assert kind_of(sop_class) == kind


def test_every_class_of_the_standard_belongs_to_a_list() -> None:
    assert {kind_of(sop_class) for sop_class in STORAGE_CLASSES} == {"image", "video", "report", "other"}


@pytest.mark.parametrize(
    ("sop_class", "syntax"),
    [
        *((CT, syntax) for syntax in sorted(syntaxes.ARCHIVE_IMAGE)),
        *((VIDEO, syntax) for syntax in sorted(syntaxes.ARCHIVE_VIDEO)),
        *((KEY_OBJECTS, syntax) for syntax in sorted(syntaxes.ARCHIVE_SR)),
        *((ECG, syntax) for syntax in sorted(syntaxes.ARCHIVE_OTHER)),
    ],
)
def test_what_is_on_the_list_passes(sop_class: str, syntax: str) -> None:
    assert found(changed(sop_class_uid=sop_class, transfer_syntax_uid=syntax)) == []


@pytest.mark.parametrize(
    ("sop_class", "syntax", "says"),
    [
        (CT, syntaxes.EXPLICIT_BIG, "list for images"),
        (CT, MPEG4, "list for images"),
        (VIDEO, syntaxes.EXPLICIT_LITTLE, "list for video"),
        (KEY_OBJECTS, LOSSLESS, "list for structured reports"),
        (ECG, syntaxes.DEFLATED, "list for waveforms, documents"),
        (PDF, LOSSLESS, "list for waveforms, documents"),
    ],
)
def test_what_is_not_on_the_list_holds(sop_class: str, syntax: str, says: str) -> None:
    finding = only(changed(sop_class_uid=sop_class, transfer_syntax_uid=syntax))
    assert (finding.rule, finding.severity, finding.where) == ("TS-01", "hold", "TransferSyntaxUID (0002,0010)")
    assert says in finding.message
    assert syntaxes.name(syntax) in finding.message


def test_a_private_class_holds_only_for_a_syntax_on_no_list_at_all() -> None:
    for syntax, number in ((LOSSLESS, 0), (MPEG4, 0), (syntaxes.EXPLICIT_BIG, 1)):
        study = facts(header(sop_class_uid=PRIVATE, transfer_syntax_uid=syntax), private_classes={PRIVATE})
        assert len(found(study, "TS-01")) == number, syntax


@pytest.mark.parametrize("uid", ["1", "1.2.0.3", "2.25." + "9" * 59])
def test_a_valid_study_uid_passes(uid: str) -> None:
    assert found(facts(study_instance_uid=uid), "UID-01") == []


@pytest.mark.parametrize("uid", ["", "1.02", "1..2", "1.2.", ".1", "1.2.a", "1.2.3 ", "2.25." + "9" * 60, "../x"])
def test_a_bad_study_uid_refuses(uid: str) -> None:
    (finding,) = found(facts(study_instance_uid=uid), "UID-01")
    assert (finding.severity, finding.where) == ("refuse", "StudyInstanceUID (0020,000D)")
    assert (uid or "is missing") in finding.message
