"""Counts in shared memory: exact, never going back, whoever dies."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

from kuva_gateway.metrics.tally import BOUNDS, NOBODY, OTHER, ROWS, SharedMemory, Tally, together
from tests.support import ROOT

CHILD = """
import os, signal, sys
from kuva_gateway.metrics.tally import Tally
tally = Tally(int(sys.argv[1]))
for _ in range(1000):
    tally.stored("ct1", 7, 2_000_000)
tally.refused("mr1", 0xA700, 5)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_is_counted_is_told_by_peer_and_result() -> None:
    tally = Tally()
    tally.stored("ct1", 500, 900_000)
    tally.stored("ct1", 300, 60_000_000_000)
    tally.refused("ct1", 0xA900, 20)
    tally.refused("ct1", 0x1234)
    tally.ended("ct1", "released")
    tally.ended(NOBODY, "rejected")
    counts = together([tally])
    assert list(counts) == [NOBODY, "ct1"]
    ct1 = counts["ct1"]
    assert {result: count for result, count in ct1.instances.items() if count} == {"stored": 2, "A900": 1, OTHER: 1}
    assert {result: count for result, count in ct1.bytes.items() if count} == {"stored": 800, "A900": 20}
    assert ct1.associations == {"released": 1, "ended": 0, "lost": 0, "rejected": 0, "tls_failed": 0}
    assert (ct1.acknowledged[0], ct1.acknowledged[-1], sum(ct1.acknowledged)) == (1, 1, 2)
    assert abs(ct1.seconds - 60.0009) < 1e-6
    assert counts[NOBODY].associations["rejected"] == 1


def test_a_bound_belongs_to_the_bucket_that_it_ends() -> None:
    tally = Tally()
    for bound in BOUNDS:
        tally.stored("ct1", 1, round(bound * 1e9))
    assert together([tally])["ct1"].acknowledged == (*(1,) * len(BOUNDS), 0)


def test_a_killed_process_takes_nothing_with_it_and_its_successor_goes_on() -> None:
    memory = SharedMemory()
    for turn in (1, 2):
        child = subprocess.run(
            [sys.executable, "-c", CHILD, str(memory.descriptor)],
            pass_fds=[memory.descriptor],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            timeout=30,
            check=False,
        )
        assert child.returncode == -9
        counts = together([memory.tally])
        assert counts["ct1"].instances["stored"] == 1000 * turn
        assert counts["ct1"].bytes["stored"] == 7000 * turn
        assert counts["mr1"].instances["A700"] == turn
    memory.close()
    assert together([memory.tally])["mr1"].bytes["A700"] == 10


def test_threads_lose_no_count() -> None:
    tally = Tally()
    threads = [
        threading.Thread(target=lambda: [tally.stored(f"ct{n % 3}", 1, 1) for n in range(3000)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [counts.instances["stored"] for counts in together([tally]).values()] == [4000, 4000, 4000]


def test_processes_are_summed_up() -> None:
    one, other = Tally(), Tally()
    one.stored("ct1", 1, 1)
    other.stored("mr1", 2, 1)
    other.stored("ct1", 3, 1)
    counts = together([one, other])
    assert {peer: found.bytes["stored"] for peer, found in counts.items()} == {"ct1": 4, "mr1": 2}


def test_the_certificate_that_was_shown_last_counts_and_is_no_sum() -> None:
    one, other = Tally(), Tally()
    one.shown("ct1", 1_900_000_000)
    one.shown("ct1", 1_800_000_000)
    other.shown("ct1", 1_850_000_000)
    one.stored("mr1", 1, 1)
    counts = together([one, other])
    assert (counts["ct1"].certificate_expires, counts["mr1"].certificate_expires) == (1_850_000_000, 0)


def test_more_names_than_there_is_room_for_are_counted_together() -> None:
    tally = Tally()
    for number in range(ROWS + 10):
        tally.stored(f"peer{number}", 1, 1)
    counts = together([tally])
    assert len(counts) == ROWS
    assert counts[OTHER].instances["stored"] == 11
    assert sum(found.instances["stored"] for found in counts.values()) == ROWS + 10
