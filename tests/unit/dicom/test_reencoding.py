"""Data sets in another uncompressed transfer syntax: pydicom and DCMTK read the same values from both."""

from __future__ import annotations

import contextlib
import io
import subprocess
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.sequence import Sequence as Items

from kuva_gateway.dicom import part10
from kuva_gateway.dicom.amending import Piece, Range
from kuva_gateway.dicom.encoding import Encoding
from kuva_gateway.dicom.header import HeaderError
from kuva_gateway.dicom.reencoding import ReencodingError, reencodable, reencode
from tests.support import dcmtk
from tests.unit.dicom.reference import data_set_of, encoded, shipped_files
from tests.unit.dicom.strategies import data_sets

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED, JPEG = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.50"
WAYS = [(EXPLICIT, IMPLICIT), (IMPLICIT, EXPLICIT), (BIG, EXPLICIT), (BIG, IMPLICIT)]


def pieces_of(data: bytes, source: str, target: str) -> list[Piece]:
    return list(reencode(lambda at, count: data[at : at + count], Encoding.of(source), Encoding.of(target)))


def reencoded(data: bytes, source: str, target: str) -> bytes:
    return b"".join(
        data[piece.start : piece.end] if isinstance(piece, Range) else piece
        for piece in pieces_of(data, source, target)
    )


def write(data_set: Dataset, syntax: str) -> bytes:
    return encoded(data_set, implicit=syntax == IMPLICIT, big_endian=syntax == BIG)


def read(data: bytes, syntax: str) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = read_dataset(io.BytesIO(data), syntax == IMPLICIT, syntax != BIG)
        _normal(made, turned=syntax == BIG)
        return made


def _normal(data_set: Dataset, *, turned: bool) -> None:
    """Every sequence and item with an undefined length, words (which pydicom leaves alone) in little endian."""
    data_set.is_undefined_length_sequence_item = True
    for element in data_set:
        if element.VR == "OW" and turned and element.value:
            element.value = _swapped(element.value)
        if element.VR == "SQ":
            element.is_undefined_length = True
            for item in element.value:
                _normal(item, turned=turned)


def _swapped(data: bytes) -> bytes:
    return bytes(one for at in range(0, len(data), 2) for one in (data[at + 1], data[at]))


def canonical(data: bytes, syntax: str) -> bytes:
    return write(read(data, syntax), IMPLICIT)


def _without_private_text(data_set: Dataset, element: DataElement) -> None:
    """pydicom decodes it and writes it otherwise where it has a representation, and not where it has none."""
    if element.tag.is_private and element.VR in ("LO", "SH"):
        element.value = "X"


@pytest.mark.parametrize(("source", "target"), WAYS)
@settings(max_examples=20, deadline=None)
@given(data_set=data_sets())
def test_every_value_stays_whatever_the_data_set(source: str, target: str, data_set: Dataset) -> None:
    data_set.walk(_without_private_text)
    data = write(data_set, source)
    assert canonical(reencoded(data, source, target), target) == canonical(data, source)


def plain_files() -> list[Path]:
    found = []
    for path in shipped_files():
        with contextlib.suppress(HeaderError):
            found += [path] if data_set_of(path)[1] in (IMPLICIT, EXPLICIT, BIG) else []
    return found


def by_dcmtk(data: bytes, syntax: str, folder: Path) -> bytes:
    """What DCMTK makes of it: implicit little endian, undefined lengths, no group lengths; b"" if it cannot."""
    given, made = folder / "given.dcm", folder / "made.dcm"
    given.write_bytes(part10.preamble_and_meta("1.2", "1.2.3", syntax) + data)
    run = subprocess.run([dcmtk("dcmconv"), "-q", "+ti", "-g", "-e", given, made], capture_output=True, check=False)
    return data_set_of(made)[0] if run.returncode == 0 else b""


def test_dcmtk_reads_the_same_from_real_files_and_from_what_was_made_of_them(tmp_path: Path) -> None:
    compared = 0
    for path in plain_files()[::6]:
        data, source = data_set_of(path)
        expected = by_dcmtk(data, source, tmp_path)
        if not expected or len(data) > 700_000:
            continue
        for target in reencodable(source):
            try:
                made = reencoded(data, source, target)
            except (HeaderError, ReencodingError):
                continue
            assert by_dcmtk(made, target, tmp_path) == expected, (path.name, target)
            compared += 1
    assert compared > 4


def image(**values: object) -> Dataset:
    made = Dataset()
    made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    made.Rows, made.Columns, made.BitsAllocated, made.PixelRepresentation = 4, 4, 16, 1
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def test_what_depends_on_the_pixels_sign_is_signed_before_and_behind_it_and_in_items() -> None:
    made = image(SmallestImagePixelValue=-5)
    made["SmallestImagePixelValue"].VR = "SS"
    region = Dataset()
    region.add_new(0x00189810, "SS", -7)
    made.SequenceOfUltrasoundRegions = Items([region])
    result = read(reencoded(write(made, IMPLICIT), IMPLICIT, EXPLICIT), EXPLICIT)
    assert (result.SmallestImagePixelValue, result.SequenceOfUltrasoundRegions[0][0x00189810].value) == (-5, -7)
    assert result["SmallestImagePixelValue"].VR == result.SequenceOfUltrasoundRegions[0][0x00189810].VR == "SS"


def test_pixels_of_little_endian_stay_where_they_are_and_those_of_big_endian_are_turned_round() -> None:
    made = image()
    made.add_new(0x7FE00010, "OW", bytes(range(256)) * 1024)
    data = write(made, EXPLICIT)
    assert [piece for piece in pieces_of(data, EXPLICIT, IMPLICIT) if isinstance(piece, Range)] == [
        Range(len(data) - 262144, len(data))
    ]
    head = write(image(), BIG) + b"\x7f\xe0\0\x10OW\0\0" + (262144).to_bytes(4, "big")
    result = read(reencoded(head + bytes((1, 0)) * 131072, BIG, EXPLICIT), EXPLICIT)
    assert result.PixelData == bytes((0, 1)) * 131072


def test_compressed_pixels_and_what_is_not_certain_are_refused() -> None:
    compressed = write(image(), EXPLICIT) + b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\0\0\0\0"
    with pytest.raises(ReencodingError, match="compressed pixels"):
        reencoded(compressed, EXPLICIT, IMPLICIT)
    deep = image(BitsAllocated=32)
    deep.add_new(0x7FE00010, "OW", bytes(64))
    with pytest.raises(ReencodingError, match="more than 16 bits"):
        reencoded(write(deep, BIG), BIG, EXPLICIT)
    with pytest.raises(ReencodingError, match="big endian"):
        reencoded(write(image(), EXPLICIT), EXPLICIT, BIG)
    assert (reencodable(EXPLICIT), reencodable(DEFLATED)) == ((IMPLICIT,), (EXPLICIT, IMPLICIT))
    assert reencodable(JPEG) == reencodable("1.2.840.10008.1.2.1.98") == ()


def test_a_value_too_long_for_its_representation_is_of_unknown_one() -> None:
    made = image()
    data = write(made, IMPLICIT) + b"\x40\0\x00\x41" + (70_000).to_bytes(4, "little") + b"x" * 70_000
    result = read(reencoded(data, IMPLICIT, EXPLICIT), EXPLICIT)
    assert (result[0x00404100].VR, len(result[0x00404100].value)) == ("UN", 70_000)


def test_an_odd_creator_of_private_elements_is_text_and_they_are_of_unknown_representation() -> None:
    made = image()
    made.add_new(0x00110010, "LO", "SOMEBODY")
    made.add_new(0x00111001, "OB", b"ab")
    result = reencoded(write(made, IMPLICIT), IMPLICIT, EXPLICIT)
    assert b"\x11\0\x10\0LO\x08\0SOMEBODY\x11\0\x01\x10UN\0\0\x02\0\0\0ab" in result


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=300), way=st.sampled_from(WAYS), cut=st.integers(0, 400))
def test_any_bytes_are_written_anew_or_refused(data: bytes, way: tuple[str, str], cut: int) -> None:
    for given_bytes in (data, (write(image(), way[0]) + data)[:cut]):
        try:
            reencoded(given_bytes, *way)
        except (HeaderError, ReencodingError):
            continue


@pytest.mark.parametrize(("source", "target"), WAYS)
def test_a_data_set_that_is_cut_off_is_refused(source: str, target: str) -> None:
    data = write(image(PatientComments="x" * 100, PixelData=b""), source)
    for end in (len(data) - 1, len(data) - 20, 30):
        with pytest.raises(HeaderError):
            reencoded(data[:end], source, target)
