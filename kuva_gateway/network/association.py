"""An association as those above see it, on either side: who it is with, what passed, and requests of our own.

Everything but :meth:`Association.abort` belongs to the thread that owns the association.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from time import monotonic

from kuva_gateway.network import commands
from kuva_gateway.network.allowance import Allowance
from kuva_gateway.network.commands import Command
from kuva_gateway.network.errors import NetworkError, NoContext, ProtocolViolation, Stopped
from kuva_gateway.network.pace import Pace
from kuva_gateway.network.pdus import UNEXPECTED_PDU, fragments
from kuva_gateway.network.records import (
    AcceptedContext,
    ActionAnswer,
    FindAnswer,
    StoreAnswer,
    Traffic,
    UserIdentity,
)
from kuva_gateway.network.sending import Part, length_of, send_parts
from kuva_gateway.network.stream import PduStream
from kuva_gateway.network.timers import Limits, Timers
from kuva_gateway.network.transport import Transport
from kuva_gateway.network.wire import Wire

_ids = itertools.count(1)
_MOST_MESSAGE_ID = 65_535
_PENDING = frozenset({0xFF00, 0xFF01})  # PS3.7 C.5
_LOOK_EVERY = 0.1  # seconds between looks whether a query is still wanted
_LONG_WRITE = 65_536  # bytes; before a longer one it is worth a look whether the peer still listens

VERIFICATION = "1.2.840.10008.1.1"
PROCESSING_FAILURE = 0x0110
RESOURCE_LIMITATION = 0x0213
UNRECOGNISED_OPERATION = 0x0211
OUT_OF_RESOURCES = 0xA700

OnEvent = Callable[[Command, bytes], int]
"""Takes an N-EVENT-REPORT-RQ and its data set; returns the status to answer."""

OnRequest = Callable[[AcceptedContext, Command, Allowance], None]
"""Answers a request of the peer; the allowance is the one for its data set."""


class Association(Wire):
    """One association; its ``id`` (``number``, or else one of this process) grows and is never used twice in a run."""

    def __init__(
        self,
        transport: Transport,
        stream: PduStream,
        *,
        peer: str,
        calling_ae: str,
        called_ae: str,
        address: str,
        contexts: Mapping[int, AcceptedContext],
        room: int,
        timers: Timers,
        limits: Limits,
        on_event: OnEvent | None = None,
        number: int | None = None,
        tls: str = "",
        certificate_subject: str | None = None,
        user_identity: UserIdentity | None = None,
    ) -> None:
        super().__init__(transport, stream, contexts=contexts, room=room, timers=timers, limits=limits)
        self.id = next(_ids) if number is None else number
        self.peer = peer
        self.calling_ae = calling_ae
        self.called_ae = called_ae
        self.address = address
        self.tls = tls
        self.certificate_subject = certificate_subject
        self.user_identity = user_identity
        self.on_event = on_event
        self.on_request: OnRequest | None = None  # takes requests that cross ours, where that is allowed
        self.pace: Pace | None = None  # how fast data sets may leave
        self._opened = monotonic()
        self._message_ids = itertools.cycle(range(1, _MOST_MESSAGE_ID + 1))
        self._cancelled: set[int] = set()
        self._instances_received = 0
        self._instances_sent = 0
        self._requests = 0

    # -- who and how much ----------------------------------------------------------------------------------------

    @property
    def traffic(self) -> Traffic:
        """What passed so far."""
        return Traffic(
            instances_received=self._instances_received,
            instances_sent=self._instances_sent,
            requests=self._requests,
            bytes_received=self.stream.received,
            bytes_sent=self.sent,
            seconds=monotonic() - self._opened,
        )

    def context_for(self, abstract_syntax: str, transfer_syntax: str | None = None) -> AcceptedContext:
        """The first accepted context for a SOP class (and a transfer syntax) on which we may be SCU.

        Raises
        ------
        NoContext
            There is none.
        """
        for context in self.contexts.values():
            right = context.abstract_syntax == abstract_syntax and context.scu
            if right and transfer_syntax in (None, context.transfer_syntax):
                return context
        raise NoContext(f"no presentation context for {abstract_syntax} in {transfer_syntax or 'any syntax'}")

    def abort(self, reason: str = "aborted by the application") -> None:
        """End with A-ABORT, from any thread; the owner meets :class:`Stopped` at its next read or write."""
        self.interrupt(Stopped(reason))

    def cancelled(self, message_id: int) -> bool:
        """Whether the peer has asked to cancel its request ``message_id``; reads what came meanwhile.

        Raises
        ------
        NetworkError
            The peer ended the association, or sent what it may not while it waits for an answer.
        """
        while self.input_waits():
            context, command, allowance = self.read_command(Allowance("idle", self.timers.message))
            self._meanwhile(context, command, allowance)
        return message_id in self._cancelled

    def begin_request(self, message_id: int | None) -> None:
        """A request of the peer came; a cancellation of an earlier one with the same id does not count for it."""
        self._requests += 1
        self._cancelled.discard(message_id or 0)

    def count_instance(self) -> None:
        """A data set of the peer came whole."""
        self._instances_received += 1

    # -- requests of ours ----------------------------------------------------------------------------------------

    def echo(self) -> int:
        """C-ECHO; the status that came back."""
        context = self.context_for(VERIFICATION)
        command = Command(field=commands.C_ECHO_RQ, affected_class=VERIFICATION)
        answer, _ = self._exchange(context, command)
        return answer.status or 0

    def store(
        self,
        context: AcceptedContext,
        *,
        sop_class: str,
        sop_instance: str,
        data: Sequence[Part],
        priority: int = commands.PRIORITY_MEDIUM,
        move_originator: str = "",
        move_originator_id: int | None = None,
    ) -> StoreAnswer:
        """C-STORE of a data set (without its meta information) that stands in parts of open files and in bytes.

        Raises
        ------
        NetworkError
            There is no answer; ``sent`` says whether the peer may have the instance all the same.
        DamageError
            A file is not what the parts say; the association was aborted.
        """
        command = Command(
            field=commands.C_STORE_RQ,
            affected_class=sop_class,
            affected_instance=sop_instance,
            priority=priority,
            has_data_set=True,
            move_originator=move_originator,
            move_originator_id=move_originator_id,
        )
        answer, _ = self._exchange(context, command, source=data)
        self._instances_sent += 1
        return StoreAnswer(status=answer.status or 0, comment=answer.error_comment, offending=answer.offending)

    def find(
        self, context: AcceptedContext, identifier: bytes, *, enough: Callable[[], bool] | None = None
    ) -> Generator[FindAnswer, None, None]:
        """C-FIND (PS3.4 C.4.1): each response as it comes, the final one last.

        Whoever stops asking before that cancels the query (C-CANCEL), and what is on its way is dropped; so does
        ``enough`` when it says yes, which is asked some times a second while no answer comes.

        Raises
        ------
        NetworkError
            The association ended, or an answer did not come in time.
        """
        command = Command(
            field=commands.C_FIND_RQ,
            affected_class=context.abstract_syntax,
            priority=commands.PRIORITY_MEDIUM,
            has_data_set=True,
            message_id=next(self._message_ids),
        )
        self._send_find(context, command, identifier)
        final = False
        try:
            while not final:
                if enough is not None and self._is_enough(enough):
                    return
                answer = self._next_found(command)
                final = answer.status not in _PENDING
                yield answer
        finally:
            if not final and not self.over:
                self._send_find(context, Command(field=commands.C_CANCEL_RQ, responded_to=command.message_id), None)
                while self._next_found(command).status in _PENDING:
                    pass

    def _send_find(self, context: AcceptedContext, command: Command, identifier: bytes | None) -> None:
        try:
            self.write_message(context, command, identifier)
        except NetworkError as error:
            self._broken(error)
            raise

    def _is_enough(self, enough: Callable[[], bool]) -> bool:
        """Wait for something to read; whether no more is wanted."""
        until = monotonic() + self.timers.response
        while not (over := enough()) and not self.input_waits(_LOOK_EVERY) and monotonic() < until:
            pass
        return over

    def _next_found(self, command: Command) -> FindAnswer:
        """The next response to a C-FIND; events that come before it are looked after."""
        try:
            patience = Allowance("response", self.timers.response)
            while True:
                where, answer, allowance = self.read_command(patience)
                if answer.is_response:
                    break
                self._meanwhile(where, answer, allowance)
            if not _answers(answer, command):
                raise ProtocolViolation("a response to another request than ours", source=0)
            data_set = self.collect_data_set(where, allowance) if answer.has_data_set else None
        except NetworkError as error:
            self._broken(error)
            raise
        return FindAnswer(
            status=answer.status or 0, comment=answer.error_comment, offending=answer.offending, data_set=data_set
        )

    def action(
        self, context: AcceptedContext, *, sop_class: str, sop_instance: str, action_type: int, data_set: bytes | None
    ) -> ActionAnswer:
        """N-ACTION with an encoded data set (PS3.7 10.1.4)."""
        command = Command(
            field=commands.N_ACTION_RQ,
            requested_class=sop_class,
            requested_instance=sop_instance,
            action_type=action_type,
        )
        return self._n_exchange(context, command, data_set)

    def event_report(
        self, context: AcceptedContext, *, sop_class: str, sop_instance: str, event_type: int, data_set: bytes | None
    ) -> ActionAnswer:
        """N-EVENT-REPORT with an encoded data set (PS3.7 10.1.1)."""
        command = Command(
            field=commands.N_EVENT_REPORT_RQ,
            affected_class=sop_class,
            affected_instance=sop_instance,
            event_type=event_type,
        )
        return self._n_exchange(context, command, data_set)

    def _n_exchange(self, context: AcceptedContext, command: Command, data_set: bytes | None) -> ActionAnswer:
        answer, reply = self._exchange(context, command, data_set=data_set)
        return ActionAnswer(
            status=answer.status or 0, comment=answer.error_comment, error_id=answer.error_id, data_set=reply
        )

    def _exchange(
        self,
        context: AcceptedContext,
        command: Command,
        *,
        data_set: bytes | None = None,
        source: Sequence[Part] | None = None,
    ) -> tuple[Command, bytes | None]:
        """Send a request, wait for its response; what comes meanwhile is looked after."""
        command.message_id = next(self._message_ids)
        expected = _success(command) if command.field == commands.C_STORE_RQ else None
        gone = False
        try:
            size = self._send_request(context, command, data_set, source)
            gone = True
            seconds = self.timers.response + size / self.timers.minimum_rate
            patience = Allowance("response", seconds)
            while patience.remaining():  # also when the next message is here already
                where, answer, allowance = self.read_command(patience, expected)
                if answer.is_response:
                    break
                if self._meanwhile(where, answer, allowance):
                    patience = Allowance("response", seconds)
            if not _answers(answer, command):
                raise ProtocolViolation("a response to another request than ours", source=0)
            reply = self.collect_data_set(where, allowance) if answer.has_data_set else None
        except NetworkError as error:
            error.sent = gone
            self._broken(error)
            raise
        except BaseException:
            self._broken(Stopped("a request could not be completed"))
            raise
        return answer, reply

    def _send_request(
        self, context: AcceptedContext, command: Command, data_set: bytes | None, source: Sequence[Part] | None
    ) -> int:
        if source is None:
            self.write_message(context, command, data_set)
            return len(data_set or b"")
        encoded = commands.store(command) if command.field == commands.C_STORE_RQ else commands.encode(command)
        announcement = b"".join(fragments(context.id, encoded, self.room, command=True))
        allowance = self.sending()

        def write(view: memoryview) -> None:
            if len(view) > _LONG_WRITE and self.abort_comes_next() and (ended := self.abort_that_waits()):
                raise ended
            for piece in self._paced(view, allowance):
                self.write(piece, allowance)

        send_parts(write, announcement, context.id, self.room, source)
        return length_of(source)

    def _paced(self, view: memoryview, allowance: Allowance) -> Iterator[memoryview]:
        """``view``, in pieces that come when the pace lets them."""
        if self.pace is None:
            yield view
            return
        for start in range(0, len(view), self.pace.piece):
            piece = view[start : start + self.pace.piece]
            allowance.pause(self.pace.take(len(piece)))
            yield piece

    def _meanwhile(self, context: AcceptedContext, command: Command, allowance: Allowance) -> bool:
        """A command came while we wait for something else; True when it was a request and was served."""
        if self.on_request is not None and command.field in commands.REQUESTS:
            self.on_request(context, command, allowance)
            return True
        data_set = self.collect_data_set(context, allowance) if command.has_data_set else b""
        if command.field == commands.C_CANCEL_RQ:
            self._cancelled.add(command.responded_to or 0)
        elif command.field == commands.N_EVENT_REPORT_RQ:
            self._answer_event(context, command, data_set)
        else:
            # Asynchronous operations were not negotiated (PS3.7 D.3.3.3): one request at a time.
            raise ProtocolViolation(f"{command.name} came out of turn", source=0, reason=UNEXPECTED_PDU)
        return False

    def _answer_event(self, context: AcceptedContext, command: Command, data_set: bytes | None) -> None:
        if data_set is None:
            status = RESOURCE_LIMITATION
        elif self.on_event is None:
            status = PROCESSING_FAILURE
        else:
            status = self.on_event(command, data_set)
        response = Command(
            field=commands.N_EVENT_REPORT_RSP,
            responded_to=command.message_id,
            affected_class=command.affected_class,
            affected_instance=command.affected_instance,
            event_type=command.event_type,
            status=status,
        )
        self.write_message(context, response)

    def _broken(self, error: NetworkError) -> None:
        """A request of ours failed; the side that owns the connection decides what becomes of it."""


def _success(request: Command) -> tuple[bytes, Command]:
    """The answer that nearly every C-STORE gets, as it comes on the wire and as it is read."""
    answer = Command(
        field=commands.C_STORE_RSP,
        responded_to=request.message_id,
        affected_class=request.affected_class,
        affected_instance=request.affected_instance,
        status=0,
    )
    return commands.stored(request), answer


def _answers(response: Command, request: Command) -> bool:
    """Whether a response is the one to our request: its id, its kind and, where it names one, its instance."""
    named = response.affected_instance
    return (
        response.responded_to == request.message_id
        and response.field == request.field | commands.RESPONSE_BIT
        and (not named or not request.affected_instance or named == request.affected_instance)
    )
