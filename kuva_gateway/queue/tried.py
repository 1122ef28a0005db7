"""How often each destination was tried, by what came of it: counts since the start, for whoever shows figures."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping

from kuva_gateway.queue.attempts import COMMITMENT_NOT_ASKED, NOT_COMMITTED
from kuva_gateway.queue.decision import Next

OUTCOMES = (*(one.value for one in Next), COMMITMENT_NOT_ASKED, NOT_COMMITTED)
"""Every outcome that an attempt may have."""


class Tried:
    """Thread-safe counts of attempts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()

    def count(self, destination: str, outcome: str) -> None:
        """One more attempt at ``destination`` ended so."""
        with self._lock:
            self._counts[destination, outcome] += 1

    def counts(self) -> Mapping[tuple[str, str], int]:
        """(Destination, outcome) -> how often since the start."""
        with self._lock:
            return dict(self._counts)
