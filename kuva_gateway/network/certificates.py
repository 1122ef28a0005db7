"""Until when a certificate is valid: read from the file, because TLS says so only when it is too late."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

from kuva_gateway.network.errors import TlsFilesError

_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


def expiry(path: Path | str) -> datetime:
    """When the first of the PEM file's certificates that expires does so (RFC 5280 4.1.2.5).

    Raises
    ------
    TlsFilesError
        The file cannot be read, or has no certificate that can be understood.
    """
    try:
        text = Path(path).read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise TlsFilesError(f"certificate {path} cannot be read: {error.strerror}") from None
    blocks = [part.split(_END)[0] for part in text.split(_BEGIN)[1:]]
    try:
        return min(_not_after(ssl.PEM_cert_to_DER_cert(f"{_BEGIN}{block}{_END}")) for block in blocks)
    except (ValueError, IndexError):
        raise TlsFilesError(f"{path} has no certificate that can be understood") from None


def _not_after(certificate: bytes) -> datetime:
    """The end of the validity: after version, serial number, signature algorithm and issuer."""
    _, content, _ = _element(certificate)
    kind, content, _ = _element(content)
    if kind != _SEQUENCE:
        raise ValueError("no certificate")
    kind, _, rest = _element(content)
    if kind == _VERSION:
        _, _, rest = _element(rest)
    for _ in ("signature algorithm", "issuer"):
        _, _, rest = _element(rest)
    _, validity, _ = _element(rest)
    _, _, rest = _element(validity)
    kind, value, _ = _element(rest)
    if kind == _UTC_TIME:  # years 00 to 49 are 20xx (RFC 5280 4.1.2.5.1)
        century = b"20" if value < b"50" else b"19"
        value = century + value
    elif kind != _GENERALIZED_TIME:
        raise ValueError("no time")
    return datetime.strptime(value.decode("ascii"), "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """Tag, content and what follows, of one DER element (X.690 8.1)."""
    kind, length, start = data[0], data[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start], "big")
    if len(data) < start + length:
        raise ValueError("cut off")
    return kind, data[start : start + length], data[start + length :]
