"""What wakes the queue up: a clock that calls, and knows nothing about what is due.

What is due stands in the catalog; here is only how often somebody looks. Promises that a call never runs twice at the
same time, that calls which were missed are made once, that one failing call stops nothing, and that :meth:`stop` leaves
no thread behind.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from kuva_gateway.errors import CatalogUnavailableError
from kuva_gateway.log import get_logger

AWAY_AGAIN = 300.0
"""Seconds after which the log is told again that the catalog is still away."""
SHORTEST_TICK = 0.1
"""Seconds between two calls at least, however short somebody configures them."""
SHORTEST_INTERVAL = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One call, ``every`` so many seconds."""

    call: Callable[[], object]
    every: float


class _OneThread(ThreadPoolExecutor):  # type: ignore[misc]
    """The one thread of a tick, there from the start.

    A pool for all ticks would grow whenever two fall together for the first time, hours after the start: that looks
    like a leak, and each of its threads comes to keep a connection to the catalog.
    """

    def __init__(self, name: str) -> None:
        super().__init__(1, pool_kwargs={"thread_name_prefix": name})

    def start(self, scheduler: Any, alias: str) -> None:
        super().start(scheduler, alias)
        self._pool.submit(int)


class _Every(BaseTrigger):  # type: ignore[misc]
    """So many seconds from now, whatever was missed: the library's own counts every interval of a clock set forward."""

    def __init__(self, seconds: float) -> None:
        self._interval = timedelta(seconds=max(seconds, SHORTEST_INTERVAL))

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        return now + self._interval


class Wakeups:
    """Calls each tick at its interval, each on its own thread, until stopped; tells which went round."""

    def __init__(
        self, ticks: Mapping[str, Tick], *, log: Any = None, went_round: Callable[[str], object] = lambda name: None
    ) -> None:
        self._log = log or get_logger("queue")
        self._went_round = went_round
        self._stopping = threading.Event()
        self._away: dict[str, float] = {}  # when the log was told of it; each tick's thread has its own entry
        self._scheduler = BackgroundScheduler(
            jobstores={"default": MemoryJobStore()},
            executors={name: _OneThread(name) for name in ticks},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone=UTC,
        )
        self._ticks = dict(ticks)
        self._executors = set(ticks)
        for name, tick in ticks.items():
            self._add(name, tick)

    def start(self) -> None:
        """Begin to call; the first calls come after their first interval."""
        self._scheduler.start()

    def renew(self, ticks: Mapping[str, Tick]) -> None:
        """Call these instead from now on; a call that is under way ends, and the next one of its name waits for it."""
        for name in self._ticks.keys() - ticks.keys():
            self._scheduler.remove_job(name)
        for name, tick in ticks.items():
            known = self._ticks.get(name)
            if known is None:
                if name not in self._executors:
                    self._scheduler.add_executor(_OneThread(name), name)
                    self._executors.add(name)
                self._add(name, tick)
                continue
            if known.call != tick.call:
                self._scheduler.modify_job(name, args=(name, tick.call))
            if known.every != tick.every:
                self._scheduler.reschedule_job(name, trigger=_Every(tick.every))
        self._ticks = dict(ticks)

    def begin_again(self) -> None:
        """The clock was set: every tick's next call is one interval from now."""
        for name, tick in dict(self._ticks).items():
            with contextlib.suppress(JobLookupError):  # a reload took it away
                self._scheduler.reschedule_job(name, trigger=_Every(tick.every))

    def stop(self) -> None:
        """Call no more, and return when the calls that were under way have returned."""
        self._stopping.set()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=True)

    def _add(self, name: str, tick: Tick) -> None:
        self._scheduler.add_job(self._run, _Every(tick.every), id=name, executor=name, args=(name, tick.call))

    def _run(self, name: str, call: Callable[[], object]) -> None:
        if self._stopping.is_set():
            return
        try:
            call()
        except CatalogUnavailableError as error:
            self._tell_away(name, error)
        except Exception:
            self._log.error("a tick failed", tick=name, exc_info=True)
        else:
            if self._away.pop(name, None) is not None:
                self._log.info("the catalog is back", tick=name)
        self._went_round(name)

    def _tell_away(self, name: str, error: CatalogUnavailableError) -> None:
        """Once when it goes, and again from time to time: a call each second would fill the log with it."""
        now = monotonic()
        if now - self._away.get(name, -AWAY_AGAIN) >= AWAY_AGAIN:
            self._away[name] = now
            self._log.warning("the catalog is away", tick=name, why=str(error))
