"""``kill -9`` in the middle: of a backup, which leaves the one before, and of a restore, which is run again."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kuva_gateway import parts
from kuva_gateway.backup.folder import MANIFEST, BackupFolder
from kuva_gateway.backup.manifest import digest_of, read_manifest
from kuva_gateway.backup.restore import restore
from kuva_gateway.errors import NotFoundError, StateError
from tests.support import ROOT
from tests.unit.backup.conftest import Place, configure, images, told

Die = Callable[[Path, Path, str], int]


@pytest.fixture
def die() -> Iterator[Die]:
    """Run one planned death; returns the exit code."""
    with contextlib.ExitStack() as stack:
        started: dict[tuple[Path, Path], subprocess.Popen[str]] = {}

        def one(config: Path, backup: Path, line: str) -> int:
            server = started.get((config, backup))
            if server is None:
                command = [sys.executable, "-m", "tests.unit.backup.dying", str(config), str(backup)]
                server = stack.enter_context(
                    subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                )
                started[config, backup] = server
            assert server.stdin is not None
            assert server.stdout is not None
            server.stdin.write(line + "\n")
            server.stdin.flush()
            return int(server.stdout.readline())

        yield one


def is_whole(backup: Path) -> str:
    """Every file of the backup that counts is as its manifest says; returns the set."""
    description = BackupFolder(backup).description()
    listed = list(read_manifest(backup / description.set / MANIFEST, description.manifest))
    assert len(listed) == description.files > 10
    for one in listed:
        assert digest_of(backup / one.name) == one.digest, one.name
    return description.set


@pytest.mark.slow
def test_a_backup_that_is_killed_leaves_the_one_before_and_the_next_one_ends(place: Place, die: Die) -> None:
    place.back_up()
    before = is_whole(place.backup)
    hospital = place.hospital
    hospital.send("1.2.8", instances=4)
    hospital.receive("1.2.8", instance=5)
    steps = ["link 1", "link 3", "make_directory 4", "sync_file_system 1", "sync_file_system 2", "fsync 1"]
    for step in steps:
        assert die(place.config, place.backup, f"backup {step}") == -9, step
        assert is_whole(place.backup) == before
    assert die(place.config, place.backup, "backup fsync_directory 1") == -9
    assert is_whole(place.backup) != before
    done = place.back_up()
    assert (done.images, done.damaged) == (14, [])
    is_whole(place.backup)
    assert set(images(place.backup)) == set(images(place.state))


@pytest.mark.slow
def test_a_restore_that_is_killed_is_used_by_nobody_until_it_has_been_run_again(
    place: Place, die: Die, tmp_path: Path
) -> None:
    place.hospital.receive("1.2.8", instance=5)
    place.back_up()
    config, configuration = configure(tmp_path, None, "again")
    state = configuration.state_directory
    steps = ["fsync 1", "fsync_directory 1", "link 2", "link 7", "sync_file_system 1", "sync_file_system 2"]
    for step in steps:
        assert die(config, place.backup, f"restore {step}") == -9, step
        with pytest.raises((StateError, NotFoundError)):
            parts.open_catalog(configuration, create=False)
        if step not in ("fsync 1", "fsync_directory 1"):
            with pytest.raises(StateError, match="run the same restore again"):
                parts.open_spool(configuration)
    done = restore(configuration, place.backup)
    assert done.damaged == []
    assert set(images(place.state)) < set(images(state))
    with contextlib.closing(parts.open_catalog(configuration, create=False)) as catalog:
        found = [one for one in told(catalog) if one.get("study", {}).get("study_instance_uid") != "1.2.8"]
    assert found == told(place.hospital.catalog)
