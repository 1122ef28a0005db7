"""What an operator writes about one peer: who it is, where it is, what it may do, and how much of it."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from kuva_gateway.config.kinds import AeTitle, Name, Oid, Port, RetrySchedule, Rules, Section, Service
from kuva_gateway.config.tls import CertificateNames, Tls
from kuva_gateway.config.units import Duration, Size


class PeerLimits(Section):
    """How much one peer may use."""

    associations: Annotated[int, Field(ge=1)] = 20
    instances_per_minute: Annotated[int, Field(ge=1)] | None = None
    bytes_per_hour: Annotated[Size, Field(ge=1)] | None = None
    object_size: Annotated[Size, Field(ge=1)] | None = None
    quota: Annotated[Size, Field(ge=1)] | None = None

    @property
    def of_instances(self) -> bool:
        """Whether any of them concerns what is sent."""
        return (self.instances_per_minute, self.bytes_per_hour, self.object_size, self.quota) != (None,) * 4


class Peer(Section):
    """A remote AE that may associate with the gateway, and what it may do (default: nothing)."""

    name: Name
    ae_title: AeTitle
    host: str | None = None
    port: Port | None = None
    allow: frozenset[Service] = frozenset()
    networks: tuple[IPv4Network | IPv6Network, ...] | None = None
    require_tls: bool = False
    certificate_subject: str | None = None
    certificate_names: CertificateNames = ()
    tls: bool | None = None
    producer: str | None = None
    register_keeper: str | None = None
    issuer_of_patient_id: Oid | None = None
    issuer_of_accession_number: Oid | None = None
    rules: Rules = {}
    code_mapping: Path | None = None
    as_received: bool = False
    decompress: bool = False
    limits: PeerLimits = PeerLimits()
    commit_when: Literal["stored", "archived"] = "stored"
    urgent: bool = False
    forward_rejections: bool = False
    commit_retry: RetrySchedule = "5x1m,12x5m,48x1h"
    commit_give_up_after: Duration = 7 * 86400.0

    def notices(self, tls: Tls) -> list[str]:
        """What hardly can be meant about its TLS."""
        bound = self.certificate_subject is not None or self.certificate_names
        if (bound or self.require_tls) and tls.port is None:
            return [f"peers.{self.name}: it must call with TLS, and there is no tls.port: it cannot come in"]
        if bound and tls.ca is None:
            return [f"peers.{self.name}: without tls.ca nobody is asked for a certificate: it cannot come in"]
        if self.require_tls and not bound and tls.ca is not None:
            why = f"whoever has a certificate of tls.ca may speak as {self.ae_title} (certificate_names)"
            return [f"peers.{self.name}: {why}"]
        return []

    @property
    def called_with_tls(self) -> bool:
        """Whether we call it with TLS."""
        return self.require_tls if self.tls is None else self.tls
