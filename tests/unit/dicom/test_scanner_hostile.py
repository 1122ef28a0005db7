"""Random and mutated bytes give a header, an error that is ours, or a wish for more; in bounded time and memory."""

from __future__ import annotations

import io
import time
import tracemalloc
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kuva_gateway.dicom import fallback, scanner, walk
from kuva_gateway.dicom.header import Header, HeaderError, from_json, to_json
from kuva_gateway.dicom.part10 import read_meta
from kuva_gateway.dicom.scanner import Incomplete, scan, scan_stream
from tests.unit.dicom import reference
from tests.unit.dicom.strategies import SYNTAXES

SEEDS = (
    "CT_small.dcm",
    "MR_small_bigendian.dcm",
    "rtplan.dcm",
    "test-SR.dcm",
    "image_dfl.dcm",
    "chrX1.dcm",
    "chrH31.dcm",
)
SECONDS = 5.0
"""What one hostile data set of a few kilobytes may take at the very most, on a slow and busy machine."""

ANY_SYNTAX = st.sampled_from([*SYNTAXES, "1.2.840.10008.1.2.4.70", "1.2.3"])


@cache
def seeds() -> list[tuple[bytes, str]]:
    found = [path for path in reference.shipped_files() if path.name in SEEDS]
    assert len(found) >= 5
    return [(data[:30_000], syntax) for data, syntax in map(reference.data_set_of, found)]


def survives(data: bytes, syntax: str) -> None:
    began = time.monotonic()
    for attempt in (
        lambda: scan(data, syntax, whole=True),
        lambda: scan(data, syntax, whole=False),
        lambda: scan_stream(io.BytesIO(data), 0, len(data), syntax),
    ):
        try:
            header = attempt()
        except (HeaderError, Incomplete):
            continue
        assert isinstance(header, Header)
        assert from_json(to_json(header)) == header
        assert "\\u0000" not in to_json(header)
    assert time.monotonic() - began < SECONDS


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=600), ANY_SYNTAX)
@example(b"", "1.2.840.10008.1.2.1")
def test_random_bytes(data: bytes, syntax: str) -> None:
    survives(data, syntax)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_mutated_files(data: st.DataObject) -> None:
    original, syntax = data.draw(st.sampled_from(seeds()))
    changed = bytearray(original)
    for _ in range(data.draw(st.integers(min_value=1, max_value=6))):
        place = data.draw(st.integers(min_value=0, max_value=min(len(changed), 4000)))
        piece = data.draw(
            st.one_of(
                st.binary(min_size=1, max_size=8),
                st.sampled_from([b"\xff\xff\xff\xff", b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0", b"SQ\0\0", b"UN\0\0"]),
            )
        )
        if data.draw(st.booleans()):
            changed[place : place + len(piece)] = piece
        else:
            changed[place:place] = piece
    survives(bytes(changed[: data.draw(st.integers(min_value=0, max_value=len(changed)))]), syntax)


TAGS = [0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD, 0x00080005, 0x00080016, 0x00081032, 0x00400275, 0x54000100, 0x00091001]


@st.composite
def hostile_elements(draw: st.DrawFn) -> bytes:
    """Elements in explicit little endian with wanted tags, any VR, and lengths that are right, wrong or undefined."""
    made = b""
    for _ in range(draw(st.integers(min_value=1, max_value=12))):
        tag = draw(st.sampled_from(TAGS))
        vr = draw(st.sampled_from([b"SQ", b"UN", b"UI", b"OB", b"UT", b"ZZ", b"\0\0"]))
        value = draw(st.binary(max_size=12))
        length = draw(st.sampled_from([len(value), 0, 8, 0xFFFFFFFF, 0x7FFFFFFF]))
        start = (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little")
        if vr in (b"UI", b"ZZ"):
            made += start + vr + (length & 0xFFFF).to_bytes(2, "little") + value
        elif vr == b"\0\0":
            made += start + length.to_bytes(4, "little") + value
        else:
            made += start + vr + b"\0\0" + length.to_bytes(4, "little") + value
    return made


@settings(max_examples=500, deadline=None)
@given(hostile_elements(), ANY_SYNTAX)
def test_elements_that_contradict_each_other(data: bytes, syntax: str) -> None:
    survives(data, syntax)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_random_part_10_files(data: bytes) -> None:
    try:
        meta = read_meta(io.BytesIO(bytes(128) + b"DICM" + data))
    except HeaderError:
        return
    assert meta.dataset_offset <= 132 + len(data)


class _Endless(io.RawIOBase):
    """A file of 3 GiB that repeats one element, so that it need not exist."""

    def __init__(self, unit: bytes) -> None:
        self._block = unit * (1 + (1 << 19) // len(unit))
        self._unit = len(unit)
        self._position = 0

    def seek(self, position: int, whence: int = 0) -> int:
        self._position = position
        return position

    def read(self, size: int = -1) -> bytes:
        begin = self._position % self._unit
        data = self._block[begin : begin + size]
        self._position += len(data)
        return data


UNITS = {
    "empty elements": b"\x09\x00\x01\x10LO\x00\x00",
    "empty wanted sequences": b"\x08\x00\x32\x10SQ\x00\x00\x00\x00\x00\x00",
    "empty items": b"\x08\x00\x32\x10SQ\x00\x00\x08\x00\x00\x00" + b"\xfe\xff\x00\xe0\x00\x00\x00\x00",
    "values of 64 KiB": b"\x09\x00\x01\x10OB\x00\x00\x00\x00\x01\x00" + bytes(65536),
    "no known VR": b"\x09\x00\x01\x10ZZ\x04\x00abcd",
}


@pytest.mark.parametrize("unit", UNITS)
def test_a_huge_file_of_small_elements_ends_soon(unit: str) -> None:
    began = time.monotonic()
    with pytest.raises(HeaderError):
        scan_stream(_Endless(UNITS[unit]), 0, 3 << 30, "1.2.840.10008.1.2.1")  # type: ignore[arg-type]
    assert time.monotonic() - began < 60


@pytest.mark.slow
@pytest.mark.parametrize("unit", UNITS)
def test_a_huge_file_of_small_elements_takes_bounded_memory(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanner, "READ_LIMIT", 4 << 20)
    monkeypatch.setattr(fallback, "READ_LIMIT", 1 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(HeaderError):
            scan_stream(_Endless(UNITS[unit]), 0, 3 << 30, "1.2.840.10008.1.2.1")  # type: ignore[arg-type]
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_the_seeds_are_understood_as_they_are() -> None:
    for path in reference.shipped_files():
        if path.name in SEEDS:
            data, syntax = reference.data_set_of(Path(path))
            assert scan(data, syntax, whole=True).sop_class_uid


def test_items_inside_values_that_are_skipped_count_as_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "MOST_STEPS", 1000)
    value = b"\xfe\xff\x00\xe0\0\0\0\0" * 64
    element = b"\x09\x00\x01\x10UN\0\0" + len(value).to_bytes(4, "little") + value
    behind = b"\x43\x00\x01\x00LO\0\0"
    scan(element * 5 + behind, "1.2.840.10008.1.2.1", whole=True)
    with pytest.raises(HeaderError, match="too many parts"):
        scan(element * 20 + behind, "1.2.840.10008.1.2.1", whole=True)
