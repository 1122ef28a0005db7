"""Worker threads that deliver what is due: each destination has its own, so that none waits for another.

Keeps the threads and what each has in hand. Promises that what is due is found in the catalog alone (a wake-up is only
a hint), that a lease is renewed while its entry is being sent, that a destination which rests is not called but probed,
that urgent entries go first and yet one in four is the oldest one, so that nothing waits for ever, and that
:meth:`Runner.stop` returns when every worker has finished the instance in hand and given its entry back.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from kuva_gateway.catalog import entries
from kuva_gateway.errors import CatalogUnavailableError
from kuva_gateway.queue.attempt import Attempt, Tools
from kuva_gateway.queue.hand import Hand
from kuva_gateway.queue.lane import Lane
from kuva_gateway.queue.window import CLOSED
from kuva_gateway.validation.findings import Language

LEASE = timedelta(seconds=30)
LOOK_EVERY = 30.0  # seconds between looks although nobody woke the worker
CATALOG_PAUSE = 2.0  # seconds between looks while the catalog is away
PROBE_PAUSE = 0.2  # seconds between looks while another worker probes the destination
FAIR_TURN = 4  # every so manyth entry that a destination gets is the oldest one, whatever is urgent
SHORTEST = 0.01  # seconds, so that a clock which stands still does not make a worker spin


class Runner:
    """Delivers entries to all destinations until stopped; destinations may come and go meanwhile."""

    def __init__(self, lanes: Sequence[Lane], tools: Tools) -> None:
        self._tools = tools
        self._lanes = {lane.name: LaneWorkers(lane, tools) for lane in lanes}

    def start(self) -> None:
        """Begin to deliver."""
        for workers in list(self._lanes.values()):
            workers.start()

    def begin(self, lane: Lane, *, language: Language) -> None:
        """Begin to deliver to one destination more."""
        workers = self._lanes[lane.name] = LaneWorkers(lane, replace(self._tools, language=language))
        workers.start()

    def leave(self, destination: str) -> None:
        """Deliver no more to this destination: the instances in hand are finished, their entries given back."""
        workers = self._lanes.get(destination)
        if workers is not None:
            workers.stop()

    def has_left(self, destination: str, within: float = 0.0) -> bool:
        """Whether nobody delivers to this destination any more, waiting so many seconds for it."""
        workers = self._lanes.get(destination)
        if workers is None:
            return True
        workers.join(time.monotonic() + within)
        if workers.alive:
            return False
        del self._lanes[destination]
        return True

    def wake(self, destination: str | None = None) -> None:
        """Something may be due at ``destination`` (None: anywhere): look now."""
        for name, workers in list(self._lanes.items()):
            if destination in (None, name):
                workers.wake()

    def tick(self) -> None:
        """Write marks that waited long enough, and renew leases; to be called every second or so."""
        for workers in list(self._lanes.values()):
            workers.tick()

    def standstill(self) -> float:
        """For how many seconds the worker that has stood still the longest has; to be called every second or so."""
        return max((workers.standstill() for workers in list(self._lanes.values())), default=0.0)

    def stop(self, timeout: float | None = None) -> None:
        """Finish the instances in hand, give back their entries, and end the threads.

        After ``timeout`` seconds (None: never) the associations that are still open are aborted.
        """
        lanes = list(self._lanes.values())
        for workers in lanes:
            workers.stop()
        deadline = None if timeout is None else time.monotonic() + timeout
        for workers in lanes:
            workers.join(deadline)
        for workers in lanes:
            workers.abort()
        for workers in lanes:
            workers.join(None)


class LaneWorkers:
    """The workers of one destination."""

    def __init__(self, lane: Lane, tools: Tools) -> None:
        self._lane = lane
        self._tools = tools = replace(tools, stopping=threading.Event())
        self._changed = threading.Condition()
        self._wakes = 0
        self._opens: datetime | None = None  # when its hours begin, while they are over
        self._turns = itertools.count(1)
        self._in_hand: dict[str, Attempt] = {}  # by the owner of the lease, which is one attempt's alone
        self._hands = [Hand() for _ in range(lane.workers)]
        self._threads = [
            threading.Thread(target=self._run, args=(hand,), name=f"deliver {lane.name} {number}")
            for number, hand in enumerate(self._hands, start=1)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let the threads end when they have finished the instances in hand."""
        self._tools.stopping.set()
        self.wake()

    @property
    def alive(self) -> bool:
        """Whether a thread runs."""
        return any(thread.is_alive() for thread in self._threads)

    def join(self, deadline: float | None) -> None:
        """Wait until the threads have ended, or the monotonic clock shows ``deadline``."""
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(None if deadline is None else max(deadline - time.monotonic(), 0))

    def abort(self) -> None:
        """Abort the associations of what is in hand."""
        with self._changed:
            attempts = list(self._in_hand.values())
        for attempt in attempts:
            attempt.abort()

    def wake(self) -> None:
        """Let every worker look now."""
        with self._changed:
            self._wakes += 1
            self._changed.notify_all()

    def tick(self) -> None:
        """Keep the marks and leases of what is in hand."""
        with self._changed:
            attempts = list(self._in_hand.values())
        for attempt in attempts:
            try:
                attempt.tick()
            except CatalogUnavailableError as error:
                self._tools.log.warning("a lease waits for the catalog", entry=attempt.entry.id, why=str(error))

    def standstill(self) -> float:
        """For how long the worker that has stood still the longest has: neither waited nor got on."""
        now = time.monotonic()
        return 0.0 if self._tools.stopping.is_set() else max(hand.still(now) for hand in self._hands)

    def _run(self, hand: Hand) -> None:
        while not self._tools.stopping.is_set():
            seen = self._wakes
            hand.turns += 1
            try:
                pause = self._look(hand)
            except CatalogUnavailableError as error:
                self._tools.log.warning("delivery waits for the catalog", destination=self._lane.name, why=str(error))
                pause = CATALOG_PAUSE
            except Exception:
                self._tools.log.error("a worker failed", destination=self._lane.name, exc_info=True)
                pause = CATALOG_PAUSE
            if pause:
                with hand.waiting():
                    self._wait(seen, pause)

    def _look(self, hand: Hand | None = None) -> float:
        """Deliver one entry, if one is due and the destination can be called; seconds until there is reason to look."""
        if closed := self._closed():
            return closed
        resting = self._lane.resting.wait()
        if resting is not None:
            if resting or not self._lane.resting.try_again():
                return max((self._lane.resting.wait() or timedelta()).total_seconds(), PROBE_PAUSE)
            self.wake()
            self._tools.commitments.wake(self._lane.name)
        tools = self._tools
        owner = f"{tools.owner}/{tools.rng.getrandbits(64):016x}"
        fair = next(self._turns) % FAIR_TURN == 0
        entry = entries.claim(tools.catalog, self._lane.name, tools.now(), tools.lease, owner, oldest_first=fair)
        if entry is None:
            return self._until_due()
        hand = hand or Hand()
        attempt = hand.attempt = Attempt(tools, self._lane, entry)
        with self._changed:
            self._in_hand[owner] = attempt
        try:
            attempt.run()
        finally:
            hand.attempt = None
            with self._changed:
                del self._in_hand[owner]
        return 0.0

    def _closed(self) -> float:
        """Seconds to wait for the destination's hours, 0 within them; operators see which it is."""
        if self._lane.window is None:
            return 0.0
        now = self._tools.now()
        wait = self._lane.window.wait(now)
        opens = None if wait is None else now + wait
        with self._changed:
            changed, self._opens = opens != self._opens, opens
        if opens is not None and changed:
            entries.rest(self._tools.catalog, self._lane.name, opens, CLOSED, "it is sent to in its window only")
        elif changed:
            entries.wake(self._tools.catalog, self._lane.name)
        return 0.0 if wait is None else min(max(wait.total_seconds(), SHORTEST), LOOK_EVERY)

    def _until_due(self) -> float:
        due = entries.next_due(self._tools.catalog, self._lane.name)
        if due is None:
            return LOOK_EVERY
        return min(max((due - self._tools.now()).total_seconds(), SHORTEST), LOOK_EVERY)

    def _wait(self, seen: int, seconds: float) -> None:
        with self._changed:
            if self._wakes == seen and not self._tools.stopping.is_set():
                self._changed.wait(seconds)
