"""The hostile end of an association: a raw peer under a modality's name, plain or over TLS."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
from time import monotonic

from kuva_gateway.network.negotiation import request_bytes
from tests.unit.network.peers import (
    CT,
    EXPLICIT,
    IMPLICIT,
    VERIFICATION,
    RawPeer,
    echo_command,
    p_data,
    pdv,
    propose,
    store_command,
)

CALLED, CALLING = "KUVAGW", "CT1"
ECHO = p_data(pdv(1, 3, echo_command()))
PATIENCE = 10.0
"""Seconds for what must happen; the deadlines of the receivers under test are less than a second."""


class StillOpen(AssertionError):
    """The hole is there: the one error that a comparison with another implementation expects."""


class Peer(RawPeer):
    """A raw peer that knows what the gateway is called; context 1 is for C-ECHO, context 3 for CT images."""

    def __init__(self, port: int, *, timeout: float = PATIENCE, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(port, timeout=timeout)
        self._left = memoryview(b"")
        try:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is not None:
                self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self) -> Peer:
        return self

    def open(self, *, length: int = 16384) -> Peer:
        """Open an association."""
        self.send(associate(length=length))
        kind, _ = self.pdu()
        assert kind == 2, f"A-ASSOCIATE-AC expected, not type {kind}"
        return self

    def echo(self) -> None:
        """C-ECHO, answered with success."""
        self.send(ECHO)
        assert self.response().status == 0

    def has_ended(self, seconds: float = PATIENCE) -> bool:
        """Whether the other side ends the connection within that time; what it says before is read and dropped."""
        deadline = monotonic() + seconds
        while (left := deadline - monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                if not self.socket.recv(65536):
                    return True
            except TimeoutError:
                return False
            except OSError:
                return True
        return False

    def drip(self, data: bytes, *, every: float = 0.05, seconds: float = PATIENCE) -> bool:
        """Send a byte now and then, for ever if need be; whether the other side puts an end to it in time."""
        deadline, position = monotonic() + seconds, 0
        while monotonic() < deadline:
            try:
                self.socket.send(data[position : position + 1] or b"\0")
            except OSError:
                return True
            position += 1
            if self.has_ended(every):
                return True
        return False

    def fill(self, data: bytes, *, seconds: float = 0.5) -> None:
        """Send the same again and again until the other side takes no more; may go on later where it stopped."""
        self.socket.settimeout(seconds)
        with contextlib.suppress(OSError):
            while True:
                self._left = self._left or memoryview(data * 100)
                self._left = self._left[self.socket.send(self._left) :]

    def flood(self, data: bytes, *, seconds: float = PATIENCE) -> None:
        """Send the same again and again until the other side ends the connection; what it says is read and dropped."""
        deadline = monotonic() + seconds
        with contextlib.suppress(OSError):
            while monotonic() < deadline:
                self.send(data)

    def breaks(self, seconds: float = PATIENCE) -> bool:
        """Whether the connection breaks within that time, without reading a byte of it."""
        poll = select.poll()
        poll.register(self.socket, select.POLLRDHUP)  # errors and hang-ups are told in any case
        return bool(poll.poll(seconds * 1000))


def associate(*, length: int = 16384) -> bytes:
    """An A-ASSOCIATE-RQ for verification (context 1) and CT images (context 3)."""
    return request_bytes(
        called_ae=CALLED,
        calling_ae=CALLING,
        contexts=propose((VERIFICATION, IMPLICIT), (CT, EXPLICIT)),
        roles={},
        length=length,
    )


def announce(sop_instance: str = "1.2.3.4") -> bytes:
    """The PDU of a C-STORE-RQ for a CT image."""
    return p_data(pdv(3, 3, store_command(sop_instance=sop_instance)))


def data_set(data: bytes, *, fragment: int = 16_000, last: bool = True) -> bytes:
    """A data set as PDUs of one fragment each; without ``last`` there is more to come."""
    pieces = [data[at : at + fragment] for at in range(0, len(data), fragment)]
    return b"".join(p_data(pdv(3, 2 if last and piece is pieces[-1] else 0, piece)) for piece in pieces)
