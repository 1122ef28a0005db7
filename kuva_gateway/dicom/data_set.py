"""Small data sets, whole in memory, as tags and bytes: identifiers of queries, and answers to our own.

Strict where a length could mislead: what claims more than there is, or is left over, is an :class:`ElementError`.
Nesting ends at :data:`DEEPEST`. (Images go through :mod:`kuva_gateway.dicom.walk`, which copies only what it is told.)
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TypeAlias

from pydicom.datadict import dictionary_VR

from kuva_gateway.dicom import syntaxes
from kuva_gateway.errors import GatewayError

DEEPEST = 8
"""Sequences inside sequences that are read."""
UNDEFINED = 0xFFFF_FFFF

Items: TypeAlias = "dict[int, tuple[str, bytes | list[Items]]]"
"""Tag to VR ("UN" when nobody knows) and its bytes, or a sequence's items."""

_LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFE_E000, 0xFFFE_E00D, 0xFFFE_E0DD


class ElementError(GatewayError):
    """The bytes are no data set."""


@lru_cache(maxsize=512)
def vr_of(tag: int) -> str:
    """The VR that the standard gives the tag; "UN" when it knows none, the first of several."""
    try:
        return dictionary_VR(tag)[:2]
    except KeyError:
        return "UN"


def read_elements(data: bytes, transfer_syntax: str) -> Items:
    """The elements of a data set in an uncompressed transfer syntax.

    Raises
    ------
    ElementError
        It cannot be read to its end.
    """
    little = not syntaxes.is_big_endian(transfer_syntax)
    reader = _Reader(data, little=little)
    found, _ = reader.elements(0, len(data), implicit=syntaxes.is_implicit(transfer_syntax), depth=0, in_item=False)
    return found


class _Reader:
    """One data set; positions are in bytes from its begin."""

    def __init__(self, data: bytes, *, little: bool) -> None:
        self._data = data
        order = "<" if little else ">"
        self._tag = struct.Struct(f"{order}HH")
        self._long = struct.Struct(f"{order}L")
        self._short = struct.Struct(f"{order}H")

    def elements(self, position: int, end: int, *, implicit: bool, depth: int, in_item: bool) -> tuple[Items, int]:
        """The elements up to ``end`` (or, of an item without a length, its delimiter), and where they end."""
        found: Items = {}
        while position < end:
            tag, vr, length, start = self._header(position, end, implicit)
            if tag == _ITEM_END and in_item:
                return found, start
            if tag >> 16 == 0xFFFE:
                raise ElementError("a delimiter is out of place")
            if vr == "SQ" or (length == UNDEFINED and vr == "UN"):
                inside = implicit or vr == "UN"  # PS3.5 6.2.2, note 4
                items, position = self._items(start, end, length, implicit=inside, depth=depth + 1)
                found[tag] = ("SQ", items)
                continue
            if length > end - start:
                raise ElementError("an element is longer than its data set")
            position = start + length
            found[tag] = (vr, self._data[start:position])
        if in_item:
            raise ElementError("an item has no end")
        return found, position

    def _header(self, position: int, end: int, implicit: bool) -> tuple[int, str, int, int]:
        """Tag, VR, length and where the value begins."""
        if end - position < 8:
            raise ElementError("it ends in the middle of an element")
        group, element = self._tag.unpack_from(self._data, position)
        tag = group << 16 | element
        if implicit or group == 0xFFFE:
            return tag, vr_of(tag), self._long.unpack_from(self._data, position + 4)[0], position + 8
        vr = self._data[position + 4 : position + 6]
        if not (vr.isalpha() and vr.isupper()):
            raise ElementError("an element has no VR")
        if vr not in _LONG_VRS:
            return tag, vr.decode(), self._short.unpack_from(self._data, position + 6)[0], position + 8
        if end - position < 12:
            raise ElementError("it ends in the middle of an element")
        long = self._long.unpack_from(self._data, position + 8)[0]
        return tag, vr.decode(), long, position + 12

    def _items(self, position: int, end: int, length: int, *, implicit: bool, depth: int) -> tuple[list[Items], int]:
        if depth > DEEPEST:
            raise ElementError("sequences are nested too deeply")
        open_ended = length == UNDEFINED
        if not open_ended:
            if length > end - position:
                raise ElementError("a sequence is longer than its data set")
            end = position + length
        items: list[Items] = []
        while position < end:
            tag, _, length, start = self._header(position, end, implicit)
            if tag == _SEQUENCE_END and open_ended:
                return items, start
            if tag != _ITEM:
                raise ElementError("a sequence holds something else than items")
            if length != UNDEFINED and length > end - start:
                raise ElementError("an item is longer than its sequence")
            item_end = end if length == UNDEFINED else start + length
            item, position = self.elements(start, item_end, implicit=implicit, depth=depth, in_item=length == UNDEFINED)
            items.append(item)
        if open_ended:
            raise ElementError("a sequence has no end")
        return items, position
