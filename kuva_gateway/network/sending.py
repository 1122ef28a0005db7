"""A data set from an open file onto the wire, without decoding it and without a copy of the whole.

One buffer of the pool is filled with PDU headers and, by one scattered read, with the file's bytes between them; then
it leaves in one write. The command set that announces the data set goes ahead in the same write, so a small instance
costs one read and one write.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

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


def send_file(
    write: Callable[[memoryview], None], announcement: bytes, context: int, room: int, source: FileSlice
) -> None:
    """Write ``announcement`` (the command's PDUs) and then the data set on ``context``, ``room`` bytes to a fragment.

    Raises
    ------
    DamageError
        The file is shorter than ``source`` says, or cannot be read.
    """
    buffer = POOL.take()
    try:
        used = len(announcement)
        if used + _HEADERS + 2 > BUFFER_SIZE:
            write(memoryview(announcement))
            used = 0
        else:
            buffer[:used] = announcement
        offset, left = source.offset, source.length
        while True:
            slices, used, taken = _lay_out(buffer, used, context, room, left)
            _read(source.descriptor, slices, offset, taken)
            write(buffer[:used])
            offset += taken
            left -= taken
            used = 0
            if not left:
                return
    finally:
        POOL.give(buffer)


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
