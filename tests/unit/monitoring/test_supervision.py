"""The daemon's supervisor hears of deliveries that stand still."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import structlog

from kuva_gateway import supervision
from kuva_gateway.monitoring.health import Pulse
from kuva_gateway.monitoring.monitoring import Watched
from kuva_gateway.supervision import SLOW, STANDSTILL, Supervision


def test_the_queue_goes_round_while_no_delivery_stands_still(monkeypatch: Any) -> None:
    now = [0.0]
    monkeypatch.setattr(supervision, "Pulse", lambda: Pulse(clock=lambda: now[0]))
    watched = Supervision(structlog.get_logger())
    delivering = SimpleNamespace(standstill=lambda: still)
    still = STANDSTILL
    watched.start(cast(Watched, SimpleNamespace(delivering=lambda: delivering)), "KUVAGW")
    watched.went_round("queue")
    now[0] = SLOW
    still = STANDSTILL + 1
    watched.went_round("queue")
    assert watched.pulse.hanging() == []
    now[0] = SLOW + 1
    watched.went_round("queue")
    assert watched.pulse.hanging() == [f"delivering has not gone round for {SLOW + 1:.0f} s"]
    still = 0.0
    watched.went_round("queue")
    assert watched.pulse.hanging() == []
