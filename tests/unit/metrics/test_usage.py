"""What limited peers have used up is one truth for all processes, and no process takes it or its lock along."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from kuva_gateway.metrics.usage import LIMITS, ROWS, SharedUsage, Usage
from tests.support import ROOT

ADD = """
import sys
from kuva_gateway.metrics.usage import Usage
usage = Usage(int(sys.argv[1]))
for number in range(2000):
    with usage.of("ct1") as meters:
        meters.store(1)
        meters.instances_until = meters.instances_until + 1
"""
DIE = """
import os, signal, sys
from kuva_gateway.metrics.usage import Usage
with Usage(int(sys.argv[1])).of("ct1") as meters:
    meters.store(7)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def shared() -> SharedUsage:
    return SharedUsage()


def run(code: str, shared: SharedUsage) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", code, str(shared.descriptor)], pass_fds=[shared.descriptor], cwd=ROOT
    )


def test_what_several_processes_add_at_once_is_all_there(shared: SharedUsage):
    processes = [run(ADD, shared) for _ in range(3)]
    for _ in range(2000):
        with shared.usage.of("ct1") as meters:
            meters.store(1)
            meters.instances_until = meters.instances_until + 1
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    with shared.usage.of("ct1") as meters:
        assert (meters.stored, meters.instances_until) == (8000, 8000)


def test_a_process_that_dies_with_the_lock_keeps_nobody_out(shared: SharedUsage):
    assert run(DIE, shared).wait(60) == -signal.SIGKILL
    with shared.usage.of("ct1") as meters:
        assert meters.stored == 7


def test_each_peer_has_a_row_of_its_own_and_figures(shared: SharedUsage):
    other = Usage(shared.descriptor)
    with shared.usage.of("ct1") as meters:
        meters.refuse("quota")
        meters.slow(1_500_000_000)
        meters.store(10)
        meters.look(90, 4)
    with other.of("mr1") as meters:
        meters.bytes_until = 5
        assert meters.read().refused == dict.fromkeys(LIMITS, 0)
    with other.of("ct1") as meters:
        found = meters.read()
        assert meters.bytes_until == 0
    assert (found.waiting, found.slowed, found.refused["quota"], sum(found.refused.values())) == (96, 1.5, 1, 1)


def test_more_names_than_rows_share_the_last_one():
    usage = Usage()
    for number in range(ROWS + 5):
        with usage.of(f"peer{number}") as meters:
            meters.store(1)
    with usage.of("peer0") as meters:
        assert meters.stored == 1
    with usage.of("another") as meters:
        assert meters.stored == 6
