"""Instances that a destination may have though the ledger has them as pending.

Sent whole and never answered, where no storage commitment tells; or all, where the catalog is a restored one that is
older than what was delivered. The doubt stands in the ledger's code until the mark that ends it.
"""

from __future__ import annotations

from collections.abc import Iterable

from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.records import EntryRecord

IN_DOUBT = "no-answer"


def doubt(catalog: Catalog, entry: EntryRecord, instance_id: int) -> None:
    """Everything of the instance was sent, and no answer came."""
    with catalog.write() as session:
        session.execute(
            "UPDATE ledger SET code = ? WHERE study_id = (SELECT study_id FROM entries WHERE id = ?) "
            "AND destination = ? AND instance_id = ? AND state = 'pending'",
            IN_DOUBT,
            entry.id,
            entry.destination,
            instance_id,
        )


def doubt_all(catalog: Catalog) -> int:
    """The catalog was restored or made anew: whatever is here may have been sent without its knowledge.

    What is pending is in doubt, and so will be what is planned of images that are here. Returns how many instances are.
    """
    with catalog.write() as session:
        session.insert("renewals", at=session.at)
        return session.change("UPDATE ledger SET code = ? WHERE state = 'pending'", IN_DOUBT)


def series_of(catalog: Catalog, instance_ids: Iterable[int]) -> dict[int, str]:
    """Series Instance UIDs by instance."""
    with catalog.read() as session:
        rows = session.rows_in(
            "SELECT i.id, e.uid FROM instances i JOIN series e ON e.id = i.series_id WHERE i.id IN {}", instance_ids
        )
    return {row["id"]: row["uid"] for row in rows}
