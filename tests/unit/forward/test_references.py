"""The data sets of storage commitment, written and read."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.filereader import read_dataset
from pynetdicom.dsutils import encode

from kuva_gateway.dicom.syntaxes import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from kuva_gateway.forward.references import Result, ResultError, read_result, write_request
from tests.unit.forward.archive import Report, data_set_of

CT = "1.2.840.10008.5.1.4.1.1.2"


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE, EXPLICIT_LITTLE])
def test_a_request_names_transaction_and_every_instance_once(syntax: str) -> None:
    data = write_request("2.25.7", [(CT, "1.2.1"), (CT, "1.2.2"), (CT, "1.2.1")], syntax)
    found = read_dataset(BytesIO(data), is_implicit_VR=syntax == IMPLICIT_LITTLE, is_little_endian=True)
    assert found.TransactionUID == "2.25.7"
    assert [i.ReferencedSOPInstanceUID for i in found.ReferencedSOPSequence] == ["1.2.1", "1.2.2"]
    assert {i.ReferencedSOPClassUID for i in found.ReferencedSOPSequence} == {CT}
    assert len(data) % 2 == 0


@pytest.mark.parametrize("implicit", [True, False])
def test_a_result_is_read_with_its_reasons(implicit: bool) -> None:
    report = Report(committed=[(CT, "1.2.1")], failed=[(CT, "1.2.2", 0x0112), (CT, "1.2.3", 0x0119)])
    data_set, _ = data_set_of(report, "2.25.9")
    data_set.RetrieveAETitle = "ARCHIVE"
    data = encode(data_set, implicit, True)
    assert data is not None
    assert read_result(data, IMPLICIT_LITTLE if implicit else EXPLICIT_LITTLE) == Result(
        transaction_uid="2.25.9",
        committed=((CT, "1.2.1"),),
        failed=((CT, "1.2.2", 0x0112), (CT, "1.2.3", 0x0119)),
    )


def test_a_failure_without_a_reason_is_a_processing_failure() -> None:
    data_set, _ = data_set_of(Report(failed=[(CT, "1.2.2", 1)]), "2.25.9")
    del data_set.FailedSOPSequence[0].FailureReason
    data = encode(data_set, True, True)
    assert data is not None
    assert read_result(data, IMPLICIT_LITTLE).failed == ((CT, "1.2.2", 0x0110),)


def test_a_result_without_a_transaction_is_refused() -> None:
    with pytest.raises(ResultError):
        read_result(b"", IMPLICIT_LITTLE)


@given(st.binary(max_size=300), st.sampled_from([IMPLICIT_LITTLE, EXPLICIT_LITTLE]))
def test_any_bytes_are_a_result_or_refused(data: bytes, syntax: str) -> None:
    try:
        result = read_result(data, syntax)
    except ResultError:
        return
    assert result.transaction_uid


def test_a_result_that_is_nested_very_deep_is_refused() -> None:
    tag = bytes.fromhex("08009911") + b"\xff\xff\xff\xff" + bytes.fromhex("feff00e0") + b"\xff\xff\xff\xff"
    with pytest.raises(ResultError):
        read_result(tag * 5000, IMPLICIT_LITTLE)
