"""Destinations that rest: who cannot be reached is left alone for a while, then probed by one caller at a time.

Keeps, per destination, whether it rests, until when, and how often in a row it failed. Promises that while it rests
nobody calls it, that one probe at a time asks whether it is there again, and that each failure in a row makes the rest
longer; a delivery, not a probe, makes it forget the failures (an archive may answer C-ECHO and refuse everything else).
Thread-safe.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from kuva_gateway.forward.outcome import Kind, Outcome
from kuva_gateway.queue.backoff import Rest

UNREACHABLE = "unreachable"
UNREACHABLE_FAILURES = 5  # in a row: with the default rests, nobody has answered for about a quarter of an hour

Clock = Callable[[], datetime]


class Resting:
    """The rest of one destination.

    ``note`` is told of each change: until when it rests and why, or None and None. ``alarm`` is told of a cause that a
    person should know, once.
    """

    def __init__(
        self,
        name: str,
        rest: Rest,
        *,
        probe: Callable[[], Outcome],
        now: Clock,
        rng: random.Random,
        log: Any,
        note: Callable[[datetime | None, Outcome | None], None] = lambda until, why: None,
        alarm: Callable[[Outcome], None] = lambda why: None,
    ) -> None:
        self._name = name
        self._rest = rest
        self._probe = probe
        self._now = now
        self._rng = rng
        self._log = log
        self._note = note
        self._alarm = alarm
        self._alarmed = ""
        self._lock = threading.Lock()
        self._probing = threading.Lock()
        self._until: datetime | None = None
        self._failures = 0

    @property
    def until(self) -> datetime | None:
        """When it may be probed next; None while it does not rest."""
        with self._lock:
            return self._until

    def resume(self, until: datetime, failures: int = 1) -> None:
        """Go on with a rest that was noted before a restart."""
        with self._lock:
            self._until, self._failures = until, max(failures, 1)

    def failed(self, why: Outcome) -> None:
        """It cannot be used because of ``why``: rest, longer than the last time. Several at once count as one."""
        with self._lock:
            now = self._now()
            if self._until is not None and self._until > now:
                return
            self._failures += 1
            self._until = now + self._rest.delay(self._failures, self._rng)
            until, failures = self._until, self._failures
        say = self._log.error if why.kind is Kind.PERSON else self._log.warning
        say(
            "the destination rests",
            destination=self._name,
            until=until.isoformat(),
            failures=failures,
            code=why.code,
            why=str(why),
        )
        self._note(until, why)
        if self._alarming(why, failures):
            self._alarm(why)

    def _alarming(self, why: Outcome, failures: int) -> bool:
        """Once for each cause until something is stored; that nobody is there only when it lasts."""
        with self._lock:
            if why.code == self._alarmed or (why.code == UNREACHABLE and failures < UNREACHABLE_FAILURES):
                return False
            self._alarmed = why.code
            return True

    def delivered(self) -> None:
        """Something was stored there: forget the failures."""
        with self._lock:
            self._failures = 0
            self._alarmed = ""

    def wait(self) -> timedelta | None:
        """How long it still has to be left alone: None when it can be called, zero when somebody should probe it."""
        with self._lock:
            return None if self._until is None else max(self._until - self._now(), timedelta())

    def try_again(self) -> bool:
        """Probe it, unless somebody else does at this moment; whether it can be called now."""
        if not self._probing.acquire(blocking=False):
            return False
        try:
            left = self.wait()
            if left is None:
                return True
            if left:
                return False
            found = self._probe()
            if not found.stored:
                self.failed(found)
                return False
            with self._lock:
                self._until = None
        finally:
            self._probing.release()
        self._log.info("the destination is there again", destination=self._name)
        self._note(None, None)
        return True
