"""A sender without a start of its own to speak of: every PDU encoded beforehand, one association for each image.

storescu takes longer to start than an association takes, so that by it all receivers look alike. This one shows what
opening, using and releasing an association costs the receiver (PS3.8 9.3, PS3.7 9.3.1.1).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .images import read_meta
from .processes import Stopped

APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
IMPLEMENTATION = b"2.25.98764321"
# Smaller than what any of the receivers takes.
FRAGMENT = 16384 - 6
TIMEOUT = 60.0
ASSOCIATE_AC, P_DATA, RELEASE_RP = 0x02, 0x04, 0x06


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def _pdu(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxI", kind, len(value)) + value


def _element(element: int, value: bytes) -> bytes:
    return struct.pack("<HHI", 0, element, len(value)) + value


def _uid(value: str) -> bytes:
    return value.encode() + b"\0" * (len(value) % 2)


def _associate(sop_class: str, transfer_syntax: str, called: str, calling: str) -> bytes:
    context = b"\x01\0\0\0" + _item(0x30, sop_class.encode()) + _item(0x40, transfer_syntax.encode())
    user = _item(0x51, struct.pack(">I", 131072)) + _item(0x52, IMPLEMENTATION)
    items = _item(0x10, APPLICATION_CONTEXT) + _item(0x20, context) + _item(0x50, user)
    titles = called.ljust(16).encode() + calling.ljust(16).encode()
    return _pdu(0x01, b"\0\x01\0\0" + titles + bytes(32) + items)


def _store(sop_class: str, sop_instance: str) -> bytes:
    command = b"".join(
        [
            _element(0x0002, _uid(sop_class)),
            _element(0x0100, struct.pack("<H", 0x0001)),
            _element(0x0110, struct.pack("<H", 1)),
            _element(0x0700, struct.pack("<H", 0)),
            _element(0x0800, struct.pack("<H", 0x0001)),
            _element(0x1000, _uid(sop_instance)),
        ]
    )
    return _element(0x0000, struct.pack("<I", len(command))) + command


def _p_data(value: bytes, control: int) -> bytes:
    return _pdu(P_DATA, struct.pack(">IBB", len(value) + 2, 1, control) + value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """What goes over the wire for one image: the association request, and the C-STORE request with its data set."""

    associate: bytes
    store: bytes

    @classmethod
    def read(cls, path: Path, called: str, calling: str) -> Encoded:
        """Encode the Part 10 file ``path``."""
        with path.open("rb") as stream:
            meta = read_meta(stream)
            data = stream.read()
        parts = [_p_data(_store(meta.sop_class, meta.sop_instance), 0x03)]
        for at in range(0, len(data), FRAGMENT):
            parts.append(_p_data(data[at : at + FRAGMENT], 0x02 if at + FRAGMENT >= len(data) else 0x00))
        return cls(associate=_associate(meta.sop_class, meta.transfer_syntax, called, calling), store=b"".join(parts))


RELEASE = _pdu(0x05, bytes(4))


def _receive(connection: socket.socket, kind: int) -> bytes:
    received = b""
    while len(received) < 6 or len(received) < 6 + int.from_bytes(received[2:6], "big"):
        more = connection.recv(65536)
        if not more:
            raise Stopped("the receiver closed the connection")
        received += more
    if received[0] != kind:
        raise Stopped(f"the receiver answered with a PDU of type {received[0]:02x} instead of {kind:02x}")
    return received[6:]


def send_bare(port: int, images: Sequence[Encoded]) -> None:
    """Send ``images`` one after the other; Stopped when one is not acknowledged with success."""
    for image in images:
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(image.associate)
            _receive(connection, ASSOCIATE_AC)
            connection.sendall(image.store)
            # PS3.7 9.3.1.2: the answer's status is (0000,0900), two bytes long.
            answer = _receive(connection, P_DATA)
            status = answer.find(struct.pack("<HHI", 0, 0x0900, 2))
            if status < 0 or answer[status + 8 : status + 10] != b"\0\0":
                raise Stopped("the receiver did not acknowledge an image")
            connection.sendall(RELEASE)
            _receive(connection, RELEASE_RP)
