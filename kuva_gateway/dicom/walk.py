"""The walk over a data set's elements (PS3.5 7), in pure Python, without recursion, and over windows of it.

Keeps where the walk stands, which sequences are open, and what was found of what is wanted. Promises to look at each
element once, to copy out only what is wanted, and to say so when it meets something that it does not know.
"""

from __future__ import annotations

import struct
from typing import Final

from kuva_gateway.dicom.header import HeaderError
from kuva_gateway.dicom.wanted import SOP_CLASS, TOP, WHOLE, Found, Plan, last_group

UNDEFINED: Final = 0xFFFFFFFF
DEPTH: Final = 64
"""Sequences inside one another at most; real structured reports have about ten."""

MOST_ITEMS: Final = 4096
"""Items that are read of wanted sequences at most, all together."""

_PROBED: Final = 512
"""Bytes from which a skipped value could hide sequences deeper than :data:`DEPTH`: each takes at least sixteen."""

MOST_STEPS: Final = 1_000_000
"""Sequences, items, elements inside them and long values that one walk takes at most: a second or two of work."""

_ITEM_GROUP: Final = 0xFFFE
_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD

SHORT_VRS: Final = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())
LONG_VRS: Final = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
"""Value representations with a length of 32 bits (PS3.5 7.1.2)."""


class Unsure(Exception):
    """The walk met an encoding that it does not know; pydicom may."""


class DepthError(HeaderError):
    """Sequences are nested more deeply than :data:`DEPTH`."""


class _Order:
    """The tables for one byte order: how to unpack, and tags and VRs as the numbers that unpacking gives.

    A tag read at one go is a *key*: in little endian its halves are swapped. ``group_mask`` and ``limit`` find out
    whether a key's group is behind a given one without putting the halves right.
    """

    def __init__(self, order: str) -> None:
        number = struct.Struct(order + "H").unpack
        little = order == "<"
        self.explicit = struct.Struct(order + "IHH").unpack_from
        self.implicit = struct.Struct(order + "II").unpack_from
        self.item = struct.Struct(order + "HHI").unpack_from
        self.length = struct.Struct(order + "I").unpack_from
        self.group_mask = 0xFFFF if little else 0xFFFF0000
        self.group_shift = 0 if little else 16
        self.short = frozenset(number(vr)[0] for vr in SHORT_VRS)
        self.long = frozenset(number(vr)[0] for vr in LONG_VRS)
        self.sequence: int = number(b"SQ")[0]
        self.un: int = number(b"UN")[0]
        self.item_start = struct.pack(order + "HH", 0xFFFE, 0xE000)
        swap = struct.Struct("<HH" if little else ">HH")
        number_of = struct.Struct(order + "I").unpack
        self.top = {number_of(swap.pack(tag >> 16, tag & 0xFFFF))[0]: (tag, wanted) for tag, wanted in TOP.items()}
        self.texts = {key: tag for key, (tag, wanted) in self.top.items() if wanted == WHOLE}
        self.sop_class = next(key for key, tag in self.texts.items() if tag == SOP_CLASS)

    def limit(self, group: int) -> int:
        """What a masked key exceeds when its group is behind ``group``."""
        return ((group + 1) << self.group_shift) - 1


_LITTLE, _BIG = _Order("<"), _Order(">")
_ITEMS, _ELEMENTS, _FRAGMENTS = range(3)


class _Level:
    """An open sequence (its items, or the fragments of encapsulated pixels), or an open item (its elements)."""

    __slots__ = ("end", "found", "implicit", "items", "kind", "plan")

    def __init__(self, kind: int, end: int, implicit: bool, plan: Plan | None) -> None:
        self.kind = kind
        self.end = end  # offset in the data set, -1 when a delimiter ends it
        self.implicit = implicit
        self.plan = plan
        self.items: list[Found] = []
        self.found: Found = {}


class Walk:
    """One walk over one data set.

    Attributes
    ----------
    position
        Offset in the data set, in bytes, of the element that is next.
    found
        What was found so far.
    ends_at
        Where the element that ended the walk says that it ends; -1 while there is none or it does not say.
    """

    def __init__(self, *, implicit: bool, big_endian: bool) -> None:
        self.position = 0
        self.found: Found = {}
        self.ends_at = -1
        self._implicit = implicit
        self._order = _BIG if big_endian else _LITTLE
        self._levels: list[_Level] = []
        self._items = 0
        self._steps = 0
        self._thorough = False

    @property
    def inside(self) -> bool:
        """Whether a sequence is open that does not end just here."""
        return any(level.end != self.position for level in self._levels)

    def over(self, window: bytes, base: int) -> bool:
        """Walk on through ``window``, the part of the data set from offset ``base`` on.

        Returns
        -------
        bool
            Whether everything wanted is behind. If not, more bytes are needed from :attr:`position` on.

        Raises
        ------
        HeaderError
            What is there contradicts itself.
        Unsure
            What is there is in no encoding that the walk knows.
        """
        if self.position == 0 and not self._levels and len(window) >= 6:
            self._check_start(window)
        try:
            while True:
                if self._levels:
                    self._nested(window, base)
                elif (self._implicit_top if self._implicit else self._explicit_top)(window, base):
                    return True
        except struct.error:
            return False

    def _check_start(self, window: bytes) -> None:
        """An implicit data set whose first element has a VR was written in another syntax than it claims."""
        if self._implicit and window[4:6] in SHORT_VRS | LONG_VRS:
            raise Unsure

    def _explicit_top(self, window: bytes, base: int) -> bool:
        """Elements with a VR at the top level, until the walk ends (True) or a sequence is to be entered (False)."""
        order = self._order
        unpack, unpack_length, short, long = order.explicit, order.length, order.short, order.long
        texts, top, mask, limit = order.texts, order.top, order.group_mask, self._limit()
        found, size = self.found, len(window)
        start = self.position - base
        try:
            while True:
                key, vr, length = unpack(window, start)
                if vr in short:
                    end = start + 8 + length
                    if key in texts:
                        if end > size:
                            raise struct.error
                        found[texts[key]] = window[start + 8 : end]
                        limit = self._limit() if key == order.sop_class else limit
                    elif key & mask > limit:
                        return self._end(base + start, base + end, length)
                    start = end
                elif vr in long:
                    length = unpack_length(window, start + 8)[0]
                    if key & mask > limit:
                        return self._end(base + start, base + start + 12 + length, length)
                    if (key in top or length >= _PROBED) and self._long(window, base, start + 12, key, vr, length):
                        start = self.position - base
                        return False
                    start += 12 + length
                else:
                    raise Unsure
        finally:
            self.position = base + start

    def _implicit_top(self, window: bytes, base: int) -> bool:
        """The same for elements without a VR."""
        order = self._order
        unpack, texts, top, mask, limit = order.implicit, order.texts, order.top, order.group_mask, self._limit()
        found, size = self.found, len(window)
        start = self.position - base
        try:
            while True:
                key, length = unpack(window, start)
                end = start + 8 + length
                if key in texts and length <= WHOLE:
                    if end > size:
                        raise struct.error
                    found[texts[key]] = window[start + 8 : end]
                    limit = self._limit() if key == order.sop_class else limit
                elif key & mask > limit:
                    return self._end(base + start, base + end, length)
                elif (key in top or length >= _PROBED) and self._long(window, base, start + 8, key, 0, length):
                    start = self.position - base
                    return False
                start = end
        finally:
            self.position = base + start

    def _limit(self) -> int:
        """What a masked key exceeds behind everything wanted; it depends on the SOP class, once that is known."""
        return self._order.limit(last_group(self.found.get(SOP_CLASS, b"")))

    def _long(self, window: bytes, base: int, value: int, key: int, vr: int, length: int) -> bool:
        """A value of the top level that is wanted, or long: keep it or skip it (False), or enter it (True)."""
        self._count_step()
        tag, wanted = self._order.top.get(key, (0, None))
        if isinstance(wanted, int) and length != UNDEFINED:
            self.found[tag] = self._value(window, value, tag, length, wanted)
            return False
        return self._enter(window, base, value, tag, vr, length, wanted)

    def _count_step(self) -> None:
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise HeaderError("the header has too many parts")

    def _end(self, start: int, end: int, length: int) -> bool:
        """Note where the element at offset ``start``, the first behind everything wanted, claims to end."""
        if start == 0:
            raise HeaderError("the data set begins with what belongs at its end")
        if length != UNDEFINED:
            self.ends_at = end
        return True

    def _value(self, window: bytes, value: int, tag: int, length: int, most: int) -> bytes:
        """The bytes of a wanted value, ``most`` of them at most; struct.error when the window ends before."""
        if length > most == WHOLE:
            raise HeaderError(f"({tag >> 16:04x},{tag & 0xFFFF:04x}) is {length} bytes long")
        length = min(length, most)
        kept = window[value : value + length]
        if len(kept) < length:
            raise struct.error
        return kept

    def _enter(
        self,
        window: bytes,
        base: int,
        value: int,
        tag: int,
        vr: int,
        length: int,
        wanted: Plan | int | None,
    ) -> bool:
        """Open the sequence at ``value`` if it must be walked; False when the value can be skipped by its length."""
        order = self._order
        implicit = self._levels[-1].implicit if self._levels else self._implicit
        sequence = implicit or vr in (order.sequence, order.un)
        plan = wanted if isinstance(wanted, dict) else None
        if length == UNDEFINED:
            self._check_items(window, value)
            self._open(_Level(_ITEMS if sequence else _FRAGMENTS, -1, implicit, plan), tag)
        elif sequence and (plan is not None or self._thorough):
            if self._thorough and window[value : value + 4] != order.item_start:
                return False
            self._open(_Level(_ITEMS, base + value + length, implicit, plan), tag)
        else:
            if sequence and length >= _PROBED and window[value : value + 4] == order.item_start:
                self._probe(window[value : value + length], length, _ITEMS, implicit)
            return False
        self.position = base + value
        return True

    def _check_items(self, window: bytes, value: int) -> None:
        """A value of undefined length consists of items; anything else is for pydicom to make sense of."""
        group, _element, _length = self._order.item(window, value)
        if group != _ITEM_GROUP:
            raise Unsure

    def _open(self, level: _Level, tag: int) -> None:
        levels = self._levels
        if levels and 0 <= levels[-1].end < level.end:
            raise HeaderError("a sequence or item claims more than what it is in")
        if level.kind == _ITEMS and level.plan is not None:
            (levels[-1].found if levels else self.found)[tag] = level.items
        levels.append(level)
        if len(levels) > 2 * DEPTH:
            raise DepthError(f"more than {DEPTH} sequences are nested")

    def _probe(self, view: bytes, length: int, kind: int, implicit: bool) -> None:
        """Raise DepthError if what is about to be skipped nests too deeply; any other fault in there is not ours."""
        probe = Walk(implicit=implicit, big_endian=self._order is _BIG)
        probe._thorough = True
        probe._levels = [_Level(kind, length, implicit, None) for _ in range(len(self._levels) + 1)]
        probe._steps = self._steps
        try:
            probe.over(view, 0)
        except DepthError:
            raise
        except (HeaderError, Unsure):
            pass
        self._steps = probe._steps
        self._count_step()

    def _nested(self, window: bytes, base: int) -> None:
        """Walk on inside open sequences until all are closed."""
        levels = self._levels
        while levels:
            self._count_step()
            level = levels[-1]
            if 0 <= level.end <= self.position:
                if self.position > level.end:
                    raise HeaderError("an element claims more than the item or sequence that it is in")
                levels.pop()
            elif level.kind == _ELEMENTS:
                self._element(window, base, level)
            else:
                self._item(window, base, level)

    def _item(self, window: bytes, base: int, level: _Level) -> None:
        """The start of one item or fragment, or the end of the sequence."""
        start = self.position - base
        group, element, length = self._order.item(window, start)
        tag = group << 16 | element
        if tag == _SEQUENCE_END:
            self._levels.pop()
            self.position = max(self.position + 8, level.end)
        elif tag != _ITEM:
            raise HeaderError("there is something else than items in a sequence")
        elif level.kind == _FRAGMENTS:
            if length == UNDEFINED:
                raise HeaderError("a fragment of pixel data has no length")
            self.position += 8 + length
        elif level.plan is None and length != UNDEFINED and not self._thorough:
            if length >= _PROBED:
                self._probe(window[start + 8 : start + 8 + length], length, _ELEMENTS, level.implicit)
            self.position += 8 + length
        else:
            self._open_item(window, base, level, length)

    def _open_item(self, window: bytes, base: int, level: _Level, length: int) -> None:
        start = self.position - base + 8
        # an item may be implicit inside an explicit data set: UN of undefined length is (PS3.5 6.2.2)
        implicit = level.implicit or (length != 0 and not _is_vr(self._order.explicit(window, start)[1]))
        item = _Level(_ELEMENTS, -1 if length == UNDEFINED else base + start + length, implicit, level.plan)
        if level.plan is not None:
            self._items += 1
            if self._items > MOST_ITEMS:
                raise HeaderError(f"more than {MOST_ITEMS} items are in sequences that have few")
            level.items.append(item.found)
        self._open(item, 0)
        self.position += 8

    def _element(self, window: bytes, base: int, level: _Level) -> None:
        """One element inside an item."""
        order = self._order
        start = self.position - base
        group, element, length = order.item(window, start)
        tag = group << 16 | element
        value, vr = start + 8, 0
        if group == _ITEM_GROUP:
            if tag != _ITEM_END:
                raise HeaderError("an item is not ended")
            self._levels.pop()
            self.position = max(base + value, level.end)
            return
        if not level.implicit:
            _key, vr, length = order.explicit(window, start)
            if vr not in order.short:
                if vr not in order.long:
                    raise Unsure
                length = order.length(window, value)[0]
                value += 4
        wanted = level.plan.get(tag) if level.plan is not None else None
        if isinstance(wanted, int) and length != UNDEFINED:
            level.found[tag] = self._value(window, value, tag, length, wanted)
        elif (wanted is not None or length >= _PROBED or self._thorough) and self._enter(
            window, base, value, tag, vr, length, wanted
        ):
            return
        self.position = base + value + length


def _is_vr(number: int) -> bool:
    """Whether two bytes, as one number in either order, are capital letters."""
    return 0x41 <= number & 0xFF <= 0x5A and 0x41 <= number >> 8 <= 0x5A
