"""SQLite's write-ahead log stays bounded while readers come and go, and one that stays stops no writer for long."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from kuva_gateway.catalog import database
from kuva_gateway.catalog.database import Catalog

LIMIT = 512 * 1024  # bytes
ROUNDS = 100
WORDS = "x" * 20_000


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(database, "LOG_LIMIT", LIMIT)
    return tmp_path / "catalog.sqlite"


def log_size(path: Path) -> int:
    return path.with_name(f"{path.name}-wal").stat().st_size


def write(catalog: Catalog, number: int) -> None:
    with catalog.write() as session:
        session.execute(
            "INSERT INTO destinations (name, resting_until, since, code, why, times) VALUES (?, 1, 1, 'x', ?, 1)",
            f"d{number}",
            WORDS,
        )


@contextmanager
def reading(catalog: Catalog) -> Iterator[None]:
    """Two threads that read in turns, the next one from before the last one ends: there always is a reader."""
    stop = threading.Event()
    begun = [threading.Event(), threading.Event()]

    def read(own: threading.Event, other: threading.Event) -> None:
        while not stop.is_set():
            with catalog.read() as session:
                session.value("SELECT COUNT(*) FROM destinations")
                own.set()
                other.wait(5)
                other.clear()

    threads = [threading.Thread(target=read, args=(begun[k], begun[1 - k])) for k in (0, 1)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for event in begun:
            event.set()
        for thread in threads:
            thread.join()


def test_the_log_stays_bounded_although_there_always_is_a_reader(path: Path) -> None:
    largest = 0
    with closing(Catalog.open(None, path)) as catalog, reading(catalog):
        for number in range(ROUNDS):
            write(catalog, number)
            largest = max(largest, log_size(path))
    assert LIMIT // 2 < largest < 2 * LIMIT < ROUNDS * len(WORDS)


def test_a_reader_that_stays_makes_writers_wait_once_per_growth_and_the_log_shrinks_after_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "LOG_PATIENCE", 0.2)
    with closing(Catalog.open(None, path)) as catalog, closing(Catalog.open(None, path)) as other:
        with other.read() as session:
            assert session.value("SELECT COUNT(*) FROM destinations") == 0
            waits = 0
            for number in range(ROUNDS):
                started = time.monotonic()
                write(catalog, number)
                waits += time.monotonic() - started > 0.19
            assert log_size(path) > 2 * LIMIT
            assert 1 <= waits <= ROUNDS * len(WORDS) * 1.5 // LIMIT + 1
            assert session.value("SELECT COUNT(*) FROM destinations") == 0
        for number in range(ROUNDS, 2 * ROUNDS):
            write(catalog, number)
        assert log_size(path) < 2 * LIMIT
        with other.read() as session:
            assert session.value("SELECT COUNT(*) FROM destinations") == 2 * ROUNDS
