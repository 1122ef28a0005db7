"""The port for monitoring: a few pages over HTTP/1.1, one request to a connection.

Promises that whoever calls cannot hurt the daemon: at most so many connections at a time, each for a few seconds, heads
of 8 KiB, no bodies, and a thread that ends with each. A port that somebody else has is said and tried again: images are
worth more than figures about them (decision 0019).
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

CONNECTIONS = 8
"""Connections that are served at a time; the next one is answered 503."""
DEADLINE = 5.0
"""Seconds for a request to come, and as many for its answer to be taken."""
LONGEST_HEAD = 8192
"""Bytes of a request's line and header fields."""
TRY_AGAIN = 10.0
"""Seconds between tries to have the port."""
_FAREWELL = 0.5  # seconds for what else a peer has sent to be read, lest closing resets the answer away
TEXT = "text/plain; charset=utf-8"
_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a path answers."""

    body: str | bytes
    status: int = 200
    content_type: str = TEXT


class Endpoint:
    """Serves ``pages`` (path -> what makes the page) from :meth:`start` to :meth:`stop`."""

    def __init__(
        self, host: str, port: int, pages: Mapping[str, Callable[[], Page]], *, log: Any, deadline: float = DEADLINE
    ) -> None:
        self._address = (host, port)
        self._pages = dict(pages)
        self._log = log
        self._deadline = deadline
        self._room = threading.BoundedSemaphore(CONNECTIONS)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._listening: socket.socket | None = None
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)

    @property
    def port(self) -> int | None:
        """The port that is listened on; None while somebody else has it."""
        listening = self._listening
        return None if listening is None else int(listening.getsockname()[1])

    def start(self) -> None:
        """Listen, now if the port is free, and serve."""
        self._listening = self._bind()
        self._thread.start()

    def stop(self) -> None:
        """Serve no more; returns when no thread of it is left."""
        self._stopping.set()
        self._wake.close()
        if self._thread.ident is not None:
            self._thread.join()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for _ in range(CONNECTIONS):
            self._room.acquire(timeout=DEADLINE)
        self._woken.close()

    # -- listening ---------------------------------------------------------------------------------------------------

    def _bind(self) -> socket.socket | None:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                *self._address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            listening = socket.socket(family, kind, protocol)
            try:
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listening.bind(address)
                listening.listen(CONNECTIONS)
                listening.setblocking(False)
            except BaseException:
                listening.close()
                raise
        except OSError as error:
            self._log.error(
                "no figures for monitoring: the port cannot be had and is tried again",
                key="metrics.port",
                host=self._address[0],
                port=self._address[1],
                why=error.strerror or type(error).__name__,
            )
            return None
        self._log.info("figures for monitoring", host=self._address[0], port=listening.getsockname()[1])
        return listening

    def _run(self) -> None:
        while not self._stopping.is_set():
            if self._listening is None:
                if self._wait(self._woken, TRY_AGAIN) or self._stopping.is_set():
                    continue
                self._listening = self._bind()
            else:
                self._accept(self._listening)
        if self._listening is not None:
            self._listening.close()
            self._listening = None

    def _wait(self, one: socket.socket, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        poll.register(one, select.POLLIN)
        return any(found == one.fileno() for found, _ in poll.poll(seconds * 1000))

    def _accept(self, listening: socket.socket) -> None:
        if not self._wait(listening, TRY_AGAIN) or self._stopping.is_set():
            return
        try:
            connection, _ = listening.accept()
        except OSError:  # gone again, or no descriptor is left
            self._stopping.wait(0.1)
            return
        if not self._room.acquire(blocking=False):
            with connection, contextlib.suppress(OSError):
                connection.settimeout(0)
                connection.sendall(_answer(Page(body="too many connections\n", status=503)))
            return
        with self._lock:
            self._open.add(connection)
        try:
            threading.Thread(target=self._serve, args=(connection,), name="metrics-answer", daemon=True).start()
        except RuntimeError:  # no thread is to be had
            self._close(connection)

    def _close(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)
        connection.close()
        self._room.release()

    # -- one connection ----------------------------------------------------------------------------------------------

    def _serve(self, connection: socket.socket) -> None:
        try:
            head = self._read_head(connection)
            if head is not None:
                connection.settimeout(self._deadline)
                connection.sendall(self._respond(head))
                _farewell(connection)
        except OSError:
            pass  # it went away; it may come again
        except Exception as error:
            self._log.error("an answer about figures failed", error=type(error).__name__)
        finally:
            self._close(connection)

    def _read_head(self, connection: socket.socket) -> bytes | None:
        """The request's line and fields; more than :data:`LONGEST_HEAD` bytes when it is too long; None: no request."""
        deadline = monotonic() + self._deadline
        head = b""
        while b"\r\n\r\n" not in head and len(head) <= LONGEST_HEAD:
            left = deadline - monotonic()
            if left <= 0:
                return None
            connection.settimeout(left)
            part = connection.recv(4096)
            if not part:
                return None
            head += part
        return head

    def _respond(self, head: bytes) -> bytes:
        if b"\r\n\r\n" not in head:
            return _answer(Page(body="the request is too long\n", status=431))
        words = head.split(b"\r\n", 1)[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return _answer(Page(body="this is no HTTP request\n", status=400))
        method, target, _ = words
        if method not in (b"GET", b"HEAD"):
            return _answer(Page(body="only GET and HEAD\n", status=405))
        make = self._pages.get(target.split(b"?", 1)[0].decode("latin-1"))
        if make is None:
            return _answer(Page(body="pages: " + " ".join(sorted(self._pages)) + "\n", status=404))
        try:
            page = make()
        except Exception as error:
            self._log.error("a page for monitoring failed", error=type(error).__name__, exc_info=True)
            page = Page(body="a fault of the gateway; see its log\n", status=500)
        return _answer(page, body=method == b"GET")


def _answer(page: Page, *, body: bool = True) -> bytes:
    content = page.body.encode("utf-8") if isinstance(page.body, str) else page.body
    allow = "Allow: GET, HEAD\r\n" if page.status == 405 else ""
    head = (
        f"HTTP/1.1 {page.status} {_REASONS[page.status]}\r\n{allow}Content-Type: {page.content_type}\r\n"
        f"Content-Length: {len(content)}\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode("latin-1") + (content if body else b"")


def _farewell(connection: socket.socket) -> None:
    """End our side and read, briefly, what the other one still sends."""
    connection.shutdown(socket.SHUT_WR)
    deadline = monotonic() + _FAREWELL
    while (left := deadline - monotonic()) > 0:
        connection.settimeout(left)
        if not connection.recv(4096):
            return
