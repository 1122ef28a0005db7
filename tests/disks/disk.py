"""Small file systems that become full, read-only or sick under the gateway's feet.

Each is an image file on a loop device; nothing of it is left when its context ends. Needs root, loop devices and the
file system's mkfs, or skips with the reason (in CI it fails).
"""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support import program, skip_or_fail, wait_until

MIB = 1 << 20
SMALLEST = {"ext4": 64 * MIB, "xfs": 300 * MIB, "exfat": 64 * MIB}
MAKE: dict[str, Sequence[str]] = {
    # Inode tables and journal are written now: later only data may meet a backing store without room.
    "ext4": ("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"),
    "xfs": ("mkfs.xfs", "-q", "-K"),
    "exfat": ("mkfs.exfat",),
}
SURE_OF_A_PULLED_DISK = {"ext4": False, "xfs": True}
"""Whether an fsync that meets a shutdown tells the truth."""
SHUT_DOWN = 0x8004_587D  # EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN: _IOR('X', 125, u32)
WITHOUT_FLUSHING_THE_LOG = 2


def run(*command: str | Path) -> None:
    """Run a command that must succeed."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stderr or done.stdout}"


def need_root() -> None:
    """Skip where nothing can be mounted."""
    if os.geteuid() != 0:
        skip_or_fail("mounting needs root")


class Disk:
    """A mounted file system. ``point`` is where, ``image`` its backing file."""

    def __init__(self, image: Path, point: Path, kind: str) -> None:
        self.image = image
        self.point = point
        self.kind = kind

    # -- full --------------------------------------------------------------------------------------------------------

    @property
    def _ballast(self) -> Path:
        return self.point / "ballast"

    def fill(self) -> None:
        """Take every free byte that a file can take."""
        fill(self._ballast)

    def empty(self) -> None:
        """Give the room back."""
        self._ballast.unlink()

    # -- sick --------------------------------------------------------------------------------------------------------

    def read_only(self) -> None:
        """Remount read-only, as soon as nothing is being written."""
        wait_until(lambda: self._remount("ro"), what="a moment without a file that is open for writing")

    def writable(self) -> None:
        """Remount for writing."""
        assert self._remount("rw")

    def _remount(self, how: str) -> bool:
        command = [program("mount"), "-o", f"remount,{how}", str(self.point)]
        return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0

    def shut_down(self) -> None:
        """From now on every operation fails with EIO, and what was not made durable is lost, as when a disk is pulled.

        On ext4 nothing may be in the middle of an fsync at this moment: Linux answers some of these with success
        although their bytes are lost (a plain open, write, rename, fsync does not survive it either).
        """
        descriptor = os.open(self.point, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, SHUT_DOWN, struct.pack("I", WITHOUT_FLUSHING_THE_LOG))
        finally:
            os.close(descriptor)

    def again(self) -> None:
        """Unmount and mount, which ends a shutdown and repairs by the journal."""
        self.unmount()
        self.mount()

    # -- mounting ----------------------------------------------------------------------------------------------------

    def mount(self) -> None:
        """Mount the image."""
        done = subprocess.run(
            [program("mount"), "-t", self.kind, "-o", "loop", str(self.image), str(self.point)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            skip_or_fail(f"{self.kind} cannot be mounted: {done.stderr.strip()}")

    def unmount(self) -> None:
        """Unmount, as soon as nobody uses it."""

        def unmounted() -> bool:
            command = [program("umount"), str(self.point)]
            return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0

        wait_until(unmounted, what="an unused file system")


def fill(ballast: Path) -> None:
    """Make a file that takes all the room there is."""
    descriptor = os.open(ballast, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    try:
        for size in (8 * MIB, MIB, 4096, 1):
            _append(descriptor, bytes(size))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _append(descriptor: int, chunk: bytes) -> None:
    try:
        while True:
            os.write(descriptor, chunk)
    except OSError:
        return


@contextmanager
def small_disk(
    folder: Path, point: Path, kind: str = "ext4", *, size: int | None = None, firm: int = 0
) -> Iterator[Disk]:
    """A fresh file system of ``size`` bytes, mounted at ``point``; its image is in ``folder``.

    The first ``firm`` bytes have their room in the backing file from the start, ext4's journal among them.
    """
    need_root()
    image = folder / f"{point.name}.{kind}"
    with image.open("wb") as file:
        file.truncate(size or SMALLEST[kind])
    command, *options = MAKE[kind]
    if firm:
        options += ["-J", "size=8,location=0"]
    run(program(command), *options, image)
    with image.open("r+b") as file:
        start = file.read(firm)
        file.seek(0)
        file.write(start)
    point.mkdir(parents=True, exist_ok=True)
    disk = Disk(image, point, kind)
    disk.mount()
    try:
        yield disk
    finally:
        let_go(point)
        image.unlink()


@contextmanager
def mounted(point: Path, kind: str, options: str, source: str = "none") -> Iterator[Path]:
    """A file system that needs no image, mounted at ``point``."""
    need_root()
    point.mkdir(parents=True, exist_ok=True)
    run(program("mount"), "-t", kind, "-o", options, source, point)
    try:
        yield point
    finally:
        let_go(point)


def let_go(point: Path) -> None:
    """Unmount whatever happened; lazily where somebody still looks at it."""
    if point.is_mount():
        for options in ((), ("-l",)):
            command = [program("umount"), *options, str(point)]
            if subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0:
                return
