"""Every event in every state of PS3.8 table 9-10 that a peer can bring about, on both sides of an association.

Each row is a state, each column what then comes on the wire; what is expected is what the other side gets to see until
its connection ends, and that the next association is served. Where the gateway does otherwise than the table, it is
said beside the row. States 1 and 4 see nothing of the wire, 8 lasts no time (a release is answered at once), and 9 to
12 are those of a requestor in :func:`test_a_release_that_meets_another`.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest

from kuva_gateway.network import (
    Aborted,
    Acceptor,
    Admission,
    AssociationRejected,
    AssociationRequest,
    ConnectionLost,
    NetworkError,
    ProtocolViolation,
    Rejection,
    Released,
    Timers,
    connect,
    pdus,
)
from kuva_gateway.network.negotiation import accept_bytes
from kuva_gateway.network.records import Answer
from tests.support import wait_until
from tests.unit.network.peers import (
    CT,
    ECHO,
    EXPLICIT,
    IMPLICIT,
    STORE,
    VERIFICATION,
    RawPeer,
    RecordingServices,
    associate_request,
    listening,
    p_data,
    pdv,
    propose,
    store_command,
    target,
)
from tests.unit.network.scripted import ScriptedServer

PATIENT = Timers(associate=60, idle=60, message=60, send_stall=60, response=60, release=60, closing=5)
CONTEXTS = propose((VERIFICATION, IMPLICIT), (CT, EXPLICIT))
REQUEST = associate_request()
ACCEPTANCE = accept_bytes(
    REQUEST[6:], {one.id: Answer(transfer_syntax=one.transfer_syntaxes[0]) for one in CONTEXTS},
    roles={}, length=16384, identity=None,
)  # fmt: skip

EVENTS: dict[str, bytes | None] = {
    "3 A-ASSOCIATE-AC": ACCEPTANCE,
    "4 A-ASSOCIATE-RJ": pdus.reject_bytes(1, 1, 1),
    "6 A-ASSOCIATE-RQ": REQUEST,
    "10 P-DATA-TF": ECHO,
    "12 A-RELEASE-RQ": pdus.RELEASE_RQ_BYTES,
    "13 A-RELEASE-RP": pdus.RELEASE_RP_BYTES,
    "16 A-ABORT": pdus.abort_bytes(0, 0),
    "17 connection closed": None,
    "19 unrecognized PDU": b"\x09\0\0\0\0\x04abcd",
    "19 invalid PDU": struct.pack(">BxL", 5, 5) + bytes(5),
}

AC, RJ, RP, ANSWERED = ("A-ASSOCIATE-AC",), ("A-ASSOCIATE-RJ",), ("A-RELEASE-RP",), ("P-DATA-TF",)
BY_USER, UNRECOGNIZED, UNEXPECTED, INVALID = (("A-ABORT", *why) for why in ((0, 0), (2, 1), (2, 2), (2, 6)))
NAMES = {
    1: "A-ASSOCIATE-RQ",
    2: "A-ASSOCIATE-AC",
    3: "A-ASSOCIATE-RJ",
    4: "P-DATA-TF",
    5: "A-RELEASE-RQ",
    6: "A-RELEASE-RP",
}
Seen = tuple[object, ...]


def seen(kind: int, body: bytes) -> Seen:
    """A PDU as these tables write it."""
    return ("A-ABORT", body[2], body[3]) if kind == 7 else (NAMES[kind],)


# -- the acceptor ------------------------------------------------------------------------------------------------------


class Deciding(RecordingServices):
    """Turns one caller away, and takes its time over another."""

    def __init__(self) -> None:
        super().__init__()
        self.deciding, self.decide = threading.Event(), threading.Event()

    def admit(self, request: AssociationRequest) -> Admission | Rejection:
        if request.calling_ae == "STRANGER":
            return Rejection(result=1, source=1, reason=3, why="nobody knows it")
        if request.calling_ae == "EARLY":
            self.deciding.set()
            assert self.decide.wait(60)
        return super().admit(request)


@pytest.fixture(scope="module")
def house() -> Iterator[tuple[Acceptor, Deciding]]:
    services = Deciding()
    with listening(services, timers=PATIENT) as acceptor:
        yield acceptor, services


def connected(peer: RawPeer) -> None:
    """State 2: the transport connection is open."""


def being_decided(peer: RawPeer) -> None:
    """State 3: A-ASSOCIATE-RQ came and is not answered."""
    peer.send(associate_request(calling="EARLY"))


def established(peer: RawPeer) -> None:
    """State 6: data may be transferred."""
    peer.associate()


def in_a_command(peer: RawPeer) -> None:
    """State 6, in the middle of a command set."""
    peer.associate().send(p_data(pdv(3, 1, store_command()[:20])))


def in_a_data_set(peer: RawPeer) -> None:
    """State 6, in the middle of a data set."""
    peer.associate().send(STORE, p_data(pdv(3, 0, b"begun")))


def released(peer: RawPeer) -> None:
    """State 13, behind A-RELEASE-RP."""
    peer.associate().send(pdus.RELEASE_RQ_BYTES)
    assert seen(*peer.pdu()) == RP


def rejected(peer: RawPeer) -> None:
    """State 13, behind A-ASSOCIATE-RJ."""
    assert seen(*peer.ask(calling="STRANGER")) == RJ


def aborted(peer: RawPeer) -> None:
    """State 13, behind A-ABORT."""
    peer.associate().send(REQUEST)
    assert seen(*peer.pdu()) == UNEXPECTED


def row(*columns: list[Seen]) -> dict[str, list[Seen]]:
    return dict(zip(EVENTS, columns, strict=True))


NOTHING: list[Seen] = []
ESTABLISHED = row(  # AA-8; DT-2; AR-2 and AR-4; AA-8; AA-3; AA-4; AA-8
    [UNEXPECTED],
    [UNEXPECTED],
    [UNEXPECTED],
    [ANSWERED],
    [RP],
    [UNEXPECTED],
    NOTHING,
    NOTHING,
    [UNRECOGNIZED],
    [INVALID],
)
IN_A_MESSAGE = {**ESTABLISHED, "10 P-DATA-TF": [UNEXPECTED]}
# AA-6 (ignored), AA-2, AR-5. AA-7 would answer a request and an invalid PDU with one more A-ABORT; our half of the
# connection is closed by then.
ENDING = row(*[NOTHING] * 10)
ACCEPTOR: dict[Callable[[RawPeer], None], dict[str, list[Seen]]] = {
    connected: row(  # AA-1; AE-6; AA-1; AA-2; AA-5; AA-1, which says why instead of "by the user"
        [BY_USER], [BY_USER], [AC], [BY_USER], [BY_USER], [BY_USER], NOTHING, NOTHING, [UNRECOGNIZED], [INVALID]
    ),
    # AA-8 would abort; we read on when the request is answered, so that who hurries is served.
    being_decided: {event: [AC, *expected] for event, expected in ESTABLISHED.items()},
    established: ESTABLISHED,
    in_a_command: IN_A_MESSAGE,
    in_a_data_set: IN_A_MESSAGE,
    released: ENDING,
    rejected: ENDING,
    aborted: ENDING,
}


def until_the_end(peer: RawPeer) -> Iterator[Seen]:
    """What comes until the connection ends; what leaves it open is released."""
    while True:
        kind, body = peer.pdu()
        if not kind:
            return
        yield seen(kind, body)
        if kind == 4:
            peer.send(pdus.RELEASE_RQ_BYTES)
            assert seen(*peer.pdu()) == RP


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("state", ACCEPTOR, ids=lambda state: state.__name__)
def test_what_a_caller_sees(house: tuple[Acceptor, Deciding], state: Callable[[RawPeer], None], event: str) -> None:
    acceptor, services = house
    services.deciding.clear()
    services.decide.clear()
    expected = list(ACCEPTOR[state][event])
    with RawPeer(acceptor.ports[0], timeout=60) as peer:
        state(peer)
        if state is being_decided:
            assert services.deciding.wait(60)
        said = EVENTS[event]
        with contextlib.suppress(OSError):  # in state 13 the other side may have closed already
            if said is None:
                peer.socket.shutdown(socket.SHUT_WR)
            else:
                peer.send(said)
        services.decide.set()
        if expected == [AC] and event.startswith("6"):
            assert seen(*peer.pdu()) == AC
        else:
            assert list(until_the_end(peer)) == expected
    with RawPeer(acceptor.ports[0], timeout=60).associate() as bystander:
        bystander.send(ECHO)
        assert bystander.response().status == 0


def test_nothing_is_left_of_all_of_them(house: tuple[Acceptor, Deciding]) -> None:
    acceptor, services = house
    wait_until(lambda: not acceptor.associations(), timeout=60, what="the end of every association")
    assert not [one for one in services.stored if one.ended == "finished"]


def test_whoever_says_nothing_is_hung_up_on_without_a_word() -> None:
    """Event 18, the ARTIM timer, in states 2 and 13: AA-2."""
    with listening(timers=Timers(associate=0.2, closing=0.2)) as acceptor:
        with RawPeer(acceptor.ports[0], timeout=60) as peer:
            assert list(until_the_end(peer)) == NOTHING
        with RawPeer(acceptor.ports[0], timeout=60) as peer:
            peer.send(ECHO)
            assert list(until_the_end(peer)) == [BY_USER]
            wait_until(lambda: not acceptor.census._half_open, timeout=60, what="the end of the connection")


# -- the requestor -----------------------------------------------------------------------------------------------------


def reply(event: str) -> Callable[[ScriptedServer], list[Seen]]:
    """A server that says the event and then listens to the end."""

    def play(server: ScriptedServer) -> list[Seen]:
        said = EVENTS[event]
        if said is None:
            server.socket.shutdown(socket.SHUT_WR)
        else:
            server.send(said)
        heard = []
        while (pdu := server.pdu())[0]:
            heard.append(seen(*pdu))
        return heard

    return play


AWAITING_ACCEPTANCE: dict[str, tuple[type[NetworkError], list[Seen]]] = {
    "4 A-ASSOCIATE-RJ": (AssociationRejected, NOTHING),  # AE-4
    "6 A-ASSOCIATE-RQ": (ProtocolViolation, [UNEXPECTED]),  # AA-8, as those that follow
    "10 P-DATA-TF": (ProtocolViolation, [UNEXPECTED]),
    "12 A-RELEASE-RQ": (ProtocolViolation, [UNEXPECTED]),
    "13 A-RELEASE-RP": (ProtocolViolation, [UNEXPECTED]),
    "16 A-ABORT": (Aborted, NOTHING),  # AA-3
    "17 connection closed": (ConnectionLost, NOTHING),  # AA-4
    "19 unrecognized PDU": (ProtocolViolation, [UNRECOGNIZED]),
    "19 invalid PDU": (ProtocolViolation, [INVALID]),
}


@pytest.mark.parametrize("event", AWAITING_ACCEPTANCE)
def test_instead_of_an_acceptance(event: str) -> None:
    """State 5: A-ASSOCIATE-AC (AE-3) is what every other test sees."""
    error, expected = AWAITING_ACCEPTANCE[event]
    heard: list[Seen] = []

    def play(server: ScriptedServer) -> None:
        server.pdu()
        heard.extend(reply(event)(server))

    with ScriptedServer(play, accept=False) as server, pytest.raises(error):
        connect(target(server.port), CONTEXTS, timers=PATIENT)
    assert heard == expected


AWAITING_AN_ANSWER = {
    **AWAITING_ACCEPTANCE,
    "3 A-ASSOCIATE-AC": (ProtocolViolation, [UNEXPECTED]),
    "4 A-ASSOCIATE-RJ": (ProtocolViolation, [UNEXPECTED]),
    "10 P-DATA-TF": (ProtocolViolation, [BY_USER]),  # a request that we do not serve: PS3.7, not PS3.8
    "12 A-RELEASE-RQ": (Released, [RP]),
}


@pytest.mark.parametrize("event", AWAITING_AN_ANSWER)
def test_instead_of_an_answer(event: str) -> None:
    """State 6, while a request of ours is not answered."""
    error, expected = AWAITING_AN_ANSWER[event]
    heard: list[Seen] = []

    def play(server: ScriptedServer) -> None:
        server.pdu()
        heard.extend(reply(event)(server))

    with ScriptedServer(play) as server, pytest.raises(error):
        connect(target(server.port), CONTEXTS, timers=PATIENT).echo()
    assert heard == expected


AWAITING_RELEASE: dict[str, list[Seen]] = {
    "3 A-ASSOCIATE-AC": [UNEXPECTED],
    "4 A-ASSOCIATE-RJ": [UNEXPECTED],
    "6 A-ASSOCIATE-RQ": [UNEXPECTED],
    "13 A-RELEASE-RP": NOTHING,  # AR-3
    "16 A-ABORT": NOTHING,
    "17 connection closed": NOTHING,
    "19 unrecognized PDU": [UNRECOGNIZED],
    "19 invalid PDU": [INVALID],
}


@pytest.mark.parametrize("event", AWAITING_RELEASE)
def test_instead_of_a_release(event: str) -> None:
    """State 7; the association is over afterwards, whatever came, and nothing is raised."""
    heard: list[Seen] = []

    def play(server: ScriptedServer) -> None:
        assert seen(*server.pdu()) == ("A-RELEASE-RQ",)
        heard.extend(reply(event)(server))

    with ScriptedServer(play) as server:
        association = connect(target(server.port), CONTEXTS, timers=PATIENT)
        association.release()
        assert not association.open
    assert heard == AWAITING_RELEASE[event]


def test_data_that_comes_late_is_dropped_while_a_release_is_awaited() -> None:
    """State 7, AR-6."""

    def play(server: ScriptedServer) -> None:
        server.pdu()
        server.send(ECHO, ECHO, pdus.RELEASE_RP_BYTES)
        assert server.pdu() == (0, b"")

    with ScriptedServer(play) as server:
        connect(target(server.port), CONTEXTS, timers=PATIENT).release()


def test_a_release_that_meets_another() -> None:
    """States 9 and 11: both sides asked at once; AR-8, AR-9 and AR-3 on ours."""

    def play(server: ScriptedServer) -> None:
        server.send(pdus.RELEASE_RQ_BYTES)
        assert seen(*server.pdu()) == ("A-RELEASE-RQ",)
        assert seen(*server.pdu()) == RP
        server.send(pdus.RELEASE_RP_BYTES)
        assert server.pdu() == (0, b"")

    with ScriptedServer(play) as server:
        connect(target(server.port), CONTEXTS, timers=PATIENT).release()
