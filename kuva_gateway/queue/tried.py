"""How often each destination was tried, by what came of it, and what it was sent otherwise than that is stored.

Counts since the start, for whoever shows figures.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from typing import get_args

from kuva_gateway.forward.otherwise import Conversion
from kuva_gateway.queue.attempts import COMMITMENT_NOT_ASKED, NOT_COMMITTED
from kuva_gateway.queue.decision import Next

OUTCOMES = (*(one.value for one in Next), COMMITMENT_NOT_ASKED, NOT_COMMITTED)
"""Every outcome that an attempt may have."""
CONVERSIONS: tuple[Conversion, ...] = get_args(Conversion)
"""How instances went that were not accepted as they are stored."""


class Tried:
    """Thread-safe counts of attempts, and of conversions within them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._converted: Counter[tuple[str, str]] = Counter()

    def count(self, destination: str, outcome: str) -> None:
        """One more attempt at ``destination`` ended so."""
        with self._lock:
            self._counts[destination, outcome] += 1

    def counts(self) -> Mapping[tuple[str, str], int]:
        """(Destination, outcome) -> how often since the start."""
        with self._lock:
            return dict(self._counts)

    def convert(self, destination: str, how: Conversion) -> None:
        """One more instance went to ``destination`` so."""
        with self._lock:
            self._converted[destination, how] += 1

    def conversions(self) -> Mapping[tuple[str, str], int]:
        """(Destination, how) -> how often since the start."""
        with self._lock:
            return dict(self._converted)
