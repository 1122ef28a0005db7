"""The retry schedule, read and followed."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kuva_gateway.queue.backoff import JITTER, Rest, Schedule, ScheduleError

MINUTE = timedelta(minutes=1)


class Steady(random.Random):
    """A source that always gives the middle of what was asked for."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [
        (1, MINUTE),
        (5, MINUTE),
        (6, 5 * MINUTE),
        (17, 5 * MINUTE),
        (18, 60 * MINUTE),
        (65, 60 * MINUTE),
        (66, 60 * MINUTE),
        (100_000, 60 * MINUTE),
    ],
)
def test_each_step_lasts_as_often_as_written_and_the_last_repeats(attempts: int, expected: timedelta) -> None:
    assert Schedule.parse("5x1m,12x5m,48x1h").delay(attempts, Steady()) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "x",
        "5",
        "1m",
        "5x",
        "x1m",
        "0x1m",
        "5x0s",
        "5x1m,",
        ",5x1m",
        "5x1y",
        "-1x1m",
        "5x-1m",
        "5*1m",
        "1x999d",
        "1x999999999999999d",
    ],
)
def test_a_schedule_that_cannot_be_followed_is_refused(text: str) -> None:
    with pytest.raises(ScheduleError):
        Schedule.parse(text)


def test_the_error_names_the_step() -> None:
    with pytest.raises(ScheduleError, match=r"step 2 .*'12y5m'.*such as 5x1m"):
        Schedule.parse("5x1m,12y5m")


def test_blanks_are_allowed() -> None:
    assert Schedule.parse(" 5 x 1m , 2x 2h ") == Schedule.parse("5x1m,2x2h")


STEPS = st.lists(st.tuples(st.integers(1, 50), st.integers(1, 10_000)), min_size=1, max_size=5)


@given(STEPS, st.integers(1, 400), st.integers())
def test_the_delay_is_that_of_its_step_within_jitter(steps: list[tuple[int, int]], attempts: int, seed: int) -> None:
    schedule = Schedule.parse(",".join(f"{times}x{seconds}s" for times, seconds in steps))
    listed = [seconds for times, seconds in steps for _ in range(times)]
    plain = listed[min(attempts, len(listed)) - 1]
    delay = schedule.delay(attempts, random.Random(seed)).total_seconds()
    assert plain * (1 - JITTER) - 1e-6 <= delay <= plain * (1 + JITTER) + 1e-6
    assert schedule.delay(attempts, random.Random(seed)).total_seconds() == delay


def test_the_jitter_spreads_entries_that_failed_together() -> None:
    rng = random.Random(1)
    delays = {Schedule.parse("1x1h").delay(1, rng) for _ in range(50)}
    assert len(delays) > 40
    assert max(delays) - min(delays) > timedelta(minutes=10)


def test_the_first_attempt_has_nothing_to_wait_for() -> None:
    with pytest.raises(ValueError, match="at least one attempt"):
        Schedule.parse("1x1m").delay(0, Steady())


def test_a_resting_destination_is_left_alone_for_longer_each_time_up_to_a_limit() -> None:
    rest = Rest(first=timedelta(seconds=10), longest=timedelta(minutes=5))
    seconds = [rest.delay(failures, Steady()).total_seconds() for failures in (1, 2, 3, 4, 5, 6, 7, 10_000)]
    middle = 1 + JITTER / 2
    assert seconds == pytest.approx([plain * middle for plain in (10, 20, 40, 80, 160, 300, 300, 300)])
