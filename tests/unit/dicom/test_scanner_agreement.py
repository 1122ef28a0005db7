"""The scanner finds what pydicom finds: in every file that pydicom and pynetdicom ship, and in made-up data sets."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from kuva_gateway.dicom.header import Header
from kuva_gateway.dicom.scanner import Incomplete, TruncatedError, scan, scan_stream
from tests.unit.dicom import reference
from tests.unit.dicom.strategies import SYNTAXES, data_sets

NO_SYNTAX = {"meta_missing_tsyntax.dcm"}
TRUNCATED = {"MR_truncated.dcm"}
FILES = [path for path in reference.shipped_files() if path.name not in NO_SYNTAX]
WITHOUT_META = {
    "rtstruct.dcm": "1.2.840.10008.1.2",
    "ExplVR_LitEndNoMeta.dcm": "1.2.840.10008.1.2.1",
    "ExplVR_BigEndNoMeta.dcm": "1.2.840.10008.1.2.2",
}
DEFLATED = "1.2.840.10008.1.2.1.99"


def scan_both_ways(data: bytes, syntax: str) -> Header:
    """The header out of memory; the one out of a file must be the same."""
    try:
        header = scan(data, syntax, whole=True)
    except TruncatedError as error:
        header = error.header
    try:
        from_file = scan_stream(io.BytesIO(b"12345" + data), 5, len(data), syntax)
    except TruncatedError as error:
        from_file = error.header
    assert from_file == header
    return header


def test_there_are_files_to_compare() -> None:
    assert len(FILES) > 50
    assert {path.parent.name for path in FILES} >= {"charset_files", "test_files", "dicom_files"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_field_agrees_on_a_shipped_file(path: Path) -> None:
    data, syntax = reference.data_set_of(path)
    expected = reference.read_header(data, syntax)
    assert not list(reference.differences(scan_both_ways(data, syntax), expected))


@pytest.mark.parametrize("name", WITHOUT_META)
def test_every_field_agrees_on_a_shipped_file_without_meta_information(name: str) -> None:
    path = next(reference.PACKAGES[0].rglob(name))
    data, syntax = path.read_bytes(), WITHOUT_META[name]
    expected = reference.read_header(data, syntax)
    assert expected.sop_class_uid
    assert not list(reference.differences(scan_both_ways(data, syntax), expected))


def test_a_file_whose_pixels_are_cut_off_is_told_from_the_others() -> None:
    truncated = set()
    for path in FILES:
        data, syntax = reference.data_set_of(path)
        try:
            scan(data, syntax, whole=True)
        except TruncatedError:
            truncated.add(path.name)
    assert truncated == TRUNCATED


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data_sets(), st.sampled_from(sorted(SYNTAXES)))
def test_every_field_agrees_on_made_up_data_sets(data_set: Dataset, syntax: str) -> None:
    plain = reference.encoded(data_set, **SYNTAXES[syntax])
    expected = reference.read_header(plain, syntax if syntax != DEFLATED else "1.2.840.10008.1.2.1")
    if syntax == DEFLATED:
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        data = packer.compress(plain) + packer.flush()
    else:
        data = plain
    found = list(reference.differences(scan_both_ways(data, syntax), expected))
    assert not [difference for difference in found if not difference.startswith("transfer_syntax_uid")]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data_sets(), st.sampled_from(sorted(SYNTAXES)), st.floats(min_value=0, max_value=1))
def test_a_head_gives_the_same_header_or_asks_for_more(data_set: Dataset, syntax: str, part: float) -> None:
    data = reference.encoded(data_set, **SYNTAXES[syntax])
    if syntax == DEFLATED:
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        data = packer.compress(data) + packer.flush()
    expected = scan(data, syntax, whole=True)
    try:
        header = scan(data[: int(len(data) * part)], syntax, whole=False)
    except Incomplete:
        return
    assert header == expected


def test_the_files_of_pydicom_are_those_that_are_installed() -> None:
    assert all(Path(pydicom.__file__).parents[1] in path.parents for path in FILES)
