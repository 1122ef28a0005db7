"""A call that is being opened, and that another thread may end: connecting, TLS and associating take their time.

Promises that after :meth:`Opening.stop` no call with it opens, and that one under way meets :class:`Stopped` within a
tenth of a second, but for a host name that the system's resolver is still looking up.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType

from kuva_gateway.network.errors import NetworkError, Stopped

LOOK_EVERY = 0.1
"""Seconds between looks whether a connection that nobody answers is still wanted."""


class Opening:
    """Handed to each call that one request makes; a call is opened inside it as a context manager."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None
        self._stopped = False

    def stop(self) -> None:
        """End the call under way and every later one; from any thread."""
        with self._lock:
            self._stopped = True
            if self._connection is not None:
                with contextlib.suppress(OSError):  # wakes whoever waits for the other side
                    socket.socket.shutdown(self._connection, socket.SHUT_RDWR)

    def watch(self, connection: socket.socket) -> None:
        """The call goes on with this connection; raises Stopped when it is not wanted any more."""
        with self._lock:
            self._connection = connection
        self.check()

    def check(self) -> None:
        """Raise Stopped when the call is not wanted any more."""
        if self._stopped:
            raise Stopped("the call is not wanted any more")

    def __enter__(self) -> Opening:
        self.check()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._connection = None
        if isinstance(error, NetworkError):
            self.check()
