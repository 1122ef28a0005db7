"""Delivery by a clock that the test turns: a week's outage, and hours in which a destination is sent to."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from kuva_gateway.catalog import entries
from kuva_gateway.config import Peer
from kuva_gateway.config.delivery import Hours
from kuva_gateway.forward.outcome import Outcome
from kuva_gateway.queue.runner import LOOK_EVERY, LaneWorkers
from kuva_gateway.queue.window import Window
from tests.support import free_port
from tests.unit.catalog.making import Clock
from tests.unit.forward.archive import Script, running
from tests.unit.queue.line import Line, Sent, destination, line

QUIET = Script(commitment=False)
DAY = timedelta(days=1)


def workers_of(way: Line, port: int, **changes: object) -> LaneWorkers:
    """The workers of one destination, which look only when the test lets them."""
    way.peers = (Peer.model_validate({"name": "trauma", "ae_title": "TRAUMA", "urgent": True}),)
    shipped = {"retry": "5x1m,12x5m,48x1h", "rest_for": "1m", "rest_at_most": "5m", "give_up_after": "30d"}
    way.build(destination(port, storage_commitment=False, workers=1, **{**shipped, **changes}))
    assert way.runner is not None
    return way.runner._lanes["archive"]


def look_until(workers: LaneWorkers, clock: Clock, until: datetime) -> None:
    """Let the one worker look, and time pass as it asks for, until then."""
    while clock() < until:
        pause = workers._look()
        clock.at = min(clock() + timedelta(seconds=pause), until)


def drain(workers: LaneWorkers, way: Line, clock: Clock) -> timedelta:
    """Let the one worker look until nothing is left; returns how long that took."""
    begun = clock()
    while entries.next_due(way.catalog, "archive") is not None:
        clock.forward(seconds=workers._look())
        assert clock() < begun + DAY
    return clock() - begun


def oldest_in_turn(sent: list[Sent], urgent: list[Sent]) -> list[str]:
    """What goes first: urgent by age, then the others by age, and the oldest of all each fourth time."""
    waiting, order = list(sent), []
    for turn in itertools.count(1):
        if not waiting:
            return order
        first = [study for study in waiting if study in urgent] if turn % 4 else []
        chosen = (first or waiting)[0]
        waiting.remove(chosen)
        order.extend(chosen.instances)
    raise AssertionError


@pytest.mark.slow
def test_a_weeks_outage_costs_no_attempt_and_is_drained_in_order_of_priority_and_age(tmp_path: Path) -> None:
    clock, port = Clock(), free_port()
    begun = clock()
    probes: list[datetime] = []
    with line(tmp_path, clock) as way:
        workers = workers_of(way, port)
        resting = way.lanes[0].resting
        ask = resting._probe

        def probe() -> Outcome:
            probes.append(clock())
            found: Outcome = ask()
            return found

        resting._probe = probe
        sent, urgent = [], []
        for number in range(28):
            sent.append(way.receive(1, peer="trauma" if number % 5 == 4 else "ct1"))
            urgent += sent[-1:] if number % 5 == 4 else []
            way.accept()
            look_until(workers, clock, begun + (number + 1) * DAY / 4)
        assert clock() == begun + 7 * DAY
        assert {way.entry(study.uid)["attempts"] for study in sent} == {0}
        assert {way.entry(study.uid)["state"] for study in sent} <= {"queued", "deferred"}
        gaps = [after - before for before, after in itertools.pairwise(probes)]
        assert min(gaps) >= timedelta(minutes=1)
        assert max(gaps) <= timedelta(minutes=5) * 1.15
        workers._turns = itertools.count(1)
        with running(QUIET, port=port) as archive:
            took = drain(workers, way, clock)
        shown = [way.entry(study.uid) for study in sent]
    assert archive.requests == oldest_in_turn(sent, urgent)
    assert archive.echoes == 1
    assert [(entry["state"], entry["attempts"]) for entry in shown] == [("sent", 1)] * 28
    assert took <= timedelta(minutes=5) * 1.15 + timedelta(seconds=1), "nobody waits for more than the last rest"
    told = [fields["code"] for _, event, fields in way.log.lines if event == "alarm"]
    assert told == ["unreachable"], "one alarm for one outage"


def test_what_was_deferred_before_an_outage_goes_when_the_archive_is_back(tmp_path: Path) -> None:
    clock, port = Clock(), free_port()
    full = [True]
    with line(tmp_path, clock) as way:
        workers = workers_of(way, port, retry="9x6h")
        with running(Script(status=lambda uid: 0xA700 if full[0] else 0, commitment=False), port=port):
            first = way.receive(1)
            way.accept()
            workers._look()
        assert way.entry(first.uid)["last_error"]["code"] == "A700"
        second = way.receive(1)
        way.accept()
        look_until(workers, clock, clock() + timedelta(minutes=3))
        full[0] = False
        with running(QUIET, port=port) as archive:
            assert drain(workers, way, clock) < timedelta(minutes=10)
    assert archive.requests == [*first.instances, *second.instances]


def test_a_destination_is_sent_to_in_its_hours_only_and_the_queue_says_so(tmp_path: Path) -> None:
    """The clock begins at 03:00 UTC."""
    clock = Clock()
    with line(tmp_path, clock) as way, running(QUIET) as archive:
        workers = workers_of(way, archive.port, window="18:00-06:00")
        night, day = way.receive(1), way.receive(1)
        way.accept()
        entries.hold(way.catalog, [way.entry(day.uid)["id"]], by="anna")
        workers._look()
        assert archive.requests == night.instances
        clock.forward(hours=3)
        entries.release(way.catalog, [way.entry(day.uid)["id"]], by="anna")
        assert workers._look() == LOOK_EVERY
        waiting = way.entry(day.uid)
        assert waiting["last_error"]["code"] == "window"
        assert waiting["next_attempt_at"] == "2026-11-22T18:00:00.000000Z"
        look_until(workers, clock, clock() + timedelta(hours=12))
        assert archive.requests == night.instances
        workers._look()
        assert way.entry(day.uid)["state"] == "sent"
        assert way.entry(day.uid)["last_error"] is None


def test_hours_that_end_let_the_instance_in_hand_be_finished(tmp_path: Path) -> None:
    clock = Clock()

    def late(uid: str) -> int:
        if len(archive.requests) == 2:
            clock.forward(hours=3)
        return 0

    with line(tmp_path, clock) as way, running(Script(status=late, commitment=False)) as archive:
        workers = workers_of(way, archive.port, window="18:00-06:00")
        sent = way.receive(4)
        way.accept()
        workers._look()
        entry = way.entry(sent.uid)
        assert (entry["sent"], entry["attempts"]) == (2, 0)
        clock.forward(hours=12)
        workers._look()
        assert way.entry(sent.uid)["state"] == "sent"
    assert archive.requests == sent.instances


def test_a_gateway_that_starts_within_the_hours_sends_at_once(tmp_path: Path) -> None:
    """What an earlier run noted about closed hours is no rest."""
    clock = Clock()
    with line(tmp_path, clock) as way, running(QUIET) as archive:
        entries.rest(way.catalog, "archive", clock() + timedelta(hours=9), "window", "it is sent to in its window only")
        workers = workers_of(way, archive.port, window="18:00-06:00")
        sent = way.receive(1)
        way.accept()
        workers._look()
        assert archive.requests == sent.instances


def test_hours_are_those_of_the_gateways_own_time_zone() -> None:
    window = Window(Hours.parse("18:00-06:00"), ZoneInfo("Europe/Helsinki"))
    assert window.wait(datetime(2024, 1, 10, 15, 59, tzinfo=UTC)) == timedelta(minutes=1)
    assert window.wait(datetime(2024, 1, 10, 16, 0, tzinfo=UTC)) is None
    assert window.wait(datetime(2024, 7, 10, 15, 0, tzinfo=UTC)) is None
    assert window.wait(datetime(2024, 3, 31, 4, 0, tzinfo=UTC)) == timedelta(hours=11), "summer time began that night"
