"""One writer at a time, readers that wait for nobody, and a database that is away says so."""

from __future__ import annotations

import contextlib
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kuva_gateway.catalog.database import KEPT, WRITERS_LOCK, Catalog, is_about_values
from kuva_gateway.errors import CatalogUnavailableError, NotFoundError, StateError
from tests.conftest import OpenCatalog
from tests.postgresql import PostgresqlServer


def add_destination(catalog: Catalog, name: str) -> None:
    with catalog.write() as session:
        session.execute(
            "INSERT INTO destinations (name, resting_until, since, code, why, times) VALUES (?, 0, 0, '', '', 1)", name
        )


def names(catalog: Catalog) -> list[str]:
    with catalog.read() as session:
        return [row["name"] for row in session.rows("SELECT name FROM destinations ORDER BY name")]


def test_a_write_is_there_for_every_reader_once_it_ended(catalog: Catalog) -> None:
    add_destination(catalog, "archive")
    assert names(catalog) == ["archive"]


def test_who_only_reads_sees_everything_and_the_database_refuses_the_rest(
    catalog: Catalog, open_catalog: OpenCatalog
) -> None:
    reader = open_catalog(create=False, update=False, read_only=True)
    add_destination(catalog, "archive")
    assert names(reader) == ["archive"]
    with pytest.raises(CatalogUnavailableError, match="READONLY|25006"):
        add_destination(reader, "x")
    assert names(reader) == names(catalog) == ["archive"]


def test_a_write_that_fails_leaves_nothing_and_the_connection_is_fit_for_more(catalog: Catalog) -> None:
    def add_and_fail() -> None:
        with catalog.write():
            add_destination(catalog, "x")
            raise StateError("no")

    with pytest.raises(StateError):
        add_and_fail()
    assert names(catalog) == []
    add_destination(catalog, "archive")
    assert names(catalog) == ["archive"]


def test_a_database_without_its_tables_is_as_good_as_away(catalog: Catalog) -> None:
    with pytest.raises(CatalogUnavailableError, match="not fit for use") as caught, catalog.read() as session:
        session.execute("SELECT * FROM no_such_table")
    assert "no_such_table" in str(caught.value.__cause__)
    assert names(catalog) == []


def test_values_that_the_database_will_not_have_are_no_absence_of_it(catalog: Catalog) -> None:
    add_destination(catalog, "archive")
    for name in ("archive", None, "\ud800"):
        with pytest.raises(Exception, match=r".") as caught:
            add_destination(catalog, name)  # type: ignore[arg-type]
        assert not isinstance(caught.value, CatalogUnavailableError)
        assert is_about_values(caught.value)
    assert names(catalog) == ["archive"]


def test_a_write_inside_a_write_is_a_part_of_it(catalog: Catalog) -> None:
    with catalog.write() as outer:
        add_destination(catalog, "archive")
        with catalog.write() as inner:
            assert inner is outer
        with catalog.read() as reading:
            assert reading is outer
    assert names(catalog) == ["archive"]


def test_a_write_inside_a_read_is_refused(catalog: Catalog) -> None:
    with pytest.raises(RuntimeError), catalog.read():
        add_destination(catalog, "archive")


def test_a_reader_sees_one_moment(catalog: Catalog) -> None:
    add_destination(catalog, "a")
    with catalog.read() as session:
        before = session.value("SELECT COUNT(*) FROM destinations")
        other = threading.Thread(target=add_destination, args=(catalog, "b"))
        other.start()
        other.join()
        assert session.value("SELECT COUNT(*) FROM destinations") == before
    assert names(catalog) == ["a", "b"]


def test_a_writer_that_does_not_get_its_turn_says_that_the_catalog_is_away(open_catalog: OpenCatalog) -> None:
    first, second = open_catalog(), open_catalog(busy_timeout=0.2)
    with first.write(), pytest.raises(CatalogUnavailableError):
        add_destination(second, "archive")
    add_destination(second, "archive")
    assert names(first) == ["archive"]


def test_threads_that_write_at_once_all_get_their_turn(catalog: Catalog) -> None:
    threads = [
        threading.Thread(target=lambda n=n: [add_destination(catalog, f"{n}-{i}") for i in range(20)]) for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names(catalog)) == 120


def test_short_lived_threads_leave_no_connections_behind(catalog: Catalog) -> None:
    for _ in range(20):
        thread = threading.Thread(target=names, args=(catalog,))
        thread.start()
        thread.join()
    assert len(catalog.database._connections) + len(catalog.database._in_use) == 1


def test_a_crowd_that_reads_at_once_leaves_few_connections_behind(catalog: Catalog) -> None:
    crowd = 3 * KEPT
    together = threading.Barrier(crowd, timeout=60)

    def look() -> None:
        with catalog.read():
            together.wait()

    threads = [threading.Thread(target=look) for _ in range(crowd)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not together.broken
    assert len(catalog.database._connections) == KEPT
    assert names(catalog) == []


def test_a_closed_catalog_is_away(catalog: Catalog) -> None:
    catalog.close()
    with pytest.raises(CatalogUnavailableError):
        names(catalog)


def test_only_its_owner_may_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite3"
    Catalog.open(None, path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_sqlite_is_durable_and_holds_its_references(tmp_path: Path) -> None:
    catalog = Catalog.open(None, tmp_path / "catalog.sqlite3")
    with catalog.read() as session:
        settings = [session.value(f"PRAGMA {name}") for name in ("journal_mode", "synchronous", "foreign_keys")]
    catalog.close()
    assert settings == ["wal", 2, 1]


def test_a_catalog_that_may_not_be_made_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        Catalog.open(None, tmp_path / "catalog.sqlite3", create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_away_and_untouched(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite3"
    path.write_bytes(b"these are somebody's notes" * 100)
    with pytest.raises(CatalogUnavailableError):
        Catalog.open(None, path)
    assert path.read_bytes() == b"these are somebody's notes" * 100


def test_a_folder_that_is_not_there_is_away(tmp_path: Path) -> None:
    with pytest.raises(CatalogUnavailableError):
        Catalog.open(None, tmp_path / "missing" / "catalog.sqlite3")


def test_a_lock_by_another_program_is_an_absence(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite3"
    catalog = Catalog.open(None, path, busy_timeout=0.1)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(CatalogUnavailableError):
        add_destination(catalog, "archive")
    other.execute("ROLLBACK")
    other.close()
    add_destination(catalog, "archive")
    catalog.close()


def test_a_server_that_is_not_there_is_away(tmp_path: Path) -> None:
    with pytest.raises(CatalogUnavailableError):
        Catalog.open(f"postgresql://postgres@/kuva?host={tmp_path}", Path())


def test_a_connection_that_the_server_ends_fails_its_transaction_and_is_replaced(postgresql: PostgresqlServer) -> None:
    postgresql.execute("CREATE DATABASE kuva_ended")
    catalog = Catalog.open(postgresql.url("kuva_ended"), Path())

    def read_while_it_ends() -> None:
        with catalog.read() as session:
            session.value("SELECT COUNT(*) FROM destinations")
            postgresql.end_connections("kuva_ended")
            session.value("SELECT COUNT(*) FROM destinations")

    try:
        add_destination(catalog, "a")
        with pytest.raises(CatalogUnavailableError):
            read_while_it_ends()
        assert names(catalog) == ["a"]
        postgresql.end_connections("kuva_ended")
        assert names(catalog) == ["a"]
    finally:
        catalog.close()


def test_the_writers_lock_of_postgresql_may_be_held_by_any_program(postgresql: PostgresqlServer) -> None:
    import psycopg

    with postgresql.database() as url, contextlib.closing(Catalog.open(url, Path(), busy_timeout=0.1)) as catalog:
        with psycopg.connect(url) as other:
            other.execute("SELECT pg_advisory_xact_lock(%s)", (WRITERS_LOCK,))
            with pytest.raises(CatalogUnavailableError):
                add_destination(catalog, "a")
        add_destination(catalog, "a")


ANOTHER_PROCESS = """
import sys
from pathlib import Path
from kuva_gateway.catalog.database import Catalog

catalog = Catalog.open(None, Path(sys.argv[1]), create=False)
with catalog.write() as session:
    columns = "name, resting_until, since, code, why, times"
    session.execute(f"INSERT INTO destinations ({columns}) VALUES (?, 0, 0, '', '', 0)", sys.argv[2])
catalog.close()
"""


def test_a_catalog_that_is_open_twice_in_a_process_sees_what_others_write(tmp_path: Path) -> None:
    """The last connection of another process takes the write-ahead log away if it finds nobody else's lock."""
    path = tmp_path / "catalog.sqlite"
    Catalog.open(None, path).close()

    def names(catalog: Catalog) -> list[str]:
        with catalog.read() as session:
            return [row["name"] for row in session.rows("SELECT name FROM destinations ORDER BY name")]

    with contextlib.closing(Catalog.open(None, path, create=False)) as first:
        assert names(first) == []
        with contextlib.closing(Catalog.open(None, path, create=False)) as second:
            assert names(second) == []
            for known in (["a"], ["a", "b"]):
                subprocess.run([sys.executable, "-c", ANOTHER_PROCESS, str(path), known[-1]], check=True, timeout=60)
                assert names(first) == names(second) == known
