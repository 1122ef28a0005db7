"""Several destinations, each for itself: their filters, their judgements, their troubles."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kuva_gateway.catalog import entries
from tests.support import free_port, wait_until
from tests.unit.forward.archive import Script, running
from tests.unit.queue.line import Line, destination, line


@pytest.fixture
def way(tmp_path: Path) -> Iterator[Line]:
    with line(tmp_path) as made:
        yield made


def only_sent(port: int, **changes: object) -> object:
    return destination(port, **{"storage_commitment": False, **changes})


def test_a_dead_a_stalled_and_a_slow_destination_change_nothing_for_the_others(way: Line) -> None:
    """Counted, not timed: while two of them give no answer to their first image, the healthy one gets everything."""
    release, stalled_got = threading.Event(), threading.Event()

    def stall(uid: str) -> int:
        stalled_got.set()
        release.wait(60)
        return 0

    with (
        running(Script(commitment=False)) as healthy,
        running(Script(status=stall, commitment=False)) as stalled,
    ):
        way.start(
            only_sent(free_port(), name="dead", required=False),  # type: ignore[arg-type]
            only_sent(stalled.port, name="stalled", required=False, workers=2),  # type: ignore[arg-type]
            only_sent(healthy.port, name="healthy"),  # type: ignore[arg-type]
        )
        sent = [way.receive(2) for _ in range(10)]
        way.accept()
        assert stalled_got.wait(20)
        for study in sent:
            way.wait_for(study.uid, "sent", "healthy")
            assert way.study(study.uid) == "archived"
        assert stalled.stored == []
        assert {way.entry(study.uid, "dead")["attempts"] for study in sent} == {0}
        assert sorted(healthy.requests) == sorted(uid for study in sent for uid in study.instances)
        release.set()
        for study in sent:
            way.wait_for(study.uid, "sent", "stalled")
        way.stop()


def test_each_destination_gets_what_its_filter_takes(way: Line) -> None:
    with running(Script(commitment=False)) as first, running(Script(commitment=False)) as second:
        way.start(
            only_sent(first.port, name="ct-store", filter={"modality": "CT"}),  # type: ignore[arg-type]
            only_sent(second.port, name="mr-store", filter={"modality": "MR"}),  # type: ignore[arg-type]
        )
        ct, mr = way.receive(1), way.receive(1, Modality="MR")
        way.accept()
        way.wait_for(ct.uid, "sent", "ct-store")
        way.wait_for(mr.uid, "sent", "mr-store")
        way.stop()
    assert (first.requests, second.requests) == (ct.instances, mr.instances)


def test_an_operators_judgement_of_a_status_decides(way: Line) -> None:
    """One archive answers 0111 for what it has, which counts as delivered; A700 is told to be a person's matter."""
    have, no_room = way.receive(1), way.receive(1)
    script = Script(status=lambda uid: 0x0111 if uid in have.instances else 0xA700, commitment=False)
    with running(script) as archive:
        way.start(only_sent(archive.port, statuses={"0111": "delivered", "A7xx": "person"}))  # type: ignore[arg-type]
        way.accept()
        way.wait_for(have.uid, "sent")
        entry = way.wait_for(no_room.uid, "failed")
        assert entry["last_error"]["code"] == "A700"
        way.stop()
    assert len(archive.requests) == 2


def test_an_archive_that_refuses_everything_rests_and_its_entries_wait(way: Line) -> None:
    """Ten refusals over three studies are failures; from then on studies wait, until something is stored again."""
    refusing = [True]
    with running(Script(status=lambda uid: 0xC000 if refusing[0] else 0, commitment=False)) as archive:
        way.build(only_sent(archive.port, workers=1))  # type: ignore[arg-type]
        sent = [way.receive(3) for _ in range(6)]
        way.accept()
        assert way.runner is not None
        way.runner.start()
        rests = ("warning", "error")
        wait_until(
            lambda: sum(line[1] == "the destination rests" for line in way.log.lines if line[0] in rests) >= 2,
            what="a second rest",
        )
        states = [way.entry(study.uid)["state"] for study in sent]
        assert states.count("failed") == 3
        assert [way.entry(s.uid)["attempts"] for s in sent if way.entry(s.uid)["state"] != "failed"] == [0, 0, 0]
        alarms = [fields["code"] for _, event, fields in way.log.lines if event == "alarm"]
        assert alarms == ["C000", "C000", "C000", "refuses-all"]
        refusing[0] = False
        for study, state in zip(sent, states, strict=True):
            if state != "failed":
                way.wait_for(study.uid, "sent")
        entries.retry(way.catalog, None, by="anna", reason="the archive is mended")
        way.runner.wake()
        for study in sent:
            way.wait_for(study.uid, "sent")
        way.stop()


def test_one_image_that_the_archive_will_not_let_in_keeps_no_other_study_waiting(way: Line) -> None:
    """0124 is the destination's matter; the entry that met it goes to the end of the line, the others are served."""
    bad = way.receive(1)
    others = [way.receive(1) for _ in range(3)]
    with running(Script(status=lambda uid: 0x0124 if uid in bad.instances else 0, commitment=False)) as archive:
        way.start(only_sent(archive.port, workers=1))  # type: ignore[arg-type]
        way.accept()
        for study in others:
            way.wait_for(study.uid, "sent")
        assert way.entry(bad.uid)["state"] in ("queued", "deferred", "sending")
        way.stop()
    assert archive.requests[0] == bad.instances[0]
