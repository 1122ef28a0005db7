"""The trial at the start: a file system that cannot hold the spool is refused before anything is received."""

from __future__ import annotations

import errno

import pytest

from kuva_gateway.errors import RefusedError
from kuva_gateway.spool import Spool
from kuva_gateway.spool.trial import try_out
from tests.faults import FaultyFiles
from tests.unit.spool.conftest import contents

STEPS = {
    "open_new": "making and locking a file",
    "write": "writing a file",
    "rename_new": "renaming a file without replacing another",
    "fsync": "fsync",
    "fsync_directory": "fsync of a folder",
    "link": "making a hard link",
    "unlink": "removing a file",
}


def test_a_file_system_that_can_do_everything_passes_and_nothing_of_the_trial_is_left(spool: Spool) -> None:
    try_out(spool)
    try_out(spool)
    assert contents(spool) == {}


@pytest.mark.parametrize("number", [errno.EPERM, errno.EROFS, errno.EIO, errno.EOPNOTSUPP], ids=errno.errorcode.get)
@pytest.mark.parametrize("operation", STEPS)
def test_one_that_cannot_is_refused_with_what_it_cannot_do(
    spool: Spool, files: FaultyFiles, operation: str, number: int
) -> None:
    spool.fsync_folders = True
    files.fail(operation, number)
    with pytest.raises(RefusedError) as caught:
        try_out(spool)
    assert f"{STEPS[operation]} failed: " in str(caught.value)
    assert caught.value.code == errno.errorcode[number]
    assert contents(spool) == {}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT], ids=errno.errorcode.get)
@pytest.mark.parametrize("operation", STEPS)
def test_a_full_one_passes_for_it_will_have_room_again(
    spool: Spool, files: FaultyFiles, operation: str, number: int
) -> None:
    spool.fsync_folders = True
    files.fail(operation, number)
    try_out(spool)
    assert contents(spool) == {}
