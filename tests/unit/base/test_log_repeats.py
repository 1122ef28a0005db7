"""What a peer can provoke does not fill the log: the first lines, then a count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kuva_gateway.log.repeats import KINDS, WINDOW, Limited


class Lines:
    """What was logged."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str, dict[str, Any]]] = []

    def __getattr__(self, level: str) -> Callable[..., None]:
        return lambda event, **fields: self.said.append((level, event, fields))


class World:
    """A limited logger and a clock that is turned by hand."""

    def __init__(self, at_most: int = 3) -> None:
        self.now = 1000.0
        self.due: list[tuple[float, Callable[[], None]]] = []
        self.lines = Lines()
        self.log = Limited(
            self.lines,
            now=lambda: self.now,
            later=lambda seconds, call: self.due.append((self.now + seconds, call)),
            at_most=at_most,
        )

    def refuse(self, address: str = "10.0.0.1", times: int = 1) -> None:
        for _ in range(times):
            self.log.warning("association_rejected", address=address, why="unknown AE title")

    def turn(self, seconds: float) -> None:
        self.now += seconds
        due, self.due = [one for one in self.due if one[0] <= self.now], [one for one in self.due if one[0] > self.now]
        for _, call in due:
            call()

    def counts(self) -> list[tuple[str, str]]:
        return [(event, fields["source"]) for _, event, fields in self.lines.said if "like" in fields]


def test_the_first_lines_are_there_and_the_rest_is_told_at_the_end_of_the_window() -> None:
    world = World()
    world.refuse(times=100)
    assert len(world.lines.said) == 3
    world.turn(WINDOW)
    assert world.counts() == [("97 more like this", "10.0.0.1")]
    assert world.lines.said[-1][2]["like"] == "association_rejected"


def test_another_address_and_another_kind_have_lines_of_their_own() -> None:
    world = World()
    world.refuse(times=5)
    world.refuse("10.0.0.2")
    world.log.info("connection_ended", address="10.0.0.1", how="garbage")
    assert [fields["address"] for _, _, fields in world.lines.said[3:]] == ["10.0.0.2", "10.0.0.1"]


def test_a_window_that_is_over_begins_anew() -> None:
    world = World()
    world.refuse(times=3)
    world.turn(WINDOW)
    world.refuse(times=3)
    assert len(world.lines.said) == 6
    assert world.counts() == []


def test_windows_of_several_end_each_in_its_time_by_one_timer() -> None:
    world = World()
    world.refuse("10.0.0.1", times=4)
    world.turn(WINDOW / 2)
    world.refuse("10.0.0.2", times=5)
    assert len(world.due) == 1
    world.turn(WINDOW / 2)
    assert world.counts() == [("1 more like this", "10.0.0.1")]
    world.turn(WINDOW / 2)
    assert world.counts()[1:] == [("2 more like this", "10.0.0.2")]
    assert world.due == []


def test_the_end_of_the_process_tells_what_is_left() -> None:
    world = World()
    world.refuse(times=5)
    world.log.tell_all()
    assert world.counts() == [("2 more like this", "10.0.0.1")]
    world.turn(WINDOW)
    assert len(world.counts()) == 1


def test_ever_new_addresses_take_no_more_memory_and_few_lines() -> None:
    world = World()
    for number in range(KINDS * 3):
        world.refuse(f"10.{number >> 16}.{(number >> 8) & 255}.{number & 255}")
    assert len(world.log._counts) <= KINDS + 1
    assert len(world.lines.said) <= KINDS + 3


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 90)), max_size=60))
def test_every_line_is_said_or_counted(calls: list[tuple[int, int]]) -> None:
    world = World()
    for address, pause in calls:
        world.refuse(f"10.0.0.{address}")
        world.turn(pause)
    world.log.tell_all()
    said = sum(1 for _, _, fields in world.lines.said if "like" not in fields)
    left_out = sum(int(event.split()[0]) for event, _ in world.counts())
    assert said + left_out == len(calls)


def test_without_a_thread_for_the_windows_end_lines_go_on_and_the_next_one_tries_again() -> None:
    world = World()
    tries: list[float] = []

    def fail(seconds: float, call: Callable[[], None]) -> None:
        tries.append(seconds)
        if len(tries) < 3:
            raise RuntimeError("can't start new thread")
        world.due.append((world.now + seconds, call))

    world.log = Limited(world.lines, now=lambda: world.now, later=fail, at_most=3)
    world.refuse(times=10)
    assert (len(world.lines.said), len(tries)) == (3, 3)
    world.turn(WINDOW)
    assert world.counts() == [("7 more like this", "10.0.0.1")]
