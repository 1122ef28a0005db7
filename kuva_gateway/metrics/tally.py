"""What receiving counts, in memory that outlives the process that counts it.

The daemon makes the memory, a receiving process adds to it, and its successor goes on where it ended: a count never
goes back, and a process that is killed takes none with it. Promises that adding costs about a microsecond and never
fails, and that what is read of a count is what it was at some moment. Rows are by peer, under its configured name.
"""

from __future__ import annotations

import mmap
import os
import threading
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the time to acknowledge in seconds; a last bucket has the rest."""
STORED, OTHER = "stored", "other"
RESULTS = (STORED, "0110", "0117", "0122", "0124", "A700", "A710", "A771", "A900", "C000", OTHER)
"""What came of an instance: stored, or the DIMSE status that refused it."""
End = Literal["released", "ended", "lost", "rejected", "tls_failed"]
LET_IN: tuple[End, ...] = ("released", "ended", "lost")
"""What came of an association: released by the peer, ended otherwise, or lost with its process."""
NOT_LET_IN: tuple[End, ...] = ("rejected", "tls_failed")
"""Why there was none."""
ENDS = (*LET_IN, *NOT_LET_IN)
NOBODY = ""
"""The row of callers that were not let in: they have no configured name."""

ROWS = 2048
"""Names at most; what comes under more is counted as :data:`OTHER`'s."""
_NAME = 64  # bytes; a configured name has 32 at most
_WORD = 8
_BUCKETS = len(BOUNDS) + 1
_INSTANCES = 0
_BYTES = _INSTANCES + len(RESULTS)
_ENDS = _BYTES + len(RESULTS)
_ACKNOWLEDGED = _ENDS + len(ENDS)
_NANOSECONDS = _ACKNOWLEDGED + _BUCKETS
_EXPIRES = _NANOSECONDS + 1
_COUNTS = _EXPIRES + 1
_NAME_WORDS = _NAME // _WORD
_ROW_WORDS = _NAME_WORDS + _COUNTS
_HEAD_WORDS = 1  # how many rows there are
SIZE = (_HEAD_WORDS + ROWS * _ROW_WORDS) * _WORD
"""Bytes of memory; what is not used yet takes none."""

_STATUSES = {int(name, 16): place for place, name in enumerate(RESULTS) if name not in (STORED, OTHER)}
_BOUNDS_NS = [round(bound * 1e9) for bound in BOUNDS]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerCounts:
    """All that was counted of one peer."""

    instances: dict[str, int]
    bytes: dict[str, int]
    associations: dict[str, int]
    acknowledged: tuple[int, ...]
    """How many were acknowledged within each of :data:`BOUNDS` and not within the one before; then the rest."""
    seconds: float
    """What their acknowledgements took together."""
    certificate_expires: int
    """When the certificate does that it showed last, in seconds since 1970; 0: it showed none."""


class Tally:
    """The counts of one process; threads may share it. Without ``descriptor`` nobody else sees them."""

    def __init__(self, descriptor: int = -1) -> None:
        self._memory = mmap.mmap(descriptor, SIZE)
        self._words = memoryview(self._memory).cast("Q")
        self._lock = threading.Lock()
        self._rows = {name: row for row, name in enumerate(self._names())}

    def stored(self, peer: str, size: int, nanoseconds: int) -> None:
        """An instance of ``size`` bytes is safe, so long after its last byte came."""
        words = self._words
        with self._lock:
            at = self._at(peer)
            words[at + _INSTANCES] += 1
            words[at + _BYTES] += size
            words[at + _ACKNOWLEDGED + bisect_left(_BOUNDS_NS, nanoseconds)] += 1
            words[at + _NANOSECONDS] += max(nanoseconds, 0)

    def refused(self, peer: str, status: int, size: int = 0) -> None:
        """An instance was not stored; ``size`` bytes of it had come."""
        result = _STATUSES.get(status, len(RESULTS) - 1)
        with self._lock:
            at = self._at(peer)
            self._words[at + _INSTANCES + result] += 1
            self._words[at + _BYTES + result] += size

    def ended(self, peer: str, how: End) -> None:
        """An association is over, or did not come about."""
        with self._lock:
            self._words[self._at(peer) + _ENDS + ENDS.index(how)] += 1

    def shown(self, peer: str, expires: int) -> None:
        """An association came in with a certificate that holds until then, in seconds since 1970."""
        with self._lock:
            self._words[self._at(peer) + _EXPIRES] = max(expires, 0)

    def read(self) -> dict[str, list[int]]:
        """Peer -> its counts in the order of the memory; see :func:`together`."""
        found = {}
        for row, name in enumerate(self._names()):
            at = _place(row)
            found[name] = list(self._words[at : at + _COUNTS])
        return found

    def _at(self, peer: str) -> int:
        """Where the counts of ``peer`` are; a new row's name stands there before the row counts as one."""
        row = self._rows.get(peer)
        if row is None:
            row = self._add(peer)
        return _place(row)

    def _add(self, peer: str) -> int:
        row = int(self._words[0])
        if row >= ROWS - 1 and peer != OTHER:  # the last one is kept for them
            return self._rows[OTHER] if OTHER in self._rows else self._add(OTHER)
        name = peer.encode("utf-8")[:_NAME]
        at = (_HEAD_WORDS + row * _ROW_WORDS) * _WORD
        self._memory[at : at + len(name)] = name
        self._words[0] = row + 1
        self._rows[peer] = row
        return row

    def _names(self) -> list[str]:
        names = []
        for row in range(int(self._words[0])):
            at = (_HEAD_WORDS + row * _ROW_WORDS) * _WORD
            names.append(self._memory[at : at + _NAME].rstrip(b"\0").decode("utf-8", "replace"))
        return names


class SharedMemory:
    """The memory of one tally, for this process and for those that are given ``descriptor``."""

    def __init__(self) -> None:
        self.descriptor = os.memfd_create("kuva-gateway-tally", os.MFD_CLOEXEC)
        os.ftruncate(self.descriptor, SIZE)
        self.tally = Tally(self.descriptor)

    def close(self) -> None:
        """Nobody new is given it; what was counted can still be read."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def together(tallies: Iterable[Tally]) -> dict[str, PeerCounts]:
    """What all of them have counted, by peer."""
    sums: dict[str, list[int]] = {}
    for tally in tallies:
        for peer, counts in tally.read().items():
            before = sums.get(peer)
            if before is not None:
                newest = max(before[_EXPIRES], counts[_EXPIRES])  # whoever renewed one does not go back
                counts = [a + b for a, b in zip(before, counts, strict=True)]
                counts[_EXPIRES] = newest
            sums[peer] = counts
    return {peer: _counts(counts) for peer, counts in sorted(sums.items())}


def _counts(counts: list[int]) -> PeerCounts:
    return PeerCounts(
        instances=dict(zip(RESULTS, counts[_INSTANCES:_BYTES], strict=True)),
        bytes=dict(zip(RESULTS, counts[_BYTES:_ENDS], strict=True)),
        associations=dict(zip(ENDS, counts[_ENDS:_ACKNOWLEDGED], strict=True)),
        acknowledged=tuple(counts[_ACKNOWLEDGED:_NANOSECONDS]),
        seconds=counts[_NANOSECONDS] / 1e9,
        certificate_expires=counts[_EXPIRES],
    )


def _place(row: int) -> int:
    return _HEAD_WORDS + row * _ROW_WORDS + _NAME_WORDS
