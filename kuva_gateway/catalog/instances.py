"""Stored instances, by digest."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a stored file came from, to ask for it again."""

    sop_instance_uid: str
    study_instance_uid: str
    peer: str


def origins(catalog: Catalog, wanted: Collection[str]) -> dict[str, Origin]:
    """Where the files with these SHA-256 came from; digests have no index, so this reads about every instance."""
    found: dict[str, Origin] = {}
    last = 0
    while len(found) < len(wanted):
        with catalog.read() as session:
            rows = session.rows(
                "SELECT i.id, i.digest, i.uid, i.peer, s.uid AS study FROM instances i "
                "JOIN studies s ON s.id = i.study_id WHERE i.id > ? ORDER BY i.id LIMIT ?",
                *(last, PAGE),
            )
        if not rows:
            break
        for row in rows:
            if (digest := bytes(row["digest"]).hex()) in wanted:
                found[digest] = Origin(sop_instance_uid=row["uid"], study_instance_uid=row["study"], peer=row["peer"])
        last = rows[-1]["id"]
    return found
