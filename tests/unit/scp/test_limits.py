"""What one peer may send: slowed down first, refused where waiting does not help; the answer names the limit."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kuva_gateway.config.peer import PeerLimits
from kuva_gateway.metrics.usage import Usage
from kuva_gateway.scp.limits import LONGEST, Limiter
from tests.unit.scp.conftest import CONFIGURATION, CT, EXPLICIT, Gateway, encode, image, serve, store

MINUTE, HOUR = 60.0, 3600.0


class Time:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.waits: list[float] = []

    def __call__(self) -> int:
        return round(self.now * 1e9)

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


def limiter(time: Time, usage: Usage | None = None, **limits: Any) -> Limiter:
    peers = {"ct1": PeerLimits(**limits), "mr1": PeerLimits()}
    return Limiter(peers, usage or Usage(), clock=time, sleep=time.sleep)


def test_a_minutes_images_come_at_once_and_further_ones_evenly():
    time = Time()
    limited = limiter(time, instances_per_minute=30)
    assert all(limited.begin("ct1") is None for _ in range(30))
    assert time.waits == []
    began = time.now
    assert all(limited.begin("ct1") is None for _ in range(30))
    assert time.waits == pytest.approx([2.0] * 30)
    assert time.now - began == pytest.approx(MINUTE)
    time.now += MINUTE
    time.waits.clear()
    assert all(limited.begin("ct1") is None for _ in range(30))
    assert time.waits == []


def test_who_would_have_to_wait_long_is_refused_and_again_let_in_later():
    time = Time()
    limited = limiter(time, instances_per_minute=2)
    assert limited.begin("ct1") is None
    assert limited.begin("ct1") is None
    refused = limited.begin("ct1")
    assert refused is not None
    assert (refused.status, refused.comment) == (0xA710, "more images a minute than this peer may send: later")
    assert time.waits == []
    time.now += MINUTE / 2 - LONGEST
    assert limited.begin("ct1") is None
    assert time.waits == pytest.approx([LONGEST])


def test_bytes_are_counted_whatever_became_of_them_and_the_next_image_waits():
    time = Time()
    limited = limiter(time, bytes_per_hour="3600KiB")
    for stored in (True, False):
        assert limited.begin("ct1") is None
        limited.received("ct1", 1800 << 10, stored=stored)
    limited.received("ct1", 5 << 10, stored=True)
    assert limited.begin("ct1") is None
    assert time.waits == pytest.approx([5.0])
    limited.received("ct1", 11 << 10, stored=True)
    refused = limited.begin("ct1")
    assert refused is not None
    assert (refused.status, refused.comment) == (0xA710, "more bytes an hour than this peer may send: later")
    time.now += HOUR
    assert limited.begin("ct1") is None


def test_a_quota_is_reached_by_what_waits_and_what_came_since_the_look():
    time, usage = Time(), Usage()
    limited = limiter(time, usage, quota=1000)
    limited.received("ct1", 600, stored=True)
    limited.received("ct1", 5000, stored=False)
    assert limited.begin("ct1") is None
    limited.received("ct1", 400, stored=True)
    refused = limited.begin("ct1")
    assert refused is not None
    assert (refused.status, refused.comment) == (0xA710, "too much of this peer is not archived yet (limits.quota)")
    with usage.of("ct1") as meters:  # all of it is in the catalog, and most of that has been archived
        meters.look(100, 1000)
        assert meters.waiting == 100
    assert limited.begin("ct1") is None
    assert time.waits == []


def test_the_longest_wait_leaves_a_message_its_time():
    time = Time()
    limited = Limiter({"ct1": PeerLimits(instances_per_minute=60)}, Usage(), longest=0.5, clock=time, sleep=time.sleep)
    assert all(limited.begin("ct1") is None for _ in range(60))
    assert limited.begin("ct1") is not None


def test_a_peer_without_limits_has_no_row():
    usage = Usage()
    limited = limiter(Time(), usage, quota=1)
    for _ in range(1000):
        assert limited.begin("mr1") is None
        limited.received("mr1", 1 << 40, stored=True)
    assert limited.largest("mr1") is None
    assert usage._rows == {}


@pytest.mark.parametrize("seed", range(20))
def test_over_any_time_no_more_comes_than_the_allowance_and_that_of_the_time(seed: int):
    """Whatever the rhythm: in t minutes at most (1 + t) times as many as in one."""
    chance, time = random.Random(seed), Time()
    allowed = chance.choice([7, 60, 1000])
    limited = limiter(time, instances_per_minute=allowed)
    began, let_in = time.now, 0
    for _ in range(500):
        let_in += limited.begin("ct1") is None
        assert let_in <= allowed * (1 + (time.now - began) / MINUTE) + 1
        time.now += chance.choice([0, 0, 0.001, 0.5, 20])
    assert let_in >= min(500, allowed) * 0.9


# -- over the network ------------------------------------------------------------------------------------------------


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    peers = [
        {"name": "ct1", "ae_title": "CT1", "allow": ["echo", "store"], "limits": {"object_size": "1MiB"}},
        {"name": "ct2", "ae_title": "CT2", "allow": ["store"], "limits": {"instances_per_minute": 1}},
    ]
    with serve(tmp_path / "spool", {**CONFIGURATION, "peers": peers}) as running:
        yield running


def test_an_object_that_is_too_large_is_refused_and_the_association_goes_on(gateway: Gateway):
    with gateway.associate((CT, EXPLICIT)) as association:
        answer = store(association, encode(image(pixels=1 << 20)))
        assert (answer.status, answer.comment) == (0x0124, "larger than this peer may send (limits.object_size)")
        assert gateway.kept() == {}
        answer = store(association, encode(image(pixels=1 << 19)))
        assert answer.status == 0x0000
    assert len(gateway.receipts) == 1
    (line,) = gateway.log.of("a peer is over its limits")
    assert (line["peer"], line["status"]) == ("ct1", "0124")
    assert gateway.closed()[0]["refused"] == {"0124": 1}


def test_an_object_of_just_the_size_is_taken(gateway: Gateway):
    empty = len(encode(image(pixels=0)))
    assert gateway.store(encode(image(pixels=(1 << 20) - empty))).status == 0x0000
    assert (
        gateway.store(
            encode(image(pixels=(1 << 20) - empty + 2, SOPInstanceUID="1.2.3.5")), sop_instance="1.2.3.5"
        ).status
        == 0x0124
    )


def test_an_image_over_the_rate_is_refused_with_a710_once_told_and_costs_no_file(gateway: Gateway):
    with gateway.associate((CT, EXPLICIT), calling="CT2") as association:
        assert store(association, encode(image())).status == 0x0000
        for _ in range(3):
            answer = store(association, encode(image(SOPInstanceUID="1.2.3.5")), sop_instance="1.2.3.5")
            assert (answer.status, answer.comment) == (0xA710, "more images a minute than this peer may send: later")
    assert len(gateway.receipts) == 1
    assert gateway.closed()[0]["refused"] == {"A710": 3}
    assert len(gateway.log.of("a peer is over its limits")) == 1
