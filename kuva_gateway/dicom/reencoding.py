"""A data set written anew in another uncompressed transfer syntax: explicit or implicit little endian, from any one.

Promises that every value stays what it was (in big endian its bytes are turned round), that memory does not grow with
the object, and that long values of a little endian data set are not touched at all. Sequences and items get an
undefined length (PS3.5 7.5.2), so that nothing has to be measured before it is written; group lengths, which nobody may
need (PS3.5 7.2), are left out. Compressed pixels are not for this module.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Final

from kuva_gateway.dicom import syntaxes
from kuva_gateway.dicom.amending import Piece, Range
from kuva_gateway.dicom.elements import Element, Elements, Read
from kuva_gateway.dicom.encoding import Encoding
from kuva_gateway.dicom.header import HeaderError
from kuva_gateway.dicom.value_representations import UNKNOWN, WIDTHS, representation_of
from kuva_gateway.dicom.walk import DEPTH, LONG_VRS, SHORT_VRS, UNDEFINED
from kuva_gateway.errors import RefusedError

_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
_PIXEL_REPRESENTATION: Final = 0x00280103
_BITS_ALLOCATED: Final = 0x00280100
_PIXELS: Final = 0x7FE00010
_PIECE: Final = 64 * 1024
"""Bytes of output that are given away at a time; longer values are left where they are."""
_LONGEST_SHORT: Final = 0xFFFF

_CODES: Final = {2: "H", 4: "I", 8: "Q"}
_SHORT_HEAD = struct.Struct("<HH2sH")
_LONG_HEAD = struct.Struct("<HH2sxxI")
_IMPLICIT_HEAD = struct.Struct("<HHI")


class ReencodingError(RefusedError):
    """The data set cannot be written in another transfer syntax; the text says why and quotes nothing of it."""


def reencodable(stored: str) -> tuple[str, ...]:
    """The transfer syntaxes into which :func:`reencode` can write a data set stored in ``stored``, best first.

    () for compressed ones. One that is deflated has to be inflated first.
    """
    if syntaxes.is_compressed(stored) or stored == syntaxes.ENCAPSULATED_UNCOMPRESSED:
        return ()
    return tuple(one for one in (syntaxes.EXPLICIT_LITTLE, syntaxes.IMPLICIT_LITTLE) if one != stored)


def reencode(read: Read, source: Encoding, target: Encoding) -> Iterator[Piece]:
    """The data set in ``target``, as bytes and as ranges of what ``read`` reads (inflated, if it was deflated).

    ``read`` is asked for the beginning twice.

    Raises
    ------
    ReencodingError
        There is something in it that cannot be said in ``target`` for certain, or ``target`` is big endian.
    HeaderError
        It cannot be read element by element.
    """
    if target.big_endian:
        raise ReencodingError("nothing is written in big endian")
    signed = source.implicit and not target.implicit and _signed(read, source)
    return _Reencoder(read, source, target, signed=signed).pieces()


@dataclass(slots=True)
class _Level:
    """An open sequence, or the elements of an item or of the whole data set; ``end`` -1: a delimiter ends it."""

    in_sequence: bool
    end: int
    implicit: bool
    signed: bool
    bits: int = 0


class _Reencoder:
    def __init__(self, read: Read, source: Encoding, target: Encoding, *, signed: bool) -> None:
        self._elements = Elements(read, implicit=source.implicit, big_endian=source.big_endian)
        self._source = source
        self._implicit = target.implicit
        self._out = bytearray()
        # What stands in no item is as in one that the data set's end ends.
        self._levels = [_Level(False, -1, source.implicit, signed)]

    def pieces(self) -> Iterator[Piece]:
        self._elements.check_start()
        position = 0
        while position >= 0:
            level = self._levels[-1]
            if 0 <= level.end <= position:
                if position > level.end:
                    raise HeaderError("an element claims more than the item or sequence that it is in")
                self._close(level)
            elif level.in_sequence:
                position = self._in_sequence(position, level)
            elif len(self._levels) == 1 and not self._elements.more(position):
                position = -1
            else:
                position = yield from self._in_item(position, level)
            if len(self._out) >= _PIECE:
                yield self._taken()
        if self._out:
            yield self._taken()

    def _taken(self) -> bytes:
        taken = bytes(self._out)
        self._out.clear()
        return taken

    # -- sequences -----------------------------------------------------------------------------------------------

    def _close(self, level: _Level) -> None:
        tag = _SEQUENCE_END if level.in_sequence else _ITEM_END
        self._out += _IMPLICIT_HEAD.pack(tag >> 16, tag & 0xFFFF, 0)
        self._levels.pop()

    def _in_sequence(self, position: int, level: _Level) -> int:
        tag, length = self._elements.item(position)
        if tag == _SEQUENCE_END and level.end < 0:
            self._close(level)
        elif tag != _ITEM:
            raise HeaderError("there is something else than items in a sequence")
        else:
            self._out += _IMPLICIT_HEAD.pack(_ITEM >> 16, _ITEM & 0xFFFF, UNDEFINED)
            end = -1 if length == UNDEFINED else position + 8 + length
            self._open(_Level(False, end, level.implicit or self._lacks_vrs(position + 8, length), level.signed))
        return position + 8

    def _lacks_vrs(self, position: int, length: int) -> bool:
        """An item may be implicit inside an explicit data set: UN of undefined length is (PS3.5 6.2.2)."""
        vr = self._elements.peek(position + 4, 2)
        return length != 0 and vr not in SHORT_VRS | LONG_VRS and not (vr.isalpha() and vr.isupper())

    def _open(self, level: _Level) -> None:
        if 0 <= self._levels[-1].end < level.end:
            raise HeaderError("a sequence or item claims more than what it is in")
        self._levels.append(level)
        if len(self._levels) > 2 * DEPTH:
            raise HeaderError("a sequence is not ended, or nested too deeply")

    # -- elements ------------------------------------------------------------------------------------------------

    def _in_item(self, position: int, level: _Level) -> Generator[Piece, None, int]:
        """One element, or an item's end; returns what is next."""
        if len(self._levels) > 1 and level.end < 0 and self._elements.ends_item(position):
            self._close(level)
            return position + 8
        element = self._elements.at(position, implicit=level.implicit)
        vr = element.vr or representation_of(element.tag, signed=level.signed)
        if vr == b"SQ" or element.length == UNDEFINED:
            self._enter(element, vr, level)
            return element.value
        if element.tag & 0xFFFF:
            self._note(element, level)
            self._head(element.tag, vr, element.length)
            yield from self._value(element, vr, level)
        return element.end

    def _enter(self, element: Element, vr: bytes, level: _Level) -> None:
        if vr not in (b"SQ", UNKNOWN):
            raise ReencodingError("there are compressed pixels in it")
        if vr == UNKNOWN and self._source.big_endian:
            raise ReencodingError("there is a sequence of unknown representation in it, in big endian")
        self._head(element.tag, b"SQ", UNDEFINED)
        end = -1 if element.length == UNDEFINED else element.end
        self._open(_Level(True, end, level.implicit or vr == UNKNOWN, level.signed))

    def _note(self, element: Element, level: _Level) -> None:
        """What later elements of this level depend on."""
        if element.length == 2 and element.tag in (_PIXEL_REPRESENTATION, _BITS_ALLOCATED):
            number = self._elements.number(self._bytes(element.value, 2))
            if element.tag == _BITS_ALLOCATED:
                level.bits = number
            else:
                level.signed = number == 1

    def _head(self, tag: int, vr: bytes, length: int) -> None:
        group, number = tag >> 16, tag & 0xFFFF
        if self._implicit:
            self._out += _IMPLICIT_HEAD.pack(group, number, length)
        elif vr in LONG_VRS:
            self._out += _LONG_HEAD.pack(group, number, vr, length)
        elif length <= _LONGEST_SHORT:
            self._out += _SHORT_HEAD.pack(group, number, vr, length)
        else:  # PS3.5 6.2.2: what is too long for its representation is UN
            self._out += _LONG_HEAD.pack(group, number, UNKNOWN, length)

    def _value(self, element: Element, vr: bytes, level: _Level) -> Iterator[Piece]:
        width = WIDTHS.get(vr, 1) if self._source.big_endian else 1
        if element.tag == _PIXELS and width == 2 and level.bits > 16:
            raise ReencodingError("its pixels have more than 16 bits, in big endian: their order is not certain")
        if element.length % width:
            raise ReencodingError("a value does not consist of whole numbers")
        if width == 1 and element.length > _PIECE:
            yield self._taken()
            yield Range(element.value, element.end)
            return
        for position in range(element.value, element.end, _PIECE):
            data = self._bytes(position, min(_PIECE, element.end - position))
            self._out += data if width == 1 else _turned(data, width)
            if len(self._out) >= _PIECE:
                yield self._taken()

    def _bytes(self, position: int, count: int) -> bytes:
        data = self._elements.peek(position, count)
        if len(data) < count:
            raise HeaderError("the data set is cut off")
        return data


def _turned(data: bytes, width: int) -> bytes:
    """Numbers of ``width`` bytes in the other byte order."""
    numbers = array(_CODES[width], data)
    numbers.byteswap()
    return numbers.tobytes()


def _signed(read: Read, source: Encoding) -> bool:
    """What Pixel Representation says at the top of the data set; values before it depend on it as well."""
    elements = Elements(read, implicit=source.implicit, big_endian=source.big_endian)
    for element in elements.until(_PIXEL_REPRESENTATION):
        if element.tag == _PIXEL_REPRESENTATION and element.length == 2:
            return len(data := elements.peek(element.value, 2)) == 2 and elements.number(data) == 1
    return False
