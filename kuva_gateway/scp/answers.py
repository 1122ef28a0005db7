"""The data sets of C-FIND responses (PS3.4 C.4.1.1.3.2), encoded from rows by a template that a query makes once.

Promises elements in the order of their tags, even lengths, and a Specific Character Set only where a text needs one.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from kuva_gateway.catalog.attributes import ATTRIBUTES, RETRIEVE_AE_TITLE, Attribute, Kind
from kuva_gateway.catalog.matching import is_universal, matches
from kuva_gateway.catalog.search import Row, Search, items_of
from kuva_gateway.dicom import syntaxes
from kuva_gateway.dicom.charsets import choose_set
from kuva_gateway.dicom.identifier import Value
from kuva_gateway.dicom.information_model import CHARACTER_SET, LEVEL

_TEXT_VRS = frozenset({"PN", "LO", "SH"})
_LONGEST = 0xFFFE  # bytes of a value with a 16-bit length

_USUAL = 256  # bytes of a value whose length is packed beforehand


class Template:
    """Encodes the rows of one search."""

    def __init__(self, search: Search, *, character_set: tuple[str, ...], ae_title: str, transfer_syntax: str) -> None:
        self._asked = character_set
        self._items = search.items
        self._write = write = Writer(transfer_syntax)
        constant = {
            LEVEL: write.element(LEVEL, "CS", search.level.name.encode()),
            RETRIEVE_AE_TITLE: write.element(RETRIEVE_AE_TITLE, "AE", ae_title.encode("ascii", "replace")),
        }
        places = {tag: place for place, tag in enumerate(search.tags)}
        self._steps = [
            _Step(place=-1, tag=tag, vr="", empty=constant[tag], convert=None)
            if tag in constant
            else self._step(tag, places[tag], ATTRIBUTES[tag])
            for tag in sorted({*search.tags, *constant})
        ]
        self._texts = [
            place
            for tag, place in places.items()
            if ATTRIBUTES[tag].vr in _TEXT_VRS or ATTRIBUTES[tag].kind is Kind.SEQUENCE
        ]

    def encode(self, row: Row) -> bytes:
        """The data set of one match."""
        term, codec = "", "ascii"
        for place in self._texts:
            if not row[place].isascii():
                term, codec = choose_set([row[place] for place in self._texts], self._asked)
                break
        element = self._write.element
        # No other element that is answered stands before Specific Character Set.
        parts = [element(CHARACTER_SET, "CS", term.encode())] if term else []
        for place, tag, vr, empty, convert in self._steps:
            value = row[place] if place >= 0 else ""
            if not value:
                parts.append(empty)
            elif convert is None:
                parts.append(element(tag, vr, value.encode(codec, "replace")))
            else:
                parts.append(convert(value, codec))
        return b"".join(parts)

    def _step(self, tag: int, place: int, attribute: Attribute) -> _Step:
        write, vr, convert = self._write, attribute.vr, None
        if attribute.kind is Kind.SEQUENCE:
            key = self._items.get(tag, {})

            def convert(value: Any, codec: str) -> bytes:
                return write.sequence(tag, attribute, _asked(attribute, key, items_of(attribute, value)), codec)

        elif attribute.kind in (Kind.CODES, Kind.CLASSES):

            def convert(value: Any, codec: str) -> bytes:
                return write.element(tag, vr, "\\".join(_words(value)).encode("ascii", "replace"))

        elif vr == "US":

            def convert(value: Any, codec: str) -> bytes:
                return write.element(tag, vr, write.number(value))

        elif attribute.kind is Kind.COUNT:

            def convert(value: Any, codec: str) -> bytes:
                return write.element(tag, vr, str(value).encode())

        empty = write.sequence(tag, attribute, [], "ascii") if vr == "SQ" else write.element(tag, vr, b"")
        return _Step(place=place, tag=tag, vr=vr, empty=empty, convert=convert)


class _Step(NamedTuple):
    """One element: the place of its value in a row (-1: it has always the same), and how it is written."""

    place: int
    tag: int
    vr: str
    empty: bytes
    """The whole element when there is no value, or always."""
    convert: Callable[[Any, str], bytes] | None
    """From value and codec to the whole element; None for plain text."""


def _asked(attribute: Attribute, key: Mapping[int, Value], items: list[list[str]]) -> list[list[str]]:
    """Of a sequence's items those that match, with the members that were asked for alone (PS3.4 C.2.2.2.6)."""
    if not key:
        return items
    asked = [key.get(member) for member, _ in attribute.members]
    return [
        ["" if wanted is None else value for wanted, value in zip(asked, item, strict=False)]
        for item in items
        if all(
            is_universal(wanted) or matches(wanted, value)
            for wanted, value in zip(asked, item, strict=False)
            if isinstance(wanted, str)
        )
    ]


def _words(text: str) -> list[str]:
    """The words of a JSON list; none of them needs quoting."""
    return [word.strip('" ') for word in text[1:-1].split(",") if word.strip('" ')]


class Writer:
    """Elements in one transfer syntax."""

    def __init__(self, transfer_syntax: str) -> None:
        order = ">" if syntaxes.is_big_endian(transfer_syntax) else "<"
        self._implicit = syntaxes.is_implicit(transfer_syntax)
        self._tag = struct.Struct(f"{order}HH")
        self._short = struct.Struct(f"{order}H")
        self._long = struct.Struct(f"{order}L")
        self._heads: dict[int, bytes] = {}
        pack = self._long.pack if self._implicit else self._short.pack
        self._lengths = [pack(length) for length in range(_USUAL)]

    def element(self, tag: int, vr: str, value: bytes) -> bytes:
        """One element, padded to an even length, cut to what its length can say."""
        length = len(value)
        if length & 1:
            value += b"\0" if vr == "UI" else b" "
            length += 1
        head = self._heads.get(tag)
        if head is None:
            head = self._heads[tag] = self._tag.pack(tag >> 16, tag & 0xFFFF) + (b"" if self._implicit else vr.encode())
        if length < _USUAL:
            return head + self._lengths[length] + value
        if self._implicit:
            return head + self._long.pack(length) + value
        return head + self._short.pack(min(length, _LONGEST)) + value[:_LONGEST]

    def sequence(self, tag: int, attribute: Attribute, items: Sequence[Sequence[str]], codec: str) -> bytes:
        """A sequence of defined length; members that are empty are left out."""
        encoded = []
        for item in items:
            members = sorted(zip(attribute.members, item, strict=False))
            inner = b"".join(
                self.element(member, vr, value.encode(codec, "replace")) for (member, vr), value in members if value
            )
            encoded.append(self._tag.pack(0xFFFE, 0xE000) + self._long.pack(len(inner)) + inner)
        value = b"".join(encoded)
        middle = b"" if self._implicit else b"SQ\0\0"
        return self._tag.pack(tag >> 16, tag & 0xFFFF) + middle + self._long.pack(len(value)) + value

    def number(self, value: int) -> bytes:
        """A US value."""
        return self._short.pack(min(max(int(value), 0), 0xFFFF))
