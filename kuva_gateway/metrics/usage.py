"""What limited peers have used up, in memory that all receiving processes share.

The daemon makes the memory, every receiving process and its successors read and write it: what one of them lets in
counts for all, and is not forgotten with it. Promises that a row changes under a lock that the kernel takes back from
a process that dies. Rows are by peer, under its configured name.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass

LIMITS = ("object_size", "instances_per_minute", "bytes_per_hour", "quota")
"""The limits of a peer that an instance may meet (``peers[].limits``)."""

ROWS = 2048
"""Names at most; what comes under more shares the last row."""
_NAME = 64  # bytes; a configured name has 32 at most
_WORD = 8
_NAME_WORDS = _NAME // _WORD
_INSTANCES_UNTIL, _BYTES_UNTIL, _STORED, _WAITING, _COUNTED, _SLOWED, _REFUSED = range(7)
_ROW_WORDS = _NAME_WORDS + _REFUSED + len(LIMITS)
SIZE = (1 + ROWS * _ROW_WORDS) * _WORD
"""Bytes of memory; what is not used yet takes none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What is known of one peer: bytes that wait for the archive, instances refused by limit, seconds of waiting."""

    waiting: int
    refused: dict[str, int]
    slowed: float


class Meters:
    """One peer's row, while the lock is held."""

    __slots__ = ("_at", "_words")

    def __init__(self, words: memoryview, at: int) -> None:
        self._words = words
        self._at = at

    @property
    def instances_until(self) -> int:
        """When the allowance of instances is whole again: nanoseconds of the machine's monotonic clock."""
        return int(self._words[self._at + _INSTANCES_UNTIL])

    @instances_until.setter
    def instances_until(self, moment: int) -> None:
        self._words[self._at + _INSTANCES_UNTIL] = moment

    @property
    def bytes_until(self) -> int:
        """The same for the allowance of bytes."""
        return int(self._words[self._at + _BYTES_UNTIL])

    @bytes_until.setter
    def bytes_until(self, moment: int) -> None:
        self._words[self._at + _BYTES_UNTIL] = moment

    @property
    def stored(self) -> int:
        """Bytes stored since the daemon started."""
        return int(self._words[self._at + _STORED])

    @property
    def waiting(self) -> int:
        """Bytes that the archive does not have yet: those in the catalog at the last look, and what came since."""
        words, at = self._words, self._at
        return int(words[at + _WAITING]) + int(words[at + _STORED]) - int(words[at + _COUNTED])

    def store(self, size: int) -> None:
        """Bytes were stored."""
        self._words[self._at + _STORED] += size

    def look(self, waiting: int, counted: int) -> None:
        """The catalog has ``waiting`` bytes for the archive, ``counted`` of those stored since the start in them."""
        self._words[self._at + _WAITING] = waiting
        self._words[self._at + _COUNTED] = counted

    def refuse(self, limit: str) -> None:
        """Count an instance that a limit kept out."""
        self._words[self._at + _REFUSED + LIMITS.index(limit)] += 1

    def slow(self, nanoseconds: int) -> None:
        """Count time that an instance had to wait."""
        self._words[self._at + _SLOWED] += nanoseconds

    def read(self) -> Used:
        """What figures tell."""
        start = self._at + _REFUSED
        counts = self._words[start : start + len(LIMITS)]
        return Used(
            waiting=self.waiting,
            refused=dict(zip(LIMITS, map(int, counts), strict=True)),
            slowed=int(self._words[self._at + _SLOWED]) / 1e9,
        )


class Usage:
    """The table; threads may share it. Without ``descriptor`` no other process sees it."""

    def __init__(self, descriptor: int = -1) -> None:
        self._descriptor = descriptor
        self._memory = mmap.mmap(descriptor, SIZE)
        self._words = memoryview(self._memory).cast("Q")
        self._lock = threading.Lock()
        self._rows: dict[str, int] = {}

    @contextlib.contextmanager
    def of(self, peer: str) -> Iterator[Meters]:
        """The row of ``peer``; nobody else reads or writes any row meanwhile."""
        with self._lock, self._exclusive():
            row = self._rows.get(peer)
            if row is None:
                row = self._rows[peer] = self._find(peer.encode("utf-8")[:_NAME])
            yield Meters(self._words, 1 + row * _ROW_WORDS + _NAME_WORDS)

    @contextlib.contextmanager
    def _exclusive(self) -> Iterator[None]:
        """A record lock: it belongs to the process, and ends with it."""
        if self._descriptor < 0:
            yield
            return
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX, _WORD)
        try:
            yield
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, _WORD)

    def _find(self, name: bytes) -> int:
        rows = int(self._words[0])
        for row in range(rows):
            at = (1 + row * _ROW_WORDS) * _WORD
            if self._memory[at : at + _NAME].rstrip(b"\0") == name:
                return row
        if rows == ROWS:
            return ROWS - 1
        at = (1 + rows * _ROW_WORDS) * _WORD
        self._memory[at : at + len(name)] = name
        self._words[0] = rows + 1
        return rows


class SharedUsage:
    """The memory of one table, for this process and for those that are given ``descriptor``."""

    def __init__(self) -> None:
        self.descriptor = os.memfd_create("kuva-gateway-usage", os.MFD_CLOEXEC)
        os.ftruncate(self.descriptor, SIZE)
        self.usage = Usage(self.descriptor)
