"""What is overdue when: certificates, and storage commitment."""

from __future__ import annotations

from datetime import datetime, timedelta

from kuva_gateway.config import Configuration


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


def overdue_after(configuration: Configuration) -> dict[str, timedelta]:
    """Destination -> how long it may take to commit to what it was sent; without those that offer no commitment."""
    return {
        one.name: timedelta(seconds=one.commitment_overdue)
        for one in configuration.destinations
        if one.storage_commitment
    }
