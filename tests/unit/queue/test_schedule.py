"""What wakes the queue up."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from functools import partial

import pytest
import time_machine

from kuva_gateway.errors import CatalogUnavailableError
from kuva_gateway.queue.schedule import Tick, Wakeups
from tests.support import wait_until


def test_every_tick_is_called_again_and_again_until_stopped() -> None:
    calls = {"a": 0, "b": 0}
    lock = threading.Lock()

    def count(name: str) -> None:
        with lock:
            calls[name] += 1

    wakeups = Wakeups({n: Tick(call=lambda n=n: count(n), every=0.02) for n in calls})  # type: ignore[misc]
    wakeups.start()
    wait_until(lambda: min(calls.values()) >= 3)
    wakeups.stop()
    seen = dict(calls)
    assert threading.Event().wait(0.1) is False
    assert calls == seen


def test_a_call_that_takes_long_is_not_made_a_second_time_meanwhile() -> None:
    go_on, begun = threading.Event(), []
    wakeups = Wakeups({"slow": Tick(call=lambda: (begun.append(1), go_on.wait(10)), every=0.01)})
    wakeups.start()
    wait_until(lambda: begun)
    threading.Event().wait(0.1)
    assert len(begun) == 1
    go_on.set()
    wakeups.stop()


def test_a_call_that_fails_is_made_again() -> None:
    calls: list[int] = []

    def fail() -> None:
        calls.append(1)
        raise (CatalogUnavailableError("locked") if len(calls) % 2 else RuntimeError("a fault of our own"))

    wakeups = Wakeups({"failing": Tick(call=fail, every=0.01)})
    wakeups.start()
    wait_until(lambda: len(calls) >= 4)
    wakeups.stop()


class Lines:
    """A log that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def warning(self, event: str, *, tick: str, why: str) -> None:
        self.told.append((event, tick))

    def info(self, event: str, *, tick: str) -> None:
        self.told.append((event, tick))


def test_a_catalog_that_is_away_for_many_calls_is_told_of_once_and_so_is_its_return() -> None:
    calls: list[int] = []

    def look() -> None:
        calls.append(1)
        if len(calls) <= 5 or len(calls) == 8:
            raise CatalogUnavailableError("locked")

    log = Lines()
    wakeups = Wakeups({"look": Tick(call=look, every=0.01)}, log=log)
    wakeups.start()
    wait_until(lambda: len(calls) >= 10)
    wakeups.stop()
    assert log.told == [("the catalog is away", "look"), ("the catalog is back", "look")] * 2


def test_stopping_waits_for_the_call_under_way_and_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        go_on.wait(10)
        ended.set()

    wakeups = Wakeups({"slow": Tick(call=slow, every=0.01)})
    wakeups.start()
    begun.wait(10)
    threading.Timer(0.1, go_on.set).start()
    wakeups.stop()
    assert ended.is_set()
    wait_until(lambda: set(threading.enumerate()) <= before, what="no thread left")


def test_every_tick_has_its_one_thread_from_the_start() -> None:
    before, ran = set(threading.enumerate()), {"a": list[int](), "b": list[int]()}
    ticks = {n: Tick(call=lambda n=n: ran[n].append(threading.get_ident()), every=0.01) for n in ran}  # type: ignore[misc]
    wakeups = Wakeups({**ticks, "late": Tick(call=lambda: None, every=3600)})
    wakeups.start()
    try:
        wait_until(lambda: min(map(len, ran.values())) >= 1)
        at_first = set(threading.enumerate()) - before
        assert len(at_first) == 4, "three ticks and the clock"
        wait_until(lambda: min(map(len, ran.values())) >= 20)
        assert set(threading.enumerate()) - before == at_first
        assert len({*ran["a"]}) == len({*ran["b"]}) == 1
        assert ran["a"][0] != ran["b"][0]
    finally:
        wakeups.stop()


def test_one_that_was_never_started_can_be_stopped() -> None:
    Wakeups({}).stop()


def test_other_ticks_follow_while_the_clock_runs() -> None:
    calls: list[str] = []

    def tick(name: str, every: float = 0.01) -> Tick:
        return Tick(call=partial(calls.append, name), every=every)

    wakeups = Wakeups({"kept": tick("kept"), "gone": tick("gone"), "changed": tick("old", every=3600)})
    wakeups.start()
    wait_until(lambda: {"kept", "gone"} <= set(calls))
    wakeups.renew({"kept": tick("kept"), "changed": tick("new"), "added": tick("added")})
    calls.clear()
    wait_until(lambda: {"kept", "new", "added"} <= set(calls))
    assert set(calls) - {"gone"} == {"kept", "new", "added"}
    calls.clear()
    wait_until(lambda: calls.count("kept") >= 5)
    assert "gone" not in calls
    wakeups.renew({"gone": tick("gone")})
    wait_until(lambda: "gone" in calls)
    wakeups.stop()


def test_each_tick_that_went_round_is_told_of_also_one_that_failed() -> None:
    told: list[str] = []
    wakeups = Wakeups({"bad": Tick(call=lambda: 1 / 0, every=0.01)}, went_round=told.append)
    wakeups.start()
    wait_until(lambda: told.count("bad") >= 2)
    wakeups.stop()


@pytest.mark.parametrize("years", [-30, 30])
def test_a_clock_that_is_set_by_years_neither_stops_the_ticks_nor_counts_what_it_missed(years: int) -> None:
    calls: list[int] = []
    with time_machine.travel("2020-01-01T00:00:00Z", tick=True) as traveller:
        wakeups = Wakeups({"look": Tick(call=lambda: calls.append(1), every=0.02)})
        wakeups.start()
        wait_until(lambda: calls)
        traveller.move_to(datetime(2020 + years, 1, 1, tzinfo=UTC))
        wakeups.begin_again()
        seen = len(calls)
        wait_until(lambda: len(calls) >= seen + 3, timeout=5)
        wakeups.stop()
