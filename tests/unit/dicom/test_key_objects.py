"""Rejection notes as documents: what we write is a valid key object selection, what we read is bounded."""

from __future__ import annotations

import io
import zlib
from datetime import UTC, datetime

import pytest
from pydicom import dcmread

from kuva_gateway.dicom import key_objects
from kuva_gateway.dicom.header import CodeItem, Header, HeaderError
from kuva_gateway.dicom.key_objects import (
    KEY_OBJECT_SELECTION,
    MEANINGS,
    Reference,
    read_note,
    title_of_note,
    write_note,
)
from kuva_gateway.dicom.part10 import preamble_and_meta
from kuva_gateway.dicom.scanner import scan
from tests.unit.dicom.reference import encoded

EXPLICIT, DEFLATED = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"
CT, SR, ECG = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.88.11", "1.2.840.10008.5.1.4.1.1.9.1.1"
HEADER = Header(
    study_instance_uid="1.2.1",
    patient_id="010594Y9032",
    issuer_of_patient_id="HETU",
    issuer_universal_id="1.2.246.21",
    issuer_universal_type="ISO",
    patient_name="Mäki^Åke",
    birth_date="19940501",
    sex="M",
    accession_number="A1",
    study_date="20240105",
    study_description="GD1AD Thorax TT",
    procedure_codes=(CodeItem(value="GD1AD", scheme="THL", scheme_uid="1.2.246.537.6.2", meaning="Thorax TT"),),
)
REFERENCES = [
    Reference(study="1.2.1", series="1.2.1.1", sop_class=CT, sop_instance="1.2.1.1.1"),
    Reference(study="1.2.1", series="1.2.1.1", sop_class=CT, sop_instance="1.2.1.1.2"),
    Reference(study="1.2.1", series="1.2.1.2", sop_class=SR, sop_instance="1.2.1.2.1"),
    Reference(study="1.2.1", series="1.2.1.3", sop_class=ECG, sop_instance="1.2.1.3.1"),
]


def note(code: str = "113037", references: list[Reference] = REFERENCES) -> bytes:
    at = datetime(2026, 11, 22, 12, tzinfo=UTC)
    return write_note(
        HEADER, references, code=code, uid="1.2.9.1", series_uid="1.2.9", at=at, device={"Manufacturer": "kuva-gateway"}
    )


def as_file(data: bytes) -> bytes:
    return preamble_and_meta(KEY_OBJECT_SELECTION, "1.2.9.1", EXPLICIT) + data


@pytest.mark.parametrize("code", sorted(MEANINGS))
def test_what_is_written_is_read_again(code: str) -> None:
    header = scan(note(code), EXPLICIT, whole=True)
    assert title_of_note(header) == code
    whole = as_file(note(code))
    assert read_note(io.BytesIO(whole), len(whole), code).references == tuple(REFERENCES)


def test_a_note_names_patient_study_and_device_and_every_instance_twice() -> None:
    read = dcmread(io.BytesIO(as_file(note())))
    assert (str(read.PatientName), read.PatientID, read.AccessionNumber) == ("Mäki^Åke", "010594Y9032", "A1")
    assert read.IssuerOfPatientIDQualifiersSequence[0].UniversalEntityID == "1.2.246.21"
    assert read.ProcedureCodeSequence[0].CodeValue == "GD1AD"
    assert (read.Modality, read.ValueType, read.Manufacturer) == ("KO", "CONTAINER", "kuva-gateway")
    title = read.ConceptNameCodeSequence[0]
    assert (title.CodeValue, title.CodingSchemeDesignator) == ("113037", "DCM")
    assert title.CodeMeaning == MEANINGS["113037"]
    types = [item.ValueType for item in read.ContentSequence]
    assert types == ["IMAGE", "IMAGE", "COMPOSITE", "WAVEFORM"]
    (study,) = read.CurrentRequestedProcedureEvidenceSequence
    assert [len(series.ReferencedSOPSequence) for series in study.ReferencedSeriesSequence] == [2, 1, 1]


def test_titles_of_other_schemes_and_other_classes_reject_nothing() -> None:
    title = CodeItem(value="113001", scheme="DCM")
    right = Header(sop_class_uid=KEY_OBJECT_SELECTION, document_title_code=title)
    assert title_of_note(right) == "113001"
    for wrong in (
        Header(sop_class_uid=CT, document_title_code=title),
        Header(sop_class_uid=KEY_OBJECT_SELECTION),
        Header(sop_class_uid=KEY_OBJECT_SELECTION, document_title_code=CodeItem(value="113000", scheme="DCM")),
        Header(sop_class_uid=KEY_OBJECT_SELECTION, document_title_code=CodeItem(value="113001", scheme="99HOME")),
    ):
        assert title_of_note(wrong) is None


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x40\x00\x75\xa3SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 500,
        note()[:-40],
        bytes(range(256)) * 40,
    ],
)
def test_hostile_bytes_reject_nothing_or_are_refused(data: bytes) -> None:
    whole = as_file(data)
    try:
        found = read_note(io.BytesIO(whole), len(whole), "113001")
    except HeaderError:
        return
    assert all(one in REFERENCES for one in found.references)


@pytest.mark.filterwarnings("ignore:Invalid value:UserWarning")
def test_bad_uids_and_repetitions_are_left_out_and_long_ones_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = Reference(study="1.2.1", series="1.2.1.1", sop_class=CT, sop_instance="../../etc")
    data = as_file(note(references=[REFERENCES[0], bad, REFERENCES[0]]))
    assert read_note(io.BytesIO(data), len(data), "113001").references == (REFERENCES[0],)
    monkeypatch.setattr(key_objects, "LARGEST", 100)
    with pytest.raises(HeaderError):
        read_note(io.BytesIO(data), len(data), "113001")


def deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(1, wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("syntax", "data"),
    [
        ("1.2.840.10008.1.2", encoded(dcmread(io.BytesIO(as_file(note()))), implicit=True)),
        ("1.2.840.10008.1.2.2", encoded(dcmread(io.BytesIO(as_file(note()))), big_endian=True)),
        (DEFLATED, deflate(note())),
    ],
    ids=["implicit", "big endian", "deflated"],
)
def test_a_note_is_read_in_every_uncompressed_syntax(syntax: str, data: bytes) -> None:
    whole = preamble_and_meta(KEY_OBJECT_SELECTION, "1.2.9.1", syntax) + data
    assert read_note(io.BytesIO(whole), len(whole), "113001").references == tuple(REFERENCES)


def test_a_deflated_note_inflates_no_further_than_one_may_be_long() -> None:
    """KiB that stand for 17 MiB; a file as long as a note may be would stand for 16 GiB."""
    bomb = note()[:-40] + b"\x40\x00\x30\xa7OB\0\0\0\0\x10\x01" + bytes(17 << 20)
    whole = preamble_and_meta(KEY_OBJECT_SELECTION, "1.2.9.1", DEFLATED) + deflate(bomb)
    assert len(whole) < 128 << 10
    with pytest.raises(HeaderError, match="more than 16 MiB"):
        read_note(io.BytesIO(whole), len(whole), "113001")


def test_a_note_of_nothing_but_items_is_refused_before_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two million empty items fit into a note, and took a minute and a gigabyte."""
    monkeypatch.setattr(key_objects, "MOST_REFERENCES", 100)
    items = b"\xfe\xff\x00\xe0\0\0\0\0" * 201
    sequence = b"\x40\x00\x75\xa3SQ\0\0" + len(items).to_bytes(4, "little") + items
    whole = as_file(sequence)
    with pytest.raises(HeaderError, match="more than 100 references"):
        read_note(io.BytesIO(whole), len(whole), "113001")
