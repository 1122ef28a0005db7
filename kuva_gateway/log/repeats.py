"""Lines that a peer can provoke, kept from filling the disk: so many of a kind from one address, then one that counts.

Keeps a bounded number of kinds. Promises that the first lines of each kind are there, and that what was left out is
told at the end of its window, and at the end of the process.
"""

from __future__ import annotations

import atexit
import contextlib
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

WINDOW = 60.0
"""Seconds, from the first line of a kind."""
AT_MOST = 10
"""Lines of a kind and address in a window."""
KINDS = 1024
"""Kinds and addresses told apart; further ones share one count for each kind."""
_ALIVE: weakref.WeakSet[Limited] = weakref.WeakSet()

Later = Callable[[float, Callable[[], None]], object]


def later(seconds: float, call: Callable[[], None]) -> threading.Timer:
    """Call after a while, on a thread that keeps nobody from ending."""
    timer = threading.Timer(seconds, call)
    timer.daemon = True
    timer.name = "log-window"
    timer.start()
    return timer


@dataclass(slots=True)
class _Count:
    ends: float
    level: str
    said: int = 0
    left_out: int = 0


class Limited:
    """A logger whose lines are limited by event and address (or peer, where there is no address)."""

    def __init__(
        self, log: Any, *, now: Callable[[], float] = monotonic, later: Later = later, at_most: int = AT_MOST
    ) -> None:
        self._log = log
        self._now = now
        self._later = later
        self._at_most = at_most
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str], _Count] = {}
        self._armed = False
        _ALIVE.add(self)

    def info(self, event: str, **fields: object) -> None:
        """A line, or a count of it."""
        self._say("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """A line, or a count of it."""
        self._say("warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        """A line, or a count of it."""
        self._say("error", event, fields)

    def _say(self, level: str, event: str, fields: dict[str, object]) -> None:
        if self._may_say(level, event, str(fields.get("address") or fields.get("peer") or "")):
            getattr(self._log, level)(event, **fields)

    def _may_say(self, level: str, event: str, source: str) -> bool:
        now = self._now()
        with self._lock:
            count = self._counts.get((event, source))
            if count is None or (count.ends <= now and not count.left_out):
                count = self._begin(now, level, event, source)
            if count.said < self._at_most:
                count.said += 1
                return True
            count.left_out += 1
            self._arm(count.ends - now)
            return False

    def _begin(self, now: float, level: str, event: str, source: str) -> _Count:
        key = (event, source)
        if len(self._counts) >= KINDS and key not in self._counts:
            self._counts = {one: count for one, count in self._counts.items() if count.ends > now or count.left_out}
        if len(self._counts) >= KINDS and key not in self._counts:
            key = (event, "")
            found = self._counts.get(key)
            if found is not None and (found.ends > now or found.left_out):
                return found
        count = self._counts[key] = _Count(ends=now + WINDOW, level=level)
        return count

    def _arm(self, seconds: float) -> None:
        """Tell at the end of the window; without a thread to be had, the next line that is left out tries again."""
        if not self._armed:
            with contextlib.suppress(RuntimeError):
                self._later(max(seconds, 0.0), self._end_windows)
                self._armed = True

    def _end_windows(self) -> None:
        now = self._now()
        with self._lock:
            over = {key: count for key, count in self._counts.items() if count.ends <= now}
            for key in over:
                del self._counts[key]
            self._armed = False
            waiting = [count.ends for count in self._counts.values() if count.left_out]
            if waiting:
                self._arm(min(waiting) - now)
        self._tell(over)

    def tell_all(self) -> None:
        """Tell what was left out so far."""
        with self._lock:
            over, self._counts = self._counts, {}
        self._tell(over)

    def _tell(self, over: dict[tuple[str, str], _Count]) -> None:
        for (event, source), count in over.items():
            if count.left_out:
                self._log.warning(f"{count.left_out} more like this", like=event, source=source, level_was=count.level)


@atexit.register
def _tell_all() -> None:
    for one in list(_ALIVE):
        one.tell_all()
