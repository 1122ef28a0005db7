"""Under systemd, lines go to the journal with their fields; a peer's text cannot forge one."""

from __future__ import annotations

import io
import mmap
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from kuva_gateway import log
from kuva_gateway.log import journald
from kuva_gateway.log.journald import Journal, encode, is_stream

Field = tuple[str, str]


def decode(datagram: bytes) -> list[Field]:
    """The fields of a datagram as the journal reads them (systemd.io/JOURNAL_NATIVE_PROTOCOL)."""
    stream, found = io.BytesIO(datagram), []
    while line := stream.readline():
        name, mark, value = line.rstrip(b"\n").partition(b"=")
        if not mark:
            value = stream.read(int.from_bytes(stream.read(8), "little"))
            assert stream.read(1) == b"\n"
        found.append((name.decode(), value.decode()))
    return found


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "journal"))
        channel.settimeout(30)
        yield channel


@pytest.fixture
def journal(listening: socket.socket) -> Iterator[Journal]:
    found = Journal(listening.getsockname())
    yield found
    found.close()


@pytest.fixture
def logging(journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The gateway's log as it is under systemd: standard error is the journal's, and JOURNAL_STREAM says so."""
    with (tmp_path / "stderr").open("w") as stream:
        found = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        monkeypatch.setattr(log, "_journal", lambda: journal)
        log.configure(stream=stream)
        yield
        stream.flush()
        assert (tmp_path / "stderr").read_text() == ""
    structlog.reset_defaults()


@pytest.mark.usefixtures("logging")
def test_a_line_has_its_ids_as_fields_and_all_of_it_as_text(listening: socket.socket) -> None:
    log.get_logger("queue").info("attempt", study="1.2.3", entry=7, destination="archive", why="no answer")
    fields = dict(decode(listening.recv(65536)))
    assert fields["MESSAGE"] == 'attempt study=1.2.3 entry=7 destination=archive why="no answer"'
    assert (fields["PRIORITY"], fields["SYSLOG_IDENTIFIER"]) == ("6", "kuva-gateway")
    assert (fields["KUVA_EVENT"], fields["KUVA_STUDY"], fields["KUVA_ENTRY"]) == ("attempt", "1.2.3", "7")
    assert fields["KUVA_PART"] == "queue"


@pytest.mark.usefixtures("logging")
@pytest.mark.parametrize(("level", "priority"), [("warning", "4"), ("error", "3"), ("exception", "3")])
def test_a_line_has_the_priority_of_its_level(listening: socket.socket, level: str, priority: str) -> None:
    getattr(log.get_logger("queue"), level)("so it is")
    assert dict(decode(listening.recv(65536)))["PRIORITY"] == priority


@pytest.mark.usefixtures("logging")
def test_an_exception_is_part_of_the_text(listening: socket.socket) -> None:
    try:
        raise ValueError("of ours")
    except ValueError:
        log.get_logger("queue").error("failed", exc_info=True)
    assert "ValueError: of ours" in dict(decode(listening.recv(65536)))["MESSAGE"]


@pytest.mark.usefixtures("logging")
def test_each_study_of_an_association_is_a_field_of_its_own(listening: socket.socket) -> None:
    log.get_logger("scp").info("association", studies=["1.2", "1.3"])
    assert [value for name, value in decode(listening.recv(65536)) if name == "KUVA_STUDY"] == ["1.2", "1.3"]


def test_a_peers_text_makes_no_field_and_no_line() -> None:
    line = log.journal_line(
        None, "warning", {"event": "rejected", "calling_ae": "A\nPRIORITY=0\nB", "level": "warning"}
    )
    fields = decode(encode(**line))
    assert [value for name, value in fields if name == "PRIORITY"] == ["4"]
    assert dict(fields)["KUVA_CALLING_AE"] == "A\nPRIORITY=0\nB"
    assert "\n" not in dict(fields)["MESSAGE"]


def test_a_line_that_no_datagram_holds_comes_as_a_file(listening: socket.socket, journal: Journal) -> None:
    journal.send("x" * (16 << 20), "error", {})
    data, descriptors, _, _ = socket.recv_fds(listening, 1, 1)
    assert data == b""
    (descriptor,) = descriptors
    with open(descriptor, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as content:
        assert content[:10] == b"MESSAGE=xx"
        assert len(content) > 16 << 20


def test_a_journal_that_is_away_stops_nothing_and_is_told_what_it_missed(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path / "journal"))
    for _ in range(3):
        journal.send("nobody hears", "info", {})
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "journal"))
        channel.settimeout(30)
        journal.send("heard", "info", {})
        journal.send("again", "info", {})
        assert dict(decode(channel.recv(65536)))["KUVA_LOST_LINES"] == "3"
        assert "KUVA_LOST_LINES" not in dict(decode(channel.recv(65536)))
    journal.close()


def test_a_journal_that_takes_nothing_stops_nothing(
    listening: socket.socket, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journald, "PATIENCE", 0.01)
    for _ in range(2000):  # more than any queue of datagrams holds
        journal.send("x", "info", {})
    assert journal._lost > 0


def test_only_a_stream_that_the_journal_reads_is_the_journals(tmp_path: Path) -> None:
    with (tmp_path / "one").open("w") as one, (tmp_path / "two").open("w") as two:
        found = os.fstat(one.fileno())
        environ = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        assert is_stream(one, environ)
        assert not is_stream(two, environ)
        assert not is_stream(one, {})
        assert not is_stream(io.StringIO(), environ)


def test_json_stays_json_when_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "stderr").open("w") as stream:
        found = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        log.configure(form="json", stream=stream)
        log.get_logger("scp").info("association", association=7)
    structlog.reset_defaults()
    assert '"association": 7' in (tmp_path / "stderr").read_text()
