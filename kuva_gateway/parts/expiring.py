"""The configured certificates, and until when each is valid."""

from __future__ import annotations

from datetime import datetime

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
