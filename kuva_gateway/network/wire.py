"""DIMSE messages over one association, for either side: read whole commands, stream data sets, write both.

Keeps to one thread: whoever owns the association calls everything here, except :meth:`Wire.interrupt`. Promises that
a peer which breaks the order of PS3.7 and PS3.8 (table 9-10, state 6) ends in an exception that names the A-ABORT to
send, and that A-ABORT and A-RELEASE are noticed wherever they come.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from kuva_gateway.network import pdus
from kuva_gateway.network.allowance import Allowance
from kuva_gateway.network.buffers import BUFFER_SIZE
from kuva_gateway.network.commands import Command, decode, encode
from kuva_gateway.network.errors import (
    Aborted,
    CommandError,
    ConnectionLost,
    NetworkError,
    ProtocolViolation,
    Released,
    Stopped,
)
from kuva_gateway.network.records import AcceptedContext
from kuva_gateway.network.stream import PduStream
from kuva_gateway.network.timers import Limits, Timers
from kuva_gateway.network.transport import Transport

_HEADERS = pdus.DATA_HEADER.size  # 12 bytes before each fragment
_PER_ITEM = 6  # PS3.8 D.1: the maximum length counts the PDV's own header, not the PDU's


def fragment_room(maximum_length: int) -> int:
    """The longest PDV payload for a peer that takes ``maximum_length`` (0: anything); even, and fit for one buffer.

    Raises
    ------
    ProtocolViolation
        The peer takes nothing at all.
    """
    if maximum_length == 0:
        return BUFFER_SIZE - _HEADERS
    if maximum_length < _PER_ITEM + 2:
        raise ProtocolViolation("the peer's maximum length leaves no room", reason=pdus.INVALID_PARAMETER_VALUE)
    return min(maximum_length - _PER_ITEM, BUFFER_SIZE - _HEADERS) & ~1


class Wire:
    """Messages in and out."""

    def __init__(
        self,
        transport: Transport,
        stream: PduStream,
        *,
        contexts: Mapping[int, AcceptedContext],
        room: int,
        timers: Timers,
        limits: Limits,
    ) -> None:
        self.transport = transport
        self.stream = stream
        self.contexts = contexts
        self.room = room
        self.timers = timers
        self.limits = limits
        self.sent = 0  # bytes written so far
        self.busy = False
        self.over = False
        self._begun = False  # whether a PDV of the message in progress has come
        self._lock = threading.Lock()  # so that a drain and a message's first byte cannot cross
        self._draining: Stopped | None = None  # ends it before the next message

    # -- reading -------------------------------------------------------------------------------------------------

    def read_command(
        self, first: Allowance, expected: tuple[bytes, Command] | None = None
    ) -> tuple[AcceptedContext, Command, Allowance]:
        """Wait for the next command and read it whole; ``first`` runs until its first byte.

        The allowance that comes back is the one under which the message's data set has to be read. ``expected``: the
        bytes that will most likely come, and what they say.

        Raises
        ------
        Released, Aborted
            The peer ended the association; a release has been answered.
        ProtocolViolation
            What came is no command for an accepted context.
        """
        self._await_first_byte(first)
        allowance = Allowance("message", self.timers.message, self.timers.minimum_rate)
        context, raw = self._read_command_set(allowance)
        if expected is not None and raw == expected[0]:
            return context, expected[1], allowance
        try:
            return context, decode(raw), allowance
        except CommandError as error:
            raise ProtocolViolation(str(error), source=pdus.BY_USER) from None

    def _await_first_byte(self, first: Allowance) -> None:
        self._begun = False
        with self._lock:
            self.busy = False
            if self._draining:
                raise self._draining
        self.stream.wait(first)
        with self._lock:
            if self._draining:
                raise self._draining
            self.busy = True

    def _read_command_set(self, allowance: Allowance) -> tuple[AcceptedContext, bytes]:
        number, length, last = 0, 0, False
        pieces: list[bytes] = []
        while not last:
            context, control = self.stream.pdv(allowance, self._other_pdu)
            self._begun = True
            if not control & pdus.COMMAND_BIT:
                raise ProtocolViolation("a data set came where a command was due", reason=pdus.UNEXPECTED_PDU)
            if number and context != number:
                raise ProtocolViolation("a command changes its presentation context", reason=pdus.UNEXPECTED_PDU)
            if context not in self.contexts:
                raise ProtocolViolation("a PDV for a presentation context that was not accepted", reason=6)
            number = context
            length += max(1, self.stream.fragment_length)  # an empty one takes memory as well
            if length > self.limits.command_set:
                raise ProtocolViolation("a command set is too long", reason=pdus.INVALID_PARAMETER_VALUE)
            pieces.append(self.stream.fragment(allowance))
            last = bool(control & pdus.LAST_BIT)
        return self.contexts[number], b"".join(pieces)

    def read_data_set(self, context: AcceptedContext, allowance: Allowance, take: Callable[[memoryview], None]) -> int:
        """Read a data set to its end, giving each piece to ``take``; returns its length in bytes."""
        number, control = self.stream.pdv(allowance, self._other_pdu)
        if number != context.id or control & pdus.COMMAND_BIT:
            raise ProtocolViolation("a command came where its data set was due", reason=pdus.UNEXPECTED_PDU)
        total, last = 0, False
        while not last:
            piece, last = self.stream.data(number, allowance, self._other_pdu)
            if piece:
                size = len(piece)
                total += size
                allowance.earn(size)
                take(piece)
        return total

    def collect_data_set(self, context: AcceptedContext, allowance: Allowance) -> bytes | None:
        """A data set in memory, or None when it was longer than ``limits.data_set``: then it was read and dropped."""
        pieces: list[bytes] = []
        length = 0

        def take(piece: memoryview) -> None:
            nonlocal length
            length += len(piece)
            if length > self.limits.data_set:
                pieces.clear()
            else:
                pieces.append(bytes(piece))

        total = self.read_data_set(context, allowance, take)
        return b"".join(pieces) if total <= self.limits.data_set else None

    def input_waits(self, seconds: float = 0.0) -> bool:
        """Whether the peer sent something (or closed) that was not read yet, or does so within ``seconds``."""
        return self.stream.buffered or self.transport.readable(seconds)

    def _other_pdu(self, kind: int, length: int) -> None:
        """A PDU that is not P-DATA-TF came on an established association (PS3.8 table 9-10, state 6)."""
        if kind == pdus.ABORT:
            raise self._aborted(length)
        if kind == pdus.RELEASE_RQ:
            self.stream.body(length, Allowance("release", self.timers.release))
            raise Released(phase="message" if self._begun else "idle")
        raise ProtocolViolation(f"a PDU of type {kind:02X} is out of place", reason=pdus.UNEXPECTED_PDU)

    def _aborted(self, length: int) -> Aborted:
        body = self.stream.body(length, Allowance("release", self.timers.release))
        return Aborted(source=body[2], reason=body[3], phase="message")

    # -- writing -------------------------------------------------------------------------------------------------

    def write_command(self, context: AcceptedContext, encoded: bytes) -> None:
        """Write an encoded command without a data set."""
        self.write(b"".join(pdus.fragments(context.id, encoded, self.room, command=True)), self.sending())

    def write_message(self, context: AcceptedContext, command: Command, data_set: bytes | None = None) -> None:
        """Write a command and its data set, together when they are short."""
        self.write(self.encode_message(context, command, data_set), self.sending())

    def encode_message(self, context: AcceptedContext, command: Command, data_set: bytes | None = None) -> bytes:
        """A command and its data set as P-DATA-TF PDUs, for :meth:`write`."""
        command.has_data_set = data_set is not None
        announcement = self.encode_command(context, command)
        return announcement if data_set is None else announcement + self.encode_data_set(context, data_set)

    def encode_command(self, context: AcceptedContext, command: Command) -> bytes:
        """A command as P-DATA-TF PDUs; its ``has_data_set`` says whether a data set follows."""
        return b"".join(pdus.fragments(context.id, encode(command), self.room, command=True))

    def encode_data_set(self, context: AcceptedContext, data_set: bytes) -> bytes:
        """A data set as P-DATA-TF PDUs."""
        return b"".join(pdus.fragments(context.id, data_set, self.room, command=False))

    def sending(self) -> Allowance:
        """The time for one message to leave."""
        return Allowance("send", self.timers.send_stall, self.timers.minimum_rate)

    def write(self, data: bytes | memoryview, allowance: Allowance) -> None:
        """Hand bytes to the network, unless the association was stopped; an A-ABORT that waits explains a failure."""
        if self.stream.stopped:
            raise self.stream.stopped
        try:
            self.transport.send(memoryview(data), allowance)
        except ConnectionLost as error:
            raise self.stream.stopped or self.abort_that_waits() or error from None
        self.sent += len(data)

    def abort_comes_next(self) -> bool:
        """Whether the next PDU, of which nothing is taken, is the peer's A-ABORT."""
        return (self.stream.first_byte or self.transport.peek()) == pdus.ABORT

    def abort_that_waits(self) -> NetworkError | None:
        """The peer's A-ABORT or release, if one came before the connection broke; reads what is there and no more."""
        brief = Allowance("closing", self.timers.closing)
        try:
            while self.input_waits():
                self.stream.wait(brief)
                kind, length = self.stream.header(brief)
                if kind == pdus.ABORT:
                    return self._aborted(length)
                if kind == pdus.RELEASE_RQ:
                    return Released(phase="send")
                if kind != pdus.P_DATA:
                    break
                while length:
                    part = min(length, BUFFER_SIZE // 2)
                    self.stream.body(part, brief)
                    length -= part
        except NetworkError:
            pass
        return None

    # -- ending --------------------------------------------------------------------------------------------------

    def interrupt(self, stopped: Stopped, *, finish_message: bool = False) -> None:
        """End the association from any thread; with ``finish_message`` not before the one in progress is answered."""
        with self._lock:
            self._draining = self._draining or stopped
            if finish_message and self.busy:
                return
            self.stream.stopped = self.stream.stopped or stopped
        self.transport.interrupt()

    def end(self, error: NetworkError | None) -> None:
        """Close as the error asks: with A-RELEASE-RP or A-ABORT where it is due, at once where nobody is there."""
        self.stream.release()
        if isinstance(error, Aborted | ConnectionLost):
            self.transport.close()
            return
        try:
            farewell = _last_pdu(error)
            self.transport.send(memoryview(farewell), Allowance("closing", self.timers.closing))
        except NetworkError:
            self.transport.close()
        else:
            self.transport.finish(self.timers.closing)


def _last_pdu(error: NetworkError | None) -> bytes:
    if error is None:
        return b""
    if isinstance(error, Released):
        return pdus.RELEASE_RP_BYTES
    if isinstance(error, ProtocolViolation | Stopped):
        return pdus.abort_bytes(error.source, error.reason)
    return pdus.abort_bytes(pdus.BY_PROVIDER, pdus.NOT_SPECIFIED)
