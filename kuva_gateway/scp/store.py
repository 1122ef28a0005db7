"""C-STORE: the checks that must be answered at once, then the spool, then 0000 (PS3.4 annex B, DESIGN section 2).

Everything that a person could fix later is accepted here and held by validation. Promises that 0000 is answered only
for bytes that are on stable storage, exactly as they were received, and that anything else leaves nothing behind.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

from kuva_gateway.dicom import statuses
from kuva_gateway.dicom.header import Header, HeaderError
from kuva_gateway.dicom.scanner import Incomplete, TruncatedError, scan, scan_early, scan_stream
from kuva_gateway.dicom.uids import is_valid_uid
from kuva_gateway.errors import DeferredError, NoSpaceError
from kuva_gateway.metrics.tally import Tally
from kuva_gateway.network.association import Association
from kuva_gateway.network.commands import Command
from kuva_gateway.network.records import AcceptedContext, Response
from kuva_gateway.scp.activity import Activities, Activity
from kuva_gateway.scp.limits import Limiter, TooLargeError
from kuva_gateway.scp.refusal import RefusalLike, refuse
from kuva_gateway.scp.told import Telling
from kuva_gateway.spool import Arrival, Incoming, Spool, StorageError

OnReceipt = Callable[[Arrival, Header], None]
"""Told of each instance that is safe, before it is acknowledged. Must not wait for the catalog."""

Immediate = Callable[[Header, str], RefusalLike | None]
"""The rules that refuse an instance of a peer (its configured name) at once, without the catalog."""

AFFECTED_SOP_CLASS = 0x0000_0002
AFFECTED_SOP_INSTANCE = 0x0000_1000
_SOP_CLASS, _SOP_INSTANCE, _STUDY, _SERIES = 0x0008_0016, 0x0008_0018, 0x0020_000D, 0x0020_000E

_STORED = Response(status=statuses.SUCCESS)

NO_SPACE = "the gateway's disk is full: send again later"
STORAGE_FAILED = "the gateway could not store it safely: send again"


class Store:
    """The C-STORE service of the gateway."""

    def __init__(
        self,
        spool: Spool,
        *,
        is_storage: Callable[[str], bool],
        immediate: Immediate,
        on_receipt: OnReceipt,
        activities: Activities,
        telling: Telling,
        tally: Tally,
        limiter: Limiter,
        log: Any,
    ) -> None:
        self.spool = spool
        self.immediate = immediate
        self.on_receipt = on_receipt
        self.activities = activities
        self.telling = telling
        self.tally = tally
        self.limiter = limiter
        self.log = log
        self.rejected: frozenset[str] = frozenset()
        """SOP Instance UIDs that a rejection note keeps out (IOC-01)."""
        self._is_storage = is_storage

    def begin(self, association: Association, context: AcceptedContext, command: Command) -> StoreSink | Response:
        """Where the data set of this C-STORE-RQ goes, or why it is not taken."""
        activity = self.activities.of(association)
        refused = self._refusal(context, command)
        if refused is not None:
            return self.refuse(activity, refused)
        over = self.limiter.begin(association.peer)
        if over is not None:
            return self._over_limit(activity, over)
        try:
            incoming = self.spool.begin(command.affected_class, command.affected_instance, context.transfer_syntax)
        except DeferredError as error:
            return self.fail(activity, error)
        return StoreSink(self, activity, context, command, incoming)

    def refuse(self, activity: Activity, response: Response, size: int = 0) -> Response:
        """Count an instance that was not stored, of which ``size`` bytes came; returns the response."""
        self.tally.refused(activity.association.peer, response.status, size)
        return activity.refuse(response)

    def fail(self, activity: Activity, error: Exception, size: int = 0) -> Response:
        """The answer to what went wrong; a fault on our side has a line, once for each status and association.

        Of exceptions that are not the gateway's own only the kind is said: their text may quote what was sent.
        """
        if isinstance(error, TooLargeError):
            return self._over_limit(activity, self.limiter.too_large(activity.association.peer), size)
        response = answer_failure(error)
        if not isinstance(error, HeaderError) and not activity.refused[response.status]:
            own = isinstance(error, DeferredError)
            self.log.error(
                "not stored",
                association=activity.association.id,
                peer=activity.association.peer,
                why=str(error) if own else type(error).__name__,
                code=error.code if isinstance(error, DeferredError) else "",
            )
        return self.refuse(activity, response, size)

    def _over_limit(self, activity: Activity, response: Response, size: int = 0) -> Response:
        """Refuse what the peer's own limits keep out; a line for the first of each association."""
        if not activity.refused[response.status]:
            self.log.warning(
                "a peer is over its limits",
                association=activity.association.id,
                peer=activity.association.peer,
                status=f"{response.status:04X}",
                why=response.comment,
            )
        return self.refuse(activity, response, size)

    def _refusal(self, context: AcceptedContext, command: Command) -> Response | None:
        """What the command alone tells (PS3.7 9.1.1.1)."""
        if not context.scp:
            return refuse(statuses.NOT_AUTHORISED, "this context is for what is sent to you by C-GET")
        if not self._is_storage(context.abstract_syntax):
            return refuse(statuses.NOT_AUTHORISED, "C-STORE is not allowed on this presentation context")
        if command.affected_class != context.abstract_syntax:
            words = (
                "the SOP class is not the one of the presentation context"
                if self._is_storage(command.affected_class)
                else "this SOP class is not stored here"
            )
            return refuse(statuses.CLASS_NOT_SUPPORTED, words, AFFECTED_SOP_CLASS)
        if not is_valid_uid(command.affected_instance):
            return refuse(
                statuses.INVALID_INSTANCE, "Affected SOP Instance UID is missing or malformed", AFFECTED_SOP_INSTANCE
            )
        if self.rejected and command.affected_instance in self.rejected:
            return refuse(
                statuses.REJECTED_OBJECT, "IOC-01: a rejection note keeps this instance out", AFFECTED_SOP_INSTANCE
            )
        return None


class StoreSink:
    """One data set on its way into the spool."""

    def __init__(
        self,
        store: Store,
        activity: Activity,
        context: AcceptedContext,
        command: Command,
        incoming: Incoming,
    ) -> None:
        self._store = store
        self._activity = activity
        self._context = context
        self._command = command
        self._incoming = incoming
        self._early: tuple[Header, int] | None = None  # and where its last element claims to end
        self._largest = store.limiter.largest(activity.association.peer)
        self.write = incoming.write if self._largest is None else self._write_bounded
        incoming.on_batch = self._scan_early

    def finish(self) -> Response:
        """The data set is complete: check it, make it safe, tell of it."""
        complete = perf_counter_ns()
        header = self._scan()
        refused = self._mismatch(header) or self._broken_rule(header)
        if refused is not None:
            self._leave()
            return self._store.refuse(self._activity, refused, self._incoming.size)
        association = self._activity.association
        arrival = self._incoming.commit(association.peer, association.id, self._activity.stored + 1)
        self._store.activities.stored(self._activity, header.study_instance_uid)
        self._store.telling.received(association, self._activity.received.count(header))
        self._store.on_receipt(arrival, header)
        self._store.tally.stored(association.peer, arrival.size, perf_counter_ns() - complete)
        self._store.limiter.received(association.peer, arrival.size, stored=True)
        return _STORED

    def failed(self, error: Exception) -> Response:
        """It could not be received; nothing of it is left, and the peer hears why."""
        self._leave()
        return self._store.fail(self._activity, error, self._incoming.size)

    def abandon(self) -> None:
        """The peer went away in the middle."""
        self._leave()

    def _leave(self) -> None:
        """Keep nothing of it; the peer has sent it all the same."""
        self._incoming.abandon()
        self._store.limiter.received(self._activity.association.peer, self._incoming.size, stored=False)

    def _write_bounded(self, view: memoryview) -> None:
        if self._largest is not None and self._incoming.size + len(view) > self._largest:
            raise TooLargeError("larger than its peer may send")
        self._incoming.write(view)

    def _scan_early(self) -> None:
        """While the sender goes on: what has come mostly has all of the header."""
        with contextlib.suppress(Incomplete, HeaderError):  # the whole data set will tell
            self._early = scan_early(self._incoming.head, self._context.transfer_syntax)

    def _scan(self) -> Header:
        if self._early is not None:
            header, ends_at = self._early
            if ends_at > self._incoming.size:
                raise TruncatedError(header)
            return header
        incoming, syntax = self._incoming, self._context.transfer_syntax
        try:
            return scan(incoming.head, syntax, whole=incoming.whole, size=incoming.size)
        except Incomplete:
            stream, offset = incoming.open_data_set()
            with stream:
                return scan_stream(stream, offset, incoming.size, syntax)

    def _mismatch(self, header: Header) -> Response | None:
        """A900: the data set does not match the command (PS3.4 B.2.3), or has a UID that nothing can be filed under."""
        command = self._command
        for tag, name, found, wanted in (
            (_SOP_CLASS, "SOP Class UID", header.sop_class_uid, command.affected_class),
            (_SOP_INSTANCE, "SOP Instance UID", header.sop_instance_uid, command.affected_instance),
        ):
            if found != wanted:
                return refuse(statuses.DATA_SET_MISMATCH, f"{name} of data set and command differ", tag)
        for tag, name, found in (
            (_STUDY, "Study Instance UID", header.study_instance_uid),
            (_SERIES, "Series Instance UID", header.series_instance_uid),
        ):
            if not is_valid_uid(found):
                words = "is malformed" if found else "is missing"
                return refuse(statuses.DATA_SET_MISMATCH, f"{name} {words}", tag)
        return None

    def _broken_rule(self, header: Header) -> Response | None:
        refusal = self._store.immediate(header, self._activity.association.peer)
        return None if refusal is None else refuse(refusal.status, refusal.comment)


def answer_failure(error: Exception) -> Response:
    """The status and comment for what went wrong while a data set was received."""
    if isinstance(error, NoSpaceError):
        return refuse(statuses.OUT_OF_RESOURCES, NO_SPACE)
    if isinstance(error, HeaderError):
        return refuse(statuses.CANNOT_UNDERSTAND, f"cannot be parsed: {error}")
    if isinstance(error, StorageError):
        return refuse(statuses.PROCESSING_FAILURE, STORAGE_FAILED)
    return refuse(statuses.PROCESSING_FAILURE, "a fault of the gateway: send again later")
