"""The bytes in front of a data set: a function of three values, and readable by others."""

from __future__ import annotations

import io
from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.data import get_testdata_file

from kuva_gateway.dicom.header import HeaderError
from kuva_gateway.dicom.part10 import preamble_and_meta, read_meta, usual_offset
from kuva_gateway.dicom.uids import IMPLEMENTATION_CLASS_UID

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
UIDS = st.lists(st.integers(min_value=0, max_value=9999), min_size=2, max_size=10).map(lambda a: ".".join(map(str, a)))


@given(UIDS, UIDS, UIDS)
def test_what_was_written_is_read_back(sop_class: str, sop_instance: str, syntax: str) -> None:
    written = preamble_and_meta(sop_class, sop_instance, syntax)
    meta = read_meta(io.BytesIO(written + b"\x08\x00\x05\x00CS\x00\x00"))
    assert (meta.sop_class, meta.sop_instance, meta.transfer_syntax) == (sop_class, sop_instance, syntax)
    assert meta.dataset_offset == len(written)
    assert written == preamble_and_meta(sop_class, sop_instance, syntax)


def test_pydicom_reads_what_was_written_and_finds_nothing_else() -> None:
    read = pydicom.dcmread(io.BytesIO(preamble_and_meta(CT, "1.2.3", EXPLICIT)))
    meta = read.file_meta
    assert read.preamble == bytes(128)
    assert meta.MediaStorageSOPClassUID == CT
    assert meta.MediaStorageSOPInstanceUID == "1.2.3"
    assert meta.TransferSyntaxUID == EXPLICIT
    assert meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert meta.FileMetaInformationVersion == b"\x00\x01"
    assert meta.FileMetaInformationGroupLength == len(preamble_and_meta(CT, "1.2.3", EXPLICIT)) - 144
    assert len(meta) == 6


def test_a_real_file_is_read_as_pydicom_reads_it() -> None:
    path = get_testdata_file("CT_small.dcm")
    expected = pydicom.dcmread(path).file_meta
    with open(path, "rb") as stream:
        meta = read_meta(stream)
        stream.seek(meta.dataset_offset)
        assert stream.read(2) == b"\x08\x00"
    assert meta.transfer_syntax == expected.TransferSyntaxUID
    assert meta.sop_class == expected.MediaStorageSOPClassUID
    assert meta.sop_instance == expected.MediaStorageSOPInstanceUID


def test_a_wrong_group_length_does_not_matter() -> None:
    written = bytearray(preamble_and_meta(CT, "1.2.3", EXPLICIT))
    written[140:144] = b"\xff\xff\xff\x7f"
    assert read_meta(io.BytesIO(bytes(written))).dataset_offset == len(written)


@pytest.mark.parametrize("size", [0, 1, 127, 131, 132, 143, 150, 158, 170, 200, 220, 240])
def test_a_cut_off_file_is_an_error(size: int) -> None:
    with pytest.raises(HeaderError):
        read_meta(io.BytesIO(preamble_and_meta(CT, "1.2.3", EXPLICIT)[:size]))


@pytest.mark.parametrize(
    "tail",
    [
        b"\x02\x00\x10\x00UN\x00\x00\xff\xff\xff\xff",
        b"\x02\x00\x10\x00OB\x00\x00\x00\x00\x00\x7f",
        b"\x02\x00\x10\x00\x04\x00\x00\x00" + b"1.2\0",
        b"\x02\x00\x10\x00UI\x00\x00",
    ],
)
def test_hostile_meta_information_is_an_error(tail: bytes) -> None:
    with pytest.raises(HeaderError):
        read_meta(io.BytesIO(bytes(128) + b"DICM" + tail))


@given(st.binary(max_size=400))
def test_random_bytes_behind_the_prefix_give_meta_or_an_error(data: bytes) -> None:
    try:
        meta = read_meta(io.BytesIO(bytes(128) + b"DICM" + data))
    except HeaderError:
        return
    assert meta.transfer_syntax


def test_a_uid_that_is_not_ascii_is_refused() -> None:
    with pytest.raises(HeaderError):
        preamble_and_meta(CT, "1.2.ä", EXPLICIT)


def test_a_file_of_our_own_tells_its_offset_at_one_go_and_any_other_does_not(tmp_path: Path) -> None:
    start = preamble_and_meta("1.2.3", "1.2.3.4", "1.2.840.10008.1.2.1")
    path = tmp_path / "file"
    path.write_bytes(start + b"data set")
    with path.open("rb") as file:
        offset = usual_offset(file.fileno(), "1.2.3", "1.2.3.4", "1.2.840.10008.1.2.1")
        assert offset == len(start) == read_meta(file).dataset_offset
        assert usual_offset(file.fileno(), "1.2.3", "1.2.3.5", "1.2.840.10008.1.2.1") is None
        assert usual_offset(file.fileno(), "1.2.3", "1.2.3.4", "1.2.840.10008.1.2") is None
    path.write_bytes(start[:-1])
    with path.open("rb") as file:
        assert usual_offset(file.fileno(), "1.2.3", "1.2.3.4", "1.2.840.10008.1.2.1") is None
