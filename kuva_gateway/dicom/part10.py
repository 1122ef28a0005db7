"""Part 10 files (PS3.10 7.1): the bytes in front of a data set, written and read.

What is written is a function of three values and one constant, so that equal data sets in equal syntaxes give equal
files and equal digests, whoever sent them. What is read is bounded in time and memory.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO

from kuva_gateway.dicom.header import HeaderError
from kuva_gateway.dicom.uids import IMPLEMENTATION_CLASS_UID

PREAMBLE = bytes(128)
PREFIX = b"DICM"
META_LIMIT = 1 << 20
"""Bytes of File Meta Information that are read at most; a usual one has a few hundred."""

_ELEMENT = struct.Struct("<HH2sH")
_LONG_LENGTH = struct.Struct("<L")
_LONG_VRS = frozenset({b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UN", b"UT", b"UC", b"UR", b"SV", b"UV"})
_SOP_CLASS, _SOP_INSTANCE, _TRANSFER_SYNTAX = 0x0002, 0x0003, 0x0010


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """What a file's meta information says, and the offset in bytes at which its data set begins."""

    sop_class: str
    sop_instance: str
    transfer_syntax: str
    dataset_offset: int


def _uid_element(element: int, uid: str) -> bytes:
    value = uid.encode("ascii")
    value += b"\0" * (len(value) % 2)
    return _ELEMENT.pack(0x0002, element, b"UI", len(value)) + value


@lru_cache(maxsize=64)
def _tail(transfer_syntax: str) -> bytes:
    return _uid_element(_TRANSFER_SYNTAX, transfer_syntax) + _uid_element(0x0012, IMPLEMENTATION_CLASS_UID)


def preamble_and_meta(sop_class: str, sop_instance: str, transfer_syntax: str) -> bytes:
    """The preamble, prefix and File Meta Information for a data set (PS3.10 7.1).

    A function of the three values only: no application entity titles, no version, no time.

    Raises
    ------
    HeaderError
        A value is not plain ASCII, so no UID at all.
    """
    try:
        body = b"".join(
            (
                _ELEMENT.pack(0x0002, 0x0001, b"OB", 0) + _LONG_LENGTH.pack(2) + b"\0\x01",
                _uid_element(_SOP_CLASS, sop_class),
                _uid_element(_SOP_INSTANCE, sop_instance),
                _tail(transfer_syntax),
            )
        )
    except UnicodeEncodeError as error:
        raise HeaderError("a UID of the file meta information is not ASCII") from error
    return PREAMBLE + PREFIX + _ELEMENT.pack(0x0002, 0x0000, b"UL", 4) + _LONG_LENGTH.pack(len(body)) + body


def usual_offset(descriptor: int, sop_class: str, sop_instance: str, transfer_syntax: str) -> int | None:
    """Where the data set begins in a file that starts with just what :func:`preamble_and_meta` writes of these values.

    None: it starts otherwise, and :func:`read_meta` tells how.
    """
    expected = preamble_and_meta(sop_class, sop_instance, transfer_syntax)
    return len(expected) if os.pread(descriptor, len(expected), 0) == expected else None


def read_meta(stream: BinaryIO) -> Meta:
    """Read a Part 10 file's meta information from its first byte; at most :data:`META_LIMIT` bytes are read.

    The end is found by walking group 0002, not by its group length, which some writers get wrong.

    Raises
    ------
    HeaderError
        There is no prefix, an element is cut off, or no transfer syntax is named.
    """
    stream.seek(0)
    start = stream.read(len(PREAMBLE) + len(PREFIX))
    if start[len(PREAMBLE) :] != PREFIX:
        raise HeaderError("not a DICOM Part 10 file: no DICM prefix")
    found: dict[int, str] = {}
    position = len(start)
    while (header := stream.read(8)) and header[:2] == b"\x02\x00":
        element, value, size = _read_element(stream, header, META_LIMIT - position)
        position += size
        if element in (_SOP_CLASS, _SOP_INSTANCE, _TRANSFER_SYNTAX):
            found[element] = value.decode("latin-1").rstrip("\0 ")
    if not found.get(_TRANSFER_SYNTAX):
        raise HeaderError("the file meta information names no transfer syntax")
    return Meta(
        sop_class=found.get(_SOP_CLASS, ""),
        sop_instance=found.get(_SOP_INSTANCE, ""),
        transfer_syntax=found[_TRANSFER_SYNTAX],
        dataset_offset=position,
    )


def _read_element(stream: BinaryIO, header: bytes, allowance: int) -> tuple[int, bytes, int]:
    """One element of group 0002 behind its first eight bytes: element number, value, size of the whole in bytes."""
    if len(header) < 8:
        raise HeaderError("the file meta information is cut off")
    _group, element, vr, length = _ELEMENT.unpack(header)
    size = 8
    if vr in _LONG_VRS:
        extra = stream.read(4)
        if len(extra) < 4:
            raise HeaderError("the file meta information is cut off")
        length = _LONG_LENGTH.unpack(extra)[0]
        size += 4
    elif not (vr.isalpha() and vr.isupper()):
        raise HeaderError("the file meta information is not in explicit little endian")
    if size + length > allowance:
        raise HeaderError("the file meta information is too long")
    value = stream.read(length)
    if len(value) < length:
        raise HeaderError("the file meta information is cut off")
    return element, value, size + length
