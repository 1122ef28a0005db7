"""Amendments in data sets: pydicom reads what was changed, and every other byte is the one that came."""

from __future__ import annotations

import contextlib
import io
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence as Items

from kuva_gateway.dicom.amending import AmendingError, Piece, Range, amend
from kuva_gateway.dicom.amendments import Amendment, amended, applying, issuer_items
from kuva_gateway.dicom.deflated import Inflating, deflated, inflated
from kuva_gateway.dicom.encoding import Encoding
from kuva_gateway.dicom.header import HeaderError
from kuva_gateway.dicom.scanner import scan
from tests.unit.dicom.reference import encoded
from tests.unit.dicom.strategies import SYNTAXES, data_sets

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
PLAIN = [IMPLICIT, EXPLICIT, BIG]
AT = datetime(2026, 11, 23, 7, 8, 9, 10, tzinfo=UTC)
NEW = "010594Y9032"
CODE = {"CodeValue": "GD1AD", "CodingSchemeDesignator": "99THL", "CodeMeaning": "Thorax", "CodingSchemeUID": "1.2.3"}


def amendment(origin: Any = "person", **changes: Any) -> Amendment:
    return Amendment(changes=changes, origin=origin, by="anna", at=AT, reason="wrong")


def identity(**more: Any) -> Amendment:
    return amendment(
        PatientID=NEW,
        IssuerOfPatientID="1.2.246.21",
        IssuerOfPatientIDQualifiersSequence=issuer_items("1.2.246.21"),
        **more,
    )


def write(data_set: Dataset, syntax: str) -> bytes:
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = syntax == IMPLICIT, syntax != BIG
    write_dataset(stream, data_set)
    return bytes(stream.getvalue())


def read_back(data: bytes, syntax: str) -> Dataset:
    return read_dataset(io.BytesIO(data), syntax == IMPLICIT, syntax != BIG)


def pieces_of(data: bytes, syntax: str, amendments: Sequence[Amendment]) -> list[Piece]:
    header = scan(data, syntax, whole=True)
    steps, _after = applying(header, amendments)
    return amend(lambda at, count: data[at : at + count], steps, header.character_set, Encoding.of(syntax))


def joined(data: bytes, pieces: Sequence[Piece]) -> bytes:
    return b"".join(data[piece.start : piece.end] if isinstance(piece, Range) else piece for piece in pieces)


def apply(data: bytes, syntax: str, *amendments: Amendment) -> bytes:
    return joined(data, pieces_of(data, syntax, amendments))


def image(**values: Any) -> Dataset:
    made = Dataset()
    given: dict[str, Any] = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
        "SOPInstanceUID": "1.2.3",
        "StudyInstanceUID": "1.2",
        "SeriesInstanceUID": "1.2.1",
        "Modality": "CT",
        "PatientID": "TEMP 1",
        "IssuerOfPatientID": "1.2.246.10.1.22.2024",
        "StudyDescription": "XXXXX old",
        **values,
    }
    for keyword, value in given.items():
        setattr(made, keyword, value)
    made.add_new(0x7FE00010, "OW", bytes(range(256)) * 40)
    return made


@pytest.mark.parametrize("syntax", PLAIN)
def test_changed_values_are_read_back_and_the_replaced_ones_are_told(syntax: str) -> None:
    data = write(image(), syntax)
    after = read_back(
        apply(data, syntax, identity(StudyDescription="GD1AD Thorax", ProcedureCodeSequence=(CODE,))), syntax
    )
    assert (after.PatientID, after.IssuerOfPatientID, after.StudyDescription) == (NEW, "1.2.246.21", "GD1AD Thorax")
    assert after.IssuerOfPatientIDQualifiersSequence[0].UniversalEntityID == "1.2.246.21"
    assert after.ProcedureCodeSequence[0].CodeValue == "GD1AD"
    (told,) = after.OriginalAttributesSequence
    assert told.ReasonForTheAttributeModification == "CORRECT"
    assert told.ModifyingSystem == "kuva_gateway"
    assert told.AttributeModificationDateTime == "20261123070809.000010+0000"
    assert told.SourceOfPreviousValues is None or told.SourceOfPreviousValues == ""
    (before,) = told.ModifiedAttributesSequence
    assert (before.PatientID, before.IssuerOfPatientID) == ("TEMP 1", "1.2.246.10.1.22.2024")
    assert before.StudyDescription == "XXXXX old"
    assert "ProcedureCodeSequence" in before, "what was absent stands there without a value"
    assert not before.ProcedureCodeSequence


def dropped(data_set: Dataset) -> Dataset:
    """Without what the amendments may have changed."""
    for keyword in (
        "PatientID",
        "IssuerOfPatientID",
        "IssuerOfPatientIDQualifiersSequence",
        "AccessionNumber",
        "OriginalAttributesSequence",
    ):
        if keyword in data_set:
            del data_set[keyword]
    return data_set


@settings(deadline=None, max_examples=60)
@given(data_set=data_sets(), syntax=st.sampled_from(PLAIN), pixels=st.binary(min_size=2, max_size=64))
def test_of_any_data_set_only_what_is_named_changes(data_set: Any, syntax: str, pixels: bytes) -> None:
    data_set.SOPInstanceUID = "1.2.3"
    data_set.add_new(0x7FE00010, "OW", pixels + b"\0" * (len(pixels) % 2))
    data = encoded(data_set, **SYNTAXES[syntax])
    header = scan(data, syntax, whole=True)
    one = identity(AccessionNumber="A 77")
    made = apply(data, syntax, one)
    after = scan(made, syntax, whole=True)
    assert after == amended(header, [one])
    assert write(dropped(read_back(made, syntax)), syntax) == write(dropped(read_back(data, syntax)), syntax)
    assert made.endswith(data[data.index(pixels) :] if data.count(pixels) == 1 else data[-len(pixels) :])
    assert apply(made, syntax, one) == made, "amended once, nothing is left to change"


EVERYTHING = amendment(
    AccessionNumber="B 8",
    IssuerOfAccessionNumberSequence=issuer_items("1.2.246.10.1"),
    InstitutionName="Hospital",
    InstitutionCodeSequence=({"CodeValue": "1.2.246.10.1.10.0", "CodeMeaning": "Ward"},),
    StudyDescription="GD1AD Thorax",
    ProcedureCodeSequence=(CODE,),
    PatientName="New^Name",
    PatientID=NEW,
    IssuerOfPatientID="1.2.246.21",
    IssuerOfPatientIDQualifiersSequence=issuer_items("1.2.246.21"),
    PatientBirthDate="19940501",
    PatientSex="F",
)


@settings(deadline=None, max_examples=40)
@given(data_set=data_sets(), syntax=st.sampled_from(PLAIN))
def test_the_header_that_is_judged_is_the_header_that_is_sent(data_set: Any, syntax: str) -> None:
    """Every attribute that may be amended, in every order of two amendments."""
    data_set.SOPInstanceUID = "1.2.3"
    data = encoded(data_set, **SYNTAXES[syntax])
    header = scan(data, syntax, whole=True)
    for amendments in ([EVERYTHING], [identity(), EVERYTHING], [EVERYTHING, amendment("issuer", PatientID="X")]):
        assert scan(apply(data, syntax, *amendments), syntax, whole=True) == amended(header, amendments)


@pytest.mark.parametrize("syntax", PLAIN)
def test_every_byte_of_what_is_not_changed_is_copied(syntax: str) -> None:
    data_set = image()
    data_set.add_new(0x00091001, "UN", b"anything")
    data_set.add_new(0x00090010, "LO", "SOMEBODY")
    inner = Dataset()
    inner.CodeValue = "1"
    data_set.add_new(0x00081115, "SQ", Items([inner]))
    data_set[0x00081115].is_undefined_length = True
    data = write(data_set, syntax)
    pieces = pieces_of(data, syntax, [identity()])
    kept = sum(
        (len(data) if piece.end is None else piece.end) - piece.start for piece in pieces if isinstance(piece, Range)
    )
    gone = write(Dataset(), syntax)
    for keyword in ("PatientID", "IssuerOfPatientID"):
        alone = Dataset()
        alone[keyword] = data_set[keyword]
        gone += write(alone, syntax)
    assert kept == len(data) - len(gone)


@pytest.mark.parametrize("length", [None, "undefined"])
@pytest.mark.parametrize("syntax", PLAIN)
def test_what_others_changed_before_stays_in_the_sequence(syntax: str, length: str | None) -> None:
    old = Dataset()
    old.ModifyingSystem = "PACS"
    data_set = image(OriginalAttributesSequence=Items([old]))
    data_set["OriginalAttributesSequence"].is_undefined_length = length is not None
    after = read_back(
        apply(write(data_set, syntax), syntax, identity(), amendment("mapping", StudyDescription="GD1AD")), syntax
    )
    assert [item.ModifyingSystem for item in after.OriginalAttributesSequence] == [
        "PACS",
        "kuva_gateway",
        "kuva_gateway",
    ]
    assert [item.get("ReasonForTheAttributeModification") for item in after.OriginalAttributesSequence] == [
        None,
        "CORRECT",
        "COERCE",
    ]


@pytest.mark.parametrize("syntax", PLAIN)
def test_a_second_amendment_tells_the_first_ones_value(syntax: str) -> None:
    made = apply(write(image(), syntax), syntax, amendment(StudyDescription="one"), amendment(StudyDescription="two"))
    after = read_back(made, syntax)
    told = [item.ModifiedAttributesSequence[0].StudyDescription for item in after.OriginalAttributesSequence]
    assert (after.StudyDescription, told) == ("two", ["XXXXX old", "one"])


@pytest.mark.parametrize("syntax", PLAIN)
def test_group_lengths_that_are_there_stay_right(syntax: str) -> None:
    def group(data_set: Dataset, number: int) -> bytes:
        return write(data_set.group_dataset(number), syntax)

    def told(data: bytes, number: int) -> int:
        wanted = Encoding.of(syntax).element(number << 16, "UL", b"____")[:-4]
        return Encoding.of(syntax).number(data[data.index(wanted) + len(wanted) :][:4])

    data_set = image()
    data = b"".join(
        Encoding.of(syntax).element(number << 16, "UL", Encoding.of(syntax).long(len(content))) + content
        for number in (0x0008, 0x0010, 0x0020, 0x7FE0)
        if (content := group(data_set, number))
    )
    made = apply(data, syntax, identity(StudyDescription="GD1AD a longer one"))
    after = read_back(made, syntax)
    for number in (0x0008, 0x0010, 0x0020, 0x7FE0):
        assert told(made, number) == len(group(after, number))


def test_a_text_in_latin_1_names_its_character_set_where_none_was_named() -> None:
    after = read_back(apply(write(image(), EXPLICIT), EXPLICIT, amendment(PatientName="Mäkelä^Åke")), EXPLICIT)
    assert (after.SpecificCharacterSet, str(after.PatientName)) == ("ISO_IR 100", "Mäkelä^Åke")
    assert "SpecificCharacterSet" in after.OriginalAttributesSequence[0].ModifiedAttributesSequence[0]


@pytest.mark.parametrize(
    ("character_set", "name"), [("ISO_IR 192", "Жук^日本"), ("ISO_IR 100", "Mäkelä"), ("ISO_IR 144", "Жук")]
)
def test_a_text_is_written_in_the_data_sets_own_character_set(character_set: str, name: str) -> None:
    data = write(image(SpecificCharacterSet=character_set, PatientName="A^B"), EXPLICIT)
    after = read_back(apply(data, EXPLICIT, amendment(PatientName=name)), EXPLICIT)
    assert (after.SpecificCharacterSet, str(after.PatientName)) == (character_set, name)


@pytest.mark.parametrize("character_set", ["ISO_IR 144", ["", "ISO 2022 IR 87"], "GB18030"])
def test_a_text_that_the_character_set_cannot_hold_is_refused_without_quoting_it(character_set: Any) -> None:
    data = write(image(SpecificCharacterSet=character_set), EXPLICIT)
    with pytest.raises(AmendingError, match="PatientName cannot be written") as caught:
        apply(data, EXPLICIT, amendment(PatientName="Mäkelä"))
    assert "kel" not in str(caught.value)


def test_an_instance_of_another_patient_is_left_alone() -> None:
    data = write(image(PatientID="OTHER"), EXPLICIT)
    one = Amendment(changes={"PatientID": NEW}, origin="link", by="anna", at=AT, patient="TEMP1")
    assert pieces_of(data, EXPLICIT, [one]) == [Range(0, None)]


@pytest.mark.parametrize("left", [9, 45, 121])
def test_a_data_set_that_is_cut_off_is_refused(left: int) -> None:
    head = write(image(), EXPLICIT)[:left]
    with pytest.raises(AmendingError):
        amend(lambda at, count: head[at : at + count], [identity()], (), Encoding.of(EXPLICIT))


@settings(deadline=None, max_examples=80)
@given(data=st.binary(max_size=200), syntax=st.sampled_from(PLAIN))
def test_any_bytes_are_amended_or_refused(data: bytes, syntax: str) -> None:
    with contextlib.suppress(AmendingError):
        amend(lambda at, count: data[at : at + count], [identity()], (), Encoding.of(syntax))


def test_encapsulated_pixels_and_private_sequences_of_undefined_length_are_copied() -> None:
    data_set = image()
    inner = Dataset()
    inner.add_new(0x7FE00010, "OB", encapsulate([b"icon" * 8]))
    inner[0x7FE00010].is_undefined_length = True
    data_set.add_new(0x00880200, "SQ", Items([inner]))
    data_set[0x00880200].is_undefined_length = True
    inner.is_undefined_length_sequence_item = True
    data_set.add_new(0x7FE00010, "OB", encapsulate([b"frame" * 100, b"frames" * 100]))
    data_set[0x7FE00010].is_undefined_length = True
    data = write(data_set, EXPLICIT)
    made = apply(data, EXPLICIT, identity())
    assert made.endswith(data[data.rindex(b"\xe0\x7f\x10\x00OB") :])
    assert read_back(made, EXPLICIT)[0x00880200].value[0].PixelData == data_set[0x00880200].value[0].PixelData


def test_of_a_huge_object_only_the_head_is_read() -> None:
    head = write(image(), EXPLICIT)[: -256 * 40]
    asked = []

    def read(at: int, count: int) -> bytes:
        asked.append((at, count))
        return (head + bytes(1000))[at : at + count]

    pieces = amend(read, [identity()], (), Encoding.of(EXPLICIT))
    assert pieces[-1].end is None  # type: ignore[union-attr]
    assert sum(count for _, count in asked) < 100_000


def test_a_deflated_data_set_is_inflated_amended_and_deflated_again() -> None:
    data = write(image(), EXPLICIT)
    deflater = zlib.compressobj(wbits=-15)
    packed = deflater.compress(data) + deflater.flush()
    steps, _after = applying(scan(data, EXPLICIT, whole=True), [identity()])

    def source() -> Inflating:
        return Inflating(io.BytesIO(b"meta" + packed), 4, len(packed))

    pieces = amend(source().read, steps, (), Encoding.of(EXPLICIT))
    made = b"".join(deflated(inflated(source().read, pieces)))
    assert len(made) % 2 == 0
    assert zlib.decompressobj(-15).decompress(made) == apply(data, EXPLICIT, identity())


def test_a_deflated_data_set_that_is_cut_off_is_refused() -> None:
    deflater = zlib.compressobj(wbits=-15)
    packed = (deflater.compress(write(image(), EXPLICIT)) + deflater.flush())[:-10]
    with pytest.raises(HeaderError, match="cut off|damaged"):
        list(inflated(Inflating(io.BytesIO(packed), 0, len(packed)).read, [Range(0, None)]))


def test_the_result_is_a_file_that_pydicom_reads() -> None:
    data = apply(write(image(), EXPLICIT), EXPLICIT, identity())
    assert dcmread(io.BytesIO(data), force=True).PixelData == bytes(range(256)) * 40
