"""The audit trail's files: a line for each record, each bound to the one before it by a digest; only ever appended to.

Several processes write at once and take turns by a lock. A record is ``{"n", "at", "before", "message", "hash"}``:
``hash`` is the SHA-256 of the others as they stand in the line, ``before`` the hash of record ``n - 1``: what is
changed, removed or put in afterwards shows. Whoever can write the files can also write a whole new chain: a record that
was noted elsewhere (``audit verify`` prints the last one, a collector has them all) shows that, too.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from kuva_gateway import appending
from kuva_gateway.audit.message import stamp
from kuva_gateway.errors import DamageError

FILE_BYTES = 16 << 20
"""A file that has so many bytes is followed by a new one, called after its first record."""
NOTHING_BEFORE = "0" * 64
REMOVED = "removed"
"""The file with the ends of files that went (:mod:`~kuva_gateway.audit.thinning`)."""
_SUFFIX = ".jsonl"
_TAIL = 1 << 16


class Place(NamedTuple):
    """Where a record ends: its file's name, and the bytes up to there."""

    file: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One line of the trail."""

    number: int
    at: datetime
    message: str
    hash: str
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The last record's number and hash; 0 where there is none."""

    number: int = 0
    hash: str = NOTHING_BEFORE


class Trail:
    """Appends to the trail in ``folder``, which is made with the first record."""

    def __init__(self, folder: Path, *, file_bytes: int = FILE_BYTES) -> None:
        self.folder = folder
        self._file_bytes = file_bytes

    def append(self, messages: Iterable[tuple[datetime, str]]) -> End:
        """Write messages (when, XML) and make them durable; returns the new end.

        What a crash left of a record that was being written is cut off: nobody was told that it is there.

        Raises
        ------
        OSError
            They could not be written.
        DamageError
            The end of the trail cannot be read, so that nothing can be bound to it.
        """
        with appending.turn(self.folder):
            path = next(iter(reversed(files(self.folder))), None)
            end = End() if path is None else _last(path)
            if path is None or path.stat().st_size >= self._file_bytes:
                path = self.folder / f"{end.number + 1:012d}{_SUFFIX}"
            lines = []
            for at, message in messages:
                end, line = _bind(end, at, message)
                lines.append(line)
            appending.append(path, b"".join(lines))
            return end


def files(folder: Path) -> list[Path]:
    """The trail's files, the oldest first."""
    return sorted(path for path in folder.glob(f"*{_SUFFIX}") if path.stem.isdigit())


def last_number(folder: Path) -> int:
    """The number of the last whole record, 0 without any; nothing is changed, whoever writes meanwhile.

    Raises
    ------
    OSError, DamageError
        It cannot be read.
    """
    for path in reversed(files(folder)):
        record = last_record(path)
        if record is not None:
            return record.number
    return 0


def last_record(path: Path) -> Record | None:
    """The last whole record of one file; None: it has none. Raises what :func:`last_number` raises."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        reach = _TAIL
        while True:
            file.seek(max(0, size - reach))
            lines = file.read().split(b"\n")[:-1]  # what stands after the last line feed is being written
            if len(lines) > 1 or reach >= size:
                break
            reach *= 4
    if not lines:
        return None
    return _read(lines[-1] + b"\n", f"{path.name}, its last line", Place(path.name, size))[0]


def records(folder: Path, *, after: int = 0, behind: Place | None = None) -> Iterator[Record]:
    """The records behind number ``after``, in order; a record that is being written now is left for the next time.

    ``behind``: where that one ends, if it is known; what stands before is then not read again.

    Raises
    ------
    DamageError
        A line is no record.
    """
    every = files(folder)
    for path, following in zip_longest(every, every[1:]):
        if following is not None and int(following.stem) <= after + 1:
            continue
        begin = behind.bytes if behind is not None and behind.file == path.name else 0
        for line, where, place in _lines(path, begin):
            record, _ = _read(line, where, place)
            if record.number > after:
                yield record


def _lines(path: Path, begin: int = 0) -> Iterator[tuple[bytes, str, Place]]:
    """The whole lines of a file behind its first ``begin`` bytes: each with what it is called, and where it ends."""
    behind = f" behind byte {begin}" if begin else ""
    with path.open("rb") as file:
        file.seek(begin)
        end = begin
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            end += len(line)
            yield line, f"{path.name}, line {number}{behind}", Place(path.name, end)


def verify(folder: Path, removed: Iterable[End] = ()) -> Iterator[Record]:
    """Every record, each once it is shown to follow from the one before it.

    Where older files were taken away as a whole, the chain begins with the first that is left; it must follow from the
    end of the one before it where that is among ``removed``.

    Raises
    ------
    DamageError
        The place where the chain breaks.
    """
    before: End | None = None
    every = files(folder)
    if every:
        before = next((end for end in removed if end.number == int(every[0].stem) - 1), None)
    for path in every:
        if before is not None and int(path.stem) != before.number + 1:
            raise DamageError(f"{path.name}: follows record {before.number}: records between them are missing")
        for line, where, place in _lines(path):
            record, bound_to = _read(line, where, place)
            expected = int(path.stem) if before is None else before.number + 1
            if record.number != expected:
                raise DamageError(f"{where}: record {record.number} instead of {expected}")
            if before is not None and bound_to != before.hash:
                raise DamageError(f"{where}: record {record.number} was not written after the one before it")
            before = End(number=record.number, hash=record.hash)
            yield record


def _bind(end: End, at: datetime, message: str) -> tuple[End, bytes]:
    """The next record's line, and the end with it."""
    inside = json.dumps(
        {"n": end.number + 1, "at": stamp(at), "before": end.hash, "message": message}, separators=(",", ":")
    )
    found = hashlib.sha256(inside.encode("ascii")).hexdigest()
    return End(number=end.number + 1, hash=found), f'{inside[:-1]},"hash":"{found}"}}\n'.encode("ascii")


def _read(line: bytes, where: str, place: Place) -> tuple[Record, str]:
    """A line's record and the hash it is bound to; its own hash is checked. ``where`` is what the line is called."""
    try:
        inside, ending = line[:-76] + b"}", line[-76:]
        told = json.loads(line)
        record = Record(
            number=int(told["n"]),
            at=datetime.fromisoformat(told["at"]),
            message=str(told["message"]),
            hash=hashlib.sha256(inside).hexdigest(),
            place=place,
        )
        bound_to = str(told["before"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise DamageError(f"{where}: this is no record") from None
    if ending != f',"hash":"{record.hash}"}}\n'.encode("ascii"):
        raise DamageError(f"{where}: record {record.number} was changed after it was written")
    return record, bound_to


def _last(path: Path) -> End:
    """The end of a file, after what a crash left behind it is cut off."""
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        reach = min(size, _TAIL)
        while True:
            file.seek(size - reach)
            tail = file.read(reach)
            end = tail.rfind(b"\n") + 1
            begin = tail.rfind(b"\n", 0, end - 1) + 1 if end else 0
            if (end and begin) or reach == size:
                break
            reach = min(size, reach * 4)
        if end < len(tail):
            file.truncate(size - len(tail) + end)
        if not end:
            return _before(path)
        last = Place(path.name, size - len(tail) + end)
        record, _ = _read(tail[begin:end], f"{path.name}, its last line", last)
    return End(number=record.number, hash=record.hash)


def _before(path: Path) -> End:
    """The end before a file that a crash left without a record."""
    older = [one for one in files(path.parent) if one < path]
    return _last(older[-1]) if older else End()
