"""Stub."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def utc_now() -> datetime:
    """This moment."""
    return datetime.now(UTC)


class Catalog:
    """The catalog's database: connections, transactions, schema."""

    now: Callable[[], datetime]

    @classmethod
    def open(
        cls,
        url: str | None,
        path: Path,
        *,
        create: bool = True,
        now: Callable[[], datetime] = utc_now,
        busy_timeout: float = 5.0,
    ) -> Catalog:
        """Open the catalog: SQLite at ``path`` when ``url`` is None, else PostgreSQL at ``url``.

        Missing migrations are run. A write waits at most ``busy_timeout`` seconds for its turn.

        Raises
        ------
        NotFoundError
            There is no catalog, and ``create`` is false.
        RefusedError
            The schema is newer than this program.
        CatalogUnavailableError
            The database is away or locked.
        """
        raise NotImplementedError

    @contextmanager
    def read(self) -> Iterator[Any]:
        """One transaction that sees one moment of the catalog and changes nothing."""
        raise NotImplementedError

    @contextmanager
    def write(self) -> Iterator[Any]:
        """One transaction that may change the catalog; nested in another one of this thread it is part of that."""
        raise NotImplementedError

    def close_thread(self) -> None:
        """Nothing to do: connections belong to transactions, not to threads. Kept so that threads may say they end."""

    def close(self) -> None:
        """Close every connection; the catalog cannot be used afterwards."""
        raise NotImplementedError
