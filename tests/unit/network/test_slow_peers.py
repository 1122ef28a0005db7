"""Every phase ends on time, against silence and against a byte now and then."""

from __future__ import annotations

from time import monotonic

import pytest

from kuva_gateway.network import Response, Timers
from tests.support import wait_until
from tests.unit.network.peers import (
    ECHO,
    STORE,
    RawPeer,
    RecordingServices,
    associate_request,
    listening,
    p_data,
    pdv,
)


class TestSlowPeers:
    """Every phase ends on time, against silence and against a byte now and then."""

    TIMERS = Timers(handshake=0.5, associate=0.5, idle=0.5, message=0.5, send_stall=0.5, closing=0.2)

    def drip(self, peer: RawPeer, data: bytes, *, every: float = 0.05, seconds: float = 5) -> float:
        """Send a byte now and then until the other side closes; how long that took."""
        started = monotonic()
        peer.socket.settimeout(every)
        position = 0
        while monotonic() - started < seconds:
            try:
                peer.socket.send(data[position : position + 1] or b"\0")
                position += 1
                if not peer.socket.recv(100):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        return monotonic() - started

    def silence(self, peer: RawPeer) -> float:
        """Read until the other side closes; how long that took."""
        started = monotonic()
        while peer.socket.recv(100):
            pass
        return monotonic() - started

    @pytest.mark.parametrize("said", [b"", b"\x01\0\0"])
    def test_who_asks_for_nothing_is_closed(self, said):
        with listening(timers=self.TIMERS) as acceptor, RawPeer(acceptor.ports[0]) as peer:
            peer.send(said)
            assert 0.4 < self.silence(peer) < 2
            wait_until(lambda: not acceptor.census._half_open)

    def test_who_asks_for_an_association_byte_by_byte_is_closed(self):
        with listening(timers=self.TIMERS) as acceptor, RawPeer(acceptor.ports[0]) as peer:
            assert 0.4 < self.drip(peer, associate_request()) < 2

    @pytest.mark.parametrize(
        ("said", "how"),
        [
            (b"", "idle"),
            (b"\x04\0\0", "message"),
            (ECHO[:30], "message"),
            (STORE, "message"),
            (STORE + p_data(pdv(3, 0, bytes(2000)))[:500], "message"),
        ],
    )
    def test_who_falls_silent_is_aborted(self, said, how):
        services = RecordingServices()
        with listening(services, timers=self.TIMERS) as acceptor, RawPeer(acceptor.ports[0]).associate() as peer:
            peer.send(said)
            assert 0.4 < self.silence(peer) < 2
            wait_until(lambda: services.ended)
        assert services.ended[0][1] == f"aborted by us: the deadline for {how} passed"
        assert all(received.ended == "abandoned" for received in services.stored)

    @pytest.mark.parametrize("said", [b"", STORE])
    def test_who_drips_is_aborted(self, said):
        services = RecordingServices()
        with listening(services, timers=self.TIMERS) as acceptor, RawPeer(acceptor.ports[0]).associate() as peer:
            peer.send(said)
            assert 0.4 < self.drip(peer, p_data(pdv(3 if said else 1, 0 if said else 1, bytes(2000)))) < 2.5
            wait_until(lambda: services.ended)
        assert services.ended[0][1] == "aborted by us: the deadline for message passed"

    def test_who_does_not_read_our_answers_is_cut_off(self):
        services = RecordingServices()

        def endless(association, context, command, data_set):
            while True:
                yield Response(status=0xFF00, data_set=bytes(100_000))

        services.on_request = endless
        with listening(services, timers=self.TIMERS) as acceptor, RawPeer(acceptor.ports[0]).associate() as peer:
            started = monotonic()
            peer.send(ECHO)
            wait_until(lambda: services.ended)
            assert monotonic() - started < 5
        assert services.ended[0][1] == "aborted by us: the deadline for send passed"

    def test_who_keeps_up_with_the_rate_may_take_longer_than_the_timer(self):
        timers = Timers(message=0.3, minimum_rate=10_000, closing=0.2)
        services = RecordingServices()
        with listening(services, timers=timers) as acceptor, RawPeer(acceptor.ports[0]).associate() as peer:
            peer.send(STORE)
            started = monotonic()
            while monotonic() - started < 1:
                services.writing.clear()
                peer.send(p_data(pdv(3, 0, bytes(2000))))
                assert services.writing.wait(5)
                peer.socket.settimeout(0.1)
                with pytest.raises(TimeoutError):
                    peer.socket.recv(1)
            peer.socket.settimeout(5)
            peer.send(p_data(pdv(3, 2, b"end!")))
            assert peer.response().status == 0
