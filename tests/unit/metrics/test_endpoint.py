"""The port for monitoring, over real sockets: what it answers, and how little whoever calls can do to it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any

import pytest

from kuva_gateway.metrics import endpoint
from kuva_gateway.metrics.endpoint import CONNECTIONS, LONGEST_HEAD, Endpoint, Page
from tests.support import wait_until


class Log:
    """Remembers what was said."""

    def __init__(self) -> None:
        self.said: list[tuple[str, dict[str, Any]]] = []

    def info(self, event: str, **fields: Any) -> None: ...

    def error(self, event: str, **fields: Any) -> None:
        self.said.append((event, fields))


def fails() -> Page:
    raise ValueError("Virtanen^Aino")


PAGES = {"/metrics": lambda: Page(body="figures\n"), "/readyz": lambda: Page(body="no\n", status=503), "/fails": fails}


@contextmanager
def serving(log: Log | None = None, port: int = 0, deadline: float = 5.0) -> Iterator[Endpoint]:
    before = threading.active_count()
    found = Endpoint("127.0.0.1", port, PAGES, log=log or Log(), deadline=deadline)
    found.start()
    try:
        yield found
    finally:
        found.stop()
    wait_until(lambda: threading.active_count() <= before, what="the end of its threads")


def ask(port: int | None, path: str, method: str = "GET") -> tuple[int, str]:
    assert port is not None
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def raw(port: int | None, request: bytes) -> bytes:
    """All that is answered to these bytes."""
    with socket.create_connection(("127.0.0.1", port or 0), timeout=10) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def turned_away(port: int | None) -> bool:
    """Whether there is no room; who has sent before the answer came may miss it and see the end only."""
    try:
        return b" 503 " in raw(port, b"GET /metrics HTTP/1.1\r\n\r\n")
    except ConnectionResetError:
        return True


def test_pages_are_answered_with_their_status() -> None:
    with serving() as found:
        assert ask(found.port, "/metrics") == (200, "figures\n")
        assert ask(found.port, "/metrics?name=x") == (200, "figures\n")
        assert ask(found.port, "/readyz") == (503, "no\n")
        assert ask(found.port, "/metrics", "HEAD") == (200, "")
        assert ask(found.port, "/../etc/passwd")[0] == 404
        assert ask(found.port, "/metrics", "POST")[0] == 405


def test_a_page_that_fails_is_a_500_without_what_it_said() -> None:
    log = Log()
    with serving(log) as found:
        status, body = ask(found.port, "/fails")
        assert status == 500
        assert "Virtanen" not in body
        assert ask(found.port, "/metrics")[0] == 200
    assert "Virtanen" not in str(log.said)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /metrics\r\n\r\n", b"400"),
        (b"\x16\x03\x01 no http\r\n\r\n", b"400"),
        (b"GET /metrics HTTP/1.1\r\nX: " + b"a" * LONGEST_HEAD + b"\r\n", b"431"),
        (b"PUT /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", b"405"),
    ],
)
def test_what_is_no_request_gets_an_answer_that_says_so(request_bytes: bytes, status: bytes) -> None:
    with serving() as found:
        assert raw(found.port, request_bytes).split(b" ")[1] == status


def test_who_says_nothing_or_too_little_is_cut_off() -> None:
    with serving(deadline=0.2) as found:
        assert raw(found.port, b"") == b""
        assert raw(found.port, b"GET /metr") == b""


def test_more_callers_than_there_is_room_for_are_turned_away_and_the_rest_is_served() -> None:
    with serving() as found:
        idle = [socket.create_connection(("127.0.0.1", found.port or 0), timeout=10) for _ in range(CONNECTIONS)]
        try:
            wait_until(lambda: turned_away(found.port), what="a full house")
        finally:
            for one in idle:
                one.close()
        wait_until(lambda: ask(found.port, "/metrics") == (200, "figures\n"), what="room again")


def test_a_stop_does_not_wait_for_those_who_say_nothing() -> None:
    with serving(deadline=60) as found:
        idle = socket.create_connection(("127.0.0.1", found.port or 0), timeout=10)
    with idle, contextlib.suppress(ConnectionResetError):  # where it had not been accepted yet
        assert idle.recv(1) == b""


def test_a_port_that_is_taken_is_said_and_had_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "TRY_AGAIN", 0.05)
    log = Log()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with serving(log, port=port) as found:
            assert found.port is None
            ((_, fields), *_) = log.said
            assert (fields["key"], fields["port"], fields["why"]) == ("metrics.port", port, "Address already in use")
            other.close()
            wait_until(lambda: found.port == port, what="the port")
            assert ask(port, "/metrics") == (200, "figures\n")
