"""The listening sockets: accept connections, count them as half open, pass each one on.

Promises that the accept loop never waits for a peer, and that a process without a free descriptor turns connections
away instead of spinning.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import socket
import threading
from collections.abc import Callable, Sequence

from kuva_gateway.network.census import Census
from kuva_gateway.network.protocols import Log
from kuva_gateway.network.records import Listener

_BACKLOG = 512
_ROUND = 5.0  # seconds after which the loop goes round although nobody calls
_BREATH = 1.0  # seconds that the loop rests when the process can take no connection at all

Take = Callable[[socket.socket, str, int, int], None]
"""Takes a connection over: the socket, the peer's address, the listener's place among the others, and the connection's
number, which grows and becomes its association's id. OSError or RuntimeError: it cannot; the connection is closed."""


GiveWay = Callable[[int], None]
"""Cuts the connection of this number, if it is still half open."""


class Listening:
    """The gateway's ears. ``beat`` is called whenever the loop goes round."""

    def __init__(
        self,
        listeners: Sequence[Listener],
        take: Take,
        give_way: GiveWay,
        *,
        census: Census,
        log: Log,
        beat: Callable[[], object] = lambda: None,
    ) -> None:
        self._listeners = tuple(listeners)
        self._take = take
        self._give_way = give_way
        self._census = census
        self._beat = beat
        self._log = log
        self._numbers = itertools.count(1)
        self._sockets: dict[int, tuple[socket.socket, int]] = {}
        self._ports: tuple[int, ...] = ()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._spare = -1
        self._wake_read, self._wake_write = -1, -1

    @property
    def ports(self) -> tuple[int, ...]:
        """The port of each listener, in their order; chosen by the kernel where 0 was asked for.

        None before the start and after the end.
        """
        return self._ports

    def bind(self) -> None:
        """Take every listener's port; whoever calls is refused until :meth:`start`.

        Raises
        ------
        OSError
            An address cannot be bound; nothing is left open.
        """
        try:
            for number, listener in enumerate(self._listeners):
                bound = _bind(listener) if listener.passed is None else listener.passed
                self._sockets[bound.fileno()] = (bound, number)
        except OSError:
            self._close()
            raise

    def start(self) -> None:
        """Listen and accept.

        Raises
        ------
        OSError
            Somebody else listens there since; nothing is left open.
        """
        try:
            for bound, _ in self._sockets.values():
                bound.listen(_BACKLOG)
        except OSError:
            self._close()
            raise
        self._ports = tuple(bound.getsockname()[1] for bound, _ in self._sockets.values())
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._accept_loop, name="dicom-accept", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Accept no more and close the listeners; again is fine."""
        self._stopping = True
        if self._thread is not None:
            os.write(self._wake_write, b"x")
            self._thread.join()
            self._thread = None
            for descriptor in (self._wake_read, self._wake_write, self._spare):
                if descriptor >= 0:
                    os.close(descriptor)
        self._close()

    def _close(self) -> None:
        for bound, _ in self._sockets.values():
            bound.close()
        self._sockets.clear()
        self._ports = ()

    def _accept_loop(self) -> None:
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        for descriptor in self._sockets:
            poll.register(descriptor, select.POLLIN)
        while not self._stopping:
            self._beat()
            for descriptor, _ in poll.poll(_ROUND * 1000):
                if descriptor != self._wake_read:
                    self._accept(*self._sockets[descriptor])

    def _accept(self, bound: socket.socket, listener: int) -> None:
        try:
            connection, address = bound.accept()
        except (BlockingIOError, ConnectionAbortedError, InterruptedError):
            return
        except OSError as error:
            self._log.error("accept_failed", error=error.strerror)
            self._turn_away(bound)
            return
        host = str(address[0])
        number = next(self._numbers)
        entry = self._census.arrive(host, number)
        if not entry.admitted:
            self._log.warning("connection_refused", address=host, why="too many half-open connections of this address")
            connection.close()
            return
        if entry.instead_of is not None:
            self._log.warning("connection_cut", number=entry.instead_of, why="too many half-open connections")
            self._give_way(entry.instead_of)
        try:
            self._take(connection, host, listener, number)
        except (OSError, RuntimeError) as error:
            self._log.error("accept_failed", error=str(error) or type(error).__name__)
            connection.close()
            self._census.depart(number)

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
        bound.setblocking(False)
    except BaseException:
        bound.close()
        raise
    return bound
