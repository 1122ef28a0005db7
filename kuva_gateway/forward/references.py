"""The data sets of storage commitment (PS3.4 annex J), as either side writes and reads them, with pydicom.

Keeps nothing. A request that is written names each instance once; request and result are read from any bytes without
raising anything but :class:`RequestError` or :class:`ResultError`: they come from anybody whom the policy lets in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from kuva_gateway.dicom import statuses, syntaxes
from kuva_gateway.dicom.uids import is_valid_uid
from kuva_gateway.errors import GatewayError

REQUEST_COMMITMENT = 1  # Action Type ID, PS3.4 J.3.2
ALL_COMMITTED = 1  # Event Type ID, PS3.4 J.3.3
SOME_FAILED = 2

Reference = tuple[str, str]  # SOP Class UID, SOP Instance UID
FailedReference = tuple[str, str, int]  # the same, and the Failure Reason (0008,1197)


class ResultError(GatewayError):
    """The bytes are no storage commitment result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What an archive says about one transaction."""

    transaction_uid: str
    committed: tuple[Reference, ...]
    failed: tuple[FailedReference, ...]


class RequestError(GatewayError):
    """The bytes are no storage commitment request; the text may go to the peer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a peer asks us to commit to; each instance once."""

    transaction_uid: str
    references: tuple[Reference, ...]


def write_request(transaction_uid: str, references: Sequence[Reference], transfer_syntax: str) -> bytes:
    """The Action Information of an N-ACTION-RQ (PS3.4 table J.3-1)."""
    data_set = Dataset()
    data_set.TransactionUID = transaction_uid
    data_set.ReferencedSOPSequence = [_item(*reference) for reference in dict.fromkeys(references)]
    return encoded(data_set, transfer_syntax)


def write_result(result: Result, transfer_syntax: str, *, retrieve_ae_title: str) -> bytes:
    """The Event Information of an N-EVENT-REPORT-RQ (PS3.4 table J.3-2)."""
    data_set = Dataset()
    data_set.RetrieveAETitle = retrieve_ae_title
    data_set.TransactionUID = result.transaction_uid
    if result.committed:
        data_set.ReferencedSOPSequence = [_item(*reference) for reference in result.committed]
    if result.failed:
        data_set.FailedSOPSequence = [_item(*reference, reason=reason) for *reference, reason in result.failed]
    return encoded(data_set, transfer_syntax)


def event_type(result: Result) -> int:
    """The Event Type ID that tells whether anything failed."""
    return SOME_FAILED if result.failed else ALL_COMMITTED


def encoded(data_set: Dataset, transfer_syntax: str) -> bytes:
    """A small data set as it goes out in an uncompressed transfer syntax."""
    stream = DicomBytesIO()
    stream.is_implicit_VR = syntaxes.is_implicit(transfer_syntax)
    stream.is_little_endian = not syntaxes.is_big_endian(transfer_syntax)
    write_dataset(stream, data_set)
    return stream.getvalue()


def read_request(data: bytes, transfer_syntax: str) -> Request:
    """The Action Information of an N-ACTION-RQ (PS3.4 table J.3-1), checked.

    Raises
    ------
    RequestError
        It cannot be parsed, lacks what it must have, or has a UID that is none.
    """
    try:
        data_set = _parsed(data, transfer_syntax)
        uid = str(data_set.get("TransactionUID", "") or "")
        references = tuple(dict.fromkeys(_reference(item) for item in data_set.get("ReferencedSOPSequence", ()) or ()))
    except Exception as error:  # pydicom raises nearly anything for hostile bytes
        raise RequestError("the action information cannot be parsed") from error
    if not is_valid_uid(uid):
        raise RequestError("Transaction UID is missing or malformed")
    if not references:
        raise RequestError("Referenced SOP Sequence is missing or empty")
    if not all(is_valid_uid(one) for reference in references for one in reference):
        raise RequestError("a referenced SOP Class or Instance UID is malformed")
    return Request(transaction_uid=uid, references=references)


def read_result(data: bytes, transfer_syntax: str) -> Result:
    """The Event Information of an N-EVENT-REPORT-RQ (PS3.4 table J.3-2).

    Which instances failed is read from the data set, not from the Event Type ID: archives set the latter wrongly.

    Raises
    ------
    ResultError
        It cannot be parsed, or has no Transaction UID.
    """
    try:
        return _read(data, transfer_syntax)
    except ResultError:
        raise
    except Exception as error:  # pydicom raises nearly anything for hostile bytes
        raise ResultError(f"the commitment result cannot be parsed ({type(error).__name__})") from error


def _parsed(data: bytes, transfer_syntax: str) -> Dataset:
    return read_dataset(
        BytesIO(data),
        is_implicit_VR=syntaxes.is_implicit(transfer_syntax),
        is_little_endian=not syntaxes.is_big_endian(transfer_syntax),
    )


def _read(data: bytes, transfer_syntax: str) -> Result:
    data_set = _parsed(data, transfer_syntax)
    transaction_uid = str(data_set.get("TransactionUID", ""))
    if not transaction_uid:
        raise ResultError("the commitment result has no Transaction UID")
    return Result(
        transaction_uid=transaction_uid,
        committed=tuple(_reference(item) for item in data_set.get("ReferencedSOPSequence", ())),
        failed=tuple(_failed(data_set.get("FailedSOPSequence", ()))),
    )


def _reference(item: Dataset) -> Reference:
    return str(item.get("ReferencedSOPClassUID", "")), str(item.get("ReferencedSOPInstanceUID", ""))


def _failed(items: Iterable[Dataset]) -> Iterable[FailedReference]:
    for item in items:
        reason = item.get("FailureReason")
        yield *_reference(item), int(reason) if reason is not None else statuses.PROCESSING_FAILURE


def _item(sop_class: str, sop_instance: str, *, reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class
    item.ReferencedSOPInstanceUID = sop_instance
    if reason is not None:
        item.FailureReason = reason
    return item
