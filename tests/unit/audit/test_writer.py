"""The writer: many threads tell, one writes, nobody waits for the disk."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from kuva_gateway.audit import events
from kuva_gateway.audit.events import Node
from kuva_gateway.audit.message import Source
from kuva_gateway.audit.trail import Trail, records, verify
from kuva_gateway.audit.writer import AuditWriter, Quiet
from tests.support import NoThreads, wait_until

US, SOURCE = Node(ae_title="KUVAGW"), Source(identifier="KUVAGW")


class Lines:
    """A log that remembers."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def error(self, event: str, **fields: Any) -> None:
        self.said.append(event)

    info = warning = error


def tell(writer: AuditWriter, what: str) -> None:
    writer.add(lambda us, at: events.alert(us, at, what=what))


def test_what_many_threads_tell_is_all_written(tmp_path: Path) -> None:
    writer = AuditWriter(Trail(tmp_path), US, SOURCE, log=Lines())

    def many(who: int) -> None:
        for number in range(50):
            tell(writer, f"{who}-{number}")

    threads = [threading.Thread(target=many, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    found = [one.message for one in verify(tmp_path)]
    assert len(found) == 200
    assert all(f"{who}-{number}<" in "".join(found) for who in range(4) for number in range(50))


def test_nothing_is_made_before_something_happens_and_nothing_runs_after_the_close(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    writer = AuditWriter(Trail(tmp_path / "audit"), US, SOURCE, log=Lines())
    assert set(threading.enumerate()) == before
    assert not (tmp_path / "audit").exists()
    tell(writer, "one")
    writer.close()
    wait_until(lambda: set(threading.enumerate()) <= before)


def test_a_disk_that_fails_is_said_once_and_everything_is_written_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kuva_gateway.audit.writer._AGAIN", 0.01)
    good, tries, lines = threading.Event(), [], Lines()
    fsync = os.fsync

    def sick(descriptor: int) -> None:
        tries.append(descriptor)
        if not good.is_set():
            raise OSError(5, "Input/output error")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", sick)
    writer = AuditWriter(Trail(tmp_path), US, SOURCE, log=lines)
    tell(writer, "one")
    wait_until(lambda: len(tries) > 3)
    tell(writer, "two")
    good.set()
    wait_until(lambda: len(list(records(tmp_path))) == 2)
    writer.close()
    assert lines.said == ["the audit trail cannot be written", "the audit trail is written again"]


def test_what_does_not_fit_is_counted_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    append = Trail.append

    def slow(self: Trail, messages: Any) -> Any:
        go_on.wait(10)
        return append(self, messages)

    monkeypatch.setattr(Trail, "append", slow)
    writer = AuditWriter(Trail(tmp_path), US, SOURCE, log=Lines(), most_waiting=3)
    tell(writer, "in hand")
    wait_until(lambda: not writer._waiting)
    for number in range(8):
        tell(writer, f"waiting {number}")
    go_on.set()
    writer.close()
    found = [one.message for one in records(tmp_path)]
    assert len(found) == 5
    assert "5 audit messages could not be kept" in found[-1]


def test_a_close_does_not_wait_for_a_disk_that_stays_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def sick(descriptor: int) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "fsync", sick)
    lines, before = Lines(), set(threading.enumerate())
    writer = AuditWriter(Trail(tmp_path), US, SOURCE, log=lines)
    tell(writer, "one")
    wait_until(lambda: lines.said)
    writer.close()
    wait_until(lambda: set(threading.enumerate()) <= before)
    assert lines.said == ["the audit trail cannot be written", "audit messages were not kept"]


def test_who_is_refused_again_and_again_is_told_once_a_minute() -> None:
    now = [0.0]
    quiet = Quiet(clock=lambda: now[0])
    assert [quiet.times(("a",)) for _ in range(4)] == [1, 0, 0, 0]
    assert quiet.times(("b",)) == 1
    now[0] = 61
    assert quiet.times(("a",)) == 4
    assert quiet.times(("a",)) == 0


def test_a_scan_from_many_addresses_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Quiet, "MOST", 10)
    quiet = Quiet(clock=lambda: 0.0)
    assert all(quiet.times((str(number),)) == 1 for number in range(100))
    assert len(quiet._told) <= 10


def test_without_a_thread_nothing_fails_and_the_next_message_takes_the_others_along(
    tmp_path: Path, no_threads: NoThreads
) -> None:
    writer = AuditWriter(Trail(tmp_path), US, SOURCE, log=Lines())
    with no_threads():
        tell(writer, "one")
    tell(writer, "two")
    writer.close()
    assert len(list(verify(tmp_path))) == 2
