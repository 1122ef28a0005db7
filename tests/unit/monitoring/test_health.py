"""Alive is what goes round."""

from __future__ import annotations

from kuva_gateway.monitoring.health import Pulse


def test_what_has_not_gone_round_for_too_long_hangs_until_it_does() -> None:
    time = [100.0]
    pulse = Pulse(clock=lambda: time[0], patience=60)
    assert pulse.hanging() == []
    pulse.beat("the clock")
    pulse.beat("the daemon")
    time[0] += 59
    pulse.beat("the daemon")
    time[0] += 2
    assert pulse.hanging() == ["the clock has not gone round for 61 s"]
    pulse.beat("the clock")
    assert pulse.hanging() == []


def test_who_may_take_longer_hangs_later() -> None:
    time = [0.0]
    pulse = Pulse(clock=lambda: time[0], patience=60)
    pulse.beat("indexing", patience=300)
    time[0] = 299.0
    assert pulse.hanging() == []
    time[0] = 301.0
    assert pulse.hanging() == ["indexing has not gone round for 301 s"]
