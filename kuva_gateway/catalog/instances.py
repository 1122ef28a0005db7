"""Stored instances, by digest."""

from __future__ import annotations

from collections.abc import Iterator

from kuva_gateway.catalog.database import Catalog


def digests(catalog: Catalog) -> Iterator[str]:
    """The SHA-256 (hexadecimal) of every file that should be in the spool."""
    raise NotImplementedError
