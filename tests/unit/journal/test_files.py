"""The journal's files: whole lines come back, torn ones are dropped, changed ones are told of."""

from __future__ import annotations

import errno
import multiprocessing
import os
import zlib
from pathlib import Path
from typing import Any

import pytest

from kuva_gateway import appending
from kuva_gateway.journal import Damage, Journal, files
from tests.support import wait_until


def write(journal: Journal, *lines: dict[str, Any]) -> None:
    with journal.turn():
        journal.append(lines)


def read(journal: Journal) -> tuple[list[Any], Damage]:
    damage = Damage()
    return [line["n"] for line in journal.read(damage)], damage


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal", file_bytes=200)


def test_lines_come_back_in_order_over_several_files_that_only_their_owner_reads(journal: Journal) -> None:
    for number in range(30):
        write(journal, {"n": number, "what": "Mäkelä\n"})
    assert read(journal) == (list(range(30)), Damage())
    assert len(files(journal.folder)) > 3
    assert {path.stat().st_mode & 0o777 for path in journal.folder.iterdir()} == {0o600}
    assert journal.folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("left", [1, 5, 12, 25])
def test_a_torn_tail_is_dropped_and_nothing_else(journal: Journal, left: int) -> None:
    write(journal, {"n": 1}, {"n": 2}, {"n": 3, "text": "x" * 30})
    (path,) = files(journal.folder)
    path.write_bytes(path.read_bytes()[:-left])
    assert read(journal) == ([1, 2], Damage())
    write(journal, {"n": 4})
    assert read(journal) == ([1, 2, 4], Damage())


def test_a_file_of_nothing_but_a_torn_line_is_begun_again(journal: Journal) -> None:
    write(journal, {"n": 1, "text": "x" * 100_000})
    (path,) = files(journal.folder)
    path.write_bytes(path.read_bytes()[:-1])
    write(journal, {"n": 2})
    assert read(journal) == ([2], Damage())


def test_any_flipped_bit_costs_its_line_and_is_told(journal: Journal) -> None:
    write(journal, {"n": 1}, {"n": 2}, {"n": 3})
    (path,) = files(journal.folder)
    good = path.read_bytes()
    first, second = (good.index(b"\n") + 1, good.index(b"\n", good.index(b"\n") + 1))
    for at in range(first, second):
        for bit in range(8):
            changed = bytearray(good)
            changed[at] ^= 1 << bit
            path.write_bytes(changed)
            found, damage = read(journal)
            assert found == [1, 3], (at, bit)
            assert damage.lines >= 1


def test_a_missing_file_is_told(journal: Journal) -> None:
    for number in range(30):
        write(journal, {"n": number, "text": "x" * 50})
    files(journal.folder)[1].unlink()
    found, damage = read(journal)
    assert (len(found) < 30, damage.files) == (True, 1)


def test_what_cannot_be_written_leaves_the_file_as_it_was(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    write(journal, {"n": 1})

    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(appending.os, "fsync", fail)
        with pytest.raises(OSError, match="No space"):
            write(journal, {"n": 2})
    write(journal, {"n": 3})
    assert read(journal) == ([1, 3], Damage())


def append_many(folder: Path, who: int) -> None:
    journal = Journal(folder, file_bytes=2000)
    for number in range(60):
        write(journal, {"n": [who, number]}, {"n": [who, -number]})


@pytest.mark.slow
def test_processes_that_append_at_once_and_one_that_is_killed_lose_and_tear_nothing_else(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=append_many, args=(tmp_path / "journal", who)) for who in range(3)]
    for worker in workers:
        worker.start()
    wait_until(lambda: len(files(tmp_path / "journal")) > 2, what="a third file")
    workers[0].kill()
    for worker in workers:
        worker.join()
    journal = Journal(tmp_path / "journal", file_bytes=2000)
    write(journal, {"n": "end"})
    found, damage = read(journal)
    assert not damage
    for who in (1, 2):
        assert [n[1] for n in found if n[0] == who] == [s * n for n in range(60) for s in (1, -1)]


def test_a_line_of_nothing_but_brackets_is_damage_and_no_more(journal: Journal) -> None:
    write(journal, {"n": 1})
    (path,) = files(journal.folder)
    nested = b"[" * 100_000
    path.write_bytes(path.read_bytes() + b"%08x %s\n" % (zlib.crc32(nested), nested))
    write(journal, {"n": 2})
    assert read(journal) == ([1, 2], Damage(lines=1))
