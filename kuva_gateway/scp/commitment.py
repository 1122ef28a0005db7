"""Results of storage commitment that an archive reports on an association of its own (PS3.4 J.3.3).

Keeps nothing. Promises that a result is answered with success only when it was taken in; until then the archive hears
a failure and reports again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kuva_gateway.dicom import statuses
from kuva_gateway.dicom.uids import STORAGE_COMMITMENT_PUSH_MODEL, is_valid_uid
from kuva_gateway.errors import DeferredError
from kuva_gateway.forward.references import (
    ALL_COMMITTED,
    SOME_FAILED,
    FailedReference,
    Reference,
    Result,
    ResultError,
    read_result,
)
from kuva_gateway.network.commands import Command
from kuva_gateway.network.records import AcceptedContext, Response
from kuva_gateway.scp.refusal import refuse

OnCommitmentResult = Callable[[str, str, Sequence[Reference], Sequence[FailedReference]], None]
"""Takes destination, Transaction UID, committed and failed instances; raises DeferredError when it cannot now."""

_TRANSACTION_UID = 0x0008_1195


def answer_report(
    context: AcceptedContext,
    command: Command,
    data_set: bytes,
    *,
    destinations: Sequence[str],
    on_result: OnCommitmentResult,
) -> Response:
    """The response to an N-EVENT-REPORT-RQ (statuses of PS3.7 10.1.1.1.8).

    Parameters
    ----------
    destinations
        The destinations that have the AE title of whoever reports. Each is told: an archive may be two destinations,
        and only one of them knows the transaction.
    """
    right = context.abstract_syntax == command.affected_class == STORAGE_COMMITMENT_PUSH_MODEL
    if not right:
        return refuse(statuses.NO_SUCH_CLASS, "only results of storage commitment are taken")
    if not destinations:
        return refuse(statuses.NOT_AUTHORISED, "results are taken from destinations only")
    if command.event_type not in (ALL_COMMITTED, SOME_FAILED):
        return refuse(statuses.NO_SUCH_EVENT_TYPE, "event types are 1 and 2 (PS3.4 J.3.3)")
    try:
        result = _read(data_set, context.transfer_syntax)
    except ResultError as error:
        return refuse(statuses.PROCESSING_FAILURE, str(error), _TRANSACTION_UID)
    try:
        for destination in destinations:
            on_result(destination, result.transaction_uid, result.committed, result.failed)
    except DeferredError:
        return refuse(statuses.PROCESSING_FAILURE, "the catalog is away for now: report again")
    return Response(status=statuses.SUCCESS)


def _read(data_set: bytes, transfer_syntax: str) -> Result:
    """The result; the network has bounded its length."""
    result = read_result(data_set, transfer_syntax)
    if not is_valid_uid(result.transaction_uid):
        raise ResultError("the Transaction UID is malformed")
    return result
