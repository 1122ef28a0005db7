"""The C-STORE sub-operations of a C-MOVE or C-GET: one instance sent, counted, and what is said of all of them.

Keeps the counts of one request. Promises that remaining, completed, failed and warning always add up to what was asked
for, and the statuses of PS3.4 C.4.2.1.5 and C.4.3.1.4 for them. Written to by one thread, read by another.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from kuva_gateway.decoding.process import Decoder
from kuva_gateway.dicom import statuses, syntaxes
from kuva_gateway.dicom.amending import AmendingError
from kuva_gateway.dicom.header import HeaderError
from kuva_gateway.dicom.reencoding import ReencodingError
from kuva_gateway.errors import DamageError, DeferredError, GatewayError
from kuva_gateway.forward import outcome
from kuva_gateway.forward.contexts import CONTEXTS_PER_ASSOCIATION, Pair, others
from kuva_gateway.forward.outcome import Kind, Outcome
from kuva_gateway.forward.outgoing import OpenFile, Sendable, open_outgoing
from kuva_gateway.network.association import Association
from kuva_gateway.network.errors import NetworkError
from kuva_gateway.network.records import AcceptedContext, Response

PENDING_EVERY = 0.5
"""Seconds between pending responses while the counts change."""
PENDING_AT_LEAST_EVERY = 4.0
"""Seconds after which the asker hears that the gateway is still at it, whatever it does."""

DAMAGED_TOLD = 20
"""Damaged instances of one request that are told one by one."""
KINDS_PER_ASSOCIATION = CONTEXTS_PER_ASSOCIATION // 3
"""Kinds of instances for one association: each is proposed as it is stored, and in up to two other ways."""

_MOST_COUNTED = 65_535
"""What a count can say (US, PS3.7 table 9.3-10): more is told as so many, and the log has the number."""
_MOST_FAILED = 65_534 - 1
"""Bytes of Failed SOP Instance UID List at most: its length has 16 bits in explicit VR (PS3.5 7.1.2)."""
_FAILED_LIST = 0x0008, 0x0058


@dataclass(slots=True, kw_only=True)
class Counts:
    """How far a request is. ``why`` is the first failure's reason, for the comment and for the log.

    ``damaged``: the first instances whose stored files cannot be sent, and why.
    """

    total: int
    completed: int = 0
    failed: int = 0
    warning: int = 0
    why: str = ""
    damaged: list[tuple[str, str]] = field(default_factory=list)
    _failed_uids: list[str] = field(default_factory=list)
    _failed_bytes: int = 0

    @property
    def done(self) -> int:
        """Sub-operations that have ended."""
        return self.completed + self.failed + self.warning

    @property
    def remaining(self) -> int:
        """Sub-operations that have not been tried."""
        return max(0, self.total - self.done)

    @property
    def lists_more(self) -> bool:
        """Whether the list of failed instances has room."""
        return self._failed_bytes < _MOST_FAILED

    def note(self, sop_instance: str, found: Outcome) -> None:
        """One sub-operation has ended."""
        if found.kind is Kind.DELIVERED:
            self.completed += 1
        elif found.kind is Kind.WARNING:
            self.warning += 1
        else:
            self.failed += 1
            self.list_failed(sop_instance)
            self.why = self.why or f"{found.code} {found.meaning}"
            if found.code == outcome.UNREADABLE and len(self.damaged) < DAMAGED_TOLD:
                self.damaged.append((sop_instance, found.comment))

    def miss(self, sop_instances: Sequence[str], why: str) -> None:
        """These could not be fetched."""
        for one in sop_instances:
            self.failed += 1
            self.list_failed(one)
        if sop_instances:
            self.why = self.why or why or "the archive did not give it"

    def list_failed(self, sop_instance: str) -> None:
        """Name a failed instance in the final response, while there is room."""
        self._failed_bytes += len(sop_instance) + 1
        if self._failed_bytes <= _MOST_FAILED:
            self._failed_uids.append(sop_instance)

    def give_up(self, why: str) -> None:
        """What remains will not be tried."""
        if self.remaining:
            self.failed += self.remaining
            self.why = self.why or why

    def pending(self) -> Response:
        """FF00 with the counts as they are; each is read once, because the other thread goes on counting."""
        completed, failed, warning = self.completed, self.failed, self.warning
        return Response(
            status=statuses.PENDING,
            remaining=_told(max(0, self.total - completed - failed - warning)),
            completed=_told(completed),
            failed=_told(failed),
            warning=_told(warning),
        )

    def final(self, transfer_syntax: str, *, cancelled: bool) -> Response:
        """The last response (PS3.4 tables C.4-2 and C.4-3): success, warning, failure or cancel.

        Remaining goes with a cancel only; the list of failed instances with everything but success.
        """
        if cancelled:
            status = statuses.CANCELLED
        elif not self.failed and not self.warning:
            status = statuses.SUCCESS
        elif self.completed or self.warning:
            status = statuses.SUB_OPERATIONS_WITH_FAILURES
        else:
            status = statuses.CANNOT_PERFORM_SUB_OPERATIONS
        return Response(
            status=status,
            comment=statuses.comment(f"{self.failed} failed: {self.why}") if self.failed else "",
            data_set=None if status == statuses.SUCCESS else self._list(transfer_syntax),
            remaining=_told(self.remaining) if cancelled else None,
            completed=_told(self.completed),
            failed=_told(self.failed),
            warning=_told(self.warning),
        )

    def _list(self, transfer_syntax: str) -> bytes:
        """An identifier with Failed SOP Instance UID List (PS3.4 C.4.2.1.4.2)."""
        value = "\\".join(self._failed_uids).encode("ascii")
        value += b"\0" * (len(value) % 2)
        order = ">" if syntaxes.is_big_endian(transfer_syntax) else "<"
        tag = struct.pack(f"{order}HH", *_FAILED_LIST)
        if syntaxes.is_implicit(transfer_syntax):
            return tag + struct.pack("<L", len(value)) + value
        return tag + b"UI" + struct.pack(f"{order}H", len(value)) + value


def _told(count: int) -> int:
    return min(count, _MOST_COUNTED)


class TornError(GatewayError):
    """A data set broke off in the middle, because its file did: the association is of no use any more."""

    def __init__(self, found: Outcome) -> None:
        super().__init__(str(found))
        self.outcome = found


def sending_contexts(association: Association) -> dict[Pair, AcceptedContext]:
    """The contexts on which we may send, by SOP class and transfer syntax."""
    return {(one.abstract_syntax, one.transfer_syntax): one for one in association.contexts.values() if one.scu}


def ways(stored: str, *, decompress: bool) -> tuple[str, ...]:
    """The transfer syntaxes in which an instance may go that is stored in ``stored``, the best first."""
    return (stored, *others(stored, decompress=decompress))


def send(
    association: Association,
    contexts: Mapping[Pair, AcceptedContext],
    instance: Sendable,
    *,
    open_file: OpenFile,
    priority: int = 0,
    originator: tuple[str, int] | None = None,
    decoder: Decoder | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> Outcome:
    """One sub-operation: C-STORE in the transfer syntax in which the instance is stored, or written anew.

    What was agreed on decides: uncompressed data sets may go in another uncompressed syntax, compressed ones only as
    they are, or decompressed by the ``decoder``, which is left when ``stopping`` turns true. ``originator`` is the AE
    title that asked for a C-MOVE and its Message ID (PS3.7 9.1.1.1).

    Raises
    ------
    NetworkError
        The association has ended; ``sent`` says whether the instance may have arrived.
    TornError
        The file broke off while it was being sent.
    """
    possible = ways(instance.transfer_syntax, decompress=decoder is not None)
    into = next((way for way in possible if (instance.sop_class, way) in contexts), None)
    if into is None:
        return outcome.context_rejected(instance.sop_class, instance.transfer_syntax)
    title, message_id = originator if originator is not None else ("", None)
    try:
        with open_outgoing(open_file, instance, into, decoder=decoder, stopping=stopping) as data:
            try:
                answer = association.store(
                    contexts[instance.sop_class, into],
                    sop_class=instance.sop_class,
                    sop_instance=instance.sop_instance,
                    data=data,
                    priority=priority,
                    move_originator=title,
                    move_originator_id=message_id,
                )
            except (DamageError, OSError) as error:
                raise TornError(_unreadable(error)) from error
    except NetworkError:
        raise
    except (ReencodingError, DeferredError) as error:
        return outcome.not_reencoded(str(error))
    except (AmendingError, HeaderError, DamageError, OSError) as error:
        return _unreadable(error)
    return outcome.classify(answer.status, answer.comment, answer.offending)


def _unreadable(error: GatewayError | OSError) -> Outcome:
    return outcome.unreadable((error.strerror or "") if isinstance(error, OSError) else str(error))
