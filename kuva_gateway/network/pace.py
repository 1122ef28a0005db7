"""A limit of bytes per second that several associations share, kept smoothly.

Keeps when the next byte may leave. Promises that what is taken by all together never runs ahead of the rate by more
than one piece (a twentieth of a second's worth), and that a pause is never made up for by a burst. Thread-safe.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

PIECES_PER_SECOND = 20
SMALLEST_PIECE = 1024  # bytes: a smaller one costs more in headers than it smooths


class Pace:
    """At most ``rate`` bytes per second."""

    def __init__(
        self,
        rate: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._free_at = 0.0
        self.piece = max(SMALLEST_PIECE, int(rate / PIECES_PER_SECOND))
        """Bytes to hand over at once."""

    def take(self, count: int) -> float:
        """Wait until ``count`` bytes may leave; returns the seconds that it took."""
        with self._lock:
            now = self._clock()
            begins = max(now, self._free_at)
            self._free_at = begins + count / self._rate
        wait = begins - now
        if wait > 0:
            self._sleep(wait)
        return max(wait, 0.0)
