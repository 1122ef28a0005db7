"""One state directory, one daemon: an advisory lock that the kernel drops when its holder dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from kuva_gateway.errors import BusyError

LOCKS = Path("/proc/locks")


def holder(path: Path, locks: Path = LOCKS) -> int | None:
    """The process that has the lock file at ``path`` (proc(5)); None when nobody has, or nobody that can be seen here.

    Asks without taking the lock, so that a daemon which starts at this moment gets it.
    """
    try:
        status = path.stat()
        lines = locks.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    wanted = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in lines:
        fields = line.split()
        if fields[1:2] == ["FLOCK"] and wanted in fields:
            return int(fields[4])
    return None


class StateLock:
    """The lock file of a state directory; also taken by commands that must not run beside a daemon.

    ``what`` names in the error what is in use.
    """

    def __init__(self, path: Path, what: str = "the state directory") -> None:
        self._path = path
        self._what = what
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock without waiting.

        Raises
        ------
        BusyError
            Another process has it: a daemon, a rebuild, a backup or a restore.
        """
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise BusyError(f"{self._what} is in use{f' by process {holder}' if holder.isdigit() else ''}") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; again is fine."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.ftruncate(descriptor, 0)
            os.close(descriptor)

    def __enter__(self) -> StateLock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
