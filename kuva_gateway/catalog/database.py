"""The catalog's database: connections, transactions, schema.

It promises one writer at a time on both databases, which is what the rest of this folder leans on: SQLite by
``BEGIN IMMEDIATE`` (deferred transactions that turn into writes fail under load), PostgreSQL by an advisory lock that
ends with the transaction. A writer that does not get its turn within ``busy_timeout``, and every other way in which a
database can be away, raises CatalogUnavailableError. Readers see one moment and wait for nobody.

Connections belong to transactions, not to threads: they come from a pool, so that short-lived threads leave none, and
a crowd that was there once leaves no more than :data:`KEPT`.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import peewee
from playhouse.pool import PooledPostgresqlDatabase, PooledSqliteDatabase

from kuva_gateway.catalog import outbox
from kuva_gateway.catalog.migrations import migrate
from kuva_gateway.catalog.session import Session, microseconds
from kuva_gateway.catalog.totals import write_down
from kuva_gateway.errors import CatalogUnavailableError, GatewayError, NotFoundError

PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": "full",
    "foreign_keys": 1,
    "temp_store": "memory",
    "cache_size": -16384,
    "wal_autocheckpoint": 4000,  # pages of 4 KiB: a quarter of the fsyncs of SQLite's own 1000
}
LOG_LIMIT = 64 * 1024 * 1024
"""Bytes of SQLite's write-ahead log at which a writer waits for readers to let go of it."""
LOG_PATIENCE = 1.0
"""Seconds that it waits; then it tries again when the log has grown by as much once more."""
KEPT = 8
"""Connections that stay open while nobody uses them: each costs three descriptors and 16 MiB, or a server's place."""
WRITERS_LOCK = 0x6B757661
"""The advisory lock that PostgreSQL's writers take turns with (the letters kuva)."""


def utc_now() -> datetime:
    """This moment."""
    return datetime.now(UTC)


def is_about_values(error: BaseException) -> bool:
    """Is this what the very values of a statement cause, so that it fails again with them and not with others?"""
    if isinstance(error, (sqlite3.Error, peewee.PeeweeException)):
        return isinstance(error, (sqlite3.DataError, sqlite3.IntegrityError, peewee.DataError, peewee.IntegrityError))
    psycopg = sys.modules.get("psycopg")
    if psycopg is not None and isinstance(error, psycopg.Error):
        return isinstance(error, (psycopg.DataError, psycopg.IntegrityError))
    return isinstance(error, (ValueError, TypeError, OverflowError))


def _is_away(error: BaseException) -> bool:
    """Is this a database's error for which no value is to blame: gone, locked, read-only, forbidden, without tables?"""
    psycopg = sys.modules.get("psycopg")
    kinds = (sqlite3.Error, peewee.PeeweeException, *((psycopg.Error,) if psycopg is not None else ()))
    return isinstance(error, kinds) and not is_about_values(error)


def _name(error: BaseException) -> str:
    """The error's type and the database's own name or code for it: its words may quote rows."""
    code = getattr(error, "sqlite_errorname", None) or getattr(error, "sqlstate", None)
    return f"{type(error).__name__} {code}" if code else type(error).__name__


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except GatewayError:
        raise
    except Exception as error:
        if _is_away(error):
            raise CatalogUnavailableError(
                f"the catalog's database is away, locked or not fit for use ({_name(error)})"
            ) from error
        raise


class _Held(threading.local):
    """The session that this thread has open, if any."""

    session: Session | None = None


class Catalog:
    """An open catalog. Made by :meth:`open`; may be used by any number of threads."""

    def __init__(self, database: Any, *, postgresql: bool, now: Callable[[], datetime], busy_timeout: float) -> None:
        self.database = database
        self.postgresql = postgresql
        self.now = now
        self._busy_milliseconds = int(busy_timeout * 1000)
        self.on_noted: Callable[[], None] | None = None
        """Called after a transaction that has something for the journal, on its thread, when it is committed."""
        self._held = _Held()
        self._log: Path | None = None
        self._log_limit = LOG_LIMIT
        self._closed = False

    @classmethod
    def open(
        cls,
        url: str | None,
        path: Path,
        *,
        create: bool = True,
        update: bool = True,
        read_only: bool = False,
        now: Callable[[], datetime] = utc_now,
        busy_timeout: float = 5.0,
    ) -> Catalog:
        """Open the catalog: SQLite at ``path`` when ``url`` is None, else PostgreSQL at ``url``.

        Missing migrations are run unless ``update`` is false. A write waits at most ``busy_timeout`` seconds for its
        turn; with ``read_only`` the database itself refuses it.

        Raises
        ------
        NotFoundError
            There is no catalog, and ``create`` is false.
        RefusedError
            The schema is newer than this program, or older and ``update`` is false.
        CatalogUnavailableError
            The database is away or locked.
        """
        if url is None:
            if not create and not path.exists():
                raise NotFoundError(f"there is no catalog at {path}")
            database: Any = _sqlite(path, busy_timeout, read_only=read_only)
        else:
            database = _postgresql(url, busy_timeout, read_only=read_only)
        catalog = cls(database, postgresql=url is not None, now=now, busy_timeout=busy_timeout)
        if url is None:
            file = path.resolve()
            catalog._log = file.with_name(f"{file.name}-wal")
        try:
            with _translated():
                migrate(catalog, create=create, update=update)
        except BaseException:
            catalog.close()
            raise
        return catalog

    @contextmanager
    def read(self) -> Iterator[Session]:
        """One transaction that sees one moment of the catalog and changes nothing; inside another one, a part of it."""
        begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" if self.postgresql else "BEGIN"
        with self._transaction(begin, writes=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction that may change the catalog; inside another one of this thread it is a part of that.

        Raises
        ------
        CatalogUnavailableError
            The database is away, or other writers did not end within the busy timeout; nothing was changed.
        """
        begin = "BEGIN IMMEDIATE"
        if self.postgresql:
            begin = (
                f"BEGIN; SET LOCAL lock_timeout = {self._busy_milliseconds}; "
                f"SELECT pg_advisory_xact_lock({WRITERS_LOCK})"
            )
        with self._transaction(begin, writes=True) as session:
            yield session

    @contextmanager
    def _transaction(self, begin: str, *, writes: bool) -> Iterator[Session]:
        outer = self._held.session
        if outer is not None:
            if writes and not outer.writes:
                raise RuntimeError("a write inside a read")
            yield outer
            return
        with _translated():
            connection = self._connect()
            try:
                connection.execute(begin)
                session = Session(connection, postgresql=self.postgresql, writes=writes, at=microseconds(self.now()))
                self._held.session = session
                try:
                    yield session
                finally:
                    self._held.session = None
                write_down(session)
                noted = outbox.write_down(session)
                connection.execute("COMMIT")
            except BaseException as error:
                self._abandon(connection, error)
                raise
            if writes:
                self._bound_log(connection)
            self.database.close()
        if noted and self.on_noted is not None:
            self.on_noted()

    def _bound_log(self, connection: Any) -> None:
        """Move all of a large write-ahead log into the database and begin it anew.

        SQLite does so by itself only at a moment without any reader: where one reader always comes before the last one
        has gone, the log would grow for ever. What was written is committed: no trouble here is the writer's.
        """
        try:
            size = 0 if self._log is None else self._log.stat().st_size
            if size < self._log_limit:
                return
            connection.execute(f"PRAGMA busy_timeout = {int(LOG_PATIENCE * 1000)}")
            try:
                busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                connection.execute(f"PRAGMA busy_timeout = {self._busy_milliseconds}")
        except (OSError, sqlite3.Error):
            return
        self._log_limit = size + LOG_LIMIT if busy else LOG_LIMIT

    def _connect(self) -> Any:
        if self._closed:
            raise CatalogUnavailableError("the catalog is closed")
        self.database.connect(reuse_if_open=True)
        return self.database.connection()

    def _abandon(self, connection: Any, error: BaseException) -> None:
        """Roll back; a connection that cannot even do that, and its idle sisters, are not used again."""
        try:
            if self.postgresql or connection.in_transaction:
                connection.execute("ROLLBACK")
        except Exception:
            self._discard()
        else:
            if self.postgresql and _is_away(error) and connection.broken:
                self._discard()
            else:
                self.database.close()

    def _discard(self) -> None:
        self.database.manual_close()
        self.database.close_idle()

    def close(self) -> None:
        """Close every connection; the catalog cannot be used afterwards. Threads that use it must have ended."""
        self._closed = True
        self.database.close_all()


class _KeepsFew:
    """A pool that grows to what is used at once, and afterwards gives back all but :data:`KEPT` connections."""

    def _can_reuse(self, connection: Any) -> bool:
        # The pool asks at each return, holding its lock.
        return len(self._connections) < KEPT and bool(super()._can_reuse(connection))  # type: ignore[attr-defined, misc]


class _SqlitePool(_KeepsFew, PooledSqliteDatabase):  # type: ignore[misc]
    pass


class _PostgresqlPool(_KeepsFew, PooledPostgresqlDatabase):  # type: ignore[misc]
    pass


def _sqlite(path: Path, busy_timeout: float, *, read_only: bool = False) -> Any:
    """A pool of connections to the file at ``path``, which nobody but its owner may read."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        # Whoever closes a descriptor of his own gives up all locks that his process has on the file (fcntl(2)), those
        # of SQLite's connections too: another process would then take away the write-ahead log under them.
        pass
    except OSError as error:
        raise CatalogUnavailableError(f"the catalog at {path} cannot be opened: {error.strerror}") from error
    pragmas = {"busy_timeout": int(busy_timeout * 1000), **PRAGMAS, **({"query_only": 1} if read_only else {})}
    return _SqlitePool(str(path), pragmas=pragmas, check_same_thread=False, max_connections=None, autoconnect=False)


_SILENCE = {
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""A database server that vanished without a word is known after a minute (libpq; the last one in milliseconds)."""


def _postgresql(url: str, busy_timeout: float, *, read_only: bool = False) -> Any:
    """A pool of psycopg 3 connections."""
    address = "postgresql://" + url.removeprefix("postgresql://").removeprefix("postgres://")
    return _PostgresqlPool(
        address,
        prefer_psycopg3=True,
        max_connections=None,
        autoconnect=False,
        connect_timeout=max(2, int(busy_timeout)),
        **_SILENCE,
        **({"options": "-c default_transaction_read_only=on"} if read_only else {}),
        application_name="kuva-gateway",
    )
