"""What can go wrong with files, in words that may be logged: the operation and the errno, never a name."""

from __future__ import annotations

import errno
import os

from kuva_gateway.errors import DeferredError, NoSpaceError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class StorageError(DeferredError):
    """The file system refused or failed; what was being received has not been acknowledged."""


def translate(error: OSError, doing: str) -> DeferredError:
    """The gateway's own error for what the operating system said while ``doing`` something."""
    name = errno.errorcode.get(error.errno or 0, "unknown")
    words = os.strerror(error.errno) if error.errno else "unknown fault"
    kind = NoSpaceError if error.errno in _FULL else StorageError
    return kind(f"{doing} failed: {words}", code=name)
