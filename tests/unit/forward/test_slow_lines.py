"""Large objects over slow lines: time scales with what is sent, and what stands still is noticed."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from kuva_gateway.forward.call import Call
from kuva_gateway.forward.deliver import Delivery, deliver
from kuva_gateway.forward.outcome import Kind
from kuva_gateway.network.pace import Pace
from kuva_gateway.network.requestor import RequestorAssociation
from kuva_gateway.network.timers import Timers
from tests.throttle import slow_line
from tests.unit.forward.archive import Script, running
from tests.unit.forward.instances import Shelf, Stored

MiB = 2**20
SHORT = Timers(response=0.5, send_stall=0.5, minimum_rate=MiB)
"""Each deadline is a quarter of what the object takes; a fixed one would end the transfer."""


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def send(port: int, shelf: Shelf, *instances: Stored, pace: Pace | None = None, timers: Timers = SHORT) -> Delivery:
    call = Call(
        name="archive", host="127.0.0.1", port=port, called_ae="ARCHIVE", calling_ae="KUVAGW", timers=timers, pace=pace
    )
    return deliver(call, instances, open_file=shelf.open, on_answer=lambda instance, found: None)


def test_an_object_that_takes_many_deadlines_arrives_at_the_first_attempt(shelf: Shelf) -> None:
    """4 MiB at 2 MiB/s with deadlines of half a second: as 4 GiB over a line of 10 Mbit/s with those of a minute."""
    instance = shelf.put(1, size=4 * MiB)
    with running() as archive, slow_line(archive.port, 2 * MiB) as line:
        assert send(line.port, shelf, instance).complete
    assert archive.stored == [(instance.sop_instance, instance.transfer_syntax, instance.data_set_digest)]
    assert line.connections == 1


def test_a_line_that_stops_in_the_middle_is_noticed_and_nothing_is_unknown(shelf: Shelf) -> None:
    with running() as archive, slow_line(archive.port, 20 * MiB, stop_after=MiB) as line:
        delivery = send(line.port, shelf, shelf.put(1, size=16 * MiB))
    assert delivery.ended is not None
    assert (delivery.ended.kind, delivery.ended.code) == (Kind.TEMPORARY, "lost")
    assert archive.stored == []


def test_an_archive_that_never_answers_is_noticed(shelf: Shelf) -> None:
    with running(Script(silent_at=lambda uid: True)) as archive:
        delivery = send(archive.port, shelf, shelf.put(1))
    assert delivery.ended is not None
    assert delivery.ended.kind is Kind.UNKNOWN


def test_the_kernel_gives_up_on_bytes_that_nobody_acknowledges(shelf: Shelf) -> None:
    found: list[int] = []

    def look(association: RequestorAssociation) -> None:
        connection = association.transport._socket
        found.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))

    with running() as archive:
        call = Call(
            name="archive",
            host="127.0.0.1",
            port=archive.port,
            called_ae="ARCHIVE",
            calling_ae="KUVAGW",
            timers=Timers(send_stall=30),
        )
        deliver(call, [shelf.put(1)], open_file=shelf.open, on_answer=lambda i, o: None, on_associated=look)
    assert found == [90_000]


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.at = 100.0
        self.sleeps: list[float] = []

    def __call__(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.at += seconds


def test_a_pace_is_kept_by_all_who_share_it_in_small_pieces(shelf: Shelf) -> None:
    """Two associations, 2 MB in all at 1 MB/s: about two seconds of the clock, in steps of a twentieth."""
    clock = Clock()
    pace = Pace(1_000_000, clock=clock, sleep=clock.sleep)
    instances = [shelf.put(number, size=1_000_000) for number in range(2)]
    with running() as archive:
        for instance in instances:
            assert send(archive.port, shelf, instance, pace=pace, timers=Timers()).complete
    assert 1.9 < clock.at - 100.0 < 2.1
    assert max(clock.sleeps) <= 0.051
    assert [digest for _, _, digest in archive.stored] == [one.data_set_digest for one in instances]


def test_waiting_for_our_own_pace_is_no_stall(shelf: Shelf) -> None:
    """Slower than the slowest peer that is borne with, and all the same nobody's fault."""
    timers = Timers(send_stall=0.2, response=5, minimum_rate=10 * MiB)
    with running() as archive:
        assert send(archive.port, shelf, shelf.put(1, size=100_000), pace=Pace(200_000), timers=timers).complete


def test_a_pace_lets_no_burst_follow_a_pause() -> None:
    clock = Clock()
    pace = Pace(1000, clock=clock, sleep=clock.sleep)
    pace.take(1000)
    clock.at += 3600
    assert pace.take(1000) == 0
    assert pace.take(1000) == 1.0


def test_threads_that_share_a_pace_get_their_bytes_one_after_the_other() -> None:
    waits: list[float] = []
    pace = Pace(1000, clock=lambda: 5.0, sleep=lambda seconds: None)
    threads = [threading.Thread(target=lambda: waits.append(pace.take(500))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(waits) == [0.0, 0.5, 1.0, 1.5]
