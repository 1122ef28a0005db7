"""The indexer: arrivals become instances and rows, in batches, repeatable after a crash at any point."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from kuva_gateway.catalog.database import Catalog


class Indexer:
    """Takes arrivals from the spool into the catalog.

    Parameters
    ----------
    duplicates
        ``newest`` or ``first``: which of several objects with one SOP Instance UID counts before delivery.
    on_indexed
        Called after each batch with the Study Instance UIDs that it touched.
    on_problem
        Called with a rule id (QUA-01, QUA-02) or ``catalog`` and a sentence without patient data.
    """

    def __init__(
        self,
        catalog: Catalog,
        spool: Any,
        *,
        duplicates: str = "newest",
        on_indexed: Callable[[frozenset[str]], None] = lambda uids: None,
        on_problem: Callable[[str, str], None] = lambda rule, text: None,
    ) -> None:
        raise NotImplementedError

    def start(self) -> None:
        """Start the thread, which first indexes what is in ``arrived/``."""

    def notify(self, arrival: Any, header: Any | None) -> None:
        """An arrival is on stable storage. Never blocks on the database; called before its acknowledgement goes out."""

    def rescan(self) -> None:
        """Look into ``arrived/``: somebody else put files there."""

    def passed(self, until: datetime) -> bool:
        """True when everything acknowledged before ``until`` has been indexed."""
        raise NotImplementedError

    def wait_passed(self, timeout: float, until: datetime | None = None) -> bool:
        """Wait until :meth:`passed` is true for ``until`` (None: this moment), at most ``timeout`` seconds."""
        raise NotImplementedError

    @property
    def pending(self) -> int:
        """Arrivals that are known and not yet indexed."""
        raise NotImplementedError

    def drain(self, timeout: float) -> bool:
        """Index what is known; False if time ran out (the rest stays in the spool)."""
        raise NotImplementedError

    def stop(self) -> None:
        """End the thread after the batch in hand."""

    def index_batch(self, arrivals: Iterable[Any]) -> frozenset[str]:
        """Index these arrivals now, on the caller's thread, without the thread; returns the studies touched."""
        raise NotImplementedError
