"""Stored instances, by digest."""

from __future__ import annotations

from collections.abc import Iterator

from kuva_gateway.catalog.database import Catalog

PAGE = 5000


def digests(catalog: Catalog) -> Iterator[str]:
    """The SHA-256 (hexadecimal) of every file that should be in the spool, in pages of one transaction each."""
    last = 0
    while True:
        with catalog.read() as session:
            rows = session.rows(
                "SELECT id, digest, purged_at FROM instances WHERE id > ? ORDER BY id LIMIT ?", last, PAGE
            )
        if not rows:
            return
        yield from (bytes(row["digest"]).hex() for row in rows if row["purged_at"] is None)
        last = rows[-1]["id"]
