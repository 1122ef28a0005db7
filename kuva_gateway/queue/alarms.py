"""What a person should hear of at once: one log line for each alarm, and how often there was one.

Keeps counts by kind and destination since the start, for whoever shows figures. Promises an ``alarm`` line at level
error for each, with the ids that join it to the story and never a patient's. Thread-safe.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any

FAILED = "entry_failed"
RESTS = "destination_rests"
KINDS = (FAILED, RESTS)


class Alarms:
    """Raises alarms into a log."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()

    def sound(self, kind: str, destination: str, **fields: Any) -> None:
        """Say that ``kind`` has happened at ``destination``."""
        with self._lock:
            self._counts[kind, destination] += 1
        self._log.error("alarm", kind=kind, destination=destination, **fields)

    def counts(self) -> Mapping[tuple[str, str], int]:
        """How often each (kind, destination) sounded since the start."""
        with self._lock:
            return dict(self._counts)
