"""What a certificate that was shown in a handshake says of whoever showed it.

Its names are written as the configuration writes them: ``DNS:``, ``URI:``, ``IP:`` (subject alternative names, RFC 5280
4.2.1.6) and ``CN:``, the subject's common name where it has one and no second.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_KINDS = {"DNS": "DNS", "URI": "URI", "IP Address": "IP"}
_COMMON_NAME = "commonName"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerCertificate:
    """``subject`` is ``commonName=...,organizationName=...``; a backslash stands before a comma or backslash in it."""

    subject: str
    names: frozenset[str] = frozenset()
    expires: int = 0
    """Seconds since 1970."""

    def __str__(self) -> str:
        alternative = sorted(name for name in self.names if not name.startswith("CN:"))
        return " ".join([self.subject, *alternative] if self.subject else alternative)


def read_shown(certificate: Mapping[str, Any] | None) -> PeerCertificate | None:
    """What :meth:`ssl.SSLSocket.getpeercert` gives; None where no certificate was asked for, or none shown."""
    if not certificate:
        return None
    subject = [pair for relative in certificate.get("subject", ()) for pair in relative]
    text = ",".join(f"{key}={_escaped(value)}" for key, value in subject)
    until = certificate.get("notAfter")
    expires = 0 if until is None else int(ssl.cert_time_to_seconds(until))
    return PeerCertificate(subject=text, names=frozenset(_names(certificate, subject)), expires=expires)


class Shown:
    """The certificates that those whom we call showed last. Threads may share it."""

    def __init__(self) -> None:
        self._expires: dict[str, int] = {}

    def note(self, name: str, certificate: PeerCertificate | None) -> None:
        """Who is configured as ``name`` answered, with this certificate or without one."""
        if certificate is None:
            self._expires.pop(name, None)
        else:
            self._expires[name] = certificate.expires

    def expiries(self) -> dict[str, datetime]:
        """Configured name -> when the certificate expires."""
        return {name: datetime.fromtimestamp(at, UTC) for name, at in self._expires.copy().items()}


def _names(certificate: Mapping[str, Any], subject: list[tuple[str, str]]) -> Iterator[str]:
    common = [value for key, value in subject if key == _COMMON_NAME]
    if len(common) == 1:
        yield f"CN:{common[0]}"
    for kind, value in certificate.get("subjectAltName", ()):
        if kind == "IP Address":
            try:
                value = str(ipaddress.ip_address(value.strip()))
            except ValueError:
                continue
        if kind in _KINDS:
            yield f"{_KINDS[kind]}:{value.lower() if kind == 'DNS' else value}"


def _escaped(value: str) -> str:
    """So that no value can look like another attribute."""
    return value.replace("\\", "\\\\").replace(",", "\\,")
