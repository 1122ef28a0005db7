"""A connected socket, plain or TLS, on which no call outlives its :class:`Allowance`.

Plain sockets block in the kernel with ``SO_RCVTIMEO`` and ``SO_SNDTIMEO``: one system call per piece, no poll before.
TLS needs a non-blocking socket and poll, since one record may take several reads. Either is woken from another thread
by :meth:`Transport.interrupt`. Reading returns 0 at the end of the stream; what else goes wrong is a NetworkError.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
from math import ceil

from kuva_gateway.network.allowance import Allowance
from kuva_gateway.network.errors import ConnectionLost, TimedOut, TlsFailed
from kuva_gateway.network.shown import PeerCertificate, read_shown

_TIMEVAL = struct.Struct("ll")
KEEPALIVE_IDLE = 60
KEEPALIVE_INTERVAL = 15
KEEPALIVE_PROBES = 4


def set_options(connection: socket.socket) -> None:
    """Small PDUs leave at once, and a peer that lost its power is noticed by the kernel after about two minutes."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)


class Transport:
    """What plain and TLS connections have in common."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._closed = False

    def receive_into(self, view: memoryview, allowance: Allowance) -> int:
        """Read at least one byte into ``view``; 0 at the end of the stream."""
        raise NotImplementedError

    def send(self, view: memoryview, allowance: Allowance) -> None:
        """Hand every byte to the kernel; each one earns time."""
        raise NotImplementedError

    def readable(self, seconds: float = 0.0) -> bool:
        """Whether something came (or the peer closed), or does within ``seconds``."""
        return bool(_poll(self._socket, select.POLLIN, seconds))

    def peek(self) -> int | None:
        """The first byte that waits in the kernel, left there; None when there is none or TLS hides it."""
        return None

    def acknowledge_soon(self) -> None:
        """Let TCP acknowledge what came now: a sender with Nagle's algorithm waits for exactly that."""
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def interrupt(self, *, hard: bool = False) -> None:
        """Wake the thread that reads (``hard``: or writes) from another thread; it sees the end of the stream."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR if hard else socket.SHUT_RD)

    def finish(self, seconds: float) -> None:
        """Say that we are done, wait up to ``seconds`` for the peer to close, and close.

        Closing with unread bytes would make TCP send RST, which can destroy the A-ABORT or A-ASSOCIATE-RJ that we have
        just sent. PS3.8 9.1.4 wants the wait as well (ARTIM timer, state 13).
        """
        allowance = Allowance("closing", seconds)
        scratch = memoryview(bytearray(4096))
        with contextlib.suppress(OSError, TimedOut, ConnectionLost):
            self._end_writing()
            while self.receive_into(scratch, allowance):
                allowance.remaining()
        self.close()

    def close(self) -> None:
        """Close at once; harmless when it was done before."""
        if not self._closed:
            self._closed = True
            self._socket.close()

    def _end_writing(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)


class PlainTransport(Transport):
    """A TCP connection in blocking mode; the kernel keeps the time within a tenth, the Allowance decides."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(None)
        super().__init__(connection)
        self._armed = {socket.SO_RCVTIMEO: 0.0, socket.SO_SNDTIMEO: 0.0}

    def receive_into(self, view: memoryview, allowance: Allowance) -> int:
        while True:
            self._arm(socket.SO_RCVTIMEO, allowance.remaining())
            try:
                return self._socket.recv_into(view)
            except BlockingIOError:
                self._armed[socket.SO_RCVTIMEO] = 0.0
            except OSError as error:
                raise _lost(allowance, error) from None

    def send(self, view: memoryview, allowance: Allowance) -> None:
        while view:
            self._arm(socket.SO_SNDTIMEO, allowance.remaining())
            try:
                count = self._socket.send(view)
            except BlockingIOError:
                self._armed[socket.SO_SNDTIMEO] = 0.0
                continue
            except OSError as error:
                raise _lost(allowance, error) from None
            allowance.earn(count)
            view = view[count:]

    def peek(self) -> int | None:
        if not self.readable():
            return None
        try:
            return (self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) or (None,))[0]
        except OSError:
            return None

    def _arm(self, option: int, seconds: float) -> None:
        """Make the kernel wait ``seconds``, unless it waits about that long already.

        Waiting too short costs the caller one more turn; waiting too long is kept under a tenth.
        """
        armed = self._armed[option]
        if armed and armed * 0.9 <= seconds:
            return
        self._armed[option] = seconds
        milliseconds = max(1, ceil(seconds * 1000))
        timeval = _TIMEVAL.pack(milliseconds // 1000, milliseconds % 1000 * 1000)
        self._socket.setsockopt(socket.SOL_SOCKET, option, timeval)


class TlsTransport(Transport):
    """A TLS connection in non-blocking mode; fills the whole view while records keep coming."""

    _socket: ssl.SSLSocket

    def __init__(self, connection: ssl.SSLSocket) -> None:
        connection.settimeout(0)
        super().__init__(connection)

    def handshake(self, allowance: Allowance) -> None:
        """Run the TLS handshake.

        Raises
        ------
        TlsFailed
            The peer speaks no TLS, shows no acceptable certificate, or goes away.
        """
        while True:
            try:
                return self._socket.do_handshake()
            except ssl.SSLWantReadError:
                self._wait(select.POLLIN, allowance)
            except ssl.SSLWantWriteError:
                self._wait(select.POLLOUT, allowance)
            except ssl.SSLError as error:
                raise TlsFailed(f"TLS handshake failed: {_reason(error)}") from None
            except OSError as error:
                raise TlsFailed(f"TLS handshake failed: {error.strerror or type(error).__name__}") from None

    def receive_into(self, view: memoryview, allowance: Allowance) -> int:
        allowance.remaining()  # a peer that is quick enough never lets us wait
        total = 0
        while total < len(view):
            try:
                count = self._socket.recv_into(view[total:])
            except ssl.SSLWantReadError:
                if total:
                    break
                self._wait(select.POLLIN, allowance)
            except ssl.SSLWantWriteError:
                if total:
                    break
                self._wait(select.POLLOUT, allowance)
            except OSError as error:
                raise _lost(allowance, error) from None
            else:
                if not count:
                    break
                total += count
        return total

    def send(self, view: memoryview, allowance: Allowance) -> None:
        while view:
            try:
                count = self._socket.send(view)
            except ssl.SSLWantWriteError:
                self._wait(select.POLLOUT, allowance)
            except ssl.SSLWantReadError:
                self._wait(select.POLLIN, allowance)
            except OSError as error:
                raise _lost(allowance, error) from None
            else:
                allowance.earn(count)
                view = view[count:]

    def readable(self, seconds: float = 0.0) -> bool:
        return self._socket.pending() > 0 or super().readable(seconds)

    def negotiated(self) -> str:
        """Version and cipher suite, as OpenSSL names them; "" before the handshake is over."""
        suite = self._socket.cipher()
        return "" if suite is None else f"{self._socket.version()} {suite[0]}"

    def certificate(self) -> PeerCertificate | None:
        """The peer's certificate, if one was asked for and shown."""
        return read_shown(self._socket.getpeercert())

    def _end_writing(self) -> None:
        with contextlib.suppress(ssl.SSLError, ValueError):
            self._socket.unwrap()  # sends close_notify; that the peer's has not come yet is no fault
        socket.socket.shutdown(self._socket, socket.SHUT_WR)

    def _wait(self, events: int, allowance: Allowance) -> None:
        _poll(self._socket, events, allowance.remaining())


def _poll(connection: socket.socket, events: int, seconds: float) -> list[tuple[int, int]]:
    poll = select.poll()
    poll.register(connection, events)
    return poll.poll(ceil(seconds * 1000))


def _reason(error: ssl.SSLError) -> str:
    """OpenSSL's word, and what it found wrong with a certificate."""
    word = error.reason or type(error).__name__
    return f"{word}: {error.verify_message}" if isinstance(error, ssl.SSLCertVerificationError) else word


def _lost(allowance: Allowance, error: OSError) -> ConnectionLost:
    return ConnectionLost(phase=allowance.phase, detail=error.strerror or type(error).__name__)
