"""When to try again: pure functions of how often something was tried.

Keeps no state and never sleeps. :class:`Schedule` is what operators write (``5x1m,12x5m,48x1h``: five times after a
minute, twelve times after five minutes, then after an hour each; the last step repeats). :class:`Rest` is how long a
destination that cannot be reached is left alone.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from kuva_gateway.config.units import parse_duration

JITTER = 0.15  # share of the delay by which it may be shorter or longer, so that entries do not come in waves

_STEP = re.compile(r"(\d{1,6})\s*x\s*(\S.*)")
_LONGEST = timedelta(days=366)


class ScheduleError(ValueError):
    """A retry schedule that cannot be read; the text names the step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """``times`` attempts, each ``delay`` after the one before."""

    times: int
    delay: timedelta


@dataclass(frozen=True, slots=True)
class Schedule:
    """A retry schedule: what to wait after the first, second, ... attempt."""

    steps: tuple[Step, ...]

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """Read ``5x1m,12x5m,48x1h``.

        Raises
        ------
        ScheduleError
            It has no steps, or a step that is not "how often x how long", is zero times, takes no time or over a year.
        """
        if not text.strip():
            raise ScheduleError("the retry schedule is empty; expected steps such as 5x1m,12x5m,48x1h")
        return cls(tuple(_steps(text)))

    def delay(self, attempts: int, rng: random.Random) -> timedelta:
        """How long to wait after ``attempts`` (1 or more) attempts, 15 % more or less by ``rng``."""
        return jittered(self._plain(attempts), rng)

    def _plain(self, attempts: int) -> timedelta:
        if attempts < 1:
            raise ValueError("a retry follows at least one attempt")
        left = attempts
        for step in self.steps:
            if left <= step.times:
                return step.delay
            left -= step.times
        return self.steps[-1].delay

    def __str__(self) -> str:
        return ",".join(f"{step.times}x{step.delay.total_seconds():g}s" for step in self.steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """How long a destination rests: doubled with each failure in a row from ``first`` up to ``longest``."""

    first: timedelta = timedelta(minutes=1)
    longest: timedelta = timedelta(minutes=5)

    def delay(self, failures: int, rng: random.Random) -> timedelta:
        """How long to leave it alone after ``failures`` (1 or more) in a row, up to 15 % longer by ``rng``."""
        doublings = min(max(failures, 1) - 1, 30)
        plain: timedelta = min(self.first * 2**doublings, self.longest)
        return plain * rng.uniform(1, 1 + JITTER)


def jittered(delay: timedelta, rng: random.Random) -> timedelta:
    """``delay``, up to 15 % shorter or longer."""
    return delay * rng.uniform(1 - JITTER, 1 + JITTER)


def _steps(text: str) -> Iterator[Step]:
    for number, part in enumerate(text.split(","), start=1):
        place = f"step {number} of the retry schedule, {part.strip()[:40]!r}"
        match = _STEP.fullmatch(part.strip())
        if match is None:
            raise ScheduleError(f"{place}: expected how often x how long, such as 5x1m")
        try:
            delay = timedelta(seconds=parse_duration(match[2]))
        except (ValueError, OverflowError) as error:
            raise ScheduleError(f"{place}: {error}") from error
        if int(match[1]) == 0 or not delay or delay > _LONGEST:
            raise ScheduleError(f"{place}: a step is taken at least once and lasts between a millisecond and a year")
        yield Step(times=int(match[1]), delay=delay)
