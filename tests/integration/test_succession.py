"""Destinations that come, change and go while others, and they themselves, are being delivered to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from kuva_gateway.config.model import Destination
from kuva_gateway.queue.succession import Succession, Wanted
from tests.support import wait_until
from tests.unit.forward.archive import Script, running
from tests.unit.queue.line import Line, destination, line


@pytest.fixture
def way(tmp_path: Path) -> Iterator[Line]:
    with line(tmp_path) as made:
        yield made


class Stall:
    """An archive that holds its answer to the first image back."""

    def __init__(self) -> None:
        self.got = threading.Event()
        self.release = threading.Event()

    def __call__(self, uid: str) -> int:
        self.got.set()
        self.release.wait(30)
        return 0


def only_sent(port: int, **changes: object) -> Destination:
    return destination(port, storage_commitment=False, **changes)


def succession(way: Line, **present: str) -> Succession:
    assert way.runner is not None
    assert way.commitments is not None
    return Succession(way.runner, way.commitments, present)


def wanted(way: Line, one: Destination, by: str) -> dict[str, Wanted]:
    return {one.name: Wanted(by=by, make=partial(way.lane, one), language="en")}


def test_one_that_is_unchanged_notices_nothing_while_another_comes(way: Line) -> None:
    stall = Stall()
    with running(Script(status=stall, commitment=False)) as busy, running(Script(commitment=False)) as new:
        first, second = only_sent(busy.port, workers=1), only_sent(new.port, name="second")
        way.start(first)
        following = succession(way, archive="1")
        sent = way.receive(3)
        way.accept()
        assert stall.got.wait(20)
        following.want({**wanted(way, first, "1"), **wanted(way, second, "1")})
        assert following.step(within=5) == []
        stall.release.set()
        assert way.wait_for(sent.uid, "sent")["attempts"] == 1
        assert busy.requests == sent.instances, "over the one association, each once"
        way.stop()


def test_one_that_changed_finishes_the_image_in_hand_before_its_successor_begins(way: Line) -> None:
    stall = Stall()
    with running(Script(status=stall, commitment=False)) as former, running(Script(commitment=False)) as present:
        before, after = only_sent(former.port, workers=1), only_sent(present.port, workers=1)
        way.start(before)
        following = succession(way, archive="1")
        sent = way.receive(3)
        way.accept()
        assert stall.got.wait(20)
        following.want(wanted(way, after, "2"))
        assert following.step(within=0.1) == ["archive"]
        assert present.requests == []
        stall.release.set()
        wait_until(lambda: following.step(within=1) == [])
        entry = way.wait_for(sent.uid, "sent")
        assert former.requests == sent.instances[:1]
        assert present.requests == sent.instances[1:], "what the former one has taken does not go again"
        assert entry["sent"] == 3
        way.stop()


def test_a_second_change_overtakes_the_first_and_one_that_goes_is_gone(way: Line) -> None:
    stall = Stall()
    with running(Script(status=stall, commitment=False)) as former, running(Script(commitment=False)) as present:
        before, between = only_sent(former.port, workers=1), only_sent(9, workers=1)
        after = only_sent(present.port, workers=1)
        way.start(before)
        following = succession(way, archive="1")
        sent = way.receive(2)
        way.accept()
        assert stall.got.wait(20)
        for one, by in ((between, "2"), (after, "3")):
            following.want(wanted(way, one, by))
            assert following.step() == ["archive"]
        stall.release.set()
        wait_until(lambda: following.step(within=1) == [])
        way.wait_for(sent.uid, "sent")
        assert len(present.requests) == 1
        following.want({})
        assert following.step(within=10) == []
        late = way.receive(1)
        way.accept()
        assert way.runner is not None
        way.runner.wake()
        assert way.entry(late.uid)["state"] == "queued"
        following.stop()
        following.want(wanted(way, after, "4"))
        assert following.step() == [], "nobody follows any more"
        way.stop()
