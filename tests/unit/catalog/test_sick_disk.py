"""A full, sick or read-only disk at every step of the indexer: it delays, it loses nothing, and it ends with the fault.

The table is the whole truth: a step that :class:`~kuva_gateway.spool.files.Files` has and this table lacks fails it.
"""

from __future__ import annotations

import errno

import pytest

from kuva_gateway.spool import Spool
from tests.faults import OPERATIONS, FaultyFiles
from tests.support import wait_until
from tests.unit.catalog.making import Hospital
from tests.unit.catalog.test_indexing_and_crashes import everything_once

TOLD = ("make_directory", "link", "fsync_directory", "unlink")
"""Steps for an arrival that receiving tells of."""
FOUND = (*TOLD, "names", "in_use", "size", "open_read", "fsync")
"""Steps for one that a listing finds: it is read and made safe again."""
ONLY_WHEN_RECEIVING = {"open_new", "write", "rename_new", "start_writing", "close", "free_bytes", "truncate"}
ERRNOS = (errno.EIO, errno.ENOSPC, errno.EROFS)


@pytest.fixture
def strict(spool: Spool) -> Spool:
    """A spool on a file system where folders need fsync."""
    spool.fsync_folders = True
    return spool


def test_the_table_has_every_operation_that_there_is() -> None:
    assert set(FOUND) | ONLY_WHEN_RECEIVING == OPERATIONS


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
