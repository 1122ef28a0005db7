"""TLS contexts: 1.2 or newer, mutual authentication where a CA is named (PS3.15 B.9, BCP 195).

Nothing here asks a terminal for a pass phrase: a key that needs one is refused.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from kuva_gateway.network.errors import TlsFilesError


def server_context(certificate: Path | str, key: Path | str, ca: Path | str | None = None) -> ssl.SSLContext:
    """For a listener; with ``ca``, only peers whose certificate it signed come in.

    Raises
    ------
    TlsFilesError
        A file is missing, is not what it should be, or key and certificate do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.num_tickets = 0  # associations are long; unread tickets would make an early close a reset
    _load_chain(context, certificate, key)
    if ca is not None:
        _load_ca(context, ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(
    ca: Path | str | None = None,
    certificate: Path | str | None = None,
    key: Path | str | None = None,
    *,
    check_hostname: bool = True,
) -> ssl.SSLContext:
    """For calling a peer, whose certificate must come from ``ca`` (None: the system's); shows ours when there is one.

    Raises
    ------
    TlsFilesError
        As for :func:`server_context`.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = check_hostname
    if ca is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _load_ca(context, ca)
    if certificate is not None:
        _load_chain(context, certificate, key)
    return context


def _load_chain(context: ssl.SSLContext, certificate: Path | str, key: Path | str | None) -> None:
    try:
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except OSError as error:  # ssl.SSLError is one
        raise TlsFilesError(f"TLS certificate {certificate} or key {key} cannot be used: {_why(error)}") from None


def _load_ca(context: ssl.SSLContext, ca: Path | str) -> None:
    try:
        context.load_verify_locations(ca)
    except OSError as error:
        raise TlsFilesError(f"TLS CA file {ca} cannot be used: {_why(error)}") from None


def _why(error: OSError) -> str:
    return getattr(error, "reason", None) or error.strerror or type(error).__name__
