"""What people decided and only the catalog knows, carried from a catalog that is made anew into the new one.

Amendments and links of patient ids cannot be found out from the stored files (decision 0009). Promises that what can be
read of the old catalog is in the new one with its who, why and when.
"""

from __future__ import annotations

from dataclasses import dataclass

from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.session import Row
from kuva_gateway.catalog.summary import refresh_summaries
from kuva_gateway.errors import GatewayError

_AMENDMENT = ("origin", "revision", "patient", "issuer", "where_absent", "changes", "actor", "at", "reason")
_LINK = ("patient", "issuer", "changes", "actor", "at", "reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Rows of the old catalog; amendments with the UID of their study."""

    amendments: tuple[Row, ...] = ()
    links: tuple[Row, ...] = ()


def read_kept(catalog: Catalog) -> Kept:
    """Everything that can still be read; nothing where it cannot."""
    try:
        with catalog.read() as session:
            amendments = session.rows(
                f"SELECT s.uid, {', '.join(f'a.{name}' for name in _AMENDMENT)} FROM amendments a "
                "JOIN studies s ON s.id = a.study_id ORDER BY a.id"
            )
            links = session.rows(f"SELECT {', '.join(_LINK)} FROM patient_links ORDER BY id")
    except GatewayError:
        return Kept()
    return Kept(amendments=tuple(amendments), links=tuple(links))


def write_kept(catalog: Catalog, kept: Kept) -> int:
    """Put it into the new catalog, where its studies are there; returns how many amendments and links were written.

    A new catalog has none: what is there already is not doubled.
    """
    with catalog.write() as session:
        if session.value("SELECT COUNT(*) FROM amendments") or session.value("SELECT COUNT(*) FROM patient_links"):
            return 0
        rows = session.rows_in("SELECT id, uid FROM studies WHERE uid IN {}", {row["uid"] for row in kept.amendments})
        studies = {row["uid"]: row["id"] for row in rows}
        written = [row for row in kept.amendments if row["uid"] in studies]
        for row in written:
            session.insert("amendments", study_id=studies[row["uid"]], **{name: row[name] for name in _AMENDMENT})
        for row in kept.links:
            session.insert("patient_links", **{name: row[name] for name in _LINK})
        refresh_summaries(session, studies.values())
    return len(written) + len(kept.links)
