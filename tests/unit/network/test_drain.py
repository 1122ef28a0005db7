"""Stopping: what was begun is finished, what waits is told, nobody new comes in."""

from __future__ import annotations

import threading
from time import monotonic

import pytest

from kuva_gateway.network import Acceptor, Listener, Response, Timers
from tests.support import wait_until
from tests.unit.network.peers import (
    QUICK,
    STORE,
    RawPeer,
    RecordingServices,
    echo_command,
    listening,
    p_data,
    pdv,
)


@pytest.fixture
def services():
    return RecordingServices()


def drain_in_background(acceptor: Acceptor, timeout: float) -> tuple[threading.Thread, list[int]]:
    cut: list[int] = []
    thread = threading.Thread(target=lambda: cut.append(acceptor.drain(timeout)))
    thread.start()
    return thread, cut


def test_idle_associations_are_aborted_at_once_and_nobody_new_comes_in(services):
    with listening(services) as acceptor:
        port = acceptor.ports[0]
        with RawPeer(port).associate() as idle:
            wait_until(acceptor.associations)  # from then on it is no half-open connection any more
            with RawPeer(port) as half_open:
                wait_until(lambda: acceptor.census._half_open.total() == 1)
                started = monotonic()
                assert acceptor.drain(20) == 0
                assert monotonic() - started < 5
                kind, body = idle.pdu()
                assert (kind, *body[2:]) == (7, 2, 0)
                assert half_open.pdu() == (0, b"")
        with pytest.raises(ConnectionRefusedError):
            RawPeer(port)
    assert services.ended[0][1] == "the gateway stops"
    assert acceptor.associations() == ()


def test_the_message_being_received_is_finished_and_answered(services):
    with listening(services) as acceptor, RawPeer(acceptor.ports[0]).associate() as peer:
        peer.send(STORE, p_data(pdv(3, 0, b"first")))
        assert services.writing.wait(10)
        thread, cut = drain_in_background(acceptor, 20)
        wait_until(lambda: not acceptor.ports)
        peer.send(p_data(pdv(3, 2, b"last!")))
        assert peer.response().status == 0
        assert peer.pdu()[0] == 7
        thread.join(10)
    assert cut == [0]
    assert services.stored[0].data == b"firstlast!"
    assert services.stored[0].ended == "finished"


def test_a_sink_in_the_middle_of_its_fsync_is_waited_for(services):
    services.may_finish.clear()
    with listening(services) as acceptor, RawPeer(acceptor.ports[0]).associate() as peer:
        peer.send(STORE, p_data(pdv(3, 2, b"data")))
        assert services.finishing.wait(10)
        thread, cut = drain_in_background(acceptor, 20)
        wait_until(lambda: not acceptor.ports)
        services.may_finish.set()
        assert peer.response().status == 0
        thread.join(10)
    assert cut == [0]


def test_what_is_not_finished_in_time_is_aborted(services):
    timers = Timers(message=60, closing=0.2)
    with listening(services, timers=timers) as acceptor, RawPeer(acceptor.ports[0]).associate() as peer:
        peer.send(STORE, p_data(pdv(3, 0, b"first")))
        assert services.writing.wait(10)
        started = monotonic()
        assert acceptor.drain(0.3) == 1
        assert monotonic() - started < 3
        assert peer.pdu()[0] == 7
    assert services.stored[0].ended == "abandoned"


def test_a_drain_does_not_wait_for_a_peer_that_does_not_read(services):
    def endless(association, context, command, data_set):
        while True:
            yield Response(status=0xFF00, data_set=bytes(100_000))

    services.on_request = endless
    timers = Timers(send_stall=60, closing=0.2)
    with listening(services, timers=timers) as acceptor, RawPeer(acceptor.ports[0]).associate() as peer:
        peer.send(p_data(pdv(1, 3, echo_command())))
        wait_until(lambda: services.asked)
        started = monotonic()
        assert acceptor.drain(0.2) == 1
        assert monotonic() - started < 5
        assert acceptor.associations() == ()


def test_an_association_can_be_aborted_from_another_thread(services):
    with listening(services) as acceptor, RawPeer(acceptor.ports[0]).associate() as peer:
        (association,) = wait_until(acceptor.associations)
        association.abort("an operator says so")
        kind, body = peer.pdu()
        assert (kind, *body[2:]) == (7, 0, 0)
        wait_until(lambda: services.ended)
    assert services.ended[0][1] == "an operator says so"


def test_a_drain_of_what_never_started_and_a_second_drain_do_no_harm(services):
    acceptor = Acceptor([Listener(host="127.0.0.1", port=0)], services)
    assert acceptor.drain(1) == 0
    with listening(services) as started:
        assert started.drain(1) == 0
        assert started.drain(1) == 0


def test_a_port_in_use_leaves_nothing_open(services):
    with listening(services) as first:
        listeners = [Listener(host="127.0.0.1", port=0), Listener(host="127.0.0.1", port=first.ports[0])]
        second = Acceptor(listeners, services, timers=QUICK)
        with pytest.raises(OSError, match="in use"):
            second.start()
        assert second.ports == ()
