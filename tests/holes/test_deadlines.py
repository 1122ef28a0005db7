"""Floods: a deadline holds also for a peer that is so quick that there is always something to read."""

from __future__ import annotations

import ssl
import threading
from time import monotonic

import pytest

from kuva_gateway.network import Command, NetworkError, Timers, commands, connect
from kuva_gateway.network.pdus import INVALID_PARAMETER_VALUE
from tests.holes.raw import Peer, announce
from tests.holes.receivers import Identity
from tests.unit.network.peers import (
    EXPLICIT,
    VERIFICATION,
    RawPeer,
    RecordingServices,
    listening,
    p_data,
    pdv,
    propose,
    target,
)
from tests.unit.network.scripted import ScriptedServer

QUICK = Timers(handshake=10, associate=10, message=0.5, response=0.5, release=0.5, closing=0.1)


def test_a_command_of_nothing_but_empty_fragments_is_counted_and_cut() -> None:
    """Each one is remembered until the command is whole; no deadline is needed to find that there are too many."""
    services = RecordingServices()
    patient = Timers(message=60, closing=0.1)
    with listening(services, timers=patient) as acceptor, RawPeer(acceptor.ports[0]).associate() as peer:
        block = p_data(*[pdv(1, 1, b"")] * 1000)
        for _ in range(70):
            peer.send(block)
        assert peer.pdu() == (7, bytes([0, 0, 2, INVALID_PARAMETER_VALUE]))


@pytest.mark.parametrize(
    ("beginning", "empty"), [(b"", pdv(1, 1, b"")), (announce(), pdv(3, 0, b""))], ids=["a command", "a data set"]
)
def test_a_flood_over_tls_does_not_outrun_the_deadline(identity: Identity, beginning: bytes, empty: bytes) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.pem)
    services = RecordingServices()
    with (
        listening(services, timers=QUICK, tls=[context]) as acceptor,
        Peer(acceptor.ports[0], tls=identity.client) as peer,
    ):
        peer.open()
        started = monotonic()
        peer.send(beginning)
        peer.flood(p_data(*[empty] * 2000), seconds=8)
        assert monotonic() - started < 8, "it went on reading"


def test_events_do_not_put_off_the_time_for_an_answer() -> None:
    """An archive that reports and reports, and never answers what it was asked."""
    event = Command(
        field=commands.N_EVENT_REPORT_RQ,
        message_id=7,
        affected_class="1.2.840.10008.1.20.1",
        affected_instance="1.2.840.10008.1.20.1.1",
        event_type=1,
    )
    block = p_data(pdv(1, 3, commands.encode(event))) * 100
    enough = threading.Event()

    def reports(server: ScriptedServer) -> None:
        server.pdu()
        listener = threading.Thread(target=server.until_closed)
        listener.start()
        try:
            while not enough.is_set():
                server.send(block)
        except OSError:
            pass
        finally:
            listener.join()

    with ScriptedServer(reports) as server:
        try:
            association = connect(target(server.port), propose((VERIFICATION, EXPLICIT)), timers=QUICK)
            watch = threading.Timer(6, association.abort)
            watch.start()
            with pytest.raises(NetworkError) as caught:
                association.echo()
            watch.cancel()
        finally:
            enough.set()
    assert caught.value.code == "timeout-response"
    assert caught.value.sent
