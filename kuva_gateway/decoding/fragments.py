"""Compressed frames in the fragments of encapsulated pixel data (PS3.5 A.4): where each one lies in its file."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from kuva_gateway.decoding.image import DecodingError

_ITEM = struct.Struct("<HHI")
_START: Final = (0xFFFE, 0xE000)
_END: Final = (0xFFFE, 0xE0DD)
_MOST: Final = 1_000_000

Stretch = tuple[int, int]
"""Offset in the file and length, in bytes."""


@dataclass(frozen=True, slots=True)
class Fragments:
    """``table`` is the Basic Offset Table; ``items`` are the fragments behind it."""

    table: tuple[int, ...]
    items: tuple[Stretch, ...]
    begin: int
    """Where the first item behind the table begins: the table's offsets count from there."""


def find_fragments(descriptor: int, offset: int, length: int) -> Fragments:
    """The items of the value of ``length`` bytes at ``offset``.

    Raises
    ------
    DecodingError
        There is something else than items in it.
    """
    items: list[Stretch] = []
    position, end = offset, offset + length
    while True:
        head = os.pread(descriptor, 8, position)
        if len(head) < 8 or position + 8 > end or len(items) > _MOST:
            raise DecodingError("its fragments are cut off")
        group, element, size = _ITEM.unpack(head)
        if (group, element) == _END:
            break
        if (group, element) != _START or position + 8 + size > end:
            raise DecodingError("its fragments are damaged")
        items.append((position + 8, size))
        position += 8 + size
    if not items:
        raise DecodingError("it has no fragments")
    at, size = items[0]
    if size % 4 or size > 4 * _MOST:
        raise DecodingError("its offset table is damaged")
    table = struct.unpack(f"<{size // 4}I", os.pread(descriptor, size, at))
    return Fragments(table, tuple(items[1:]), at + size)


def frames_of(found: Fragments, count: int) -> list[list[Stretch]]:
    """The fragments of each of ``count`` frames.

    Raises
    ------
    DecodingError
        They cannot be told apart for certain.
    """
    if count == 1:
        return [list(found.items)]
    if len(found.items) == count:
        return [[one] for one in found.items]
    starts = [offset - 8 - found.begin for offset, _size in found.items]
    if len(found.table) != count or not set(found.table) <= set(starts) or list(found.table) != sorted(found.table):
        raise DecodingError("there are other fragments than frames, and no table tells them apart")
    borders = [*(starts.index(one) for one in found.table), len(starts)]
    if borders[0] != 0:
        raise DecodingError("there are fragments that belong to no frame")
    return [list(found.items[one:two]) for one, two in pairwise(borders)]


def read_frame(descriptor: int, stretches: list[Stretch]) -> bytes:
    """The compressed bytes of one frame."""
    data = b"".join(os.pread(descriptor, size, offset) for offset, size in stretches)
    if len(data) != sum(size for _offset, size in stretches):
        raise DecodingError("its fragments are cut off")
    return data
