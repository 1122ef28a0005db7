"""A wall clock that is set while the gateway runs: what waits goes on waiting as long as it would have.

Leases, retries, rests, settling and deadlines are moments of the wall clock, because they outlive the process. When
somebody sets that clock by hours, they must come neither at once (a lease lost, a study sent twice, an entry given up)
nor hours late. So the daemon goes by :class:`SteadyClock`, which runs on over a step; :class:`ClockWatch` finds the
step, has every moment that is waited for moved by it, and only then lets the clock follow.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from kuva_gateway.errors import GatewayError

SLACK: Final = 2.0
"""Seconds by which the clock may be off without being called stepped: time servers, leap seconds."""
LOOK_EVERY: Final = 1.0
WRITE_EVERY: Final = 60.0


class SteadyClock:
    """The wall clock of when it was made or last followed, carried on by the monotonic one. Threads may share it."""

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._ahead = wall() - monotonic()

    def __call__(self) -> datetime:
        """This moment."""
        return datetime.fromtimestamp(self._ahead + self._monotonic(), UTC)

    @property
    def step(self) -> float:
        """Seconds by which the wall clock is ahead of this one."""
        return self._wall() - self._monotonic() - self._ahead

    def follow(self, step: float) -> None:
        """Go on from ``step`` seconds later (earlier, where negative)."""
        self._ahead += step


class ClockWatch:
    """Looks every second, from :meth:`start` to :meth:`stop`.

    ``shift`` moves everything that is waited for, in one transaction; while that fails (the catalog is away) the clock
    follows no step. ``stepped`` is told of each step at once. ``file`` remembers the time, so that a clock that was set
    back while no daemon ran is found at the start.
    """

    def __init__(
        self,
        clock: SteadyClock,
        file: Path,
        *,
        shift: Callable[[timedelta], object],
        stepped: Callable[[], object],
        log: Any,
    ) -> None:
        self._clock = clock
        self._file = file
        self._shift = shift
        self._stepped = stepped
        self._log = log
        self._known = 0.0
        self._written = -WRITE_EVERY
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clock steps", daemon=True)
        self.steps = 0
        """How many there were since the start."""

    def start(self) -> None:
        """Put right what waits since before a clock that was set back meanwhile, and begin to look.

        Raises
        ------
        CatalogUnavailableError
            Nothing was put right, and nobody looks: start again.
        """
        behind = self._remembered() - self._clock().timestamp()
        if behind > SLACK:
            self._tell(-behind, while_stopped=True)
            self._shift(timedelta(seconds=-behind))
        self._remember()
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
            self._remember()

    def look(self) -> None:
        """Compare the clocks once."""
        step = self._clock.step
        if abs(step) <= SLACK:
            self._clock.follow(step)
            self._known = 0.0
            if time.monotonic() - self._written >= WRITE_EVERY:
                self._remember()
            return
        if abs(step - self._known) > SLACK:
            self._known = step
            self._tell(step, while_stopped=False)
            self._stepped()
        try:
            self._shift(timedelta(seconds=step))
        except GatewayError:
            return  # tried again: nothing that is waited for can be read or written either
        self._clock.follow(step)
        self._known = 0.0
        self._remember()

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_EVERY):
            try:
                self.look()
            except Exception:
                self._log.exception("the clock cannot be watched")

    def _tell(self, step: float, *, while_stopped: bool) -> None:
        self.steps += 1
        self._log.error("the clock was set", seconds=round(step), while_stopped=while_stopped)

    def _remembered(self) -> float:
        try:
            return float(self._file.read_text("ascii"))
        except (OSError, ValueError):
            return 0.0

    def _remember(self) -> None:
        """Write the time down; a disk that refuses costs nothing but that."""
        self._written = time.monotonic()
        new = self._file.with_suffix(".new")
        with contextlib.suppress(OSError):
            new.write_text(f"{self._clock().timestamp():.0f}", "ascii")
            new.replace(self._file)
