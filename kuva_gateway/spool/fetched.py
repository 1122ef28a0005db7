"""``fetched/``: copies of images that an archive has and the gateway does not, kept for a while.

Promises that a name which is there is a whole file, whoever else fetches the same; that nothing here is ever taken for
something received; that ``spool.minimum_free`` stays free; and that a file is readable for ten minutes after the last
moment at which it was found. Nothing is made durable: the archive has it.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from kuva_gateway.dicom.header import HeaderError
from kuva_gateway.dicom.part10 import preamble_and_meta, read_meta
from kuva_gateway.spool.receipt import DIGEST
from kuva_gateway.spool.spool import Spool

GRACE: Final = 600.0
"""Seconds that a file stays beyond its time, for those who found it just before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """One copy, as :func:`kuva_gateway.forward.outgoing.open_outgoing` wants an instance."""

    sop_class: str
    sop_instance: str
    transfer_syntax: str
    digest: str
    """Its name: SHA-256 of the SOP Instance UID."""
    instance_id: int = 0
    amendments: tuple[()] = ()


class FetchedFiles:
    """The folder. Threads and processes may share it."""

    def __init__(self, spool: Spool, *, keep_for: float, clock: Callable[[], float] = time.time) -> None:
        self._spool = spool
        self._keep_for = keep_for
        self._clock = clock
        self._numbers = itertools.count()

    def find(self, sop_instance: str) -> Fetched | None:
        """The copy of an instance, unless there is none or its time is over."""
        name = _name(sop_instance)
        try:
            with self.open(name) as file:
                if self._clock() - os.fstat(file.fileno()).st_mtime >= self._keep_for:
                    return None
                meta = read_meta(file)
        except (OSError, HeaderError):
            return None
        if meta.sop_instance != sop_instance:
            return None
        return Fetched(
            sop_class=meta.sop_class, sop_instance=sop_instance, transfer_syntax=meta.transfer_syntax, digest=name
        )

    def open(self, digest: str) -> BinaryIO:
        """A copy for reading; raises OSError."""
        if DIGEST.fullmatch(digest) is None:
            raise ValueError("this is no SHA-256 in hexadecimal")
        return self._spool.files.open_read(self._spool.fetched / digest)

    def begin(self, sop_class: str, sop_instance: str, transfer_syntax: str) -> Copying:
        """Begin a copy; raises NoSpaceError, StorageError, OSError, HeaderError."""
        self._spool.space.require()
        temporary = self._spool.fetched / f".{os.getpid()}-{time.time_ns()}-{next(self._numbers)}"
        found = Fetched(
            sop_class=sop_class, sop_instance=sop_instance, transfer_syntax=transfer_syntax, digest=_name(sop_instance)
        )
        return Copying(self._spool, temporary, found)

    def sweep(self) -> int:
        """Remove what has been here for too long, and what was never finished; returns how many."""
        swept = 0
        for name in list(self._spool.files.names(self._spool.fetched)):
            path = self._spool.fetched / name
            with contextlib.suppress(OSError):
                age = self._clock() - self._spool.files.written_at(path)
                unfinished = name.startswith(".")
                if age < GRACE + (0.0 if unfinished else self._keep_for) or (
                    unfinished and self._spool.files.in_use(path)
                ):
                    continue
                self._spool.files.unlink(path)
                swept += 1
        return swept


class Copying:
    """One copy on its way in; ends with :meth:`keep` or :meth:`drop`."""

    def __init__(self, spool: Spool, path: Path, found: Fetched) -> None:
        start = preamble_and_meta(found.sop_class, found.sop_instance, found.transfer_syntax)
        self._spool = spool
        self._path = path
        self._found = found
        self._descriptor: int | None = spool.files.open_new(path)
        try:
            spool.files.write(self._descriptor, memoryview(start))
        except OSError:
            self.drop()
            raise

    def write(self, view: memoryview) -> None:
        """The next bytes of the data set; raises NoSpaceError, OSError."""
        assert self._descriptor is not None
        self._spool.space.require(len(view))
        self._spool.files.write(self._descriptor, view)

    def keep(self) -> Fetched:
        """It is whole: give it its name, in place of an older copy."""
        self._close()
        os.replace(self._path, self._path.with_name(self._found.digest))
        return self._found

    def drop(self) -> None:
        """It is not: leave nothing."""
        with contextlib.suppress(OSError):
            self._close()
        with contextlib.suppress(OSError):
            self._spool.files.unlink(self._path)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            self._spool.files.close(descriptor)


def _name(sop_instance: str) -> str:
    return hashlib.sha256(sop_instance.encode()).hexdigest()
