"""A modality that makes its objects while it sends them: one association, and objects of any size in no memory.

The data sets are explicit little endian ultrasound multi-frame images with the elements that the gateway files them
under; what follows is noise that differs in every block. Every object is digested on its way out.
"""

from __future__ import annotations

import hashlib
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kuva_gateway.network import Command, ProposedContext, commands, pdus
from kuva_gateway.network.negotiation import request_bytes

MULTI_FRAME = "1.2.840.10008.5.1.4.1.1.3.1"
EXPLICIT = "1.2.840.10008.1.2.1"
BLOCK = 1 << 20
"""Bytes of noise that are made at a time."""
FRAGMENT = 131_072 - 12  # no receiver's limit, and the command beside it
TIMEOUT = 300.0
CONTEXT = 1


class Refused(Exception):
    """The receiver ended the association, or did not answer with success."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What was acknowledged: the data set's length in bytes and its SHA-256."""

    sop_instance: str
    size: int
    digest: str


class Modality:
    """One association with a receiver on loopback."""

    def __init__(self, port: int, *, calling: str, called: str = "KUVAGW") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        proposed = ProposedContext(id=CONTEXT, abstract_syntax=MULTI_FRAME, transfer_syntaxes=(EXPLICIT,))
        try:
            self._socket.sendall(
                request_bytes(called_ae=called, calling_ae=calling, contexts=[proposed], roles={}, length=16_384)
            )
            self._expect(pdus.ASSOCIATE_AC)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Modality:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def store(self, sop_instance: str, pieces: Iterable[bytes]) -> Sent:
        """C-STORE of a data set in pieces; waits for the acknowledgement.

        Raises
        ------
        Refused
            It was not acknowledged with 0000.
        """
        digest, size = hashlib.sha256(), 0
        waiting = _fragment(_request(sop_instance), pdus.COMMAND_BIT | pdus.LAST_BIT)
        for fragment in _fragments(pieces):
            self._socket.sendall(waiting)
            digest.update(fragment)
            size += len(fragment)
            waiting = _fragment(fragment, 0)
        last = bytearray(waiting)
        last[pdus.DATA_HEADER.size - 1] |= pdus.LAST_BIT
        self._socket.sendall(last)
        answer = commands.decode(self._expect(pdus.P_DATA)[pdus.PDV_HEADER.size :])
        if answer.status != 0:
            raise Refused(f"C-STORE was answered with {answer.status:04X} {answer.error_comment}")
        return Sent(sop_instance=sop_instance, size=size, digest=digest.hexdigest())

    def release(self) -> None:
        """A-RELEASE, and close."""
        self._socket.sendall(pdus.RELEASE_RQ_BYTES)
        self._expect(pdus.RELEASE_RP)
        self._socket.close()

    def _expect(self, kind: int) -> bytes:
        found, length = pdus.PDU_HEADER.unpack(self._exactly(pdus.PDU_HEADER.size))
        if found != kind:
            raise Refused(f"a PDU of type {found} instead of {kind}")
        return self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self._socket.recv(count - len(data))
            if not piece:
                raise Refused("the receiver closed the connection")
            data += piece
        return data


def image(sop_instance: str, study: str, pixels: int) -> Iterator[bytes]:
    """The pieces of an object with ``pixels`` bytes (even) of pixel data, in one frame for each block."""
    frames = max(1, pixels // BLOCK)
    yield b"".join(
        (
            _element(0x0008, 0x0016, b"UI", MULTI_FRAME),
            _element(0x0008, 0x0018, b"UI", sop_instance),
            _element(0x0008, 0x0060, b"CS", "US"),
            _element(0x0010, 0x0010, b"PN", "Testi^Potilas"),
            _element(0x0010, 0x0020, b"LO", "010101-999R"),
            _element(0x0020, 0x000D, b"UI", study),
            _element(0x0020, 0x000E, b"UI", study + ".1"),
            _element(0x0028, 0x0008, b"IS", str(frames)),
            struct.pack("<HH2sxxL", 0x7FE0, 0x0010, b"OW", pixels),
        )
    )
    noise = os.urandom(min(BLOCK, pixels))
    number = 0
    while pixels:
        block = (struct.pack("<Q", number) + noise[8:])[:pixels]
        yield block
        pixels -= len(block)
        number += 1


def _element(group: int, number: int, vr: bytes, value: str) -> bytes:
    raw = value.encode()
    raw += (b"\0" if vr == b"UI" else b" ") * (len(raw) % 2)
    return struct.pack("<HH2sH", group, number, vr, len(raw)) + raw


def _request(sop_instance: str) -> bytes:
    return commands.encode(
        Command(
            field=commands.C_STORE_RQ,
            message_id=1,
            affected_class=MULTI_FRAME,
            affected_instance=sop_instance,
            priority=0,
            has_data_set=True,
        )
    )


def _fragments(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        for start in range(0, len(piece), FRAGMENT):
            yield piece[start : start + FRAGMENT]


def _fragment(payload: bytes, control: int) -> bytes:
    size = len(payload) + 2
    return pdus.DATA_HEADER.pack(pdus.P_DATA, size + 4, size, CONTEXT, control) + payload
