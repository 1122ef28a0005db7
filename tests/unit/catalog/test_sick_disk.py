"""A full, sick or read-only disk at every step of the indexer: it delays, it loses nothing, and it ends with the fault.

The table is the whole truth: a step that :class:`~kuva_gateway.spool.files.Files` has and this table lacks fails it.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from kuva_gateway.spool import Spool
from tests.faults import OPERATIONS, FaultyFiles
from tests.support import wait_until
from tests.unit.catalog.making import Hospital
from tests.unit.catalog.test_indexing_and_crashes import everything_once

TOLD = ("open_directory", "make_directory", "link", "fsync_directory", "sync_file_system", "unlink")
"""Steps for an arrival that receiving tells of."""
FOUND = (*TOLD, "names", "in_use", "size", "open_read", "fsync")
"""Steps for one that a listing finds: it is read and made safe again."""
ONLY_WHEN_RECEIVING = {"open_new", "write", "rename_new", "start_writing", "close", "free_bytes", "truncate"}
ONLY_BY_THE_CLOCK = {"written_at", "total_bytes"}
ERRNOS = (errno.EIO, errno.ENOSPC, errno.EROFS)


@pytest.fixture
def strict(spool: Spool) -> Spool:
    """A spool on a file system where folders need fsync, and links too."""
    spool.fsync_folders = spool.sync_links = True
    return spool


def test_the_table_has_every_operation_that_there_is() -> None:
    assert set(FOUND) | ONLY_WHEN_RECEIVING | ONLY_BY_THE_CLOCK == OPERATIONS


@pytest.mark.parametrize("number", ERRNOS, ids=errno.errorcode.get)
@pytest.mark.parametrize("told", [True, False], ids=["told", "found"])
def test_a_fault_at_any_step_delays_and_loses_nothing_and_is_over_without_a_restart(
    hospital: Hospital, strict: Spool, files: FaultyFiles, told: bool, number: int
) -> None:
    indexer = hospital.indexer(linger=0)
    indexer.start()
    try:
        assert indexer.drain(20)
        operations = TOLD if told else FOUND
        for count, operation in enumerate(operations, start=1):
            arrival, header = hospital.receive(instance=count, series=count)
            files.fail(operation, number, always=True)
            before = files.calls[operation]
            if told:
                indexer.notify(arrival, header)
            else:
                indexer.rescan()
            wait_until(lambda: files.calls[operation] > before, what=f"a call of {operation}")  # noqa: B023
            assert not indexer.drain(0), operation
            assert arrival.path.exists(), operation
            files.heal()
            assert indexer.drain(20), operation
            everything_once(hospital, count)
    finally:
        indexer.stop()
    assert {kind for kind, _ in hospital.problems} == {"spool"}


def test_a_spool_that_is_away_for_a_while_delays_and_loses_nothing(hospital: Hospital, spool: Spool) -> None:
    """As when its file system is unmounted: there is nothing in its place, not even the folders."""
    indexer = hospital.indexer(linger=0)
    indexer.start()
    try:
        assert indexer.drain(20)
        told = [hospital.receive(instance=number) for number in (1, 2, 3)]
        away = spool.root.rename(spool.root.with_name("away"))
        for arrival, header in told:
            indexer.notify(arrival, header)
        wait_until(lambda: hospital.problems, what="an alarm")
        assert not indexer.drain(0)
        assert not spool.root.exists(), "nothing is made in its place"
        away.rename(spool.root)
        assert indexer.drain(20)
        everything_once(hospital, 3)
    finally:
        indexer.stop()


def test_names_that_come_back_with_a_disk_are_indexed_without_a_restart(hospital: Hospital) -> None:
    """Nobody tells of them: a removal that was not durable when the disk failed, and that nothing waits for."""
    indexer = hospital.indexer(linger=0, look_every=0.05)
    indexer.start()
    try:
        assert indexer.drain(20)
        arrival, _ = hospital.receive(instance=1)
        wait_until(lambda: not arrival.path.exists(), what="its row")
        everything_once(hospital, 1)
    finally:
        indexer.stop()


def test_the_file_system_cannot_be_unmounted_from_an_adoption_to_the_removal_of_the_arrival(
    hospital: Hospital, spool: Spool, files: FaultyFiles
) -> None:
    seen: list[bool] = []

    def look() -> None:
        targets = {os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()}
        seen.append(str(spool.arrived) in targets)

    hospital.receive()
    files.call("link", look)
    files.call("unlink", look)
    hospital.index()
    assert seen == [True, True]
    look()
    assert seen[-1] is False
