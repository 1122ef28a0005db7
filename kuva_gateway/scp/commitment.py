"""Storage commitment on associations that others opened (PS3.4 J): a peer's request, and an archive's result.

Keeps nothing. Promises that a request or a result is answered with success only when it was written down; until then
the other side hears a failure and asks or reports again. The report goes out on the association that asked if that is
still open and quiet, else on one of ours.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Protocol

from kuva_gateway.dicom import statuses
from kuva_gateway.dicom.uids import STORAGE_COMMITMENT_INSTANCE, STORAGE_COMMITMENT_PUSH_MODEL, is_valid_uid
from kuva_gateway.errors import DeferredError
from kuva_gateway.forward.references import (
    ALL_COMMITTED,
    REQUEST_COMMITMENT,
    SOME_FAILED,
    FailedReference,
    Reference,
    RequestError,
    Result,
    ResultError,
    read_request,
    read_result,
)
from kuva_gateway.forward.report import tell
from kuva_gateway.network.association import Association
from kuva_gateway.network.commands import Command
from kuva_gateway.network.records import AcceptedContext, Response
from kuva_gateway.scp.refusal import refuse

OnCommitmentResult = Callable[[str, str, Sequence[Reference], Sequence[FailedReference]], None]
"""Takes destination, Transaction UID, committed and failed instances; raises DeferredError when it cannot now."""

_TRANSACTION_UID = 0x0008_1195

QUIET = 0.3
"""Seconds of silence after which the association that asked hears the report: most requestors release it at once."""
REPORT_WITHIN = 2.0
"""Seconds for the report to be made while the association that asked is quiet."""


class CommitmentRequests(Protocol):
    """Who takes requests of peers; every call may raise DeferredError when it cannot now."""

    def take(self, peer: str, transaction_uid: str, references: Sequence[Reference]) -> str:
        """Write it down: ``refused`` (the Transaction UID is in use), ``later``, or ``soon`` (see :meth:`ready`)."""

    def ready(self, peer: str, transaction_uid: str, seconds: float) -> Result | None:
        """The report, if it is made within so many seconds."""

    def told(self, peer: str, transaction_uid: str, status: int | None) -> None:
        """The association that asked answered the report so; None: it was not told."""


def answer_request(
    association: Association,
    context: AcceptedContext,
    command: Command,
    data_set: bytes,
    *,
    allowed: bool,
    ae_title: str,
    requests: CommitmentRequests,
) -> Response:
    """The response to an N-ACTION-RQ (PS3.4 J.3.2, statuses of PS3.7 10.1.4.1.10)."""
    if not context.abstract_syntax == command.requested_class == STORAGE_COMMITMENT_PUSH_MODEL:
        return refuse(statuses.NO_SUCH_CLASS, "only storage commitment is requested by N-ACTION")
    if not (allowed and context.scp):
        return refuse(statuses.NOT_AUTHORISED, "this peer may not ask for storage commitment")
    if command.requested_instance != STORAGE_COMMITMENT_INSTANCE:
        return refuse(statuses.NO_SUCH_INSTANCE, "not the well-known instance of the Push Model")
    if command.action_type != REQUEST_COMMITMENT:
        return refuse(statuses.NO_SUCH_ACTION, "the action type is 1 (PS3.4 J.3.2)")
    try:
        request = read_request(data_set, context.transfer_syntax)
    except RequestError as error:
        return refuse(statuses.INVALID_ARGUMENT_VALUE, str(error))
    peer, uid = association.peer, request.transaction_uid
    try:
        taken = requests.take(peer, uid, request.references)
    except DeferredError:
        return refuse(statuses.PROCESSING_FAILURE, "the catalog is away for now: ask again")
    if taken == "refused":
        return refuse(
            statuses.INVALID_ARGUMENT_VALUE, "the Transaction UID is in use for other instances", _TRANSACTION_UID
        )

    def report_here(association: Association) -> None:
        _report_here(association, context, uid, ae_title=ae_title, requests=requests)

    return Response(status=statuses.SUCCESS, after=report_here if taken == "soon" else None)


def _report_here(
    association: Association, context: AcceptedContext, uid: str, *, ae_title: str, requests: CommitmentRequests
) -> None:
    """Report on the association that asked, unless the peer goes on to do something else with it, or ends it."""
    status: int | None = None
    try:
        result = _quiet_until_ready(association, uid, requests)
        if result is not None:
            status = tell(association, context, result, retrieve_ae_title=ae_title)
    finally:
        with contextlib.suppress(DeferredError):  # the report goes out later, perhaps once more
            requests.told(association.peer, uid, status)


def _quiet_until_ready(association: Association, uid: str, requests: CommitmentRequests) -> Result | None:
    deadline = monotonic() + REPORT_WITHIN
    result: Result | None = None
    with contextlib.suppress(DeferredError):
        while not association.input_waits(QUIET) and result is None and monotonic() < deadline:
            result = requests.ready(association.peer, uid, QUIET)
    return None if association.input_waits() else result


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
