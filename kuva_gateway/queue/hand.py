"""What one worker is at, so that others can tell whether it gets on.

Keeps the attempt in hand and what was last seen of it. Promises that telling costs the worker nothing: whoever asks
compares what there is with what there was when it was asked before.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kuva_gateway.queue.attempt import Attempt

Mark = tuple[int, int, int]


class Hand:
    """One worker's; only that worker changes it."""

    def __init__(self) -> None:
        self.attempt: Attempt | None = None
        self.turns = 0
        self._waiting = False
        self._seen: Mark | None = None
        self._since = 0.0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """While there is nothing to do."""
        self._waiting = True
        try:
            yield
        finally:
            self._waiting = False

    def still(self, now: float) -> float:
        """For how many seconds nothing has changed, of those between calls of this; 0 while it waits."""
        attempt = self.attempt
        mark = None if self._waiting else (self.turns, *((0, 0) if attempt is None else attempt.progress))
        if mark is None or mark != self._seen:
            self._seen, self._since = mark, now
        return now - self._since
