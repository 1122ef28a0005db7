"""The few operations on files that the spool is made of, each one call, so that a test can fail any of them.

Promises that :meth:`Files.rename_new` and :meth:`Files.link` never replace an existing name. Raises nothing but
:class:`OSError`.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

StrPath = str | Path

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_NOT_OFFERED = frozenset({errno.ENOSYS, errno.EINVAL})

_SYNC_FILE_RANGE_WRITE = 2

_libc = ctypes.CDLL(None, use_errno=True)
_sync_file_range = getattr(_libc, "sync_file_range", None)  # a matter of speed only
_renameat2 = getattr(_libc, "renameat2", None)  # since glibc 2.28; without it, link and unlink


class Files:
    """The operating system's files; tests put a subclass in its place."""

    def make_directory(self, path: Path) -> None:
        """Make a folder for our own user only, and those above it; one that exists stays as it is."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def open_new(self, path: StrPath) -> int:
        """A descriptor of a new file, for our own user only, held with a lock that says that its writer lives."""
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                os.unlink(path)
            raise
        return descriptor

    def open_read(self, path: StrPath) -> BinaryIO:
        """The file for reading, without a buffer."""
        return open(path, "rb", buffering=0)

    def write(self, descriptor: int, view: memoryview) -> None:
        """Write all of ``view``."""
        written = os.write(descriptor, view)
        while written < len(view):
            written += os.write(descriptor, view[written:])

    def start_writing(self, descriptor: int, offset: int, length: int) -> None:
        """Have the kernel begin to put bytes on the disk. Promises nothing and waits for nothing: fsync does both."""
        if _sync_file_range is not None:
            _sync_file_range(descriptor, ctypes.c_int64(offset), ctypes.c_int64(length), _SYNC_FILE_RANGE_WRITE)

    def truncate(self, descriptor: int) -> None:
        """Leave nothing of a file's bytes."""
        os.ftruncate(descriptor, 0)

    def fsync(self, descriptor: int) -> None:
        """Put a file's bytes and its metadata on stable storage."""
        os.fsync(descriptor)

    def fsync_directory(self, path: Path) -> None:
        """Put the names in a folder on stable storage."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def sync_file_system(self, path: Path) -> None:
        """Put everything on the file system of the folder ``path`` on stable storage, names included."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if _libc.syncfs(descriptor) != 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number), str(path))
        finally:
            os.close(descriptor)

    def open_directory(self, path: Path) -> int:
        """A descriptor of a folder; its file system cannot be unmounted while it is open."""
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self, descriptor: int) -> None:
        """Close a descriptor, and with it give up a file's lock."""
        os.close(descriptor)

    def rename_new(self, source: StrPath, target: StrPath) -> None:
        """Rename; raises FileExistsError where ``target`` exists, whatever it is."""
        if _renameat2 is not None:
            names = os.fsencode(source), os.fsencode(target)
            if _renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_NOREPLACE) == 0:
                return
            number = ctypes.get_errno()
            if number not in _NOT_OFFERED:
                raise OSError(number, os.strerror(number), str(source), None, str(target))
        os.link(source, target)
        os.unlink(source)

    def link(self, source: Path, target: Path) -> None:
        """A second name for a file; raises FileExistsError where ``target`` exists."""
        os.link(source, target)

    def unlink(self, path: StrPath) -> None:
        """Remove a name."""
        os.unlink(path)

    def size(self, path: Path) -> int:
        """Bytes in a file."""
        return path.stat().st_size

    def written_at(self, path: Path) -> float:
        """When a file was last written to, in seconds since 1970."""
        return path.stat().st_mtime

    def free_bytes(self, path: Path) -> int:
        """Bytes that we may still use on the file system of ``path``."""
        status = os.statvfs(path)
        return status.f_bavail * status.f_frsize

    def total_bytes(self, path: Path) -> int:
        """Bytes that the file system of ``path`` has for us, used or free."""
        status = os.statvfs(path)
        return (status.f_blocks - status.f_bfree + status.f_bavail) * status.f_frsize

    def in_use(self, path: Path) -> bool:
        """Whether the process that writes this file (see :meth:`open_new`) still holds it; False if it is gone."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def names(self, path: Path) -> Iterator[str]:
        """The names in a folder, in no order."""
        with os.scandir(path) as entries:
            for entry in entries:
                yield entry.name
