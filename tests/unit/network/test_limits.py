"""How many may come, and what the others are told."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
from contextlib import ExitStack

from kuva_gateway.network import Limits, Response, Timers, connect
from tests.support import dcmtk, dcmtk_environment, skip_or_fail, wait_until
from tests.unit.network.peers import (
    CT_FILE,
    ECHO,
    IMPLICIT,
    RELEASE,
    VERIFICATION,
    RawPeer,
    RecordingServices,
    listening,
    p_data,
    pdv,
    propose,
    store_command,
    target,
)

CONGESTION = (3, 2, 3, 1)
LOCAL_LIMIT = (3, 2, 3, 2)


def answer(peer: RawPeer, calling: str = "RAW") -> tuple[int, ...]:
    kind, body = peer.ask(calling=calling)
    return (kind, *body[1:]) if kind == 3 else (kind,)


def test_a_peer_may_have_its_limit_and_no_more_and_again_after_a_release():
    services = RecordingServices(limit=2)
    with listening(services) as acceptor, ExitStack() as stack:
        peers = [stack.enter_context(RawPeer(acceptor.ports[0])) for _ in range(5)]
        assert [answer(peer) for peer in peers[:3]] == [(2,), (2,), LOCAL_LIMIT]
        assert answer(peers[3], "OTHER") == (2,)
        peers[0].send(RELEASE)
        assert peers[0].pdu()[0] == 6
        assert answer(peers[4]) == (2,)


def test_beyond_the_total_there_is_congestion():
    with listening(limits=Limits(associations=2)) as acceptor, ExitStack() as stack:
        peers = [stack.enter_context(RawPeer(acceptor.ports[0])) for _ in range(3)]
        assert [answer(peer, f"AE{number}") for number, peer in enumerate(peers)] == [(2,), (2,), CONGESTION]


def test_half_open_connections_of_an_address_are_few_and_do_not_count_as_associations():
    limits = Limits(half_open_per_address=3)
    with listening(limits=limits, timers=Timers(associate=30, closing=0.2)) as acceptor, ExitStack() as stack:
        port = acceptor.ports[0]
        established = stack.enter_context(RawPeer(port)).associate()
        silent = [stack.enter_context(RawPeer(port)) for _ in range(3)]
        wait_until(lambda: acceptor.census._half_open.total() == 3)
        refused = stack.enter_context(RawPeer(port))
        assert refused.pdu() == (0, b"")
        established.send(ECHO)
        assert established.response().status == 0
        silent.pop().socket.close()
        wait_until(lambda: acceptor.census._half_open.total() == 2)
        stack.enter_context(RawPeer(port)).associate()


def test_who_comes_takes_the_place_of_the_connection_that_has_said_nothing_for_longest():
    with (
        listening(limits=Limits(half_open=3), timers=Timers(associate=30, closing=0.2)) as acceptor,
        ExitStack() as all_,
    ):
        port = acceptor.ports[0]
        established = all_.enter_context(RawPeer(port)).associate()
        wait_until(lambda: acceptor.census._half_open.total() == 0)
        silent = [all_.enter_context(RawPeer(port)) for _ in range(3)]
        wait_until(lambda: acceptor.census._half_open.total() == 3)
        for oldest in silent:
            all_.enter_context(RawPeer(port)).associate()
            wait_until(lambda: acceptor.census._half_open.total() == 2)
            assert oldest.pdu() == (0, b"")
            all_.enter_context(RawPeer(port))
            wait_until(lambda: acceptor.census._half_open.total() == 3)
        established.send(ECHO)
        assert established.response().status == 0


def test_fifty_idle_associations_cost_a_sender_nothing_and_hold_no_buffers(tmp_path):
    services = RecordingServices()
    with listening(services) as acceptor, ExitStack() as stack:
        port = acceptor.ports[0]
        for _ in range(50):
            peer = stack.enter_context(RawPeer(port)).associate()
            peer.send(p_data(pdv(3, 3, store_command())), p_data(pdv(3, 2, bytes(5000))))
            assert peer.response().status == 0
        wait_until(lambda: not any(one.busy for one in acceptor.associations()))
        assert len(acceptor.associations()) == 50
        assert all(len(one.stream._view) < 5000 for one in acceptor.associations())
        command = [dcmtk("storescu"), "--repeat", "50", "127.0.0.1", str(port), str(CT_FILE)]
        subprocess.run(command, check=True, timeout=30, env=dcmtk_environment())
    assert len(services.stored) == 100


def test_more_than_1024_descriptors_are_no_obstacle():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 1500:
        skip_or_fail(f"only {hard} descriptors are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1500), hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        with listening() as acceptor, RawPeer(acceptor.ports[0]).associate() as peer:
            assert peer.socket.fileno() > 1024
            peer.send(ECHO)
            assert peer.response().status == 0
            with connect(target(acceptor.ports[0]), propose((VERIFICATION, IMPLICIT))) as ours:
                assert ours.echo() == 0
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


OUT_OF_DESCRIPTORS = """
import os, resource, socket
from tests.unit.network.peers import RawPeer, listening, associate_request
peers = [socket.socket() for _ in range(40)]
resource.setrlimit(resource.RLIMIT_NOFILE, (80, 80))
with listening() as acceptor:
    held = []
    try:
        while True:
            held.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
    for peer in peers[:5]:
        peer.settimeout(10)
        peer.connect(("127.0.0.1", acceptor.ports[0]))
        assert peer.recv(1) == b"", "closed at once"
    for descriptor in held:
        os.close(descriptor)
    peers[6].settimeout(10)
    peers[6].connect(("127.0.0.1", acceptor.ports[0]))
    peers[6].sendall(associate_request())
    assert peers[6].recv(1) == bytes([2])
for peer in peers:
    peer.close()
print("good")
"""


def test_without_descriptors_peers_are_turned_away_and_the_ear_stays_open():
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", OUT_OF_DESCRIPTORS],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.stdout == "good\n", result.stderr


def test_a_large_object_needs_no_memory_of_its_size():
    services = RecordingServices()

    class Nowhere:
        total = 0

        def write(self, view: memoryview) -> None:
            Nowhere.total += len(view)

        def finish(self):
            return Response(status=0)

    services.store = lambda *_: Nowhere()  # type: ignore[method-assign,assignment,return-value]
    with listening(services) as acceptor, RawPeer(acceptor.ports[0]).associate() as peer:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        block = p_data(pdv(3, 0, bytes(131_072))) * 8
        peer.send(p_data(pdv(3, 3, store_command())))
        for _ in range(200):
            peer.send(block)
        peer.send(p_data(pdv(3, 2, b"")))
        assert peer.response().status == 0
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert Nowhere.total == 200 * 8 * 131_072
    assert grown < 20_000, f"{grown} KiB more for 200 MiB"


def test_threads_do_not_outlive_their_connections():
    before = threading.active_count()
    with listening() as acceptor:
        for _ in range(10):
            with RawPeer(acceptor.ports[0]).associate() as peer:
                peer.send(RELEASE)
                assert peer.pdu()[0] == 6
        wait_until(lambda: threading.active_count() == before + 1)
    wait_until(lambda: threading.active_count() == before)
