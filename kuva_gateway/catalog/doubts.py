"""Instances that a destination may have though the ledger has them as pending.

Sent whole and never answered, where no storage commitment tells; or all, where the catalog is a restored one that is
older than what was delivered. The doubt stands in the ledger's code until the mark that ends it.
"""

from __future__ import annotations

from collections.abc import Iterable

from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.records import EntryRecord
from kuva_gateway.dicom.statuses import NO_SUCH_INSTANCE

IN_DOUBT = "no-answer"

MAY_BE_THERE = (
    f"(l.state IN ('sent', 'committed') OR l.code = '{IN_DOUBT}' OR EXISTS (SELECT 1 FROM commitment_instances n "
    "JOIN commitments c ON c.id = n.commitment_id JOIN entries t ON t.id = c.entry_id "
    "WHERE n.instance_id = l.instance_id AND t.study_id = l.study_id AND t.destination = l.destination "
    f"AND (n.reason IS NULL OR n.reason <> {NO_SUCH_INSTANCE})))"
)
"""SQL: the destination has, or may have, what the ledger row ``l`` is about: it took it once, or never answered.

Of the reasons for which a commitment fails only this one denies having the instance (PS3.3 C.14.1.1).
"""


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
