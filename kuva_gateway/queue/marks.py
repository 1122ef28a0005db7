"""Sent marks of one attempt, written to the ledger in groups.

Keeps the marks that are not yet written, for at most ``within`` seconds while somebody adds marks or looks. What a
crash loses of them is why a resumed entry asks for commitment before it sends. With ``within`` 0, for a destination
that cannot be asked, each mark is written before the next instance is sent (0.7 ms). Thread-safe.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

WITHIN = 1.0  # seconds


class Marks:
    """Marks that wait to be written by ``write``; a write that fails loses none of them."""

    def __init__(
        self,
        write: Callable[[Sequence[int]], object],
        *,
        within: float = WITHIN,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._within = within
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: list[int] = []
        self._since = 0.0

    def add(self, instance_id: int) -> None:
        """Note that an instance is stored at the destination; write the group if it is old enough."""
        with self._lock:
            if not self._waiting:
                self._since = self._clock()
            self._waiting.append(instance_id)
        self.flush_if_due()

    def flush_if_due(self) -> None:
        """Write the group if its first mark has waited long enough."""
        with self._lock:
            due = bool(self._waiting) and self._clock() - self._since >= self._within
        if due:
            self.flush()

    def flush(self) -> None:
        """Write what waits; when ``write`` raises, it waits on."""
        with self._lock:
            if self._waiting:
                self._write(tuple(self._waiting))
                self._waiting.clear()
