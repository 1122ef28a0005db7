"""Retention: files of what is archived go when their time is over, and earlier when room is short.

Keeps nothing; what is kept and what is asked for is in the catalog, the indexer's thread removes. Promises that nothing
goes that a destination still waits for, however short the room is: then receiving answers A700 and a person reads why
in the log.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from kuva_gateway.catalog import retention
from kuva_gateway.catalog.database import Catalog

STEPS = 50
"""Transactions of one run at most; the next run goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Of the spool's file system, in bytes."""

    free: int
    total: int


class Retention:
    """Run now and then. ``remove`` wakes whoever removes files."""

    def __init__(
        self,
        catalog: Catalog,
        *,
        keep_for: timedelta,
        low_water: float,
        room: Callable[[], Room],
        remove: Callable[[], None],
        now: Callable[[], datetime],
        log: Any,
    ) -> None:
        self._catalog = catalog
        self._keep_for = keep_for
        self._low_water = low_water
        self._room = room
        self._remove = remove
        self._now = now
        self._log = log

    def run(self) -> int:
        """Ask for what may go; returns how many files."""
        files = self._ask(self._now() - self._keep_for, "keep_for", None)
        short = self._short()
        if short > 0:
            early = self._ask(self._now(), "low_water", short)
            files += early
            self._say_short(short, early)
        if files:
            self._remove()
        return files

    def _short(self) -> int:
        """How many bytes are missing to the low-water mark, those that are about to go not counted."""
        room = self._room()
        return int(room.total * self._low_water) - room.free - retention.asked_bytes(self._catalog)

    def _ask(self, archived_before: datetime, why: str, wanted: int | None) -> int:
        files = size = 0
        for _ in range(STEPS):
            left = None if wanted is None else wanted - size
            found = retention.choose(self._catalog, archived_before=archived_before, why=why, wanted_bytes=left)
            files, size = files + found.files, size + found.bytes
            if not found.looked_at or (wanted is not None and size >= wanted):
                break
        if files:
            self._log.info("retention", why=why, files=files, bytes=size)
        return files

    def _say_short(self, short: int, early: int) -> None:
        if early:
            self._log.warning("room is short: archived files go early", missing_bytes=short, files=early)
        else:
            self._log.error("room is short and nothing may be removed: deliver, or add disk", missing_bytes=short)
