"""The journal's files: what must outlive a lost catalog, a line for each thing, only ever appended to.

A line is the CRC-32 of its JSON in eight hexadecimal digits, a space, and the JSON. Several processes append in turn.
Promises that a line is there when :meth:`Journal.append` has returned; that what a crash left of one that was being
written is dropped and nothing else; and that a line which was changed, and a file that is missing, are told of.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kuva_gateway import appending

FILE_BYTES: Final = 64 << 20
"""A file that has so many bytes is followed by a new one."""
_SUFFIX: Final = ".journal"
_WHOLE: Final = "whole"
_TAIL: Final = 1 << 16

Line = dict[str, Any]


@dataclass(slots=True)
class Damage:
    """What cannot be read, while a journal is read."""

    lines: int = 0
    files: int = 0
    """Files that are missing between others."""

    def __bool__(self) -> bool:
        return bool(self.lines or self.files)


class Journal:
    """The journal in ``folder``, which is made with the first line."""

    def __init__(self, folder: Path, *, file_bytes: int = FILE_BYTES) -> None:
        self.folder = folder
        self._file_bytes = file_bytes

    def turn(self) -> AbstractContextManager[None]:
        """Wait for one's turn to :meth:`append`."""
        return appending.turn(self.folder)

    def append(self, lines: Iterable[Line]) -> None:
        """Write lines and make them durable; whoever calls has his turn. Raises OSError: none was written."""
        path = next(iter(reversed(files(self.folder))), None)
        number = 1 if path is None else int(path.stem)
        if path is not None:
            _cut_torn(path)
        if path is None or path.stat().st_size >= self._file_bytes:
            path = self.folder / f"{number if path is None else number + 1:08d}{_SUFFIX}"
        appending.append(path, b"".join(_written(line) for line in lines))

    @property
    def whole(self) -> bool:
        """Whether everything that the catalog knew when the journal began is in it."""
        return (self.folder / _WHOLE).exists()

    def say_whole(self) -> None:
        """Everything that the catalog knew before is in it now."""
        (self.folder / _WHOLE).touch(mode=0o600)
        appending.sync_folder(self.folder)

    def read(self, damage: Damage) -> Iterator[Line]:
        """Every line, in the order in which they were written; ``damage`` tells what could not be read."""
        every = files(self.folder)
        for number, path in enumerate(every, 1):
            if int(path.stem) != number:
                damage.files = int(every[-1].stem) - len(every)
            with path.open("rb") as file:
                for line in file:
                    if not line.endswith(b"\n") and path == every[-1]:
                        return  # a crash cut it short: nobody was told that it is there
                    read = _read(line)
                    if read is None:
                        damage.lines += 1
                    else:
                        yield read


def files(folder: Path) -> list[Path]:
    """The journal's files, the oldest first."""
    return sorted(path for path in folder.glob(f"*{_SUFFIX}") if path.stem.isdigit())


def _written(line: Line) -> bytes:
    text = json.dumps(line, ensure_ascii=True, separators=(",", ":")).encode("ascii")
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _read(line: bytes) -> Line | None:
    text = line[9:-1]
    if line[8:9] != b" " or line[-1:] != b"\n" or line[:8] != b"%08x" % zlib.crc32(text):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _cut_torn(path: Path) -> None:
    """Cut off what a crash left behind the last whole line."""
    with path.open("r+b") as file:
        size = end = file.seek(0, 2)
        while end:
            begin = max(0, end - _TAIL)
            file.seek(begin)
            found = file.read(end - begin).rfind(b"\n")
            if found >= 0:
                end = begin + found + 1
                break
            end = begin
        if end < size:
            file.truncate(end)
