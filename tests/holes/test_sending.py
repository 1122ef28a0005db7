"""Peers that misbehave while we send to them: nothing hangs, nothing complete is given up, nothing is guessed.

The sub-operations of a C-MOVE go through the same requestor: what is longer than every timer arrives.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

import pytest

from kuva_gateway.network import Command, commands
from tests.holes.compare import both
from tests.holes.raw import StillOpen
from tests.holes.senders import NOT_SENT, STORED, TIME, UNKNOWN, sending
from tests.unit.network.peers import CT, p_data, pdv
from tests.unit.network.scripted import ScriptedServer

LARGE = 4_000_000
HUGE = 32_000_000  # more than both ends of a connection hold on the way
STORED_RESPONSE = Command(
    field=commands.C_STORE_RSP, responded_to=1, affected_class=CT, affected_instance="1.2.3.4", status=0
)


def read_data_set(server: ScriptedServer, *, pause: float = 0.0) -> int:
    """Read a C-STORE-RQ with its data set to the end, with a pause before each PDU; the data set's length."""
    size, slowness = 0, threading.Event()
    while True:
        slowness.wait(pause)
        kind, body = server.pdu()
        assert kind == 4, f"P-DATA expected, not type {kind}"
        while body:
            length, control = int.from_bytes(body[:4]), body[5]
            size += 0 if control & 1 else length - 2
            body = body[4 + length :]
            if control == 2:
                return size


def hangs_up(server: ScriptedServer) -> None:
    """Take the beginning of the object and no more."""
    server.read(100_000)


def stays_silent(server: ScriptedServer) -> None:
    """Take everything and never answer."""
    read_data_set(server)
    server.until_closed()


def outcome(name: str, then: Callable[[ScriptedServer], None], size: int = LARGE) -> str:
    """What one side's sender makes of a peer that does that."""
    with ScriptedServer(then) as server, sending(name, server.port, size) as one:
        assert one.over.wait(15)
    if one.error:
        raise one.error
    return one.outcome


@pytest.mark.parametrize("name", both("writes to a peer that does not read without a limit"))
def test_a_peer_that_stops_reading_is_left(name: str) -> None:
    patience = 10 if name == "gateway" else 4 * TIME

    def reads_no_more(server: ScriptedServer) -> None:
        server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        server.read(100_000)
        assert server.one.over.wait(patience) or name == "pynetdicom"  # type: ignore[attr-defined]

    with ScriptedServer(reads_no_more) as server, sending(name, server.port, HUGE) as one:
        server.one = one  # type: ignore[attr-defined]
        if not one.over.wait(patience):
            raise StillOpen("it is still writing")
    assert one.error is None
    assert one.outcome == NOT_SENT


@pytest.mark.parametrize("name", both("counts the time for the answer from before the object has left"))
def test_a_send_that_takes_longer_than_every_timer_is_brought_to_its_end(name: str) -> None:
    received: list[int] = []

    def reads_slowly(server: ScriptedServer) -> None:
        server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        received.append(read_data_set(server, pause=3 * TIME / (LARGE / 16_384)))
        server.send(p_data(pdv(1, 3, commands.encode(STORED_RESPONSE))))
        server.pdu()

    ended = outcome(name, reads_slowly)
    assert received
    assert received[0] >= LARGE
    if ended != STORED:
        raise StillOpen(f"the object arrived whole and was given up: {ended}")


@pytest.mark.parametrize("name", both("answers with an empty data set, whatever became of the object"))
def test_an_answer_that_comes_too_late_is_not_taken_for_a_failure_to_send(name: str) -> None:
    silence, hanging_up = outcome(name, stays_silent, 10_000), outcome(name, hangs_up, HUGE)
    if silence == hanging_up:
        raise StillOpen(f"'{silence}', whether the peer may have the object or not")
    assert (silence, hanging_up) == (UNKNOWN, NOT_SENT)
