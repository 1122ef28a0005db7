"""Moving a file into a folder without ever taking another file's name. Keeps nothing."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_LONGEST_NAME: Final = 255
"""Bytes of a file name that usual file systems take."""
_ROOM: Final = 24
"""Bytes left for a number and a suffix."""


def move_uniquely(path: Path, folder: Path, *, beside: str = "") -> Path:
    """Move ``path`` into ``folder`` and return where it is now.

    Its name stays when it is free, else it gets a number. With ``beside``, a name is free only when the name with
    that suffix is free as well. The name is reserved by creating it, so two movers never meet. Between file systems
    the bytes are copied and synchronised before the original goes.

    Raises
    ------
    OSError
        When it cannot be moved; it is then still at ``path``.
    """
    for name in _names(path.name):
        target = folder / name
        if beside and os.path.lexists(f"{target}{beside}"):
            continue
        try:
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except FileExistsError:
            continue
        try:
            _fill(path, target, descriptor)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        return target
    raise OSError(errno.EEXIST, "no free name is left")


def write_beside(path: Path, suffix: str, text: str) -> None:
    """Write ``text`` into a new file beside ``path``."""
    descriptor = os.open(f"{path}{suffix}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as stream:
        stream.write(text)


def _fill(path: Path, reserved: Path, descriptor: int) -> None:
    with os.fdopen(descriptor, "wb") as stream:
        try:
            path.replace(reserved)
            if stat.S_ISREG(reserved.lstat().st_mode):
                reserved.chmod(0o600)  # the sender's mode was the sender's matter
            return
        except OSError as error:
            if error.errno != errno.EXDEV or not stat.S_ISREG(path.lstat().st_mode):
                raise
        with path.open("rb") as source:
            shutil.copyfileobj(source, stream)
        stream.flush()
        os.fsync(stream.fileno())
    path.unlink()


def _names(name: str) -> Iterator[str]:
    """The name, then the name with a number before its suffix; shortened so that it stays a possible name."""
    stem, suffix = os.path.splitext(name)
    room = _LONGEST_NAME - _ROOM - len(os.fsencode(suffix))
    if room < 1:
        stem, suffix, room = name, "", _LONGEST_NAME - _ROOM
    stem = os.fsdecode(os.fsencode(stem)[:room])
    yield f"{stem}{suffix}"
    for number in range(2, 1_000_000):
        yield f"{stem}-{number}{suffix}"
