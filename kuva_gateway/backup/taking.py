"""How one file gets into a backup, or out of it: by a second name where the file system allows, else by its bytes.

Promises that no existing file is written over, that a copy appears under its name only when it is whole, and that what
:class:`Taker` was given has been read back from the disk and compared before :meth:`Taker.settle` returns.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from kuva_gateway.backup.manifest import digest_of
from kuva_gateway.spool.files import Files

_PIECE: Final = 1 << 20
_TOGETHER: Final = 512
"""Copies that share one sync of the file system before they are read back."""
_NO_LINK = frozenset(
    {errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES, errno.EINVAL}
)

Damaged = Callable[[str, str], None]
"""Told of the name and the trouble of a file that is not what it should be."""


class Taker:
    """Takes files into the folder ``root``.

    Parameters
    ----------
    damaged
        Called for each file that does not hold the bytes that its digest says; it is not in ``root`` afterwards.
    """

    def __init__(self, root: Path, damaged: Damaged, files: Files | None = None) -> None:
        self.root = root
        self.linked = self.copied = 0
        self._damaged = damaged
        self._files = files if files is not None else Files()
        self._made: set[Path] = set()
        self._unread: list[tuple[str, str, bool]] = []

    def take(self, source: Path, name: str, digest: str) -> bool:
        """Give the unchanging file ``source`` the name ``name`` in ``root``; False when that is there already.

        Raises
        ------
        FileNotFoundError
            ``source`` is gone.
        OSError
            It cannot be read, or not be written.
        """
        target = self._place(name)
        linked = self._link(source, target)
        if linked is None:
            return False
        if linked:
            self.linked += 1
        else:
            copy(source, target)
            self.copied += 1
        self._unread.append((name, digest, not linked))
        if len(self._unread) >= _TOGETHER:
            self.settle()
        return True

    def copy(self, source: Path, name: str) -> str:
        """Copy a file that others may write to, as far as it is now; returns the SHA-256 of what was copied."""
        digest = copy(source, self._place(name))
        self.copied += 1
        self._unread.append((name, digest, True))
        return digest

    def note(self, name: str, digest: str) -> None:
        """A file that came here another way is compared as well."""
        self._unread.append((name, digest, True))

    def settle(self) -> None:
        """Make what was taken durable, read it and compare it."""
        unread, self._unread = self._unread, []
        if any(was_copied for _, _, was_copied in unread):
            self._files.sync_file_system(self.root)
        for name, digest, was_copied in unread:
            path = self.root / name
            try:
                trouble = "" if digest_of(path, from_disk=was_copied) == digest else "holds other bytes than it should"
            except OSError as error:
                trouble = f"cannot be read: {error.strerror}"
            if trouble:
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()
                self._damaged(name, trouble)

    def _place(self, name: str) -> Path:
        target = self.root / name
        if target.parent not in self._made:
            self._files.make_directory(target.parent)
            self._made.add(target.parent)
        return target

    def _link(self, source: Path, target: Path) -> bool | None:
        """True: done; False: a link is not possible here; None: the name is there."""
        try:
            self._files.link(source, target)
        except FileExistsError:
            return None
        except OSError as error:
            if error.errno in _NO_LINK:
                return None if target.exists() else False
            raise
        return True


def copy(source: Path, target: Path) -> str:
    """Copy the bytes that ``source`` has now, with its time; returns their SHA-256. ``target`` must not exist.

    A crash leaves a file called ``.NAME.part``, which the next copy replaces.
    """
    part = target.with_name(f".{target.name}.part")
    part.unlink(missing_ok=True)
    found = hashlib.sha256()
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb", buffering=0):
        try:
            with source.open("rb", buffering=0) as reading:
                status = os.fstat(reading.fileno())
                left = status.st_size
                while left and (piece := reading.read(min(_PIECE, left))):
                    found.update(piece)
                    _write(descriptor, memoryview(piece))
                    left -= len(piece)
            os.utime(descriptor, ns=(status.st_mtime_ns, status.st_mtime_ns))
            if target.exists():  # nobody else writes here: the folder's lock is held
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
            part.rename(target)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink()
            raise
    return found.hexdigest()


def _write(descriptor: int, view: memoryview) -> None:
    while view:
        view = view[os.write(descriptor, view) :]
