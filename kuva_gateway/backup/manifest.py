"""The list of a backup's files with their SHA-256, in the form that ``sha256sum --check`` reads.

Names are relative to the backup's folder. Whoever restores needs no tool of ours to see whether a file is whole.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from kuva_gateway.errors import DamageError

_LINE = re.compile(rb"(\\?)([0-9a-f]{64})  (.+)\n")
_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One file of a backup."""

    digest: str
    name: str


class ManifestWriter:
    """Writes a manifest, line by line; :meth:`finish` gives its own SHA-256."""

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(descriptor, "wb", buffering=_PIECE)
        self._digest = hashlib.sha256()
        self.lines = 0

    def add(self, digest: str, name: str) -> None:
        """One file."""
        written = os.fsencode(name)
        escaped = written.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
        line = (b"\\" if escaped != written else b"") + digest.encode("ascii") + b"  " + escaped + b"\n"
        self._file.write(line)
        self._digest.update(line)
        self.lines += 1

    def finish(self) -> str:
        """Write what is left; returns the manifest's SHA-256."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self._digest.hexdigest()

    def close(self) -> None:
        """Give up."""
        self._file.close()


def read_manifest(path: Path, digest: str) -> Iterator[Listed]:
    """The files of the manifest at ``path``, whose SHA-256 is compared with ``digest`` first.

    Raises
    ------
    DamageError
        It is gone, or not as it was written.
    """
    try:
        if digest_of(path) != digest:
            raise DamageError("the backup's manifest is not as it was written")
    except FileNotFoundError:
        raise DamageError("the backup's manifest is gone") from None
    with path.open("rb") as file:
        for line in file:
            match = _LINE.fullmatch(line)
            if match is None:
                raise DamageError("a line of the backup's manifest cannot be read")
            name = os.fsdecode(_unescaped(match[3]) if match[1] else match[3])
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise DamageError("the backup's manifest names a file elsewhere")
            yield Listed(digest=match[2].decode("ascii"), name=name)


def _unescaped(name: bytes) -> bytes:
    return re.sub(rb"\\(.)", lambda match: {b"n": b"\n", b"r": b"\r"}.get(match[1], match[1]), name)


def digest_of(path: Path, *, from_disk: bool = False) -> str:
    """SHA-256 of a file in hexadecimal; ``from_disk``: of what is there, not of what the kernel remembers of it."""
    found = hashlib.sha256()
    buffer = memoryview(bytearray(_PIECE))
    with path.open("rb", buffering=0) as file:
        if from_disk:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while count := file.readinto(buffer):
            found.update(buffer[:count])
    return found.hexdigest()
