"""The catalog as it is at one moment, copied while others write it: SQLite by its backup API, PostgreSQL by pg_dump.

Promises that the copy, what is said of it and the digests read from it are of one moment; that nobody who writes waits
for it; and that the database's password stands on no command line.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.migrations import HISTORY
from kuva_gateway.catalog.session import Session
from kuva_gateway.errors import CatalogUnavailableError, DamageError, StateError

PAGE: Final = 5000
_STEP: Final = 2048
"""Pages of SQLite (4 KiB each) that are copied at a time."""

_MATTERS_NOT: Final = frozenset(
    {"keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"}
)
"""What libpq has no environment variable for, and a dump can do without."""

Progress = Callable[[int, int], None]
"""Told how many pages are copied, of how many; PostgreSQL's dump tells nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """By what a catalog is known, and how far it is."""

    origin: int
    """Nanoseconds of its first receipt: no two installations share it; 0 without any."""
    receipt: int
    """Nanoseconds of its newest receipt; 0 without any."""
    history: int
    """How many changes of state it has seen."""
    studies: int
    schema: str
    """The last migration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One file that the catalog wants in ``instances/``."""

    instance_id: int
    digest: str
    size: int


class Copy:
    """A finished copy, and the moment that it shows."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.marks = read_marks(session)

    def stored(self) -> Iterator[Stored]:
        """Every file that is to be there: what was removed, or is about to be, is not."""
        last = 0
        while True:
            rows = self._session.rows(
                "SELECT id, digest, size, CASE WHEN purged_at IS NULL AND NOT EXISTS (SELECT 1 FROM removals r "
                "WHERE r.instance_id = instances.id) THEN 1 ELSE 0 END AS wanted "
                "FROM instances WHERE id > ? ORDER BY id LIMIT ?",
                last,
                PAGE,
            )
            if not rows:
                return
            for row in rows:
                if row["wanted"]:
                    yield Stored(instance_id=row["id"], digest=bytes(row["digest"]).hex(), size=row["size"])
            last = rows[-1]["id"]


def read_marks(session: Session) -> Marks:
    """The marks of the catalog that ``session`` sees."""
    row = session.one(
        "SELECT (SELECT MIN(time_ns) FROM receipts) AS origin, (SELECT MAX(time_ns) FROM receipts) AS receipt, "
        "(SELECT MAX(id) FROM history) AS history, (SELECT COUNT(*) FROM studies) AS studies, "
        f"(SELECT MAX(name) FROM {HISTORY}) AS last_migration"
    )
    assert row is not None
    return Marks(
        origin=int(row["origin"] or 0),
        receipt=int(row["receipt"] or 0),
        history=int(row["history"] or 0),
        studies=int(row["studies"]),
        schema=str(row["last_migration"] or ""),
    )


def gone_since(catalog: Catalog, instance_ids: list[int]) -> int:
    """How many of these instances' files were removed by now, or are about to be."""
    with catalog.read() as session:
        rows = session.rows_in(
            "SELECT id FROM instances i WHERE (purged_at IS NOT NULL OR EXISTS (SELECT 1 FROM removals r "
            "WHERE r.instance_id = i.id)) AND id IN {}",
            instance_ids,
        )
    return len(rows)


@contextlib.contextmanager
def copied(catalog: Catalog, path: Path, progress: Progress = lambda done, total: None) -> Iterator[Copy]:
    """Copy the catalog to the new file ``path``; what is yielded lasts as long as the context.

    Raises
    ------
    CatalogUnavailableError
        The database is away, or pg_dump is missing or fails.
    DamageError
        The copy is not sound.
    """
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    if catalog.postgresql:
        with catalog.read() as session:
            snapshot = session.value("SELECT pg_export_snapshot()")
            _dump(str(catalog.database.database), path, str(snapshot))
            yield Copy(session)
        return
    with catalog.read() as session:
        session.value("SELECT 1 FROM studies LIMIT 1")  # the moment that is copied begins with the first look
        _copy_sqlite(catalog.database.connection(), path, progress)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        check_sqlite(connection)
        yield Copy(Session(connection, postgresql=False, writes=False, at=0))


def _copy_sqlite(source: sqlite3.Connection, path: Path, progress: Progress) -> None:
    with contextlib.closing(sqlite3.connect(path)) as target:
        source.backup(target, pages=_STEP, progress=lambda status, left, total: progress(total - left, total))
        # One file, whole in itself; whoever opens it as a catalog begins a write-ahead log again.
        target.execute("PRAGMA journal_mode = DELETE")


def check_sqlite(connection: sqlite3.Connection) -> None:
    """Raise DamageError unless SQLite finds the file sound."""
    try:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        raise DamageError("the copy of the catalog cannot be read") from error
    if found != "ok":
        raise DamageError("the copy of the catalog is not sound")


# -- PostgreSQL --------------------------------------------------------------------------------------------------------


def _dump(address: str, path: Path, snapshot: str) -> None:
    run_tool(
        "pg_dump",
        address,
        "--format=custom",
        "--no-owner",
        "--no-privileges",
        f"--snapshot={snapshot}",
        f"--file={path}",
    )
    run_tool("pg_restore", address, "--list", str(path))


def load_dump(url: str, path: Path) -> None:
    """Put a dump into an empty database: all of it, or nothing.

    Raises
    ------
    StateError
        There are tables already.
    CatalogUnavailableError
        The database is away, or pg_restore is missing or fails.
    """
    if not is_empty(url):
        raise StateError("the catalog's database is not empty: a restore needs an empty one")
    run_tool(
        "pg_restore",
        url,
        "--no-owner",
        "--no-privileges",
        "--single-transaction",
        "--exit-on-error",
        f"--dbname={_name_of(url)}",
        str(path),
    )


def is_empty(url: str) -> bool:
    """Whether the PostgreSQL database at ``url`` has no table at all; raises CatalogUnavailableError."""
    import psycopg

    try:
        with psycopg.connect(url) as connection:
            row = connection.execute("SELECT COUNT(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    except psycopg.Error as error:
        raise CatalogUnavailableError(f"the catalog's database is away ({type(error).__name__})") from error
    return row == (0,)


def run_tool(name: str, url: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs against the database at ``url``, whose parts it gets by its environment.

    Raises
    ------
    CatalogUnavailableError
        It is not installed, or it fails; with the first line that it says.
    """
    environment = {**os.environ, **connection_environment(url), "LC_MESSAGES": "C"}
    try:
        done = subprocess.run(
            [name, *arguments], env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
    except FileNotFoundError:
        raise CatalogUnavailableError(f"{name} is not installed (PostgreSQL's client programs)") from None
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise CatalogUnavailableError(f"{name} failed: {said[0] if said else f'status {done.returncode}'}")


def connection_environment(url: str) -> Mapping[str, str]:
    """A connection's address as libpq's own environment variables, so that no password stands on a command line."""
    from psycopg import conninfo, pq

    given: dict[str, Any] = conninfo.conninfo_to_dict(url)
    names = {
        option.keyword.decode(): option.envvar.decode()
        for option in pq.Conninfo.get_defaults()
        if option.envvar is not None
    }
    unknown = sorted(name for name in given if name not in names and name not in _MATTERS_NOT)
    if unknown:
        raise CatalogUnavailableError(f"catalog.url: {', '.join(unknown)} cannot be given to PostgreSQL's programs")
    return {names[name]: str(value) for name, value in given.items() if name in names}


def _name_of(url: str) -> str:
    from psycopg import conninfo

    return str(conninfo.conninfo_to_dict(url).get("dbname") or "")
