"""As much of DER (X.690) as tells of certificates and revocation lists who made them, and how long they hold."""

from __future__ import annotations

from datetime import UTC, datetime

SEQUENCE, INTEGER, EXPLICIT_0, UTC_TIME, GENERALIZED_TIME = 0x30, 0x02, 0xA0, 0x17, 0x18


def element(data: bytes) -> tuple[int, bytes, bytes]:
    """Tag, content and what follows, of one element (X.690 8.1).

    Raises
    ------
    ValueError, IndexError
        It is cut off.
    """
    kind, length, start = data[0], data[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start], "big")
    if len(data) < start + length:
        raise ValueError("cut off")
    return kind, data[start : start + length], data[start + length :]


def inside(data: bytes) -> bytes:
    """The content of the sequence that ``data`` begins with; raises ValueError, IndexError."""
    kind, content, _ = element(data)
    if kind != SEQUENCE:
        raise ValueError("no sequence")
    return content


def time(kind: int, value: bytes) -> datetime:
    """A moment in one of the two forms of RFC 5280 4.1.2.5; raises ValueError."""
    if kind == UTC_TIME:  # years 00 to 49 are 20xx (RFC 5280 4.1.2.5.1)
        century = b"20" if value < b"50" else b"19"
        value = century + value
    elif kind != GENERALIZED_TIME:
        raise ValueError("no time")
    return datetime.strptime(value.decode("ascii"), "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
