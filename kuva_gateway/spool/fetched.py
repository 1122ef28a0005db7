"""``fetched/``: copies of images that an archive has and the gateway does not, kept for a while.

Promises that a name which is there is a whole file of the very instance that was asked for, whoever else fetches the
same; that nothing here is ever taken for something received; that copies leave twice ``spool.minimum_free`` free, so
that receiving never lacks room for them; and that a file is readable for ten minutes after the last moment at which it
was found. Nothing is made durable: the archive has it.
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
from kuva_gateway.dicom.scanner import scan_stream
from kuva_gateway.errors import GatewayError
from kuva_gateway.spool.awaited import FOLDER as AWAITED
from kuva_gateway.spool.awaited import Awaited, Wanted
from kuva_gateway.spool.receipt import DIGEST
from kuva_gateway.spool.spool import Spool

_UNFINISHED: Final = ".copy-"
GRACE: Final = 600.0
"""Seconds that a file stays beyond its time, for those who found it just before."""


class NotAskedError(GatewayError):
    """The data set is not of the instance that was asked for."""


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
        self.awaited = Awaited(spool)
        """What an archive was asked to send here."""

    def find(self, sop_instance: str, *, at_least: float = 0.0) -> Fetched | None:
        """The copy of an instance, unless there is none or its time, of ``at_least`` so many seconds, is over."""
        name = _name(sop_instance)
        try:
            with self.open(name) as file:
                written = os.fstat(file.fileno())
                if self._clock() - written.st_mtime >= max(self._keep_for, at_least):
                    return None
                os.utime(
                    file.fileno(), ns=(int(self._clock() * 1e9), written.st_mtime_ns)
                )  # looked for just now: it stays
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

    def begin(self, wanted: Wanted, sop_class: str, transfer_syntax: str) -> Copying:
        """Begin a copy of an instance that was asked for; raises NoSpaceError, StorageError, OSError, HeaderError."""
        self._require()
        temporary = self._spool.fetched / f"{_UNFINISHED}{os.getpid()}-{time.time_ns()}-{next(self._numbers)}"
        found = Fetched(
            sop_class=sop_class,
            sop_instance=wanted.sop_instance,
            transfer_syntax=transfer_syntax,
            digest=_name(wanted.sop_instance),
        )
        return Copying(self._spool, temporary, found, wanted, require=self._require)

    def _require(self, count: int = 0) -> None:
        """Copies leave twice ``spool.minimum_free``: receiving needs once as much, and must never miss it for them."""
        self._spool.space.require(count, times=2)

    def sweep(self, *, starting: bool = False, lacking: int = 0) -> int:
        """Remove what has been here for too long, and what was never finished; returns how many.

        Parameters
        ----------
        starting
            Nobody fetches yet: whatever is unfinished was left by a process that died.
        lacking
            Bytes that are wanted for more than copies: those that nobody looked for longest give way before their time.
        """
        swept, kept = 0, []
        for name in list(self._spool.files.names(self._spool.fetched)):
            if name == AWAITED:
                continue
            path = self._spool.fetched / name
            with contextlib.suppress(OSError):
                age = self._clock() - self._spool.files.written_at(path)
                if name.startswith(".") and not name.startswith(_UNFINISHED):
                    over = starting  # a note of processes to each other
                elif name.startswith("."):
                    over = starting or (age >= GRACE and not self._spool.files.in_use(path))
                else:
                    over = age >= GRACE + self._keep_for
                if over:
                    self._spool.files.unlink(path)
                    swept += 1
                elif lacking > 0 and not name.startswith("."):
                    kept.append((path.stat().st_atime, path))
        if starting:
            self.awaited.sweep()
        return swept + self._give_way(sorted(kept), lacking)

    def _give_way(self, oldest_first: list[tuple[float, Path]], lacking: int) -> int:
        removed = 0
        for looked_for, path in oldest_first:
            if lacking <= 0 or self._clock() - looked_for < GRACE:
                break
            with contextlib.suppress(OSError):
                size = self._spool.files.size(path)
                self._spool.files.unlink(path)
                lacking -= size
                removed += 1
        return removed


class Copying:
    """One copy on its way in; ends with :meth:`keep` or :meth:`drop`."""

    def __init__(
        self, spool: Spool, path: Path, found: Fetched, wanted: Wanted, *, require: Callable[[int], None]
    ) -> None:
        start = preamble_and_meta(found.sop_class, found.sop_instance, found.transfer_syntax)
        self._spool = spool
        self._path = path
        self._found = found
        self._wanted = wanted
        self._require = require
        self._begins = len(start)
        self.size = 0
        """Bytes of the data set so far."""
        self._descriptor: int | None = spool.files.open_new(path)
        try:
            spool.files.write(self._descriptor, memoryview(start))
        except OSError:
            self.drop()
            raise

    def write(self, view: memoryview) -> None:
        """The next bytes of the data set; raises NoSpaceError, OSError."""
        assert self._descriptor is not None
        self._require(len(view))
        self._spool.files.write(self._descriptor, view)
        self.size += len(view)

    def keep(self) -> Fetched:
        """It is whole: give it its name, in place of an older copy.

        Raises
        ------
        NotAskedError, HeaderError
            It is not what was asked for, or nothing that can be read; nothing was kept, :meth:`drop` clears up.
        OSError
            The file system failed.
        """
        self._check()
        self._close()
        os.replace(self._path, self._path.with_name(self._found.digest))
        return self._found

    def drop(self) -> None:
        """It is not: leave nothing."""
        with contextlib.suppress(OSError):
            self._close()
        with contextlib.suppress(OSError):
            self._spool.files.unlink(self._path)

    def _check(self) -> None:
        """Whoever asked for one patient's image must not be given another's."""
        with self._spool.files.open_read(self._path) as stream:
            header = scan_stream(stream, self._begins, self.size, self._found.transfer_syntax)
        wanted = self._wanted
        for name, came, asked in (
            ("SOP Class UID", header.sop_class_uid, self._found.sop_class),
            ("SOP Instance UID", header.sop_instance_uid, wanted.sop_instance),
            ("Study Instance UID", header.study_instance_uid, wanted.study),
            ("Series Instance UID", header.series_instance_uid, wanted.series),
        ):
            if came != asked:
                raise NotAskedError(f"{name} is not the one that was asked for")

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            self._spool.files.close(descriptor)


def _name(sop_instance: str) -> str:
    return hashlib.sha256(sop_instance.encode()).hexdigest()
