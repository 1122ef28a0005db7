"""What an operator writes about TLS: the port, the files for both directions, the profile, who is taken for whom.

Keeps nothing but what was written, checked. Whether the files can be used is seen when the contexts are made of them.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, model_validator

from kuva_gateway.config.kinds import Port, Section

Profile = Literal["bcp195", "modified-bcp195"]
"""PS3.15 B.12 (BCP 195 RFC 8996, 9325 TLS) and B.13 (Modified BCP 195 RFC 8996, 9325 TLS)."""


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _certificate_name(value: str) -> str:
    """``DNS:``, ``URI:``, ``IP:`` (subject alternative names, RFC 5280 4.2.1.6) or ``CN:`` and the whole name."""
    kind, _, name = value.partition(":")
    name = name.strip()
    if kind not in ("DNS", "URI", "IP", "CN") or not name:
        raise ValueError("expected a name such as DNS:ct1.hospital.example, URI:urn:oid:1.2.3, IP:10.1.2.3 or CN:ct1")
    if kind == "IP":
        try:
            name = str(ipaddress.ip_address(name))
        except ValueError:
            raise ValueError("expected an address after IP:") from None
    return f"{kind}:{name.lower() if kind == 'DNS' else name}"


CertificateName = Annotated[str, AfterValidator(_certificate_name)]
"""A name as a certificate carries it, whole: no pattern."""


CertificateNames = Annotated[tuple[CertificateName, ...], BeforeValidator(_one_or_many)]
"""Of which a certificate must carry one."""


class Tls(Section):
    """Where peers reach the gateway with TLS, and the certificates for both directions."""

    port: Port | None = None
    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None
    revocation: Annotated[tuple[Path, ...], BeforeValidator(_one_or_many)] = ()
    profile: Profile = "bcp195"

    @model_validator(mode="after")
    def _what_needs_what(self) -> Tls:
        if self.port is not None and (self.certificate is None or self.key is None):
            raise ValueError("a TLS port needs certificate and key")
        if self.revocation and self.ca is None:
            raise ValueError("revocation lists need ca: whose certificates they withdraw")
        return self
