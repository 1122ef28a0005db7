"""A modality in as little protocol as there can be: sends C-STORE over a socket and knows what was answered, and when.

It shares no code with the gateway, so that it can bear witness: the digest of a data set is taken from the very bytes
that go out. One presentation context, explicit little endian, one CT image after the other (PS3.8 9.3, PS3.7 9.1.1).
:class:`Images` makes the images, each with pixels of its own, so that bytes of two images that got mixed are noticed.
"""

from __future__ import annotations

import hashlib
import io
import random
import socket
import struct
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from pydicom.filewriter import dcmwrite
from studymaker import HETUS, Order, make_study

CT_IMAGE: Final = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"
APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"
SUCCESS: Final = 0x0000

_CONTEXT = 1
_RQ, _AC, _RJ, _DATA, _RELEASE_RQ, _RELEASE_RP, _ABORT = 1, 2, 3, 4, 5, 6, 7
_C_STORE_RQ, _C_ECHO_RQ = 0x0001, 0x0030
_STATUS, _COMMENT = 0x0000_0900, 0x0000_0902
_COMMAND_LAST, _DATA_LAST, _DATA_MORE = 3, 2, 0
_PIECE = 64 * 1024


class RejectedError(Exception):
    """The association was rejected (result, source, reason)."""


class BrokenError(Exception):
    """The association ended in the middle: nobody knows what became of the last image."""


# -- images ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One data set as it goes out."""

    study_uid: str
    uid: str
    data: bytes
    digest: str


class Images:
    """Makes CT images; ``number`` decides everything about an image, so that it can be made again."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._patterns: dict[int, tuple[bytes, tuple[bytes, ...], bytes]] = {}

    def make(self, study: int, number: int, pixel_bytes: int) -> Image:
        """Image ``number`` of ``study``; each study has an accession number of its own."""
        pattern, marks, pixels = self._pattern(pixel_bytes)
        chance = random.Random(f"{self._seed}/{study}/{number}")
        uids = [self._uid(f"{study}"), self._uid(f"{study}/series"), self._uid(f"{study}/{number}")]
        values = [uid.encode() for uid in uids] + [f"K{study:09d}".encode()]
        data = pattern
        for mark, value in zip(marks, values, strict=True):
            data = data.replace(mark, value)
        data = data.replace(pixels, chance.randbytes(len(pixels)), 1)
        return Image(study_uid=uids[0], uid=uids[2], data=data, digest=hashlib.sha256(data).hexdigest())

    def _uid(self, what: str) -> str:
        number = int.from_bytes(hashlib.sha256(f"{self._seed}/{what}".encode()).digest()[:16], "big")
        return f"2.25.{10**38 + number % (9 * 10**37):039d}"

    def _pattern(self, pixel_bytes: int) -> tuple[bytes, tuple[bytes, ...], bytes]:
        if pixel_bytes not in self._patterns:
            uids = iter(self._uid(f"pattern/{number}") for number in range(2))
            study_uid, accession = self._uid("pattern/study"), "K999999999"
            order = Order(kind="ct", hetu=HETUS[0], accession=accession, study_uid=study_uid, pixel_bytes=pixel_bytes)
            data_set = make_study(order, uid=lambda: next(uids)).data_sets[0]
            pixels = random.Random(pixel_bytes).randbytes(pixel_bytes)
            data_set.PixelData = pixels
            del data_set.StudyID
            buffer = io.BytesIO()
            dcmwrite(buffer, data_set, enforce_file_format=True)
            (length,) = struct.unpack_from("<I", buffer.getvalue(), 128 + 4 + 8)
            start = 128 + 4 + 12 + length
            marks = (study_uid, str(data_set.SeriesInstanceUID), str(data_set.SOPInstanceUID), accession)
            encoded = tuple(mark.encode() for mark in marks)
            self._patterns[pixel_bytes] = (buffer.getvalue()[start:], encoded, pixels)
        return self._patterns[pixel_bytes]


# -- the association ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The status and the error comment of a C-STORE-RSP."""

    status: int
    comment: str


class PlainModality:
    """One association; a context manager that releases it. Belongs to one thread.

    Raises
    ------
    RejectedError, BrokenError, OSError
        It did not come to an association.
    """

    def __init__(self, port: int, *, calling: str, called: str = "KUVAGW", timeout: float = 60.0) -> None:
        self._message = 0
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._associate(calling, called)
        except BaseException:
            self._socket.close()
            raise

    def _associate(self, calling: str, called: str) -> None:
        """A-ASSOCIATE (PS3.8 9.3.2)."""
        syntaxes = _item(0x30, CT_IMAGE.encode()) + _item(0x40, EXPLICIT_LITTLE.encode())
        body = struct.pack(">HH16s16s32x", 1, 0, called.ljust(16).encode(), calling.ljust(16).encode())
        body += _item(0x10, APPLICATION_CONTEXT.encode())
        body += _item(0x20, struct.pack(">BBBB", _CONTEXT, 0, 0, 0) + syntaxes)
        user = _item(0x51, struct.pack(">I", 131072)) + _item(0x52, b"2.25.79187634125")
        self._send(_RQ, body + _item(0x50, user))
        kind, answer = self._read()
        if kind == _RJ:
            raise RejectedError(*answer[1:4])
        if kind != _AC:
            raise BrokenError(f"PDU {kind} instead of an answer to the association request")

    def store(self, uid: str, data: bytes) -> Answer:
        """Send one image and wait for its answer; raises BrokenError or OSError when that does not come."""
        self.begin(uid, data)
        return self.answer()

    def begin(self, uid: str, data: bytes, *, whole: bool = True) -> None:
        """Send one C-STORE-RQ with its data set; not ``whole``: without the last half of it."""
        self._message = self._message % 65_535 + 1
        command = _command(
            (0x0002, CT_IMAGE.encode() + b"\0" * (len(CT_IMAGE) % 2)),
            (0x0100, struct.pack("<H", _C_STORE_RQ)),
            (0x0110, struct.pack("<H", self._message)),
            (0x0700, struct.pack("<H", 0)),
            (0x0800, struct.pack("<H", 1)),
            (0x1000, uid.encode() + b"\0" * (len(uid) % 2)),
        )
        self._send(_DATA, _fragment(_COMMAND_LAST, command))
        end = len(data) if whole else len(data) // 2
        for start in range(0, end, _PIECE):
            piece = data[start : min(start + _PIECE, end)]
            last = whole and start + _PIECE >= end
            self._send(_DATA, _fragment(_DATA_LAST if last else _DATA_MORE, piece))

    def answer(self) -> Answer:
        """The answer to what was begun."""
        gathered = b""
        while True:
            kind, body = self._read()
            if kind != _DATA:
                raise BrokenError(f"PDU {kind} instead of an answer")
            gathered += body[6:]
            if body[5] & 2:
                return _response(gathered)

    def release(self) -> None:
        """A-RELEASE, and the end of the connection."""
        try:
            self._send(_RELEASE_RQ, b"\0" * 4)
            while self._read()[0] != _RELEASE_RP:
                pass
        finally:
            self._socket.close()

    def abort(self) -> None:
        """A-ABORT, and the end of the connection."""
        try:
            self._send(_ABORT, b"\0" * 4)
        finally:
            self._socket.close()

    def close(self) -> None:
        """End the connection without a word."""
        self._socket.close()

    def __enter__(self) -> PlainModality:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.release()
        else:
            self.close()

    def _send(self, kind: int, body: bytes) -> None:
        self._socket.sendall(struct.pack(">BBI", kind, 0, len(body)) + body)

    def _read(self) -> tuple[int, bytes]:
        kind, length = struct.unpack(">BxI", self._exactly(6))
        return kind, self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self._socket.recv(count - len(data))
            if not more:
                raise BrokenError("the connection was closed")
            data += more
        return data


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(value)) + value


def _fragment(control: int, value: bytes) -> bytes:
    return struct.pack(">IBB", len(value) + 2, _CONTEXT, control) + value


def _command(*elements: tuple[int, bytes]) -> bytes:
    """A command set (PS3.7 6.3): group 0000 in implicit little endian, its length first."""
    body = b"".join(struct.pack("<HHI", 0, element, len(value)) + value for element, value in elements)
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def _response(command: bytes) -> Answer:
    values: dict[int, bytes] = {}
    at = 0
    while at < len(command):
        group, element, length = struct.unpack_from("<HHI", command, at)
        values[group << 16 | element] = command[at + 8 : at + 8 + length]
        at += 8 + length
    (status,) = struct.unpack("<H", values[_STATUS])
    return Answer(status=status, comment=values.get(_COMMENT, b"").decode("ascii", "replace").strip("\0 "))
