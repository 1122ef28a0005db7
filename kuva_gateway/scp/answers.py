"""The data sets of C-FIND responses (PS3.4 C.4.1.1.3.2), encoded from rows by a template that a query makes once.

Promises elements in the order of their tags, even lengths, and a Specific Character Set only where a text needs one.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from kuva_gateway.catalog.attributes import ATTRIBUTES, RETRIEVE_AE_TITLE, Attribute, Kind
from kuva_gateway.catalog.search import Row, Search, items_of
from kuva_gateway.dicom import syntaxes
from kuva_gateway.dicom.charsets import choose_set
from kuva_gateway.dicom.information_model import CHARACTER_SET, LEVEL

_TEXT_VRS = frozenset({"PN", "LO", "SH"})
_LONGEST = 0xFFFE  # bytes of a value with a 16-bit length

Value = tuple[str, bytes]


class Template:
    """Encodes the rows of one search."""

    def __init__(self, search: Search, *, character_set: tuple[str, ...], ae_title: str, transfer_syntax: str) -> None:
        self._asked = character_set
        self._write = Writer(transfer_syntax)
        self._constant = {
            LEVEL: self._write.element(LEVEL, "CS", search.level.name.encode()),
            RETRIEVE_AE_TITLE: self._write.element(RETRIEVE_AE_TITLE, "AE", ae_title.encode("ascii", "replace")),
        }
        tags = sorted({*search.tags, CHARACTER_SET, LEVEL, RETRIEVE_AE_TITLE})
        places = {tag: place for place, tag in enumerate(search.tags)}
        self._plan: list[tuple[int, int, Attribute | None]] = [
            (tag, -1, None) if tag in self._constant or tag not in places else (tag, places[tag], ATTRIBUTES[tag])
            for tag in tags
        ]
        self._texts = [
            place
            for tag, place, attribute in self._plan
            if attribute is not None and (attribute.vr in _TEXT_VRS or attribute.kind is Kind.SEQUENCE)
        ]

    def encode(self, row: Row) -> bytes:
        """The data set of one match."""
        texts = [row[place] for place in self._texts]
        term, codec = ("", "ascii") if all(map(str.isascii, texts)) else choose_set(texts, self._asked)
        write = self._write
        parts = []
        for tag, place, attribute in self._plan:
            if attribute is None:
                if tag == CHARACTER_SET:
                    if term:
                        parts.append(write.element(tag, "CS", term.encode()))
                else:
                    parts.append(self._constant[tag])
            elif attribute.kind is Kind.SEQUENCE:
                parts.append(write.sequence(tag, attribute, items_of(attribute, row[place]), codec))
            elif attribute.kind in (Kind.CODES, Kind.CLASSES):
                parts.append(write.element(tag, attribute.vr, "\\".join(_words(row[place])).encode("ascii", "replace")))
            elif attribute.vr == "US":
                parts.append(write.element(tag, "US", write.number(row[place])))
            else:
                parts.append(write.element(tag, attribute.vr, _text(attribute, row[place]).encode(codec, "replace")))
        return b"".join(parts)


def _text(attribute: Attribute, value: object) -> str:
    """A count that is not known stays empty."""
    return "" if attribute.kind is Kind.COUNT and not value else str(value)


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

    def element(self, tag: int, vr: str, value: bytes) -> bytes:
        """One element, padded to an even length, cut to what its length can say."""
        if len(value) % 2:
            value += b"\0" if vr == "UI" else b" "
        head = self._heads.get(tag)
        if head is None:
            head = self._heads[tag] = self._tag.pack(tag >> 16, tag & 0xFFFF) + (b"" if self._implicit else vr.encode())
        if self._implicit:
            return head + self._long.pack(len(value)) + value
        return head + self._short.pack(len(value[:_LONGEST])) + value[:_LONGEST]

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


Encode = Callable[[Row], bytes]
