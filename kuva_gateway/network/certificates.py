"""Until when a certificate is valid, and for whom: read from the file, because TLS says so only when it is too late."""

from __future__ import annotations

import ssl
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from kuva_gateway.network import der
from kuva_gateway.network.errors import TlsFilesError

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


class _Read(NamedTuple):
    not_after: datetime
    subject: bytes


def expiry(path: Path | str) -> datetime:
    """When the first of the PEM file's certificates that expires does so (RFC 5280 4.1.2.5).

    Raises
    ------
    TlsFilesError
        The file cannot be read, or has no certificate that can be understood.
    """
    return min(one.not_after for one in _read(path))


def authorities(path: Path | str) -> frozenset[bytes]:
    """The subjects of the PEM file's certificates, as DER; raises TlsFilesError as :func:`expiry` does."""
    return frozenset(one.subject for one in _read(path))


def _read(path: Path | str) -> list[_Read]:
    try:
        text = Path(path).read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise TlsFilesError(f"certificate {path} cannot be read: {error.strerror}") from None
    blocks = [part.split(_END)[0] for part in text.split(_BEGIN)[1:]]
    try:
        found = [_certificate(ssl.PEM_cert_to_DER_cert(f"{_BEGIN}{block}{_END}")) for block in blocks]
    except (ValueError, IndexError):
        found = []
    if not found:
        raise TlsFilesError(f"{path} has no certificate that can be understood")
    return found


def _certificate(data: bytes) -> _Read:
    """The subject and the end of the validity: after version, serial number, signature algorithm and issuer."""
    rest = der.inside(der.inside(data))
    kind, _, after = der.element(rest)
    if kind == der.EXPLICIT_0:
        _, _, after = der.element(after)
    for _ in ("signature algorithm", "issuer"):
        _, _, after = der.element(after)
    validity, rest = der.inside(after), der.element(after)[2]
    _, _, ends = der.element(validity)
    kind, value, _ = der.element(ends)
    _, subject, _ = der.element(rest)
    return _Read(der.time(kind, value), subject)
