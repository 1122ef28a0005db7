"""One transaction: SQL with ``?`` for values, rows as dictionaries, the moment at which it began."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Any, TypeVar

Row = dict[str, Any]
T = TypeVar("T")
CHUNK = 500
"""Values per IN list; SQLite takes 32,766 in all, and a statement of one size is prepared once."""

_INSTRUCTIONS = 100_000
"""Of SQLite's machine, between two looks at the clock: some milliseconds."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(moment: datetime) -> int:
    """An aware datetime as the tables hold it."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(value: int) -> datetime:
    """What the tables hold as a datetime in UTC."""
    return _EPOCH + value * _MICROSECOND


def maybe_moment(value: int | None) -> datetime | None:
    """The same, for a column that may be null."""
    return None if value is None else moment(value)


def iso(value: int | None) -> str | None:
    """What the tables hold as ISO 8601, UTC, with microseconds and ``Z``."""
    return None if value is None else moment(value).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def chunks(values: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    """``values`` in lists of at most ``size``."""
    rest = iter(values)
    while chunk := list(islice(rest, size)):
        yield chunk


@lru_cache(maxsize=512)
def _for_postgresql(sql: str) -> str:
    return sql.replace("?", "%s")


class Session:
    """Statements inside one transaction; made by :class:`~kuva_gateway.catalog.database.Catalog` alone.

    ``at`` is the moment that the transaction takes for now, in microseconds. Literal ``?`` and ``%`` have no place in
    statements: values are always bound.
    """

    def __init__(self, connection: Any, *, postgresql: bool, writes: bool, at: int) -> None:
        self._connection = connection
        self._dialect: Callable[[str], str] = _for_postgresql if postgresql else str
        self.postgresql = postgresql
        self.writes = writes
        self.at = at
        self.memory: dict[Any, Any] = {}
        """What a transaction that only reads has looked up: nothing changes while it lasts."""
        self.noted: dict[tuple[str, str], None] = {}
        """What the transaction has changed that the journal is to be told of (:mod:`.outbox`)."""
        self.totals: dict[tuple[str, str], tuple[int, int, int]] = {}
        """What the transaction has changed of the totals and not written yet (:mod:`.totals`)."""

    def execute(self, sql: str, *values: Any) -> Any:
        """Run one statement; returns its cursor."""
        return self._connection.execute(self._dialect(sql), values)

    def change(self, sql: str, *values: Any) -> int:
        """Run one statement; returns how many rows it changed."""
        return int(self.execute(sql, *values).rowcount)

    def many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run one statement for each of ``rows``."""
        if rows:
            cursor = self._connection.cursor()
            cursor.executemany(self._dialect(sql), rows)
            cursor.close()

    def rows(self, sql: str, *values: Any) -> list[Row]:
        """All rows of a query."""
        cursor = self.execute(sql, *values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def rows_in(self, sql: str, wanted: Iterable[Any], *before: Any) -> list[Row]:
        """All rows of a query that ends in ``IN {}`` (or has it once), for any number of ``wanted`` values.

        ``before`` are the values of the placeholders that stand before it.
        """
        found: list[Row] = []
        for chunk in chunks(wanted):
            marks = "(" + ",".join("?" * len(chunk)) + ")"
            found.extend(self.rows(sql.replace("{}", marks), *before, *chunk))
        return found

    def change_in(self, sql: str, wanted: Iterable[Any], *before: Any) -> int:
        """The same for a statement that changes rows; returns how many."""
        changed = 0
        for chunk in chunks(wanted):
            marks = "(" + ",".join("?" * len(chunk)) + ")"
            changed += self.change(sql.replace("{}", marks), *before, *chunk)
        return changed

    def one(self, sql: str, *values: Any) -> Row | None:
        """The first row of a query, or None."""
        cursor = self.execute(sql, *values)
        row = cursor.fetchone()
        if row is None:
            return None
        return dict(zip((column[0] for column in cursor.description), row, strict=True))

    def value(self, sql: str, *values: Any) -> Any:
        """The first column of the first row, or None."""
        row = self.execute(sql, *values).fetchone()
        return None if row is None else row[0]

    @contextmanager
    def bounded(self, seconds: float) -> Iterator[None]:
        """Let SQLite's statements in here end with an error (SQLITE_INTERRUPT) when the time is over."""
        deadline = time.monotonic() + seconds
        self._connection.set_progress_handler(lambda: time.monotonic() > deadline, _INSTRUCTIONS)
        try:
            yield
        finally:
            self._connection.set_progress_handler(None, 0)

    def insert(self, table: str, **columns: Any) -> int:
        """Insert one row into a table that counts its own ids; returns the id."""
        names = ", ".join(columns)
        marks = ", ".join("?" * len(columns))
        return int(self.value(f"INSERT INTO {table} ({names}) VALUES ({marks}) RETURNING id", *columns.values()))
