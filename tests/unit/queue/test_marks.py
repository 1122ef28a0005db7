"""Sent marks are written in groups, and none is lost."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from kuva_gateway.errors import CatalogUnavailableError
from kuva_gateway.queue.marks import Marks


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_marks_within_a_second_are_written_together() -> None:
    clock, written = Clock(), []
    marks = Marks(written.append, clock=clock)
    for number in range(5):
        marks.add(number)
        clock.now += 0.2
    assert written == []
    marks.add(5)
    assert written == [(0, 1, 2, 3, 4, 5)]


def test_with_no_time_to_wait_each_is_written_at_once() -> None:
    written: list[Sequence[int]] = []
    marks = Marks(written.append, within=0.0)
    marks.add(1)
    marks.add(2)
    assert written == [(1,), (2,)]


def test_a_group_that_is_old_enough_is_written_when_somebody_looks() -> None:
    clock, written = Clock(), []
    marks = Marks(written.append, clock=clock)
    marks.add(1)
    marks.flush_if_due()
    assert written == []
    clock.now = 1.0
    marks.flush_if_due()
    marks.flush_if_due()
    assert written == [(1,)]


def test_a_write_that_fails_loses_no_mark() -> None:
    written: list[Sequence[int]] = []
    away = [True]

    def write(ids: Sequence[int]) -> None:
        if away[0]:
            raise CatalogUnavailableError("locked")
        written.append(ids)

    marks = Marks(write, clock=Clock())
    marks.add(1)
    with pytest.raises(CatalogUnavailableError):
        marks.flush()
    marks.add(2)
    away[0] = False
    marks.flush()
    assert written == [(1, 2)]


def test_nothing_waiting_writes_nothing() -> None:
    written: list[Sequence[int]] = []
    Marks(written.append).flush()
    assert written == []
