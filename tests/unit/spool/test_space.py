"""Free space: refused in time, measured seldom."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from kuva_gateway.errors import NoSpaceError
from kuva_gateway.spool import Files, Spool, StorageError
from kuva_gateway.spool.space import MEASURE_AFTER
from tests.faults import FaultyFiles
from tests.unit.spool.conftest import CT, EXPLICIT, contents, write_all

MIB = 1 << 20


class Disk(FaultyFiles):
    """A disk with as much free space as the test says."""

    free = 1000 * MIB

    def free_bytes(self, path: Path) -> int:
        super().free_bytes(path)
        return self.free


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def spool(tmp_path: Path, disk: Disk, clock: Clock) -> Spool:
    return Spool(tmp_path / "var", minimum_free=500 * MIB, files=disk, monotonic=clock)


def begin_and_abandon(spool: Spool) -> None:
    spool.begin(CT, "1.2.3.4", EXPLICIT).abandon()


def test_nothing_is_begun_below_the_minimum(spool: Spool, disk: Disk) -> None:
    disk.free = 500 * MIB - 1
    with pytest.raises(NoSpaceError, match="minimum_free"):
        spool.begin(CT, "1.2.3.4", EXPLICIT)
    assert contents(spool) == {}
    assert disk.calls["open_new"] == 0


def test_the_space_is_measured_once_a_second_and_not_per_image(spool: Spool, disk: Disk, clock: Clock) -> None:
    for _ in range(100):
        begin_and_abandon(spool)
    assert disk.calls["free_bytes"] == 1
    clock.now += 1.0
    begin_and_abandon(spool)
    assert disk.calls["free_bytes"] == 2


def test_receiving_goes_on_within_a_second_of_space_coming_back(spool: Spool, disk: Disk, clock: Clock) -> None:
    disk.free = 0
    with pytest.raises(NoSpaceError):
        begin_and_abandon(spool)
    disk.free = 501 * MIB
    clock.now += 1.0
    begin_and_abandon(spool)


def test_a_large_object_is_stopped_in_the_middle_and_leaves_nothing(spool: Spool, disk: Disk) -> None:
    """The clock stands still: what was written itself makes the space be measured again."""
    incoming = spool.begin(CT, "1.2.3.4", EXPLICIT)
    disk.free = 400 * MIB
    with pytest.raises(NoSpaceError):
        write_all(incoming, bytes(2 * MEASURE_AFTER), MIB)
    assert disk.calls["write"] <= MEASURE_AFTER // MIB
    assert contents(spool) == {}


def test_what_was_written_since_the_measurement_counts(spool: Spool, disk: Disk) -> None:
    disk.free = 502 * MIB
    incoming = spool.begin(CT, "1.2.3.4", EXPLICIT)
    with pytest.raises(NoSpaceError):
        write_all(incoming, bytes(4 * MIB), MIB)
    assert disk.calls["free_bytes"] == 1


def test_space_that_cannot_be_measured_is_an_error(spool: Spool, disk: Disk) -> None:
    disk.fail("free_bytes", errno.EIO)
    with pytest.raises(StorageError):
        begin_and_abandon(spool)


def test_free_bytes_are_those_of_this_moment(spool: Spool, disk: Disk, tmp_path: Path) -> None:
    assert spool.free_bytes() == disk.free
    disk.free = 7
    assert spool.free_bytes() == 7
    assert Files().free_bytes(tmp_path) > 0
