"""The requestor and peers that do everything wrong: each fault has its own error, which says what was sent."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import struct
import threading
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest

from kuva_gateway.errors import DamageError
from kuva_gateway.network import (
    Aborted,
    AssociationRejected,
    CannotConnect,
    Command,
    ConnectionLost,
    NetworkError,
    NoAnswer,
    ProtocolViolation,
    Released,
    Stopped,
    TimedOut,
    Timers,
    commands,
    connect,
    pdus,
    requestor,
)
from kuva_gateway.network.opening import Opening
from kuva_gateway.network.sending import FileSlice
from tests.support import free_port, wait_until
from tests.unit.network.peers import (
    COMMITMENT,
    CT,
    EXPLICIT,
    IMPLICIT,
    MR,
    QUICK,
    VERIFICATION,
    RecordingServices,
    listening,
    p_data,
    pdv,
    propose,
    target,
)
from tests.unit.network.scripted import ScriptedServer

CONTEXTS = propose((VERIFICATION, IMPLICIT), (CT, EXPLICIT), (MR, EXPLICIT))


def echo_through(port: int, timers: Timers = QUICK) -> int:
    with connect(target(port), CONTEXTS, timers=timers) as association:
        return association.echo()


def response(message_id: int = 1, field: int = commands.C_ECHO_RSP, **more: object) -> bytes:
    return p_data(pdv(1, 3, commands.encode(Command(field=field, responded_to=message_id, status=0, **more))))


def test_nobody_there():
    with pytest.raises(CannotConnect, match="refused") as caught:
        connect(target(free_port()), CONTEXTS)
    assert not caught.value.sent
    assert isinstance(caught.value, NoAnswer)
    with pytest.raises(CannotConnect, match="no address"):
        connect(target(104, host="nobody.invalid"), CONTEXTS)


def test_a_name_that_no_host_can_have_is_a_failure_to_connect():
    with pytest.raises(CannotConnect, match="no address"):
        connect(target(104, host="a" * 64 + ".example"), CONTEXTS)


def test_an_address_of_a_family_that_is_switched_off_leaves_the_others(monkeypatch: pytest.MonkeyPatch):
    resolve = socket.getaddrinfo

    def resolve_with_unknown_family(*arguments: object, **keywords: object) -> list[object]:
        found = resolve(*arguments, **keywords)
        return [(socket.AF_UNSPEC, *found[0][1:]), *found]  # no socket of this family can be made: EAFNOSUPPORT

    with listening() as acceptor:
        monkeypatch.setattr(socket, "getaddrinfo", resolve_with_unknown_family)
        assert echo_through(acceptor.ports[0]) == 0
    with pytest.raises(CannotConnect, match="refused"):
        connect(target(free_port()), CONTEXTS)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EINVAL])
def test_what_the_system_refuses_is_a_failure_to_connect(monkeypatch: pytest.MonkeyPatch, number: int):
    def refuse(connection: socket.socket) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(requestor, "set_options", refuse)
    with listening() as acceptor, pytest.raises(CannotConnect, match=os.strerror(number)):
        connect(target(acceptor.ports[0]), CONTEXTS)


def test_a_rejection_is_told_in_words():
    def reject(server: ScriptedServer) -> None:
        server.pdu()
        server.send(pdus.reject_bytes(1, 1, 7))
        server.until_closed()

    with ScriptedServer(reject, accept=False) as server, pytest.raises(AssociationRejected) as caught:
        connect(target(server.port), CONTEXTS, timers=QUICK)
    error = caught.value
    assert (error.result, error.source, error.reason, error.permanent) == (1, 1, 7, True)
    assert error.meaning == "called AE title not recognized"
    assert error.code == "rejected-1-1-7"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (pdus.abort_bytes(2, 1), Aborted),
        (b"", ConnectionLost),
        (b"\x02\0\xff\xff\xff\xff", ProtocolViolation),
        (b"\x02\0\0\0\0\x05hello", ProtocolViolation),
        (pdus.RELEASE_RP_BYTES, ProtocolViolation),
        (b"SSH-2.0-OpenSSH", ProtocolViolation),
    ],
)
def test_nonsense_instead_of_an_acceptance(said, expected):
    def nonsense(server: ScriptedServer) -> None:
        server.pdu()
        server.send(said)

    with ScriptedServer(nonsense, accept=False) as server, pytest.raises(expected) as caught:
        connect(target(server.port), CONTEXTS, timers=QUICK)
    assert not caught.value.sent


def test_silence_instead_of_an_acceptance():
    with (
        ScriptedServer(lambda server: server.until_closed() and None, accept=False) as server,
        pytest.raises(TimedOut) as caught,
    ):
        connect(target(server.port), CONTEXTS, timers=Timers(associate=0.3, closing=0.2))
    assert caught.value.phase == "associate"


@pytest.mark.parametrize(
    ("said", "expected", "text"),
    [
        (pdus.abort_bytes(2, 6), Aborted, "invalid PDU parameter value"),
        (pdus.abort_bytes(0, 0), Aborted, "by the application"),
        (pdus.RELEASE_RQ_BYTES, Released, "released"),
        (b"", ConnectionLost, "closed by the peer"),
        (response(2), ProtocolViolation, "another request"),
        (response(1, commands.C_STORE_RSP), ProtocolViolation, "another request"),
        (p_data(pdv(99, 3, b"")), ProtocolViolation, "not accepted"),
        (p_data(pdv(1, 3, b"junk")), ProtocolViolation, "command set"),
        (b"\x04\0\xff\xff\xff\xff", ProtocolViolation, "4294967295"),
    ],
)
def test_instead_of_a_response(said, expected, text):
    """The request was complete, so its outcome is unknown: ``sent`` is true."""
    last: list[bytes] = []

    def answer(server: ScriptedServer) -> None:
        server.pdu()
        server.send(said)
        if said:
            last.append(server.until_closed())

    with ScriptedServer(answer) as server:
        association = connect(target(server.port), CONTEXTS, timers=QUICK)
        with pytest.raises(expected, match=text) as caught:
            association.echo()
        assert not association.open
        association.release()
    assert caught.value.sent
    if expected is ProtocolViolation:
        assert last[0][:1] == b"\x07"
    elif expected is Released:
        assert last == [pdus.RELEASE_RP_BYTES]


def test_no_response_in_time():
    with ScriptedServer(lambda server: server.until_closed() and None) as server:
        started = monotonic()
        with pytest.raises(TimedOut) as caught:
            echo_through(server.port, Timers(response=0.3, closing=0.2))
        assert monotonic() - started < 2
    assert (caught.value.phase, caught.value.sent) == ("response", True)


def test_a_response_byte_by_byte_has_its_own_deadline():
    def drip(server: ScriptedServer) -> None:
        server.pdu()
        server.socket.settimeout(0.05)
        for byte in response():
            try:
                server.socket.send(bytes([byte]))
                if not server.socket.recv(100):
                    return
            except TimeoutError:
                continue
            except OSError:
                return

    with ScriptedServer(drip) as server, pytest.raises(TimedOut) as caught:
        echo_through(server.port, Timers(message=0.3, closing=0.2))
    assert caught.value.phase == "message"


def test_the_time_for_a_response_grows_with_the_object(tmp_path):
    """PS3.7 sets none; a fixed one aborts transfers that were complete (a peer still writing a large object)."""
    path = tmp_path / "data"
    path.write_bytes(bytes(1_000_000))
    slow = threading.Event()

    def late(server: ScriptedServer) -> None:
        server.pdu()
        received = 0
        while received < 1_000_000:
            received += len(server.pdu()[1]) - 6
        slow.wait(0.8)
        server.send(response(1, commands.C_STORE_RSP))
        server.pdu()
        server.send(pdus.RELEASE_RP_BYTES)

    timers = Timers(response=0.2, minimum_rate=500_000)
    with (
        ScriptedServer(late) as server,
        connect(target(server.port), propose((CT, EXPLICIT)), timers=timers) as association,
        path.open("rb") as file,
    ):
        answer = association.store(
            association.contexts[1],
            sop_class=CT,
            sop_instance="1.2",
            data=[FileSlice(descriptor=file.fileno(), offset=0, length=10**6)],
        )
    assert answer.status == 0


def big_store(port: int, path: Path, timers: Timers = QUICK, size: int = 40_000_000) -> NetworkError:
    path.touch()
    os.truncate(path, size)
    association = connect(target(port), propose((CT, EXPLICIT)), timers=timers)
    with path.open("rb") as file, pytest.raises(NetworkError) as caught:
        association.store(
            association.contexts[1],
            sop_class=CT,
            sop_instance="1.2",
            data=[FileSlice(descriptor=file.fileno(), offset=0, length=size)],
        )
    return caught.value


def test_a_peer_that_stops_reading_is_noticed(tmp_path):
    done = threading.Event()
    with ScriptedServer(lambda server: done.wait(15) and None) as server:
        started = monotonic()
        error = big_store(server.port, tmp_path / "data", Timers(send_stall=0.5, closing=0.2))
        assert monotonic() - started < 4
        done.set()
    assert isinstance(error, TimedOut)
    assert (error.phase, error.sent) == ("send", False)


def test_an_abort_in_the_middle_of_a_large_object_is_told_as_one(tmp_path):
    def abort(server: ScriptedServer) -> None:
        server.pdu()
        server.pdu()
        server.send(pdus.abort_bytes(2, 4))
        server.until_closed()

    with ScriptedServer(abort) as server:
        error = big_store(server.port, tmp_path / "data", size=400_000_000)
    assert isinstance(error, Aborted)
    assert (error.source, error.reason, error.sent) == (2, 4, False)


def test_a_peer_that_hangs_up_in_the_middle_of_a_large_object(tmp_path):
    def hang_up(server: ScriptedServer) -> None:
        server.pdu()
        server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with ScriptedServer(hang_up) as server:
        error = big_store(server.port, tmp_path / "data")
    assert isinstance(error, ConnectionLost)
    assert not error.sent


def test_an_event_that_comes_while_we_wait_is_answered_first():
    events: list[tuple[int | None, bytes]] = []

    def report(server: ScriptedServer) -> None:
        server.pdu()
        event = Command(
            field=commands.N_EVENT_REPORT_RQ,
            message_id=77,
            affected_class=COMMITMENT,
            affected_instance="1.2.3",
            event_type=2,
            has_data_set=True,
        )
        server.send(p_data(pdv(1, 3, commands.encode(event)), pdv(1, 2, b"result")))
        answer = commands.decode(server.pdu()[1][6:])
        assert (answer.field, answer.responded_to, answer.status) == (commands.N_EVENT_REPORT_RSP, 77, 0x0112)
        assert (answer.event_type, answer.affected_instance) == (2, "1.2.3")
        server.send(response())
        assert server.pdu()[0] == 5
        server.send(pdus.RELEASE_RP_BYTES)

    def on_event(command: Command, data: bytes) -> int:
        events.append((command.event_type, data))
        return 0x0112

    with (
        ScriptedServer(report) as server,
        connect(target(server.port), CONTEXTS, timers=QUICK, on_event=on_event) as association,
    ):
        assert association.echo() == 0
    assert events == [(2, b"result")]


def test_a_request_of_the_peer_that_nobody_negotiated_is_an_abort():
    def ask(server: ScriptedServer) -> None:
        server.pdu()
        server.send(p_data(pdv(1, 3, commands.encode(Command(field=commands.C_ECHO_RQ, message_id=1)))))
        assert server.pdu()[0] == 7

    with ScriptedServer(ask) as server, pytest.raises(ProtocolViolation, match="out of turn"):
        echo_through(server.port)


def test_both_release_at_once():
    def collide(server: ScriptedServer) -> None:
        assert server.pdu()[0] == 5
        server.send(pdus.RELEASE_RQ_BYTES)
        assert server.pdu()[0] == 6
        server.send(p_data(pdv(1, 3, b"data that is dropped")), pdus.RELEASE_RP_BYTES)
        assert server.pdu() == (0, b"")

    with ScriptedServer(collide) as server:
        connect(target(server.port), CONTEXTS, timers=QUICK).release()


def test_a_release_that_is_not_answered_ends_in_time():
    with ScriptedServer(lambda server: server.until_closed() and None) as server:
        started = monotonic()
        connect(target(server.port), CONTEXTS, timers=Timers(release=0.2, closing=0.2)).release()
        assert monotonic() - started < 2


def test_an_exception_in_the_callers_block_aborts():
    seen: list[int] = []
    with (
        ScriptedServer(lambda server: seen.append(server.pdu()[0])) as server,
        pytest.raises(KeyError),
        connect(target(server.port), CONTEXTS, timers=QUICK),
    ):
        raise KeyError
    assert seen == [7]


@pytest.mark.parametrize("asking", [True, False])
def test_another_thread_can_abort_us(asking):
    reached = threading.Event()
    seen: list[int] = []

    def wait(server: ScriptedServer) -> None:
        if asking:
            server.pdu()
            reached.set()
        seen.append(server.pdu()[0])

    with ScriptedServer(wait) as server:
        association = connect(target(server.port), CONTEXTS, timers=QUICK)
        caught: list[NetworkError] = []

        def ask() -> None:
            try:
                association.echo()
            except NetworkError as error:
                caught.append(error)

        if asking:
            thread = threading.Thread(target=ask)
            thread.start()
            assert reached.wait(10)
            association.abort("the runner stops")
            thread.join(10)
            assert isinstance(caught[0], Stopped)
            assert caught[0].sent
        else:
            association.abort("the runner stops")
        assert not association.open
    assert seen == [7]


def test_an_idle_association_that_the_peer_released_is_over_and_its_release_is_answered():
    answered = []

    def release(server: ScriptedServer) -> None:
        server.send(pdus.RELEASE_RQ_BYTES)
        answered.append(server.read(len(pdus.RELEASE_RP_BYTES)))

    with ScriptedServer(release) as server:
        association = connect(target(server.port), CONTEXTS, timers=QUICK)
        assert wait_until(association.ended_meanwhile)
        assert not association.open
    assert answered == [pdus.RELEASE_RP_BYTES]


def test_a_call_can_be_ended_while_the_other_side_shakes_hands():
    """Every phase is a deadline of a minute here."""
    opening, caught = Opening(), []
    slow = replace(QUICK, connect=60, handshake=60, associate=60)

    def call(port: int) -> None:
        with pytest.raises(Stopped) as stopped:
            connect(target(port, tls=ssl.create_default_context()), CONTEXTS, timers=slow, opening=opening)
        caught.append(stopped.value)

    with socket.create_server(("127.0.0.1", 0)) as silent:
        thread = threading.Thread(target=call, args=(silent.getsockname()[1],))
        thread.start()
        accepted, _ = silent.accept()
        with accepted:
            assert accepted.recv(1)  # the handshake has begun, and will not be answered
            opening.stop()
            thread.join(30)
    assert [str(one) for one in caught] == ["the call is not wanted any more"]
    with pytest.raises(Stopped):
        connect(target(free_port()), CONTEXTS, timers=QUICK, opening=opening)


def test_a_file_that_shrank_is_damage_and_the_peer_gets_an_abort(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(bytes(1000))
    services = RecordingServices()
    with listening(services) as acceptor:
        association = connect(target(acceptor.ports[0]), propose((CT, EXPLICIT)), timers=QUICK)
        with path.open("rb") as file, pytest.raises(DamageError):
            association.store(
                association.contexts[1],
                sop_class=CT,
                sop_instance="1.2",
                data=[FileSlice(descriptor=file.fileno(), offset=0, length=2000)],
            )
        wait_until(lambda: services.ended)
    assert not any(received.ended == "finished" for received in services.stored)
    assert "aborted" in services.ended[0][1]
