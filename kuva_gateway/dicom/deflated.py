"""A deflated data set (PS3.5 A.5) read as it inflates, and written again; neither is ever whole in memory."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, Final

from kuva_gateway.dicom.amending import Piece, Range
from kuva_gateway.dicom.header import HeaderError

_PIECE: Final = 64 * 1024
LONGEST: Final = 4 << 30
"""Bytes that a data set may inflate to at most; a bomb is refused."""


class Inflating:
    """The data set of ``size`` bytes at ``offset`` of a file, inflated; positions only go forward."""

    def __init__(self, stream: BinaryIO, offset: int, size: int) -> None:
        self._stream, self._next, self._end = stream, offset, offset + size
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._base = 0
        self._buffer = bytearray()

    def read(self, position: int, count: int) -> bytes:
        """``count`` bytes from ``position`` on, fewer at the end; what lies before ``position`` is forgotten.

        Raises
        ------
        HeaderError
            It is damaged, or inflates to more than :data:`LONGEST`.
        """
        while self._base + len(self._buffer) < position + count and self._more():
            self._forget(position)
        self._forget(position)
        return bytes(self._buffer[:count]) if self._base == position else b""

    def _forget(self, position: int) -> None:
        gone = min(position - self._base, len(self._buffer))
        if gone > 0:
            del self._buffer[:gone]
            self._base += gone

    def _more(self) -> bool:
        if self._inflater.eof:
            return False
        pending = self._inflater.unconsumed_tail
        if not pending:
            self._stream.seek(self._next)
            pending = self._stream.read(min(_PIECE, self._end - self._next))
            self._next += len(pending)
            if not pending:
                raise HeaderError("the deflated data set is cut off")
        try:
            self._buffer += self._inflater.decompress(pending, _PIECE)
        except zlib.error as error:
            raise HeaderError("the deflated data set is damaged") from error
        if self._base + len(self._buffer) > LONGEST:
            raise HeaderError("the data set inflates to too much")
        return True


def inflated(read: Callable[[int, int], bytes], pieces: Iterable[Piece]) -> Iterator[bytes]:
    """The bytes that pieces stand for, a part at a time."""
    for piece in pieces:
        if not isinstance(piece, Range):
            yield piece
            continue
        position = piece.start
        while piece.end is None or position < piece.end:
            data = read(position, _PIECE if piece.end is None else min(_PIECE, piece.end - position))
            if not data and piece.end is None:
                break
            if not data:
                raise HeaderError("the data set is cut off")
            yield data
            position += len(data)


def deflated(parts: Iterable[bytes]) -> Iterator[bytes]:
    """``parts`` as one deflated stream, padded to an even length."""
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    size = 0
    for data in parts:
        packed = deflater.compress(data)
        size += len(packed)
        yield packed
    rest = deflater.flush()
    yield rest + b"\0" * ((size + len(rest)) % 2)
