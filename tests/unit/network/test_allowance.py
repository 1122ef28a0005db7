"""The deadline that moves with work done, and only with that."""

from __future__ import annotations

import pytest

from kuva_gateway.network import TimedOut, allowance
from kuva_gateway.network.allowance import Allowance


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is moved."""

    class Clock:
        now = 100.0

    monkeypatch.setattr(allowance, "monotonic", lambda: Clock.now)
    return Clock


def test_without_work_it_ends_after_its_seconds(clock):
    ours = Allowance("idle", 10)
    clock.now += 9
    assert ours.remaining() == pytest.approx(1)
    clock.now += 1
    with pytest.raises(TimedOut) as caught:
        ours.remaining()
    assert caught.value.phase == "idle"
    assert caught.value.code == "timeout-idle"


def test_a_byte_now_and_then_does_not_hold_it_open(clock):
    ours = Allowance("message", 60, rate=16384)
    for _ in range(20):
        clock.now += 2.9
        ours.remaining()
        ours.earn(1)
    clock.now += 2.9
    with pytest.raises(TimedOut):
        ours.remaining()


def test_whoever_keeps_up_has_as_long_as_it_takes(clock):
    ours = Allowance("message", 60, rate=16384)
    for _ in range(1000):
        clock.now += 50
        ours.remaining()
        ours.earn(50 * 16384)


def test_no_credit_is_saved_up(clock):
    ours = Allowance("message", 60, rate=16384)
    ours.earn(10**9)
    assert ours.remaining() == pytest.approx(60)
    clock.now += 61
    with pytest.raises(TimedOut):
        ours.remaining()
