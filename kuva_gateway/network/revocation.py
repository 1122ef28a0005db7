"""Lists of certificates that were withdrawn (RFC 5280 5): read from PEM or DER, how long each one holds.

Whether a certificate is on a list, and whether the list's signature holds, OpenSSL says in the handshake.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from kuva_gateway.network import der
from kuva_gateway.network.errors import TlsFilesError

_PEM = re.compile(rb"-----BEGIN X509 CRL-----(.*?)-----END X509 CRL-----", re.DOTALL)
_LARGEST = 64 * 2**20


SOON = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationList:
    """One list. ``issuer`` is the authority's name as DER; ``next_update`` None: it never ends."""

    issuer: bytes = field(repr=False)
    this_update: datetime
    next_update: datetime | None
    pem: str = field(repr=False)

    @property
    def due(self) -> datetime | None:
        """When a newer one should be here: with a quarter of its time left, but no earlier than 30 days before its end.

        Authorities make lists for a day as well as for a year: 30 days before the end of the one there is none yet.
        """
        if self.next_update is None:
            return None
        return self.next_update - min(SOON, (self.next_update - self.this_update) / 4)


def read_lists(path: Path | str) -> tuple[RevocationList, ...]:
    """Every list of the file, at least one: several as PEM, or one as DER.

    Raises
    ------
    TlsFilesError
        The file cannot be read, or has no list that can be understood.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise TlsFilesError(f"revocation list {path} cannot be read: {error.strerror}") from None
    try:
        if len(content) > _LARGEST:
            raise ValueError("too large")
        lists = [base64.b64decode(b"".join(block.split()), validate=True) for block in _PEM.findall(content)]
        return tuple(_list(one) for one in lists or [content])
    except (ValueError, IndexError, binascii.Error):
        raise TlsFilesError(f"{path} has no revocation list that can be understood") from None


def _list(data: bytes) -> RevocationList:
    """Version (absent in v1), signature algorithm, issuer, this update, next update (RFC 5280 5.1)."""
    signed = der.inside(data)
    rest = der.inside(signed)
    kind, _, after = der.element(rest)
    if kind == der.INTEGER:
        _, _, after = der.element(after)
    issuer, after = der.element(after)[1:]
    kind, value, after = der.element(after)
    begins, ends = der.time(kind, value), None
    if after and after[0] in (der.UTC_TIME, der.GENERALIZED_TIME):
        kind, value, _ = der.element(after)
        ends = der.time(kind, value)
    body = base64.encodebytes(data).decode("ascii")
    pem = f"-----BEGIN X509 CRL-----\n{body}-----END X509 CRL-----\n"
    return RevocationList(issuer=issuer, this_update=begins, next_update=ends, pem=pem)
