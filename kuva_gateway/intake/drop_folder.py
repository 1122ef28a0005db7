"""A folder into which other systems drop files.

Keeps, per name, how a file looked in the last scan. What is promised: a file is read only when size and time are
equal in two scans; names that start with ``.`` or end in ``.part`` or ``.tmp`` are left alone; a file that cannot be
used moves to ``rejected`` with a ``.reason`` file beside it, never over another file; one that may be usable later
stays where it is; and no file stops the scan of the others.
"""

from __future__ import annotations

import errno
import os
import stat
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from kuva_gateway.errors import DeferredError, GatewayError
from kuva_gateway.intake.moves import move_uniquely, write_beside

LEFT_ALONE: Final = (".part", ".tmp")
_NEVER_READABLE: Final = frozenset({errno.EACCES, errno.EPERM, errno.ELOOP})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a dropped file.

    Attributes
    ----------
    path
        Where it was dropped. A file name is somebody else's text and may hold patient data: it is not to be logged.
    what
        ``deferred``: it stays, and is tried again in the next scan.
    now_at
        Where it is now; None when its bytes are kept elsewhere and the dropped file is gone.
    """

    path: Path
    what: Literal["accepted", "rejected", "deferred"]
    reason: str = ""
    now_at: Path | None = None


@dataclass(frozen=True, slots=True)
class _Look:
    """How a file looked in one scan."""

    device: int
    inode: int
    mode: int
    size: int
    modified_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> _Look:
        return cls(found.st_dev, found.st_ino, stat.S_IFMT(found.st_mode), found.st_size, found.st_mtime_ns)


class _ChangedError(Exception):
    """The file is no longer the one that was seen."""


class _UnusableError(Exception):
    """The file can never be read as it is."""


class DropFolder:
    """One drop folder.

    Parameters
    ----------
    path, rejected
        The folder, and where files go that cannot be used; both are made when missing.
    read
        Takes a file's path and bytes in. DeferredError and OSError leave the file for the next scan; any other error
        rejects it, a GatewayError with its own text as the reason.
    accepted
        Where accepted files move, under their own names; None: ``read`` has kept the bytes, and the file is removed.
    maximum_bytes
        A longer file is rejected unread.
    now
        The moment that is written into reasons.
    on_outcome
        Called after each file.
    """

    def __init__(
        self,
        path: Path,
        *,
        rejected: Path,
        read: Callable[[Path, bytes], object],
        accepted: Path | None = None,
        maximum_bytes: int = 20 * 1024 * 1024,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        on_outcome: Callable[[Outcome], None] | None = None,
    ) -> None:
        self._path = path
        self._rejected = rejected
        self._accepted = accepted
        self._read = read
        self._maximum_bytes = maximum_bytes
        self._now = now
        self._on_outcome = on_outcome
        self._last: dict[str, _Look] = {}
        for folder in (path, rejected, accepted):
            if folder is not None:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def scan(self) -> list[Outcome]:
        """Look once; take in what has not changed since the last look, the oldest first.

        Raises
        ------
        DeferredError
            When the folder itself cannot be read now.
        """
        looks = self._look()
        ready = [name for name, look in looks.items() if self._last.get(name) == look]
        self._last = looks
        outcomes = []
        for name in sorted(ready, key=lambda one: (looks[one].modified_ns, one)):
            outcome = self._take(self._path / name, looks[name])
            if outcome is None:
                del self._last[name]
                continue
            if outcome.what != "deferred":
                del self._last[name]
            outcomes.append(outcome)
            if self._on_outcome is not None:
                self._on_outcome(outcome)
        return outcomes

    def _look(self) -> dict[str, _Look]:
        looks = {}
        try:
            with os.scandir(self._path) as entries:
                for entry in entries:
                    if entry.name.startswith(".") or entry.name.endswith(LEFT_ALONE):
                        continue
                    try:
                        found = entry.stat(follow_symlinks=False)
                    except OSError:
                        continue  # gone again, or not ours to see; the next scan tells
                    if not stat.S_ISDIR(found.st_mode):
                        looks[entry.name] = _Look.of(found)
        except OSError as error:
            raise DeferredError(f"the drop folder cannot be read: {error.strerror}") from None
        return looks

    def _take(self, path: Path, look: _Look) -> Outcome | None:
        """Take one file in; None when it changed or went meanwhile."""
        try:
            data = self._bytes(path, look)
        except (_ChangedError, FileNotFoundError):
            return None
        except _UnusableError as error:
            return self._reject(path, look, str(error))
        except OSError as error:
            return Outcome(path=path, what="deferred", reason=f"it cannot be read: {error.strerror}")
        try:
            self._read(path, data)
        except DeferredError as error:
            return Outcome(path=path, what="deferred", reason=str(error))
        except OSError as error:
            return Outcome(path=path, what="deferred", reason=f"its bytes cannot be kept: {error.strerror}")
        except GatewayError as error:
            return self._reject(path, look, str(error))
        except Exception as error:
            # One file that meets a fault of ours must not stop the others, nor be met again in every scan.
            return self._reject(path, look, f"the gateway failed on it ({_place(error)})")
        return self._accept(path, look)

    def _bytes(self, path: Path, look: _Look) -> bytes:
        if look.mode != stat.S_IFREG:
            raise _UnusableError("it is not a regular file")
        if look.size > self._maximum_bytes:
            raise _UnusableError(f"the file is longer than {self._maximum_bytes} bytes")
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in _NEVER_READABLE:
                raise _UnusableError(f"the file cannot be read: {error.strerror}") from None
            raise
        with os.fdopen(descriptor, "rb") as stream:
            if _Look.of(os.fstat(stream.fileno())) != look:
                raise _ChangedError
            data = stream.read(self._maximum_bytes + 1)
            if _Look.of(os.fstat(stream.fileno())) != look or len(data) != look.size:
                raise _ChangedError
        return data

    def _accept(self, path: Path, look: _Look) -> Outcome:
        """The file leaves the folder, unless another has taken its name since it was read."""
        now_at = None
        try:
            if _Look.of(path.lstat()) == look:
                if self._accepted is not None:
                    now_at = move_uniquely(path, self._accepted)
                else:
                    path.unlink()
        except FileNotFoundError:
            pass
        except OSError as error:
            # What was read may be read again without harm; the file only cannot leave.
            return Outcome(path=path, what="deferred", reason=f"it was read and cannot be removed: {error.strerror}")
        return Outcome(path=path, what="accepted", now_at=now_at)

    def _reject(self, path: Path, look: _Look, why: str) -> Outcome | None:
        try:
            if _Look.of(path.lstat()) != look:
                return None
            now_at = move_uniquely(path, self._rejected, beside=".reason")
        except FileNotFoundError:
            return None
        except OSError as error:
            return Outcome(path=path, what="deferred", reason=f"{why}; it cannot be moved: {error.strerror}")
        try:
            write_beside(now_at, ".reason", f"{self._now().isoformat(timespec='seconds')} {why}\n")
        except OSError as error:
            why = f"{why}; the reason cannot be written: {error.strerror}"
        return Outcome(path=path, what="rejected", reason=why, now_at=now_at)


def _place(error: Exception) -> str:
    """Where our own fault is: the error's text may hold what the file says, its place cannot."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} at {Path(frames[-1].filename).name}:{frames[-1].lineno}"
