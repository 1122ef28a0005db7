"""A wall clock that is set: the clock goes on, and follows once what waits was moved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kuva_gateway.clock import ClockWatch, SteadyClock
from kuva_gateway.errors import CatalogUnavailableError


class Time:
    """Both clocks of a machine."""

    def __init__(self) -> None:
        self.wall, self.passed = 1_000_000.0, 50.0

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.passed += seconds


class Log:
    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def error(self, event: str, **values: Any) -> None:
        self.told.append(values)


class Watched:
    """A watch whose catalog may be away."""

    def __init__(self, file: Path, time: Time) -> None:
        self.time, self.log = time, Log()
        self.moved: list[float] = []
        self.stepped = 0
        self.away = False
        self.clock = SteadyClock(lambda: time.wall, lambda: time.passed)
        self.watch = ClockWatch(self.clock, file, shift=self.shift, stepped=self.count, log=self.log)

    def shift(self, step: timedelta) -> None:
        if self.away:
            raise CatalogUnavailableError("locked")
        self.moved.append(step.total_seconds())

    def count(self) -> None:
        self.stepped += 1


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path / "clock", Time())


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@pytest.mark.parametrize("step", [-3 * 3600.0, 5 * 3600.0, -30 * 365 * 86400.0])
def test_a_step_moves_what_waits_before_the_clock_follows(watched: Watched, step: float) -> None:
    watched.time.pass_by(10)
    watched.time.wall += step
    assert watched.clock() == at(1_000_010)
    watched.away = True
    watched.watch.look()
    watched.watch.look()
    assert (watched.clock(), watched.stepped, watched.moved) == (at(1_000_010), 1, [])
    watched.away = False
    watched.watch.look()
    watched.watch.look()
    assert (watched.clock(), watched.stepped, watched.moved) == (at(1_000_010 + step), 1, [step])
    assert watched.log.told == [{"seconds": round(step), "while_stopped": False}]
    assert watched.watch.steps == 1


def test_a_time_server_that_pulls_at_the_clock_sets_nothing(watched: Watched) -> None:
    for _ in range(20):
        watched.time.pass_by(10)
        watched.time.wall += 1.5
        watched.watch.look()
    assert (watched.clock(), watched.moved, watched.watch.steps) == (at(1_000_230), [], 0)


def test_a_clock_that_was_set_back_while_nothing_ran_is_found_at_the_start_once(tmp_path: Path) -> None:
    time = Time()
    for _ in range(2):
        first = Watched(tmp_path / "clock", time)
        first.watch.start()
        first.watch.stop()
        assert first.moved == []
    time.wall -= 7200
    for moved in ([-7200.0], []):
        second = Watched(tmp_path / "clock", time)
        second.watch.start()
        second.watch.stop()
        assert second.moved == moved
