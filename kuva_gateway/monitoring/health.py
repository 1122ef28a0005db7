"""Is the daemon alive, and is it ready? For supervisors and load balancers, in one line.

*Alive*: what must go round goes round. *Ready*: peers can send. A catalog that goes away later makes it neither dead
nor unready: receiving goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic

PATIENCE = 60.0
"""Seconds without a beat after which something hangs."""


class Pulse:
    """Who must beat, and when each last did."""

    def __init__(self, clock: Callable[[], float] = monotonic, patience: float = PATIENCE) -> None:
        self._clock = clock
        self._patience = patience
        self._lock = threading.Lock()
        self._beats: dict[str, float] = {}
        self._patient: dict[str, float] = {}

    def beat(self, who: str, *, patience: float | None = None) -> None:
        """``who`` goes round; from the first time on it must, at least every ``patience`` seconds."""
        with self._lock:
            self._beats[who] = self._clock()
            if patience is not None:
                self._patient[who] = patience

    def hanging(self) -> list[str]:
        """Who has not gone round for too long, and for how long."""
        now = self._clock()
        with self._lock:
            late = [
                (who, now - at)
                for who, at in sorted(self._beats.items())
                if now - at > self._patient.get(who, self._patience)
            ]
        return [f"{who} has not gone round for {seconds:.0f} s" for who, seconds in late]
