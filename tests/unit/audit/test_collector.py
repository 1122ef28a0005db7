"""The collector: in order, at least once, also what was written while it was away."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from kuva_gateway.audit.collector import Address, Collector, frame
from kuva_gateway.audit.trail import Trail, files, records
from kuva_gateway.network.tls import client_context
from tests.support import free_port, wait_until
from tests.unit.audit.test_writer import Lines

AT = datetime(2026, 11, 22, 3, 4, 5, 678, UTC)


def write(folder: Path, *texts: str) -> None:
    Trail(folder).append((AT, text) for text in texts)


class Syslog:
    """A collector that reads octet-counted messages (RFC 5425 4.3) from one connection after the other."""

    def __init__(self, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self._tls = tls
        self.messages: list[bytes] = []
        self.connections: list[socket.socket] = []
        self.faults: list[str] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            try:
                if self._tls is not None:
                    connection = self._tls.wrap_socket(connection, server_side=True)
                self.connections.append(connection)
                self._read(connection)
            except OSError as error:
                self.faults.append(type(error).__name__)
            finally:
                connection.close()

    def _read(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            while True:
                digits = b""
                while (one := stream.read(1)) not in (b" ", b""):
                    digits += one
                if not digits:
                    return
                self.messages.append(stream.read(int(digits)))

    def hang_up(self) -> None:
        connection = self.connections.pop()
        connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self._thread.join(10)


@pytest.fixture
def syslog() -> Iterator[Syslog]:
    found = Syslog()
    yield found
    found.close()


def collector(folder: Path, port: int, **more: Any) -> Collector:
    return Collector(
        folder, Address(host="127.0.0.1", port=port, transport="tcp"), log=more.pop("log", Lines()), **more
    )


def bodies(syslog: Syslog) -> list[str]:
    return [one.split(b"\xef\xbb\xbf", 1)[1].decode() for one in syslog.messages]


def test_a_record_is_framed_as_rfc_5424_says(tmp_path: Path) -> None:
    write(tmp_path, "<ä/>")
    (record,) = records(tmp_path)
    assert frame(record, host="gw1", process=12) == (
        "<85>1 2026-11-22T03:04:05.000678Z gw1 kuva-gateway 12 DICOM+RFC3881 - \ufeff<ä/>".encode()
    )


def test_everything_goes_once_and_in_order(tmp_path: Path, syslog: Syslog) -> None:
    write(tmp_path, *(f"<m{number}/>" for number in range(250)))
    own = collector(tmp_path, syslog.port)
    assert own.deliver() == 250
    assert own.deliver() == 0
    write(tmp_path, "<late/>")
    assert own.deliver() == 1
    wait_until(lambda: len(syslog.messages) == 251)
    assert bodies(syslog) == [*(f"<m{number}/>" for number in range(250)), "<late/>"]
    assert len(syslog.connections) == 1
    own.close()


def test_another_run_goes_on_where_the_last_one_stopped(tmp_path: Path, syslog: Syslog) -> None:
    write(tmp_path, "<a/>")
    first = collector(tmp_path, syslog.port)
    first.deliver()
    first.close()
    write(tmp_path, "<b/>")
    second = collector(tmp_path, syslog.port)
    assert second.deliver() == 1
    second.close()
    wait_until(lambda: len(syslog.messages) == 2)
    assert bodies(syslog) == ["<a/>", "<b/>"]


def test_what_was_written_while_the_collector_was_away_comes_later_and_its_absence_is_said_once(tmp_path: Path) -> None:
    port, lines = free_port(), Lines()
    write(tmp_path, "<a/>")
    own = collector(tmp_path, port, log=lines)
    assert [own.deliver() for _ in range(3)] == [0, 0, 0]
    assert lines.said == ["audit messages are not delivered"]
    write(tmp_path, "<b/>")
    back = Syslog(port=port)
    try:
        assert own.deliver() == 2
        wait_until(lambda: len(back.messages) == 2)
    finally:
        own.close()
        back.close()
    assert lines.said[1:] == ["the audit collector takes messages again"]


def test_after_a_hang_up_the_next_goes_over_a_new_connection(tmp_path: Path, syslog: Syslog) -> None:
    write(tmp_path, "<a/>")
    own = collector(tmp_path, syslog.port)
    own.deliver()
    wait_until(lambda: syslog.messages)
    syslog.hang_up()
    write(tmp_path, "<b/>")

    def came() -> bool:
        own.deliver()
        return "<b/>" in bodies(syslog)

    wait_until(came)
    own.close()
    assert own.delivered == 2


def test_bytes_that_are_not_acknowledged_are_not_delivered(tmp_path: Path) -> None:
    """The collector's process stands still: its machine takes what fits into its buffers and no more."""
    write(tmp_path, *("<m>" + "x" * 1_000_000 + "</m>" for _ in range(20)))
    lines = Lines()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        own = collector(tmp_path, listener.getsockname()[1], log=lines, patience=0.5)
        assert own.deliver() == 0
        assert own.delivered == 0
        own.close()
    assert lines.said == ["audit messages are not delivered"]


def test_over_tls_only_to_a_collector_with_a_certificate_of_the_ca(tmp_path: Path) -> None:
    ca, stranger = trustme.CA(), trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    write(tmp_path / "audit", "<a/>")
    trusting = client_context(tmp_path / "ca.pem")
    for issuer, delivered in ((stranger, 0), (ca, 1)):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issuer.issue_cert("localhost").configure_cert(context)
        found = Syslog(context)
        address = Address(host="localhost", port=found.port, transport="tls", tls=trusting)
        own = Collector(tmp_path / "audit", address, log=Lines())
        try:
            assert own.deliver() == delivered
            wait_until(lambda found=found, wanted=delivered: len(found.messages) == wanted)  # type: ignore[misc]
        finally:
            own.close()
            found.close()


def test_over_udp_each_record_is_a_datagram(tmp_path: Path) -> None:
    write(tmp_path, "<a/>", "<b/>", "<c>" + "x" * 70_000 + "</c>")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as heard:
        heard.bind(("127.0.0.1", 0))
        heard.settimeout(10)
        address = Address(host="127.0.0.1", port=heard.getsockname()[1], transport="udp")
        own = Collector(tmp_path, address, log=Lines())
        assert own.deliver() == 3
        assert [heard.recv(1 << 17)[-4:] for _ in range(3)] == [b"<a/>", b"<b/>", b"xxxx"]
        own.close()


def test_a_trail_that_is_broken_is_said_and_nothing_behind_the_break_goes(tmp_path: Path, syslog: Syslog) -> None:
    write(tmp_path, "<a/>")
    with files(tmp_path)[0].open("ab") as file:
        file.write(b"something else\n")
    lines = Lines()
    own = collector(tmp_path, syslog.port, log=lines)
    assert own.deliver() == 0
    assert lines.said == ["audit messages are not delivered"]
    own.close()
