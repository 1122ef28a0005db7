"""The seven PDU types (PS3.8 9.3): their numbers, and the bytes of the short ones."""

from __future__ import annotations

import struct

from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_RJ, A_RELEASE_RP, A_RELEASE_RQ

ASSOCIATE_RQ = 0x01
ASSOCIATE_AC = 0x02
ASSOCIATE_RJ = 0x03
P_DATA = 0x04
RELEASE_RQ = 0x05
RELEASE_RP = 0x06
ABORT = 0x07

# PS3.8 9.3.8, A-ABORT: who ends it, and the provider's reason.
BY_USER = 0
BY_PROVIDER = 2
NOT_SPECIFIED = 0
UNRECOGNIZED_PDU = 1
UNEXPECTED_PDU = 2
INVALID_PARAMETER_VALUE = 6

PDU_HEADER = struct.Struct(">BxL")
PDV_HEADER = struct.Struct(">LBB")
DATA_HEADER = struct.Struct(">BxLLBB")
"""P-DATA-TF with one PDV: type, PDU length, item length, context, message control header (PS3.8 9.3.5.1, E.2)."""

COMMAND_BIT = 1
LAST_BIT = 2

RELEASE_RQ_BYTES: bytes = A_RELEASE_RQ().encode()
RELEASE_RP_BYTES: bytes = A_RELEASE_RP().encode()


def abort_bytes(source: int, reason: int) -> bytes:
    """A-ABORT; the reason is 0 unless the provider ends it (PS3.8 9.3.8)."""
    pdu = A_ABORT_RQ()
    pdu.source = source
    pdu.reason_diagnostic = reason if source == BY_PROVIDER else NOT_SPECIFIED
    encoded: bytes = pdu.encode()
    return encoded


def reject_bytes(result: int, source: int, reason: int) -> bytes:
    """A-ASSOCIATE-RJ (PS3.8 9.3.4)."""
    pdu = A_ASSOCIATE_RJ()
    pdu.result = result
    pdu.source = source
    pdu.reason_diagnostic = reason
    encoded: bytes = pdu.encode()
    return encoded


def fragments(context: int, payload: bytes, room: int, *, command: bool) -> list[bytes]:
    """``payload`` as P-DATA-TF PDUs of one PDV with at most ``room`` bytes each; never none at all."""
    control = COMMAND_BIT if command else 0
    parts: list[bytes] = []
    for start in range(0, max(len(payload), 1), room):
        piece = payload[start : start + room]
        last = LAST_BIT if start + room >= len(payload) else 0
        size = len(piece) + 2
        parts.append(DATA_HEADER.pack(P_DATA, size + 4, size, context, control | last))
        parts.append(piece)
    return parts
