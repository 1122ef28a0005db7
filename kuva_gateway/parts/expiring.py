"""What is overdue when: certificates, lists of withdrawn ones, and storage commitment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from kuva_gateway.config import Configuration

if TYPE_CHECKING:
    from kuva_gateway.network.revocation import RevocationList


def certificates(configuration: Configuration) -> dict[str, datetime]:
    """Configuration key -> when the first certificate of its file expires.

    Raises
    ------
    TlsFilesError
        A file cannot be read or understood.
    """
    from kuva_gateway.network.certificates import expiry

    collector = configuration.audit.collector
    files = {
        "tls.certificate": configuration.tls.certificate,
        "tls.ca": configuration.tls.ca,
        "audit.collector.ca": None if collector is None else collector.ca,
    }
    return {key: expiry(configuration.path(path)) for key, path in files.items() if path is not None}


def revocation_lists(configuration: Configuration) -> dict[str, RevocationList]:
    """Configuration key -> the list of its file that expires first; without those that never do.

    Raises
    ------
    TlsFilesError
        A file cannot be read or understood.
    """
    from kuva_gateway.network.revocation import read_lists

    found = {}
    for number, path in enumerate(configuration.tls.revocation):
        ending = [(one.next_update, one) for one in read_lists(configuration.path(path)) if one.next_update is not None]
        if ending:
            found[f"tls.revocation[{number}]"] = min(ending, key=lambda pair: pair[0])[1]
    return found


def tls_notices(configuration: Configuration, now: datetime | None = None) -> list[str]:
    """What of the TLS files keeps peers out, although each file can be used.

    Raises
    ------
    TlsFilesError
        A file cannot be read or understood.
    """
    now = now or datetime.now(UTC)
    notices = [
        f"{key}: a certificate expired on {until:%Y-%m-%d}: it is refused"
        for key, until in certificates(configuration).items()
        if until <= now
    ]
    for key, one in revocation_lists(configuration).items():
        if one.next_update is not None and one.next_update <= now:
            notices.append(
                f"{key}: the list expired on {one.next_update:%Y-%m-%d %H:%M} UTC: "
                "whoever has a certificate of its authority stays out"
            )
    return [*notices, *unlisted_authorities(configuration)]


def unlisted_authorities(configuration: Configuration) -> list[str]:
    """That there are authorities of tls.ca of which tls.revocation has no list; raises TlsFilesError."""
    from kuva_gateway.network.certificates import authorities
    from kuva_gateway.network.revocation import read_lists

    own = configuration.tls
    if own.ca is None or not own.revocation:
        return []
    listed = {one.issuer for path in own.revocation for one in read_lists(configuration.path(path))}
    known = authorities(configuration.path(own.ca))
    missing = len(known - listed)
    what = f"tls.revocation: no list of {missing} of the {len(known)} authorities of tls.ca"
    return [f"{what}: whose certificate they signed themselves stays out"] if missing else []


def overdue_after(configuration: Configuration) -> dict[str, timedelta]:
    """Destination -> how long it may take to commit to what it was sent; without those that offer no commitment."""
    return {
        one.name: timedelta(seconds=one.commitment_overdue)
        for one in configuration.destinations
        if one.storage_commitment
    }
