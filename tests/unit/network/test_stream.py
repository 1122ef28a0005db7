"""The stream of PDUs: however the bytes are cut, the data set comes out whole."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kuva_gateway.network import ConnectionLost, Limits, ProtocolViolation, TimedOut
from kuva_gateway.network.allowance import Allowance
from kuva_gateway.network.buffers import BUFFER_SIZE, BufferPool
from kuva_gateway.network.stream import PduStream
from tests.unit.network.peers import ABORT, p_data, pdv


class Script:
    """A transport that gives out prepared pieces, one a read, then the end of the stream."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = [piece for piece in pieces if piece]
        self.acknowledged = 0

    def receive_into(self, view: memoryview, allowance: Allowance) -> int:
        allowance.remaining()
        if not self.pieces:
            return 0
        piece = self.pieces.pop(0)
        take = min(len(piece), len(view))
        view[:take] = piece[:take]
        if piece[take:]:
            self.pieces.insert(0, piece[take:])
        return take

    def acknowledge_soon(self) -> None:
        self.acknowledged += 1


def stream_of(*pieces: bytes, limits: Limits | None = None) -> PduStream:
    return PduStream(Script(*pieces), limits or Limits(), BufferPool(keep=2))


def unexpected(kind: int, length: int) -> None:
    raise ProtocolViolation(f"type {kind}, {length} bytes", reason=2)


def collect(stream: PduStream, context: int) -> tuple[bytes, list[int]]:
    allowance = Allowance("message", 5)
    assert stream.pdv(allowance, unexpected)[0] == context
    data, sizes, last = b"", [], False
    while not last:
        piece, last = stream.data(context, allowance, unexpected)
        data += bytes(piece)
        sizes.append(len(piece))
    return data, sizes


@st.composite
def transfers(draw):
    """A data set, the PDUs that carry it, and the pieces in which TCP delivers them."""
    payloads = draw(st.lists(st.binary(max_size=40), min_size=1, max_size=8))
    pdus, items = [], []
    for number, payload in enumerate(payloads):
        items.append(pdv(3, 2 if number == len(payloads) - 1 else 0, payload))
        if draw(st.booleans()) or number == len(payloads) - 1:
            pdus.append(p_data(*items))
            items = []
    raw = b"".join(pdus)
    cuts = sorted(draw(st.lists(st.integers(0, len(raw)), max_size=10)))
    pieces = [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    return b"".join(payloads), pieces


@settings(max_examples=300)
@given(transfers())
def test_a_data_set_is_whole_however_it_is_cut(transfer):
    expected, pieces = transfer
    stream = stream_of(*pieces, b"rest")
    assert collect(stream, 3)[0] == expected


def test_neighbouring_fragments_come_out_as_one_piece():
    payloads = [bytes([number]) * 1000 for number in range(20)]
    raw = b"".join(p_data(pdv(1, 2 if number == 19 else 0, payload)) for number, payload in enumerate(payloads))
    data, sizes = collect(stream_of(raw[:1000], raw[1000:]), 1)
    assert data == b"".join(payloads)
    assert len(sizes) <= 2


def test_a_large_pdu_passes_in_pieces_no_larger_than_the_buffer():
    limits = Limits(pdu_length=4_000_000)
    payload = bytes(range(256)) * 8000
    stream = stream_of(p_data(pdv(1, 2, payload)), limits=limits)
    data, sizes = collect(stream, 1)
    assert data == payload
    assert max(sizes) <= BUFFER_SIZE


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"\x04\0\xff\xff\xff\xff", 6),
        (b"\x01\0\xff\xff\xff\xff", 6),
        (b"\x04\0\0\0\0\x05", 6),
        (b"\x05\0\0\0\0\x05", 6),
        (b"\x07\0\0\0\0\x00", 6),
        (b"\x00\0\0\0\0\x04", 1),
        (b"GET / ", 1),
        (b"\x08\0\0\0\0\x04", 1),
    ],
)
def test_a_header_is_judged_before_another_byte_is_read(header, reason):
    stream = stream_of(header)
    with pytest.raises(ProtocolViolation) as caught:
        stream.header(Allowance("message", 1))
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "pdu",
    [
        p_data(b"\0\0\0\x01\x01\x02"),
        p_data(b"\0\0\0\x09\x01\x02abcdef"),
        p_data(pdv(1, 0, b"ab"), b"\0\0\0"),
        p_data(b"\xff\xff\xff\xff\x01\x02abcdef"),
    ],
)
def test_a_pdv_has_to_fit_into_its_pdu(pdu):
    with pytest.raises(ProtocolViolation) as caught:
        collect(stream_of(pdu), 1)
    assert caught.value.reason == 6


def test_an_abort_between_fragments_is_handed_over_after_the_data_before_it():
    allowance = Allowance("message", 5)
    stream = stream_of(p_data(pdv(1, 0, b"abcd")) + ABORT)
    stream.pdv(allowance, unexpected)
    assert bytes(stream.data(1, allowance, unexpected)[0]) == b"abcd"
    with pytest.raises(ProtocolViolation, match="type 7, 4 bytes"):
        stream.data(1, allowance, unexpected)


def test_another_message_inside_a_data_set_is_refused():
    for intruder in (pdv(3, 0, b"xx"), pdv(1, 1, b"xx")):
        with pytest.raises(ProtocolViolation) as caught:
            collect(stream_of(p_data(pdv(1, 0, b"abcd"), intruder)), 1)
        assert caught.value.reason == 2


def test_the_end_in_the_middle_is_a_lost_connection():
    with pytest.raises(ConnectionLost):
        collect(stream_of(p_data(pdv(1, 0, b"abcd"))), 1)


def test_an_endless_row_of_empty_fragments_ends_with_the_deadline():
    class Endless(Script):
        def receive_into(self, view: memoryview, allowance: Allowance) -> int:
            allowance.remaining()
            empty = p_data(pdv(1, 0, b""))
            view[: len(empty)] = empty
            return len(empty)

    stream = PduStream(Endless(), Limits(), BufferPool())
    allowance = Allowance("message", 0.05)
    stream.pdv(allowance, unexpected)
    with pytest.raises(TimedOut):
        stream.data(1, allowance, unexpected)


def test_a_waiting_stream_holds_no_large_buffer_and_the_pool_keeps_a_few():
    pool = BufferPool(keep=1)
    stream = PduStream(Script(p_data(pdv(1, 2, b"a" * 5000)), b"\x05"), Limits(), pool)
    allowance = Allowance("message", 5)
    collect(stream, 1)
    assert len(stream._view) == BUFFER_SIZE
    stream.wait(allowance)
    assert len(stream._view) < 5000
    assert len(pool._spare) == 1
    pool.give(memoryview(bytearray(1)))
    assert len(pool._spare) == 1
