"""The byte stream of an association cut into PDUs and PDVs, without ever believing a length before it was checked.

Keeps one buffer while a PDU is being read and none while it waits for one (the first bytes land in a small one of its
own). Fragments of a data set are handed out as slices of that buffer, as large as what the kernel had ready:
neighbouring PDVs are moved together first, so that a peer with small PDUs does not cost its receiver a write for each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from kuva_gateway.network import pdus
from kuva_gateway.network.allowance import Allowance
from kuva_gateway.network.buffers import BUFFER_SIZE, POOL, BufferPool
from kuva_gateway.network.errors import ConnectionLost, NetworkError, ProtocolViolation
from kuva_gateway.network.timers import Limits
from kuva_gateway.network.transport import Transport

_SMALL = 1024  # a C-STORE command set and its PDU headers take about 300 bytes
_SLACK = 64  # peers that leave headers out of the maximum length exceed it by a few bytes
_SHORT_PDU = 4  # A-ASSOCIATE-RJ, A-RELEASE and A-ABORT (PS3.8 9.3.4, 9.3.6-8)


OtherPdu: TypeAlias = Callable[[int, int], None]
"""Called with type and length of a PDU that is not P-DATA-TF; raises."""


class PduStream:
    """The reading half of an association."""

    def __init__(self, transport: Transport, limits: Limits, pool: BufferPool = POOL) -> None:
        self._transport = transport
        self._pool = pool
        self._longest_data = limits.pdu_length + _SLACK
        self._longest_associate = min(limits.associate_pdu, BUFFER_SIZE)
        self._small = memoryview(bytearray(_SMALL))
        self._view = self._small
        self._start = 0
        self._end = 0
        self._pdu_left = 0  # bytes of the current P-DATA-TF after the current PDV
        self._pdv_left = 0  # bytes of the current PDV that were not handed out
        self._control = 0  # message control header of the current PDV
        self.received = 0  # bytes of the stream so far
        self.stopped: NetworkError | None = None  # why it ends, when it is our side that ends it

    @property
    def buffered(self) -> bool:
        """Whether bytes wait here that the socket no longer shows."""
        return self._end > self._start

    @property
    def first_byte(self) -> int | None:
        """The first byte that waits here."""
        return self._view[self._start] if self._end > self._start else None

    def wait(self, allowance: Allowance) -> None:
        """Wait for the first byte of the next PDU, holding no buffer.

        Raises
        ------
        ConnectionLost
            The peer closed instead.
        """
        if self._end > self._start:
            return
        self.release()
        self._start, self._end = 0, self._receive(self._small, allowance)

    def release(self) -> None:
        """Give the large buffer back; whatever it held is gone."""
        if self._view is not self._small:
            buffer, self._view = self._view, self._small
            self._pool.give(buffer)
        self._start = self._end = 0

    def header(self, allowance: Allowance) -> tuple[int, int]:
        """Type and length of the next PDU, both checked before a byte more is read.

        Raises
        ------
        ProtocolViolation
            An unknown type (PS3.8 9.3.8 reason 1), or a length that this type cannot have or that we do not take (6).
        """
        self._need(pdus.PDU_HEADER.size, allowance)
        kind, length = pdus.PDU_HEADER.unpack_from(self._view, self._start)
        self._check_header(kind, length)
        self._start += pdus.PDU_HEADER.size
        if kind == pdus.P_DATA:
            self._pdu_left = length
        return kind, length

    def body(self, length: int, allowance: Allowance) -> bytes:
        """The rest of a PDU other than P-DATA-TF."""
        self._need(length, allowance)
        start = self._start
        self._start += length
        return bytes(self._view[start : self._start])

    def pdv(self, allowance: Allowance, other_pdu: OtherPdu) -> tuple[int, int]:
        """Begin the next PDV: its presentation context and message control header."""
        while not self._pdu_left:
            kind, length = self.header(allowance)
            if kind != pdus.P_DATA:
                other_pdu(kind, length)
        self._need(pdus.PDV_HEADER.size, allowance)
        length, context, control = pdus.PDV_HEADER.unpack_from(self._view, self._start)
        self._start += pdus.PDV_HEADER.size
        self._begin_pdv(length, control)
        return context, control

    def fragment(self, allowance: Allowance) -> bytes:
        """All of the current PDV, which the caller has found short enough."""
        pieces: list[bytes] = []
        while self._pdv_left:
            if self._end == self._start:
                self._fill(allowance)
            take = min(self._pdv_left, self._end - self._start)
            pieces.append(bytes(self._view[self._start : self._start + take]))
            self._start += take
            self._pdv_left -= take
        return b"".join(pieces)

    @property
    def fragment_length(self) -> int:
        """Bytes of the current PDV that were not handed out."""
        return self._pdv_left

    def data(self, context: int, allowance: Allowance, other_pdu: OtherPdu) -> tuple[memoryview, bool]:
        """The next piece of a data set on ``context``, and whether it was the last.

        The piece is valid until the next call of any method here. A PDV must have been begun with :meth:`pdv`.
        """
        while True:
            piece = self._gather(context)
            last = self._control & pdus.LAST_BIT and not self._pdv_left
            if piece or last:
                return piece, bool(last)
            if not self._pdu_left and self._end - self._start >= pdus.PDU_HEADER.size:
                kind, length = self.header(allowance)
                if kind != pdus.P_DATA:
                    other_pdu(kind, length)
            else:
                self._fill(allowance)

    def _gather(self, context: int) -> memoryview:
        """Move the data set's bytes that lie in the buffer together, and pass over them."""
        view, end = self._view, self._end
        position = out = stop = self._start
        while True:
            if self._pdv_left:
                take = min(self._pdv_left, end - position)
                if stop != position:
                    if stop == out:
                        out = stop = position
                    else:
                        view[stop : stop + take] = view[position : position + take]
                stop += take
                position += take
                self._pdv_left -= take
            if self._pdv_left or self._control & pdus.LAST_BIT:
                break
            if self._pdu_left:
                if end - position < pdus.PDV_HEADER.size:
                    break
                length, number, control = pdus.PDV_HEADER.unpack_from(view, position)
                position += pdus.PDV_HEADER.size
            else:
                if end - position < pdus.DATA_HEADER.size or view[position] != pdus.P_DATA:
                    break
                kind, self._pdu_left, length, number, control = pdus.DATA_HEADER.unpack_from(view, position)
                self._check_header(kind, self._pdu_left)
                position += pdus.DATA_HEADER.size
            if number != context or control & pdus.COMMAND_BIT:
                raise ProtocolViolation("a PDV of another message stands inside a data set", reason=2)
            self._begin_pdv(length, control)
        self._start = position
        return view[out:stop]

    def _begin_pdv(self, length: int, control: int) -> None:
        left = self._pdu_left - 4 - length
        if length < 2 or left < 0 or 0 < left < pdus.PDV_HEADER.size:
            raise ProtocolViolation("a PDV does not fit into its PDU", reason=pdus.INVALID_PARAMETER_VALUE)
        self._pdu_left = left
        self._pdv_left = length - 2
        self._control = control

    def _check_header(self, kind: int, length: int) -> None:
        if kind == pdus.P_DATA:
            right = pdus.PDV_HEADER.size <= length <= self._longest_data
        elif kind in (pdus.ASSOCIATE_RQ, pdus.ASSOCIATE_AC):
            right = length <= self._longest_associate
        elif pdus.ASSOCIATE_RJ <= kind <= pdus.ABORT:
            right = length == _SHORT_PDU
        else:
            raise ProtocolViolation(f"PDU type {kind:02X} does not exist", reason=pdus.UNRECOGNIZED_PDU)
        if not right:
            raise ProtocolViolation(
                f"a PDU of type {kind:02X} says it is {length} bytes long", reason=pdus.INVALID_PARAMETER_VALUE
            )

    def _need(self, count: int, allowance: Allowance) -> None:
        while self._end - self._start < count:
            self._fill(allowance)

    def _fill(self, allowance: Allowance) -> None:
        """Read what there is behind the bytes that wait, in the middle of a PDU or message."""
        waiting = self._end - self._start
        if self._view is self._small:
            large = self._pool.take()
            large[:waiting] = self._small[self._start : self._end]
            self._view, self._start, self._end = large, 0, waiting
        elif self._start:
            self._view[:waiting] = self._view[self._start : self._end]
            self._start, self._end = 0, waiting
        self._transport.acknowledge_soon()
        self._end += self._receive(self._view[self._end :], allowance)

    def _receive(self, view: memoryview, allowance: Allowance) -> int:
        count = self._transport.receive_into(view, allowance)
        if not count:
            raise self.stopped or ConnectionLost(phase=allowance.phase)
        self.received += count
        return count
