"""Whether a file system can hold the spool at all, tried out at the start: one that cannot is refused then and there.

Promises that nothing of the trial is left, and that a full file system passes: it will have room again.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path

from kuva_gateway.errors import RefusedError
from kuva_gateway.spool.mounts import file_system
from kuva_gateway.spool.spool import Spool

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def try_out(spool: Spool) -> None:
    """Do with an empty file what receiving and indexing do with every image.

    Raises
    ------
    RefusedError
        The file system is read-only or sick, or has no locks, no hard links or no rename that spares what is there.
    """
    new, named, linked = (spool.incoming / f"trial-{os.getpid()}-{number}" for number in range(3))
    descriptor: int | None = None
    doing = "making and locking a file"
    try:
        descriptor = spool.files.open_new(new)
        doing = "writing a file"
        spool.files.write(descriptor, memoryview(b"trial"))
        doing = "renaming a file without replacing another"
        spool.files.rename_new(new, named)
        doing = "fsync"
        spool.files.fsync(descriptor)
        if spool.fsync_folders:
            doing = "fsync of a folder"
            spool.files.fsync_directory(spool.incoming)
        doing = "making a hard link"
        spool.files.link(named, linked)
        doing = "removing a file"
        spool.files.unlink(linked)
    except OSError as error:
        if error.errno not in _FULL:
            kind = file_system(spool.root) or "unknown"
            raise RefusedError(
                f"the spool cannot be on this file system ({kind}): {doing} failed: {error.strerror}",
                code=errno.errorcode.get(error.errno or 0, ""),
            ) from error
    finally:
        _tidy(spool, descriptor, new, named, linked)


def _tidy(spool: Spool, descriptor: int | None, *paths: Path) -> None:
    steps: list[Callable[[], None]] = [lambda path=path: spool.files.unlink(path) for path in paths]  # type: ignore[misc]
    if descriptor is not None:
        held = descriptor
        steps.append(lambda: spool.files.close(held))
    for step in steps:
        with contextlib.suppress(OSError):  # swept at the next start
            step()
