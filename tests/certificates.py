"""An authority for tests that signs what a good one would not: short keys, wrong uses, other days; and its lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

BOTH = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """Made once: it takes a while."""
    return rsa.generate_private_key(65537, bits)


def elliptic_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    """On P-256, or on another curve."""
    return ec.generate_private_key(curve or ec.SECP256R1())


@dataclass(frozen=True)
class Issued:
    """A certificate, who signed it, and its key."""

    certificate: x509.Certificate
    key: Key
    above: tuple[x509.Certificate, ...] = ()

    def write(self, path: Path) -> Path:
        """Key and chain in one PEM file, without the root."""
        private = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.write_bytes(private + b"".join(pem(one) for one in (self.certificate, *self.above)))
        return path


def pem(certificate: x509.Certificate) -> bytes:
    """As a file has it."""
    return certificate.public_bytes(serialization.Encoding.PEM)


@dataclass
class Authority:
    """Signs certificates and lists of those that it took back; a root, or below another one."""

    name: str = "Hospital CA"
    key: Key = field(default_factory=elliptic_key)
    parent: Authority | None = None
    certificate: x509.Certificate = field(init=False)
    revoked: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        signer = self.parent or self
        now = datetime.now(UTC)
        issuer = self._subject() if self.parent is None else self.parent.certificate.subject
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(self._subject())
            .issuer_name(issuer)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1000))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(signer.key, hashes.SHA256())
        )

    def _subject(self) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])

    def write(self, path: Path) -> Path:
        """Its own certificate, as a file that others trust."""
        path.write_bytes(pem(self.certificate))
        return path

    def issue(
        self,
        *names: str,
        common_name: str | None = None,
        subject: Sequence[tuple[x509.ObjectIdentifier, str]] | None = None,
        key: Key | None = None,
        uses: Iterable[x509.ObjectIdentifier] | None = BOTH,
        days: tuple[float, float] = (-1, 100),
    ) -> Issued:
        """A certificate for ``names`` (host names, addresses, URIs with a colon), valid between ``days`` from now."""
        own, now = key or elliptic_key(), datetime.now(UTC)
        given = subject if subject is not None else [(NameOID.COMMON_NAME, common_name)] if common_name else []
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(kind, value) for kind, value in given]))
            .issuer_name(self.certificate.subject)
            .public_key(own.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days=days[0]))
            .not_valid_after(now + timedelta(days=days[1]))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_general(one) for one in names]), critical=not given
            )
        if uses is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage(list(uses)), critical=False)
        signed = builder.sign(self.key, hashes.SHA256())
        above, one = [], self
        while one.parent is not None:
            above.append(one.certificate)
            one = one.parent
        return Issued(signed, own, tuple(above))

    def revoke(self, issued: Issued) -> None:
        """Take a certificate back, as the next list says."""
        self.revoked.append(issued.certificate.serial_number)

    def write_list(
        self, path: Path, *, days: tuple[float, float] = (-1, 7), binary: bool = False, key: Key | None = None
    ) -> Path:
        """The list of what was taken back so far; ``key`` signs it instead of the authority's own."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now + timedelta(days=days[0]))
            .next_update(now + timedelta(days=days[1]))
        )
        for number in self.revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(number).revocation_date(now - timedelta(hours=1)).build()
            )
        signed = builder.sign(key or self.key, hashes.SHA256())
        path.write_bytes(signed.public_bytes(serialization.Encoding.DER if binary else serialization.Encoding.PEM))
        return path


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.UniformResourceIdentifier(name) if ":" in name else x509.DNSName(name)
