"""Where the elements at the top of a data set begin and end (PS3.5 7.1), found without reading their values.

Keeps one window of the data set in memory. Promises bounded memory and work for any bytes: an element, or
:class:`HeaderError`. Positions that are read never go back by more than the window, so a deflated data set can be read
as it inflates.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from kuva_gateway.dicom.header import HeaderError
from kuva_gateway.dicom.walk import DEPTH, LONG_VRS, MOST_STEPS, SHORT_VRS, UNDEFINED

_WINDOW: Final = 16 * 1024
_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD

Read = Callable[[int, int], bytes]
"""Position and count to the data set's bytes; fewer only at its end."""


class Element(NamedTuple):
    """One element: offsets in the data set of its tag, its value and what follows it; ``vr`` is b"" in implicit."""

    tag: int
    vr: bytes
    start: int
    value: int
    end: int
    length: int
    """As it stands: it may be :data:`UNDEFINED`, a delimiter then ends it."""


class Elements:
    """The elements of one data set."""

    def __init__(self, read: Read, *, implicit: bool, big_endian: bool) -> None:
        self._read = read
        self._implicit = implicit
        order = ">" if big_endian else "<"
        self._tag = struct.Struct(order + "HH")
        self._short = struct.Struct(order + "H")
        self._long = struct.Struct(order + "I")
        self._base = 0
        self._window = b""
        self._steps = 0

    def until(self, last: int) -> Iterator[Element]:
        """The elements with tags up to ``last``, in the order in which they stand, up to the first behind it.

        Raises
        ------
        HeaderError
            The data set is cut off, contradicts itself, or is not in the encoding that it should be in.
        """
        position = 0
        self.check_start()
        while self.more(position):
            element = self.at(position, implicit=self._implicit)
            if element.tag > last:
                return
            end = element.end
            if element.length == UNDEFINED:
                end = self._behind_items(element.value, implicit=self._implicit)
            yield element._replace(end=end)
            position = end

    def peek(self, position: int, count: int) -> bytes:
        """``count`` bytes from ``position`` on; fewer at the end."""
        start = position - self._base
        if start < 0 or start + count > len(self._window):
            self._base, start = position, 0
            self._window = self._read(position, max(count, _WINDOW))
        return self._window[start : start + count]

    def check_start(self) -> None:
        """Raise HeaderError for an implicit data set whose first element has a value representation."""
        if self._implicit and self.peek(4, 2) in SHORT_VRS | LONG_VRS:
            raise HeaderError("the data set is in another encoding than its transfer syntax says")

    def more(self, position: int) -> bool:
        """Whether an element begins at ``position``: False where the data set ends, or has some zeros left at its end.

        Raises
        ------
        HeaderError
            The data set ended before ``position``.
        """
        head = self._head(position)
        return len(head) == 8 or any(head)

    def item(self, position: int) -> tuple[int, int]:
        """Tag and length of the item or delimiter at ``position``."""
        head = self.peek(position, 8)
        if len(head) < 8:
            raise HeaderError("a sequence is not ended, or nested too deeply")
        self._count_step()
        group, number = self._tag.unpack_from(head)
        return group << 16 | number, self._long.unpack_from(head, 4)[0]

    def ends_item(self, position: int) -> bool:
        """Whether an item's delimiter stands at ``position``."""
        head = self.peek(position, 4)
        return len(head) == 4 and self._tag.unpack(head) == (_ITEM_END >> 16, _ITEM_END & 0xFFFF)

    def number(self, data: bytes) -> int:
        """16 bits in the data set's byte order."""
        return int(self._short.unpack(data)[0])

    def _count_step(self) -> None:
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise HeaderError("the data set has too many parts")

    def _head(self, position: int) -> bytes:
        """What begins at ``position``, b"" where the data set ends just there."""
        if not position:
            return self.peek(0, 8)
        head = self.peek(position - 1, 9)
        if not head:
            raise HeaderError("the data set is cut off")
        return head[1:]

    def at(self, position: int, *, implicit: bool) -> Element:
        """The element at ``position``, its ``end`` without meaning when its length is undefined.

        Raises
        ------
        HeaderError
            There is none.
        """
        self._count_step()
        head = self.peek(position, 12)
        if len(head) < 8:
            raise HeaderError("the data set is cut off")
        group, element = self._tag.unpack_from(head)
        tag = group << 16 | element
        if group == 0xFFFE:
            raise HeaderError("an item stands outside of a sequence")
        vr = b"" if implicit else head[4:6]
        if vr in SHORT_VRS:
            value, length = position + 8, self._short.unpack_from(head, 6)[0]
        elif implicit:
            value, length = position + 8, self._long.unpack_from(head, 4)[0]
        elif vr in LONG_VRS and len(head) == 12:
            value, length = position + 12, self._long.unpack_from(head, 8)[0]
        else:
            raise HeaderError("an element has a value representation that nobody knows")
        return Element(tag, vr, position, value, value + length, length)

    def _behind_items(self, position: int, *, implicit: bool) -> int:
        """Where a value of undefined length that begins at ``position`` ends, with its delimiter."""
        levels = [(True, implicit)]  # inside a sequence, or inside an item
        while levels:
            in_sequence, implicit = levels[-1]
            head = self.peek(position, 8)
            if len(head) < 8 or len(levels) > 2 * DEPTH:
                raise HeaderError("a sequence is not ended, or nested too deeply")
            group, number = self._tag.unpack_from(head)
            length = self._long.unpack_from(head, 4)[0]
            tag = group << 16 | number
            if in_sequence:
                self._steps += 1
                position = self._into_item(position + 8, tag, length, levels)
            elif tag == _ITEM_END:
                levels.pop()
                position += 8
            else:
                element = self.at(position, implicit=implicit)
                if element.length == UNDEFINED:
                    levels.append((True, implicit))
                position = element.value if element.length == UNDEFINED else element.end
        return position

    def _into_item(self, position: int, tag: int, length: int, levels: list[tuple[bool, bool]]) -> int:
        """Behind the head of an item, over it where it tells its length, or behind the end of its sequence."""
        if self._steps > MOST_STEPS:
            raise HeaderError("the data set has too many parts")
        if tag == _SEQUENCE_END:
            levels.pop()
            return position
        if tag != _ITEM:
            raise HeaderError("there is something else than items in a sequence")
        if length != UNDEFINED:
            return position + length
        # an item may be implicit inside an explicit data set: UN of undefined length is (PS3.5 6.2.2)
        vr = self.peek(position + 4, 2)
        implicit = levels[-1][1] or not (vr.isalpha() and vr.isupper())
        levels.append((False, implicit))
        return position
