"""The ground that power cuts stand on: a copy of a disk has what reached the disk, nothing else, and of one moment."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.power.disk import (
    FILE_SYSTEMS,
    LAZY,
    CannotCutError,
    Disk,
    Shelf,
    command,
    loops_below,
    missing,
    mounts_below,
)
from tests.support import skip_or_fail, wait_until

BLOCK = 4096


@pytest.fixture
def shelf(request: pytest.FixtureRequest) -> Iterator[Shelf]:
    """A shelf; a visible skip (in CI a failure) where this machine cannot have one."""
    parameters = getattr(request.node, "callspec", None)
    if reason := missing(parameters.params.get("file_system", "ext4") if parameters else "ext4"):
        skip_or_fail(reason)
    try:
        made = Shelf().__enter__()
    except CannotCutError as error:
        skip_or_fail(f"power cuts: {error}")
        raise
    try:
        yield made
    finally:
        made.close()


def put(path: Path, data: bytes, *, sync: bool) -> None:
    """Write a file."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        if sync:
            os.fsync(file.fileno())


@pytest.mark.parametrize("file_system", FILE_SYSTEMS)
def test_a_copy_holds_what_was_synced_and_not_what_is_only_in_memory(shelf: Shelf, file_system: str) -> None:
    disk = shelf.disk("disk", file_system)
    point = shelf.folder / "point"
    point.mkdir()
    with disk.mounted(point, LAZY[file_system]):
        put(point / "synced", b"s" * 10_000, sync=True)
        put(point / "not-synced", b"n" * 10_000, sync=False)
        copy = disk.cut(shelf.path / "copy")
        put(point / "later", b"l", sync=True)
    with copy.mounted(point):
        assert (point / "synced").read_bytes() == b"s" * 10_000
        assert not (point / "later").exists()
        lost = point / "not-synced"
        assert not lost.exists() or lost.read_bytes() != b"n" * 10_000


def test_a_copy_is_of_one_moment_while_somebody_writes(shelf: Shelf) -> None:
    """One thread writes ever greater numbers, block after block and round after round; a copy has all up to one."""
    disk = Disk(shelf.path / "numbers", "none")
    blocks, copies = 256, 50
    ending = threading.Event()
    number = 0

    def write() -> None:
        nonlocal number
        with disk.image.open("r+b", buffering=0) as file:
            while not ending.is_set():
                number += 1
                os.pwrite(file.fileno(), struct.pack("<Q", number) * (BLOCK // 8), (number % blocks) * BLOCK)

    disk.image.write_bytes(bytes(blocks * BLOCK))
    writer = threading.Thread(target=write)
    writer.start()
    try:
        cuts = []
        for copy in range(copies):
            wait_until(lambda: number > 100 * copy, what="more writes")  # noqa: B023  (it is called at once)
            cuts.append(disk.cut(shelf.path / f"copy-{copy}"))
    finally:
        ending.set()
        writer.join()
    latest = []
    for cut in cuts:
        data = cut.image.read_bytes()
        blocks_found = [set(struct.unpack_from(f"<{BLOCK // 8}Q", data, at)) for at in range(0, len(data), BLOCK)]
        assert all(len(numbers) == 1 for numbers in blocks_found), "a block was copied in the middle of a write"
        numbers = sorted(numbers.pop() for numbers in blocks_found)
        latest.append(numbers[-1])
        if numbers[0]:
            assert numbers == list(range(numbers[-1] - blocks + 1, numbers[-1] + 1)), "writes are missing in between"
    assert latest == sorted(latest)
    assert latest[-1] > 10 * blocks, "the copies fell before the writes"


def test_nothing_stays_mounted_attached_or_on_the_disk_after_a_failure() -> None:
    if reason := missing("ext4"):
        skip_or_fail(reason)
    opened = []
    try:
        with Shelf() as shelf:
            opened.append(shelf)
            disk = shelf.disk("disk", "ext4")
            point = shelf.folder / "point"
            point.mkdir()
            command("mount", command("losetup", "--find", "--show", disk.image), point)
            assert len(mounts_below(shelf.folder)) == 2
            raise KeyboardInterrupt
    except CannotCutError as error:
        skip_or_fail(f"power cuts: {error}")
    except KeyboardInterrupt:
        pass
    assert mounts_below(opened[0].folder) == []
    assert loops_below(opened[0].folder) == []
    assert not opened[0].folder.exists()
