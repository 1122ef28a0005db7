"""The files that a configuration names, which may change while it stays the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from kuva_gateway.config import Configuration


def outside_files(configuration: Configuration) -> Mapping[str, str]:
    """A digest of the content of each file that is read with the configuration, by the key that names it."""
    tls, collector = configuration.tls, configuration.audit.collector
    named: dict[str, Path | None] = {
        "tls.certificate": tls.certificate,
        "tls.key": tls.key,
        "tls.ca": tls.ca,
        **{f"tls.revocation[{number}]": path for number, path in enumerate(tls.revocation)},
        "archive.content_classes": configuration.archive.content_classes,
        "audit.collector.ca": None if collector is None else collector.ca,
        **{f"peers.{peer.name}.code_mapping": peer.code_mapping for peer in configuration.peers},
    }
    return {key: _digest(configuration.path(path)) for key, path in named.items() if path is not None}


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""  # whoever needs it says what is wrong with it
