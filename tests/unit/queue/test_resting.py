"""A destination that cannot be reached is left alone, and probed by one at a time."""

from __future__ import annotations

import random
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kuva_gateway.forward.outcome import Outcome, association_rejected, classify, no_connection
from kuva_gateway.queue.backoff import Rest
from kuva_gateway.queue.resting import Resting

GONE = no_connection("refused")


class Lines:
    """A log that remembers its lines."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def info(self, event: str, **fields: Any) -> None:
        self.lines.append(("info", event, fields))

    def warning(self, event: str, **fields: Any) -> None:
        self.lines.append(("warning", event, fields))

    def error(self, event: str, **fields: Any) -> None:
        self.lines.append(("error", event, fields))


class World:
    """One destination, its clock, and what its probe will find."""

    def __init__(self) -> None:
        self.now = datetime(2024, 1, 1, tzinfo=UTC)
        self.found: Outcome = GONE
        self.probes = 0
        self.log = Lines()
        self.notes: list[tuple[datetime | None, Outcome | None]] = []
        self.alarms: list[str] = []
        self.resting = Resting(
            "archive",
            Rest(first=timedelta(seconds=10), longest=timedelta(minutes=5)),
            probe=self.probe,
            now=lambda: self.now,
            rng=random.Random(1),
            log=self.log,
            note=lambda until, why: self.notes.append((until, why)),
            alarm=lambda why: self.alarms.append(why.code),
        )

    def probe(self) -> Outcome:
        self.probes += 1
        return self.found

    def pass_rest(self) -> timedelta:
        wait = self.resting.wait()
        assert wait is not None
        self.now += wait
        return wait


@pytest.fixture
def world() -> World:
    return World()


def test_one_that_works_does_not_rest(world: World) -> None:
    assert world.resting.wait() is None
    assert world.resting.try_again()
    assert world.probes == 0


def test_nobody_probes_before_the_rest_is_over(world: World) -> None:
    world.resting.failed(GONE)
    assert not world.resting.try_again()
    assert world.probes == 0
    world.pass_rest()
    assert not world.resting.try_again()
    assert world.probes == 1


def test_each_failed_probe_makes_the_rest_longer_up_to_the_limit(world: World) -> None:
    world.resting.failed(GONE)
    rests = []
    for _ in range(8):
        rests.append(world.pass_rest().total_seconds())
        world.resting.try_again()
    assert 8 < rests[0] < 12
    assert rests[1] > rests[0] * 1.3
    assert rests[2] > rests[1] * 1.3
    assert all(rest < 346 for rest in rests)
    assert rests[-1] > 250


def test_a_probe_that_is_answered_ends_the_rest(world: World) -> None:
    world.resting.failed(GONE)
    world.pass_rest()
    world.found = classify(0)
    assert world.resting.try_again()
    assert world.resting.wait() is None
    assert world.notes[-1] == (None, None)


def test_an_answered_probe_does_not_forget_failures_but_a_delivery_does(world: World) -> None:
    world.found = classify(0)
    lengths = []
    for delivered in (False, False, True, False):
        world.resting.failed(classify(0x0124))
        lengths.append(world.pass_rest().total_seconds())
        assert world.resting.try_again()
        if delivered:
            world.resting.delivered()
    assert lengths[1] > lengths[0] * 1.3
    assert lengths[2] > lengths[1] * 1.3
    assert lengths[3] < 12


def test_workers_that_fail_together_count_as_one_failure(world: World) -> None:
    for _ in range(5):
        world.resting.failed(GONE)
    assert len(world.notes) == 1
    assert world.pass_rest().total_seconds() < 12


def test_only_one_probes_at_a_time(world: World) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def probe() -> Outcome:
        world.probes += 1
        entered.set()
        go_on.wait(10)
        return classify(0)

    world.resting._probe = probe
    world.resting.failed(GONE)
    world.pass_rest()
    first: list[bool] = []
    thread = threading.Thread(target=lambda: first.append(world.resting.try_again()))
    thread.start()
    assert entered.wait(10)
    assert not world.resting.try_again()
    go_on.set()
    thread.join(10)
    assert first == [True]
    assert world.probes == 1


def test_what_needs_a_person_is_logged_as_an_error(world: World) -> None:
    world.resting.failed(association_rejected(1, 1, 7, "called AE title not recognized"))
    [(level, event, fields)] = world.log.lines
    assert level == "error"
    assert event == "the destination rests"
    assert fields["destination"] == "archive"
    assert fields["code"] == "rejected-1-1-7"


def test_a_rest_noted_before_a_restart_goes_on(world: World) -> None:
    world.resting.resume(world.now + timedelta(seconds=30))
    assert world.resting.wait() == timedelta(seconds=30)
    assert not world.resting.try_again()


def fail(world: World, why: Outcome, times: int) -> None:
    for _ in range(times):
        world.resting.failed(why)
        world.pass_rest()


def test_a_refusal_of_us_sounds_one_alarm_until_something_is_delivered(world: World) -> None:
    fail(world, association_rejected(2, 3, 2, "local limit exceeded"), 3)
    fail(world, classify(0x0124), 2)
    assert world.alarms == ["rejected-2-3-2", "0124"]
    world.resting.delivered()
    fail(world, classify(0x0124), 1)
    assert world.alarms == ["rejected-2-3-2", "0124", "0124"]


def test_one_that_is_away_sounds_an_alarm_only_when_it_stays_away(world: World) -> None:
    fail(world, GONE, 4)
    assert world.alarms == []
    fail(world, GONE, 3)
    assert world.alarms == ["unreachable"]


def test_it_is_never_probed_before_its_rest_is_over(world: World) -> None:
    """Jitter makes rests longer, never shorter."""
    for _ in range(50):
        world.resting.failed(GONE)
        assert world.pass_rest() >= timedelta(seconds=10)
        world.resting.delivered()
