"""A data set that lies in several places: parts of files and bytes in memory, read and cut as if it were one.

Keeps nothing but where each part begins.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from kuva_gateway.dicom.header import HeaderError
from kuva_gateway.network.sending import FileSlice, Part, length_of


class Spliced:
    """``parts``, one behind the other."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts: Sequence[Part] = [part for part in parts if length_of((part,))]
        self._starts = [0, *accumulate(length_of((part,)) for part in self.parts)]

    @property
    def length(self) -> int:
        """Bytes of all."""
        return self._starts[-1]

    def cut(self, start: int, end: int | None) -> list[Part]:
        """What lies from ``start`` to ``end`` (None: the end), again as parts.

        Raises
        ------
        HeaderError
            It ends before ``end``.
        """
        end = self.length if end is None else end
        if end > self.length:
            raise HeaderError("the data set is cut off")
        found: list[Part] = []
        place = max(0, bisect_right(self._starts, start) - 1)
        while start < end:
            part, begin, stop = self.parts[place], self._starts[place], self._starts[place + 1]
            upto = min(end, stop)
            if upto > start:
                found.append(_cut(part, start - begin, upto - begin))
            start, place = upto, place + 1
        return found

    def read(self, position: int, count: int) -> bytes:
        """``count`` bytes from ``position`` on, fewer at the end."""
        return b"".join(
            os.pread(part.descriptor, part.length, part.offset) if isinstance(part, FileSlice) else part
            for part in self.cut(position, min(position + count, self.length))
        )


def _cut(part: Part, start: int, end: int) -> Part:
    if isinstance(part, FileSlice):
        return FileSlice(descriptor=part.descriptor, offset=part.offset + start, length=end - start)
    return part[start:end]
