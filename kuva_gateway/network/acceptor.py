"""Associations that others open: listen, admit, run each on a thread of its own, drain.

Keeps a count of everyone connected (:class:`Census`). Promises that the accept loop never waits for a peer, that every
connection ends, and that each association's end is told to ``Services.closed`` once.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
from collections.abc import Sequence
from time import monotonic

from kuva_gateway.network.association import Association
from kuva_gateway.network.census import Census
from kuva_gateway.network.incoming import Incoming
from kuva_gateway.network.protocols import Log, Services
from kuva_gateway.network.records import Listener
from kuva_gateway.network.timers import Limits, Timers

_BACKLOG = 512
_BREATH = 1.0  # seconds that the loop rests when the process can take no connection at all
_LAST_WORDS = 1.0  # seconds for A-ABORT to leave before a connection is cut


class NoLog:
    """A log that nobody reads."""

    def info(self, event: str, **fields: object) -> object: ...

    def warning(self, event: str, **fields: object) -> object: ...

    def error(self, event: str, **fields: object) -> object: ...


class Acceptor:
    """The gateway's ear."""

    def __init__(
        self,
        listeners: Sequence[Listener],
        services: Services,
        *,
        timers: Timers | None = None,
        limits: Limits | None = None,
        log: Log | None = None,
    ) -> None:
        self._listeners = tuple(listeners)
        self.services = services
        self.timers = timers or Timers()
        self.limits = limits or Limits()
        self.log: Log = log or NoLog()
        self.census = Census(self.limits)
        self._sockets: dict[int, tuple[socket.socket, Listener]] = {}
        self._ports: tuple[int, ...] = ()
        self._incoming: set[Incoming] = set()
        self._empty = threading.Condition()
        self._thread: threading.Thread | None = None
        self._draining = False
        self._spare = -1
        self._wake_read, self._wake_write = -1, -1

    @property
    def ports(self) -> tuple[int, ...]:
        """The port of each listener, in their order; chosen by the kernel where 0 was asked for. None after a drain."""
        return self._ports

    def start(self) -> None:
        """Bind every listener and begin to accept.

        Raises
        ------
        OSError
            An address cannot be bound; nothing is left open.
        """
        try:
            for listener in self._listeners:
                bound = _bind(listener)
                self._sockets[bound.fileno()] = (bound, listener)
        except OSError:
            self._close_listeners()
            raise
        self._ports = tuple(bound.getsockname()[1] for bound, _ in self._sockets.values())
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._accept_loop, name="dicom-accept", daemon=True)
        self._thread.start()

    def associations(self) -> tuple[Association, ...]:
        """The associations that are established now."""
        with self._empty:
            found = tuple(one.association for one in self._incoming)
        return tuple(association for association in found if association is not None and not association.over)

    def drain(self, timeout: float) -> int:
        """Stop listening, let messages in progress be finished and answered, end everything else, wait ``timeout`` s.

        Returns how many connections had to be cut at the end of that time.
        """
        self._stop_listening()
        deadline = monotonic() + timeout
        with self._empty:
            everyone = tuple(self._incoming)
        for one in everyone:
            one.drain()
        cut = 0
        if not self._wait_empty(deadline - monotonic()):
            with self._empty:
                everyone = tuple(self._incoming)
            cut = len(everyone)
            for one in everyone:
                one.abort()
            if not self._wait_empty(_LAST_WORDS):
                for one in everyone:
                    one.cut()
                self._wait_empty(self.timers.closing)
        return cut

    def forget(self, one: Incoming) -> None:
        """A connection's thread has ended."""
        with self._empty:
            self._incoming.discard(one)
            self._empty.notify_all()

    def _wait_empty(self, seconds: float) -> bool:
        with self._empty:
            return self._empty.wait_for(lambda: not self._incoming, max(0.0, seconds))

    def _stop_listening(self) -> None:
        self._draining = True
        if self._thread is None:
            return
        os.write(self._wake_write, b"x")
        self._thread.join()
        self._thread = None
        self._close_listeners()
        for descriptor in (self._wake_read, self._wake_write, self._spare):
            if descriptor >= 0:
                os.close(descriptor)

    def _close_listeners(self) -> None:
        for bound, _ in self._sockets.values():
            bound.close()
        self._sockets.clear()
        self._ports = ()

    def _accept_loop(self) -> None:
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        for descriptor in self._sockets:
            poll.register(descriptor, select.POLLIN)
        while not self._draining:
            for descriptor, _ in poll.poll():
                if descriptor != self._wake_read:
                    self._accept(*self._sockets[descriptor])

    def _accept(self, bound: socket.socket, listener: Listener) -> None:
        try:
            connection, address = bound.accept()
        except (BlockingIOError, ConnectionAbortedError, InterruptedError):
            return
        except OSError as error:
            self.log.error("accept_failed", error=error.strerror)
            self._turn_away(bound)
            return
        try:
            one = Incoming(self, connection, str(address[0]), listener)
        except OSError:  # gone already: its options cannot be set
            connection.close()
            return
        if not self.census.arrive(one.address):
            self.log.warning("connection_refused", address=one.address, why="too many half-open connections")
            connection.close()
            return
        with self._empty:
            self._incoming.add(one)
        try:
            threading.Thread(target=one.run, name="dicom-association", daemon=True).start()
        except RuntimeError:
            self.log.error("accept_failed", error="no thread can be started")
            connection.close()
            self.census.depart(one.address)
            self.forget(one)

    def _turn_away(self, bound: socket.socket) -> None:
        """No descriptor is left: take the connection with the spare one and close it, lest the loop spin."""
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1
        with contextlib.suppress(OSError):
            bound.accept()[0].close()
        try:
            self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            rest = select.poll()
            rest.register(self._wake_read, select.POLLIN)
            rest.poll(_BREATH * 1000)


def _bind(listener: Listener) -> socket.socket:
    host = listener.host or None
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, listener.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(_BACKLOG)
        bound.setblocking(False)
    except BaseException:
        bound.close()
        raise
    return bound
