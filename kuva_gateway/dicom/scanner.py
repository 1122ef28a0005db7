"""From the bytes of a data set to its :class:`Header`: out of its head in memory, or on from a file.

Promises, for any bytes: a Header, :class:`HeaderError`, or (from a head alone) :class:`Incomplete`; memory, inflation
and nesting are bounded. Agrees with pydicom on what pydicom can read and PS3.5 allows.
"""

from __future__ import annotations

import io
import zlib
from typing import BinaryIO, Protocol

from kuva_gateway.dicom import syntaxes
from kuva_gateway.dicom.fallback import read_with_pydicom
from kuva_gateway.dicom.header import Header, HeaderError
from kuva_gateway.dicom.walk import Unsure, Walk
from kuva_gateway.dicom.wanted import assemble
from kuva_gateway.errors import GatewayError

WINDOW = 256 * 1024
"""Bytes of a file that are in memory at a time."""

_PIECE = 32 * 1024
"""Bytes of a head that are copied out of it first; most headers end there."""

_SMALL_WINDOW = 16 * 1024
"""Bytes of a file that are read at its start, and behind a long value: another long one may follow."""

READ_LIMIT = 32 << 20
"""Bytes of one data set that are walked over at most, values that are skipped by their length not counted."""

INFLATION_LIMIT = 64 << 20
"""Bytes that a deflated data set may inflate to before everything wanted is behind (PS3.5 A.5)."""

_INFLATED_FOR_PYDICOM = 16 << 20


class Incomplete(GatewayError):
    """The walk needs bytes beyond the head that it was given; go on with :func:`scan_stream`."""


class TruncatedError(HeaderError):
    """Everything wanted was read, but the element behind it (pixel data, mostly) claims more than the data set has."""

    def __init__(self, header: Header) -> None:
        super().__init__("the last element claims more than the data set has")
        self.header = header


def scan(head: bytes | memoryview, transfer_syntax: str, *, whole: bool, size: int | None = None) -> Header:
    """The header of the data set that begins with ``head``.

    Parameters
    ----------
    whole
        Whether ``head`` is the whole data set.
    size
        Bytes of the whole data set, if known though ``head`` is not the whole.

    Raises
    ------
    Incomplete
        ``whole`` is False and the head ends too early, or is too odd to be judged by itself.
    HeaderError
        The data set cannot be parsed.
    TruncatedError
        What follows the header claims more than ``size``.
    """
    if syntaxes.is_deflated(transfer_syntax):
        return _scan_source(_Deflated(io.BytesIO(head), 0, len(head), whole=whole), transfer_syntax)
    found, ends_at = _scan_head(head, transfer_syntax, whole=whole)
    return _header(found, ends_at, transfer_syntax, len(head) if whole else size)


def scan_early(head: bytes | memoryview, transfer_syntax: str) -> tuple[Header, int]:
    """The header of a data set of which no more than ``head`` has come, and where its last element claims to end.

    Whoever uses it raises :class:`TruncatedError` when the data set turns out shorter than that.

    Raises
    ------
    Incomplete
        More bytes are needed, or it can only be judged as a whole.
    HeaderError
        The data set cannot be parsed.
    """
    if syntaxes.is_deflated(transfer_syntax):
        raise Incomplete("a deflated data set is judged as a whole")
    found, ends_at = _scan_head(head, transfer_syntax, whole=False)
    return _header(found, ends_at, transfer_syntax, None), ends_at


def _scan_head(head: bytes | memoryview, transfer_syntax: str, *, whole: bool) -> tuple[dict[int, object], int]:
    walk = _walk_for(transfer_syntax)
    try:
        ended = walk.over(bytes(head[:_PIECE]), 0) or walk.over(bytes(head[walk.position :]), walk.position)
    except Unsure:
        if not whole:
            raise Incomplete("the head does not tell the encoding") from None
        return _read_with_pydicom(io.BytesIO(head), 0, len(head), transfer_syntax)
    if not ended:
        if not whole:
            raise Incomplete("the header goes on beyond the head")
        _check_end(walk, bytes(head[walk.position :]), walk.position, len(head))
    return walk.found, walk.ends_at


def scan_stream(stream: BinaryIO, offset: int, size: int, transfer_syntax: str) -> Header:
    """The header of the data set of ``size`` bytes at ``offset`` of ``stream``; long values are skipped by seeking.

    Raises
    ------
    HeaderError
        The data set cannot be parsed, or needs more than :data:`READ_LIMIT` or :data:`INFLATION_LIMIT`.
    TruncatedError
        What follows the header claims more than ``size``.
    """
    if syntaxes.is_deflated(transfer_syntax):
        return _scan_source(_Deflated(stream, offset, size, whole=True), transfer_syntax)
    return _scan_source(_File(stream, offset, size), transfer_syntax)


class _Source(Protocol):
    """Where windows of a data set come from."""

    @property
    def size(self) -> int | None:
        """Bytes of the data set, None while nobody knows."""

    def window(self, position: int, count: int) -> bytes:
        """``count`` bytes from ``position`` on; fewer only where the data set ends. Positions never go back."""

    def fallback(self) -> tuple[BinaryIO, int, int]:
        """Stream, offset and size of the data set for pydicom."""


class _File:
    """A data set inside a seekable stream."""

    def __init__(self, stream: BinaryIO, offset: int, size: int) -> None:
        self._stream = stream
        self._offset = offset
        self._read = 0
        self.size = size

    def window(self, position: int, count: int) -> bytes:
        count = max(min(count, self.size - position), 0)
        self._read += count
        if self._read > READ_LIMIT:
            raise HeaderError("the header is too long")
        self._stream.seek(self._offset + position)
        data = self._stream.read(count)
        if len(data) < count:
            raise HeaderError("the file is shorter than its data set")
        return data

    def fallback(self) -> tuple[BinaryIO, int, int]:
        return self._stream, self._offset, self.size


class _Deflated:
    """A deflated data set, inflated as far as the walk goes and no further."""

    _PIECE = 64 * 1024

    def __init__(self, stream: BinaryIO, offset: int, size: int, *, whole: bool) -> None:
        self._stream, self._offset, self._size, self._whole = stream, offset, size, whole
        self.size: int | None = None
        self._start_over()

    def _start_over(self) -> None:
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._taken = 0
        self._base = 0
        self._buffer = bytearray()

    def window(self, position: int, count: int) -> bytes:
        while self._base + len(self._buffer) < position + count and self._more():
            self._drop(position)
        self._drop(position)
        return bytes(self._buffer[:count]) if self._base == position else b""

    def _drop(self, position: int) -> None:
        gone = min(position - self._base, len(self._buffer))
        del self._buffer[:gone]
        self._base += gone

    def _more(self) -> bool:
        """Inflate one piece; False at the end."""
        if self._inflater.eof:
            self.size = self._base + len(self._buffer)
            return False
        pending = self._inflater.unconsumed_tail
        if not pending:
            count = min(self._PIECE, self._size - self._taken)
            self._stream.seek(self._offset + self._taken)
            pending = self._stream.read(count) if count > 0 else b""
            self._taken += len(pending)
            if not pending and not self._whole:
                raise Incomplete("the header goes on beyond the head")
            if not pending:
                self.size = self._base + len(self._buffer)
                return False
        try:
            self._buffer += self._inflater.decompress(pending, _SMALL_WINDOW)
        except zlib.error as error:
            raise HeaderError("the deflated data set is damaged") from error
        if self._base + len(self._buffer) > INFLATION_LIMIT:
            raise HeaderError("the data set inflates to too much")
        return True

    def fallback(self) -> tuple[BinaryIO, int, int]:
        self._start_over()
        data = self.window(0, _INFLATED_FOR_PYDICOM + 1)
        if len(data) > _INFLATED_FOR_PYDICOM:
            raise HeaderError("the data set is too odd and too long to be understood")
        return io.BytesIO(data), 0, len(data)


def _scan_source(source: _Source, transfer_syntax: str) -> Header:
    walk = _walk_for(transfer_syntax)
    try:
        _walk_through(walk, source)
    except Unsure:
        return _scan_with_pydicom(*source.fallback(), transfer_syntax)
    return _header(walk.found, walk.ends_at, transfer_syntax, source.size)


def _walk_through(walk: Walk, source: _Source) -> None:
    count = _SMALL_WINDOW
    while True:
        base = walk.position
        window = source.window(base, count)
        if walk.over(window, base):
            return
        if len(window) < count:
            _check_end(walk, window, base, source.size)
            return
        jumped = walk.position >= base + len(window)
        count = _SMALL_WINDOW if jumped else WINDOW


def _check_end(walk: Walk, window: bytes, base: int, size: int | None) -> None:
    """Where the bytes end the data set must end as well; a few zero bytes of padding are forgiven."""
    if walk.position > (base + len(window) if size is None else size):
        raise HeaderError("an element claims more than the data set has")
    rest = bytes(window[walk.position - base :])
    if walk.inside or len(rest) >= 8 or any(rest):
        raise HeaderError("the data set is cut off")


def _walk_for(transfer_syntax: str) -> Walk:
    return Walk(implicit=syntaxes.is_implicit(transfer_syntax), big_endian=syntaxes.is_big_endian(transfer_syntax))


def _scan_with_pydicom(stream: BinaryIO, offset: int, size: int, transfer_syntax: str) -> Header:
    return _header(*_read_with_pydicom(stream, offset, size, transfer_syntax), transfer_syntax, size)


def _read_with_pydicom(stream: BinaryIO, offset: int, size: int, transfer_syntax: str) -> tuple[dict[int, object], int]:
    return read_with_pydicom(
        stream,
        offset,
        size,
        implicit=syntaxes.is_implicit(transfer_syntax),
        big_endian=syntaxes.is_big_endian(transfer_syntax),
    )


def _header(found: dict[int, object], ends_at: int, transfer_syntax: str, size: int | None) -> Header:
    header = assemble(found, transfer_syntax, big_endian=syntaxes.is_big_endian(transfer_syntax))
    if size is not None and ends_at > size:
        raise TruncatedError(header)
    return header
