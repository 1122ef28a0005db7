"""A data set onto the wire, from open files and from bytes in memory, without decoding it or copying the whole.

One buffer of the pool is filled with PDU headers and, by one scattered read, with the file's bytes between them; then
it leaves in one write. The command set that announces the data set goes ahead in the same write, so a small instance
costs one read and one write.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from kuva_gateway.errors import DamageError
from kuva_gateway.network import pdus
from kuva_gateway.network.buffers import BUFFER_SIZE, POOL

_HEADERS = pdus.DATA_HEADER.size
_SLICES = 512  # below IOV_MAX, 1,024 on Linux


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSlice:
    """``length`` bytes of an open file from ``offset``; the descriptor's own position is neither used nor moved."""

    descriptor: int
    offset: int
    length: int


Part: TypeAlias = bytes | FileSlice
"""A stretch of a data set: what was changed of it, or what stands in a file."""


def length_of(parts: Sequence[Part]) -> int:
    """Bytes of all ``parts``."""
    return sum(part.length if isinstance(part, FileSlice) else len(part) for part in parts)


def send_parts(
    write: Callable[[memoryview], None], announcement: bytes, context: int, room: int, parts: Sequence[Part]
) -> None:
    """Write ``announcement`` (the command's PDUs) and then the data set on ``context``, ``room`` bytes to a fragment.

    Raises
    ------
    DamageError
        A file is shorter than its slice says, or cannot be read.
    """
    buffer = POOL.take()
    try:
        used = len(announcement)
        if used + _HEADERS + 2 > BUFFER_SIZE:
            write(memoryview(announcement))
            used = 0
        else:
            buffer[:used] = announcement
        source = _Source(parts)
        left = length_of(parts)
        while True:
            slices, used, taken = _lay_out(buffer, used, context, room, left)
            source.fill(slices, taken)
            write(buffer[:used])
            left -= taken
            used = 0
            if not left:
                return
    finally:
        POOL.give(buffer)


class _Source:
    """Parts one after the other; what lies in one file is read at one go."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._waiting = iter(parts)
        self._part: Part = b""
        self._done = 0

    def fill(self, gaps: list[memoryview], count: int) -> None:
        """Fill ``gaps``, which take ``count`` bytes together."""
        part = self._part if self._left() else self._next(count)
        if isinstance(part, FileSlice) and self._left() >= count:
            _read(part.descriptor, gaps, part.offset + self._done, count)
            self._done += count
            return
        for gap in gaps:
            self._fill_one(gap)

    def _fill_one(self, gap: memoryview) -> None:
        while gap:
            part = self._part if self._left() else self._next(len(gap))
            size = min(self._left(), len(gap))
            if isinstance(part, FileSlice):
                _read(part.descriptor, [gap[:size]], part.offset + self._done, size)
            else:
                gap[:size] = part[self._done : self._done + size]
            self._done += size
            gap = gap[size:]

    def _left(self) -> int:
        part = self._part
        return (part.length if isinstance(part, FileSlice) else len(part)) - self._done

    def _next(self, wanted: int) -> Part:
        self._part, self._done = b"", 0
        while wanted and not self._left():
            self._part = next(self._waiting)
        return self._part


def _lay_out(
    buffer: memoryview, position: int, context: int, room: int, left: int
) -> tuple[list[memoryview], int, int]:
    """Put as many PDU headers into ``buffer`` as fit: the gaps between them, the end, how many bytes the gaps take."""
    slices: list[memoryview] = []
    taken = 0
    while len(slices) < _SLICES:
        free = (BUFFER_SIZE - position - _HEADERS) & ~1
        size = min(room, left - taken)
        if size > free:
            if slices and free < 4096:
                break  # a sliver of a fragment is not worth its header
            size = free
        if size <= 0 and slices:
            break
        last = pdus.LAST_BIT if taken + size == left else 0
        pdus.DATA_HEADER.pack_into(buffer, position, pdus.P_DATA, size + 6, size + 2, context, last)
        position += _HEADERS
        slices.append(buffer[position : position + size])
        position += size
        taken += size
        if last:
            break
    return slices, position, taken


def _read(descriptor: int, slices: list[memoryview], offset: int, expected: int) -> None:
    try:
        count = os.preadv(descriptor, slices, offset) if expected else 0
    except OSError as error:
        raise DamageError(f"a stored object cannot be read: {error.strerror}") from error
    if count != expected:
        raise DamageError("a stored object is shorter than its catalog entry says")
