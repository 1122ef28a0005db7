"""Elements and items written as bytes, in each of the three ways of PS3.5 7.1; keeps nothing."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from kuva_gateway.dicom import syntaxes
from kuva_gateway.dicom.walk import LONG_VRS

_LONGEST_SHORT: Final = 0xFFFE
_ITEM: Final = (0xFFFE, 0xE000)
_NUL_PADDED: Final = frozenset({"UI", "OB", "UN"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """How a data set is written."""

    implicit: bool
    big_endian: bool

    @classmethod
    def of(cls, transfer_syntax: str) -> Encoding:
        """That of a transfer syntax, apart from deflation."""
        return cls(implicit=syntaxes.is_implicit(transfer_syntax), big_endian=syntaxes.is_big_endian(transfer_syntax))

    @property
    def _order(self) -> str:
        return ">" if self.big_endian else "<"

    def element(self, tag: int, vr: str, value: bytes) -> bytes:
        """An element whose value is ``value``, padded to an even length."""
        value += (b"\0" if vr in _NUL_PADDED else b" ") * (len(value) % 2)
        head = struct.pack(self._order + "HH", tag >> 16, tag & 0xFFFF)
        if self.implicit:
            return head + self.long(len(value)) + value
        name = vr.encode("ascii")
        if name in LONG_VRS:
            return head + name + b"\0\0" + self.long(len(value)) + value
        if len(value) > _LONGEST_SHORT:
            raise ValueError(f"a value of {len(value)} bytes is too long for {vr}")
        return head + name + struct.pack(self._order + "H", len(value)) + value

    def item(self, content: bytes) -> bytes:
        """An item of explicit length (PS3.5 7.5)."""
        return struct.pack(self._order + "HH", *_ITEM) + self.long(len(content)) + content

    def long(self, number: int) -> bytes:
        """32 bits."""
        return struct.pack(self._order + "I", number)

    def number(self, data: bytes) -> int:
        """32 bits, read."""
        return int(struct.unpack(self._order + "I", data)[0])
