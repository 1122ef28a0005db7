"""``fetched/.awaited/``: what this gateway has asked an archive to send, for whichever process the archive reaches.

An archive that is fetched from by C-MOVE opens associations of its own, and any receiving process may get them. Each
request that is under way has a file here, one instance a line, held with a lock by the process that waits. Promises
that nothing is awaited any more once its request has ended or its process has died, and that nothing but UIDs is read.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kuva_gateway.dicom.uids import is_valid_uid
from kuva_gateway.spool.spool import Spool

FOLDER = ".awaited"
_NOBODY_SAID = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One instance that only an archive has; ``sop_class`` "" when nobody said it.

    ``may_be``: then the SOP classes that its study has, as far as they are known.
    """

    study: str
    series: str
    sop_instance: str
    sop_class: str = ""
    may_be: tuple[str, ...] = ()


class Awaited:
    """The folder. Threads and processes may share it."""

    def __init__(self, spool: Spool) -> None:
        self._files = spool.files
        self._folder = spool.fetched / FOLDER
        self._numbers = itertools.count()

    @contextlib.contextmanager
    def announce(self, wanted: Sequence[Wanted]) -> Iterator[None]:
        """Await these until the block ends; one with a malformed UID is not awaited. Raises OSError."""
        self._files.make_directory(self._folder)
        name = f"{os.getpid()}-{time.time_ns()}-{next(self._numbers)}"
        path, unfinished = self._folder / name, self._folder / f".{name}"
        descriptor = self._files.open_new(unfinished)
        try:
            self._files.write(descriptor, memoryview("".join(map(_line, wanted)).encode("ascii")))
            self._files.rename_new(unfinished, path)
            yield
        finally:
            for one in (path, unfinished):
                with contextlib.suppress(OSError):
                    self._files.unlink(one)
            self._files.close(descriptor)

    def any(self) -> bool:
        """Whether anything is awaited at this moment."""
        return next(self._requests(), None) is not None

    def find(self, sop_instance: str) -> Wanted | None:
        """The instance with this UID, if it is awaited at this moment."""
        if not is_valid_uid(sop_instance):
            return None
        for path in self._requests():
            with contextlib.suppress(OSError), self._files.open_read(path) as stream:
                found = _find(stream.read(), sop_instance)
                if found is not None:
                    return found
        return None

    def sweep(self) -> None:
        """Remove what processes that died have left."""
        for path in self._all():
            with contextlib.suppress(OSError):
                if not self._files.in_use(path):
                    self._files.unlink(path)

    def _requests(self) -> Iterator[Path]:
        for path in self._all():
            with contextlib.suppress(OSError):
                if not path.name.startswith(".") and self._files.in_use(path):
                    yield path

    def _all(self) -> list[Path]:
        try:
            return [self._folder / name for name in self._files.names(self._folder)]
        except OSError:  # nothing was ever awaited
            return []


def _line(one: Wanted) -> str:
    """What an archive lists is its own text: only UIDs become a line."""
    values = (one.sop_instance, one.study, one.series, *([one.sop_class] if one.sop_class else []))
    if not all(map(is_valid_uid, values)):
        return ""
    return " ".join((one.sop_instance, one.study, one.series, one.sop_class or _NOBODY_SAID)) + "\n"


def _find(text: bytes, sop_instance: str) -> Wanted | None:
    start = (b"\n" + text).find(f"\n{sop_instance} ".encode("ascii"))
    if start < 0:
        return None
    _, study, series, sop_class = text[start : text.index(b"\n", start)].decode("ascii").split(" ")
    return Wanted(
        study=study,
        series=series,
        sop_instance=sop_instance,
        sop_class="" if sop_class == _NOBODY_SAID else sop_class,
    )
