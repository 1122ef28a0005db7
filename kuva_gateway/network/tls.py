"""TLS contexts by the profiles of PS3.15: 1.2 or newer, exact suites, mutual authentication where a CA is named.

Nothing here asks a terminal for a pass phrase: a key that needs one is refused. What a context was made of is read
once: files that change meanwhile count for the next context.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from kuva_gateway.network.certificates import authorities
from kuva_gateway.network.errors import TlsFilesError
from kuva_gateway.network.revocation import RevocationList, read_lists

Profile = Literal["bcp195", "modified-bcp195"]

SUITES: Mapping[Profile, Mapping[str, str]] = MappingProxyType(
    {
        "bcp195": {
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
            "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
        },
        "modified-bcp195": {
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
            "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
            "TLS_ECDHE_ECDSA_WITH_AES_256_CCM": "ECDHE-ECDSA-AES256-CCM",
            "TLS_ECDHE_ECDSA_WITH_AES_128_CCM": "ECDHE-ECDSA-AES128-CCM",
            "TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8": "ECDHE-ECDSA-AES256-CCM8",
            "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8": "ECDHE-ECDSA-AES128-CCM8",
        },
    }
)
"""Suites of TLS 1.2 by profile, the preferred ones first: RFC 9325 4.2 for PS3.15 B.12, the list of PS3.15 B.13.

Name in the standard -> name in OpenSSL. None has a key exchange without forward secrecy, DHE (RFC 9325 4.1), or CBC.
"""
SUITES_1_3 = ("TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256")
"""Suites of TLS 1.3, in both profiles: OpenSSL's default."""
_LEVEL = 2
"""OpenSSL's security level: RSA and DH of 2048 bits, elliptic curves of 224, no signature with SHA-1 or MD5. The curves
that OpenSSL takes without being told so begin with 256 bits."""


def server_context(
    certificate: Path | str,
    key: Path | str,
    ca: Path | str | None = None,
    *,
    profile: Profile = "bcp195",
    revocation: Sequence[Path | str] = (),
) -> ssl.SSLContext:
    """For a listener; with ``ca``, only peers whose certificate it signed come in, and none that ``revocation`` lists.

    Raises
    ------
    TlsFilesError
        A file is missing, is not what it should be, or key and certificate do not belong together.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER, profile)
    context.num_tickets = 0  # associations are long; unread tickets would make an early close a reset
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    _load_chain(context, certificate, key)
    if ca is not None:
        _load_ca(context, ca)
        _load_revocation(context, ca, revocation)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(
    ca: Path | str | None = None,
    certificate: Path | str | None = None,
    key: Path | str | None = None,
    *,
    check_hostname: bool = True,
    profile: Profile = "bcp195",
    revocation: Sequence[Path | str] = (),
) -> ssl.SSLContext:
    """For calling a peer, whose certificate must come from ``ca`` (None: the system's); shows ours when there is one.

    Raises
    ------
    TlsFilesError
        As for :func:`server_context`.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT, profile)
    context.check_hostname = check_hostname
    if ca is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _load_ca(context, ca)
        _load_revocation(context, ca, revocation)
    if certificate is not None:
        _load_chain(context, certificate, key)
    return context


def covers_the_chain(ca: Path | str, lists: Sequence[RevocationList]) -> bool:
    """Whether there is a list of every authority in ``ca``: then the whole chain is checked, else its leaf alone.

    A leaf whose authority has no list is refused in either case (RFC 5280 6.3.3: its status cannot be determined).
    """
    return authorities(ca) <= {one.issuer for one in lists}


def _context(protocol: int, profile: Profile) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED
    context.set_ciphers(":".join((*SUITES[profile].values(), f"@SECLEVEL={_LEVEL}")))
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


def _load_revocation(context: ssl.SSLContext, ca: Path | str, files: Sequence[Path | str]) -> None:
    lists = [one for file in files for one in read_lists(file)]
    if not lists:
        return
    # OpenSSL takes lists as PEM from a file alone: one without a name, of exactly the bytes that were read.
    descriptor = os.memfd_create("revocation", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "w", encoding="ascii", closefd=False) as file:
            file.writelines(one.pem for one in lists)
        context.load_verify_locations(f"/proc/self/fd/{descriptor}")
    except OSError as error:
        named = ", ".join(map(str, files))
        raise TlsFilesError(f"TLS revocation lists {named} cannot be used: {_why(error)}") from None
    finally:
        os.close(descriptor)
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN if covers_the_chain(ca, lists) else ssl.VERIFY_CRL_CHECK_LEAF


def _why(error: OSError) -> str:
    return getattr(error, "reason", None) or error.strerror or type(error).__name__
