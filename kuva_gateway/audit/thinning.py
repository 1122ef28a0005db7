"""The audit trail held to a limit: its oldest files go, whole, and what bound the rest to them stays.

``removed`` in the trail's folder has a line for each file that went: its last record's number and hash. It is written
and synced before the file is unlinked, so that after a crash at any moment the chain can still be verified. Never goes
the file that is being written, and never a record that the collector has not got.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from kuva_gateway import appending
from kuva_gateway.audit.trail import REMOVED, End, files, last_record

_KEPT_AT_LEAST: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinned:
    """What went, and whether more should have gone."""

    files: int = 0
    bytes: int = 0
    waits: bool = False
    """The trail is above its limits, and the collector has not got what would have to go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """None: no such limit."""

    keep_for: timedelta | None = None
    keep_bytes: int | None = None

    def __bool__(self) -> bool:
        return self.keep_for is not None or self.keep_bytes is not None


def thin(
    folder: Path,
    limits: Limits,
    now: datetime,
    delivered: int | None,
    *,
    unlink: Callable[[Path], None] = os.unlink,
) -> Thinned:
    """Let files go that are above the limits; ``delivered``: the collector's last record, None without a collector.

    Raises
    ------
    OSError, DamageError
        The trail cannot be read or written: nothing more goes.
    """
    if not limits or not folder.is_dir():
        return Thinned()
    gone = size = 0
    with appending.turn(folder):
        every = files(folder)
        total = sum(path.stat().st_size for path in every)
        for path in every[:-_KEPT_AT_LEAST]:
            last = last_record(path)
            if last is None:
                break
            too_much = limits.keep_bytes is not None and total > limits.keep_bytes
            too_old = limits.keep_for is not None and last.at < now - limits.keep_for
            if not (too_much or too_old):
                break
            if delivered is not None and last.number > delivered:
                return Thinned(files=gone, bytes=size, waits=True)
            bytes_of_it = path.stat().st_size
            line = {"n": last.number, "hash": last.hash, "at": now.astimezone(UTC).isoformat(timespec="seconds")}
            text = json.dumps(line, separators=(",", ":")).encode("ascii")
            appending.append(folder / REMOVED, b"%s%s\n" % (_behind_a_torn_line(folder / REMOVED), text))
            unlink(path)
            appending.sync_folder(folder)
            gone, size, total = gone + 1, size + bytes_of_it, total - bytes_of_it
    return Thinned(files=gone, bytes=size)


def _behind_a_torn_line(path: Path) -> bytes:
    return b"\n" if path.exists() and path.read_bytes()[-1:] not in (b"", b"\n") else b""


def anchors(folder: Path) -> Iterator[End]:
    """The last records of files that went, the oldest first; what a crash cut short is none."""
    try:
        content = (folder / REMOVED).read_bytes()
    except FileNotFoundError:
        return
    for line in content.split(b"\n")[:-1]:
        try:
            told = json.loads(line)
            yield End(number=int(told["n"]), hash=str(told["hash"]))
        except (ValueError, KeyError, TypeError):
            continue
