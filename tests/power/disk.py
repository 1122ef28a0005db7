"""Disks in image files, of which a copy can be taken at any moment while they are in use: a power cut.

An image file holds an ext4, xfs or btrfs that is mounted through a loop device. The image files lie on a
:class:`Shelf`, an xfs made with ``reflink=1`` in a sparse file. FICLONE of an image file is what a power cut leaves:

- What the file system has only in its own page cache is not in the image file, and so not in the copy.
- What the file system has handed to its disk is. The loop device writes through the shelf's page cache (direct-io is
  off), and FICLONE writes that out before it shares the blocks; had the loop device bypassed the cache, FICLONE would
  wait for the writes in flight.
- FICLONE is atomic with regard to each write of the loop device: xfs holds the image file's lock for as long as the
  copy takes (ioctl_ficlone(2); ``test_disk.py`` tries it). All writes before it are in the copy, none after it.

So this disk has no cache of its own that a power cut could empty: a flush that a file system forgot would not be
noticed, a sync that the gateway forgot is. Nothing is discarded (punched out) by the file systems.

Everything is unmounted, detached and removed at the end, whatever happens.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final

FICLONE: Final = 0x40049409  # _IOW(0x94, 9, int), linux/fs.h
GIB: Final = 1 << 30
FILE_SYSTEMS: Final = ("ext4", "xfs", "btrfs")
MAKE: Final = {
    "ext4": ("mkfs.ext4", "-q", "-F", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"),
    "xfs": ("mkfs.xfs", "-q", "-f", "-K"),
    "btrfs": ("mkfs.btrfs", "-q", "-f", "-K"),
}
LAZY: Final = {"ext4": "commit=300", "xfs": "", "btrfs": "commit=300"}
"""Mount options with which nothing reaches the disk for minutes unless somebody asks for it; xfs takes 30 s anyway."""
PACKAGES: Final = {
    "mkfs.ext4": "e2fsprogs",
    "mkfs.xfs": "xfsprogs",
    "mkfs.btrfs": "btrfs-progs",
    "btrfs": "btrfs-progs",
}
"""Debian's packages for what may be missing."""

_BUSY_AT_MOST = 20.0  # seconds that a file system which somebody still uses is waited for
_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
_OCTAL = re.compile(r"\\([0-7]{3})")


class CannotCutError(Exception):
    """This machine has not what power cuts need; the text says what is missing."""


def missing(file_system: str) -> str:
    """What this machine lacks for power cuts of ``file_system``; "" when nothing."""
    if os.geteuid() != 0:
        return "power cuts need root, to mount"
    if not Path("/dev/loop-control").exists():
        return "power cuts need loop devices"
    tools = ["losetup", "mount", "umount", "mkfs.xfs", MAKE[file_system][0]]
    tools += ["btrfs"] if file_system == "btrfs" else []
    lacking = [tool for tool in tools if shutil.which(tool, path=_PATH) is None]
    if not lacking:
        return ""
    packages = sorted({PACKAGES[tool] for tool in lacking if tool in PACKAGES})
    return f"power cuts need {', '.join(lacking)}" + (f" (apt-get install {' '.join(packages)})" if packages else "")


def command(*words: str | Path) -> str:
    """Run a tool; its output. Raises CannotCutError with what it said."""
    done = subprocess.run(
        [str(word) for word in words],
        env={**os.environ, "PATH": _PATH, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode != 0:
        raise CannotCutError(f"{words[0]} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout.strip()


class Disk:
    """One image file and the file system in it. Mounted at one place at a time, its copies only while it is not."""

    def __init__(self, image: Path, file_system: str) -> None:
        self.image = image
        self.file_system = file_system

    def format(self, size: int) -> None:
        """Make the image file, sparse and of ``size`` bytes, and the file system in it."""
        with self.image.open("xb") as file:
            file.truncate(size)
        command(*MAKE[self.file_system], self.image)

    @contextmanager
    def mounted(self, point: Path, options: str = "") -> Iterator[Path]:
        """Mount it; what was not written out when a copy was cut is replayed or dropped by the file system now."""
        device = command("losetup", "--find", "--show", "--direct-io=off", self.image)
        try:
            command("mount", "-t", self.file_system, "-o", options or "defaults", device, point)
            try:
                yield point
            finally:
                unmount(point)
        finally:
            if self.file_system == "btrfs":  # the kernel knows a btrfs by its fsid, which the copies share
                with contextlib.suppress(CannotCutError):
                    command("btrfs", "device", "scan", "--forget", device)
            command("losetup", "--detach", device)

    def cut(self, image: Path) -> Disk:
        """The power cut: a copy of what the disk holds at this moment, as a disk of its own."""
        with self.image.open("rb") as source, image.open("xb") as target:
            fcntl.ioctl(target.fileno(), FICLONE, source.fileno())
        return Disk(image, self.file_system)

    def remove(self) -> None:
        """Remove the image file."""
        self.image.unlink()


class Shelf:
    """Where the disks lie: an xfs with reflink in a sparse file, in a folder of its own below ``parent``.

    Raises
    ------
    CannotCutError
        At the entry: it cannot be made or mounted here.
    """

    def __init__(self, parent: Path | None = None, *, size: int = 16 * GIB) -> None:
        self._size = size
        self.folder = Path(tempfile.mkdtemp(prefix="kuva-power-", dir=parent)).resolve()
        self.path = self.folder / "shelf"

    def __enter__(self) -> Shelf:
        image = self.folder / "shelf.img"
        try:
            self.path.mkdir()
            with image.open("xb") as file:
                file.truncate(self._size)
            command("mkfs.xfs", "-q", "-f", "-m", "reflink=1", image)
            device = command("losetup", "--find", "--show", image)
            command("mount", "-t", "xfs", device, self.path)
        except BaseException:
            self.close()
            raise
        return self

    def disk(self, name: str, file_system: str, *, size: int = 2 * GIB) -> Disk:
        """A new disk."""
        disk = Disk(self.path / f"{name}.img", file_system)
        disk.format(size)
        return disk

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Unmount and detach all that is below the folder, whoever left it, and remove the folder."""
        for point in reversed(mounts_below(self.folder)):
            detach_below(point)  # their files keep it busy
            unmount(point)
        detach_below(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)


def detach_below(folder: Path) -> None:
    """Detach the loop devices whose file is below ``folder``."""
    for device in loops_below(folder):
        with contextlib.suppress(CannotCutError):  # somebody's last unmount has detached it
            command("losetup", "--detach", device)


def unmount(point: Path) -> None:
    """Unmount, once a process that has just ended lets go of it."""
    deadline = time.monotonic() + _BUSY_AT_MOST
    while True:
        try:
            command("umount", point)
        except CannotCutError:
            if not os.path.ismount(point):
                return
            if time.monotonic() > deadline:
                command("umount", "--lazy", point)
                raise
            time.sleep(0.05)
        else:
            return


def mounts_below(folder: Path) -> list[Path]:
    """The mount points below ``folder``, in the order in which they were mounted."""
    points = []
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        point = Path(_OCTAL.sub(lambda match: chr(int(match[1], 8)), line.split(" ")[4]))
        if point.is_relative_to(folder):
            points.append(point)
    return points


def loops_below(folder: Path) -> list[str]:
    """The loop devices whose file is below ``folder``."""
    devices = []
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):  # detached meanwhile
            if Path(path.read_text().strip()).is_relative_to(folder):
                devices.append(f"/dev/{path.parts[3]}")
    return devices
