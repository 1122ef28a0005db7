"""The instances that a C-MOVE or C-GET asks for: counted first, then handed out page by page.

Promises that a page is one short transaction, whatever the whole; that nothing which arrived after the count is handed
out; and an order: studies by age, series after series, instances as they came.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kuva_gateway.audit.events import StudyTold
from kuva_gateway.catalog.amended import amendments_of
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.records import PendingInstance
from kuva_gateway.catalog.visibility import Condition
from kuva_gateway.spool.awaited import Wanted

PAGE = 1000
"""Instances that are in memory at a time (about 1 KiB each)."""

_FROM = "FROM instances i JOIN series e ON e.id = i.series_id JOIN studies s ON s.id = i.study_id WHERE "


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What a retrieval has to send, as it stood when it was asked for."""

    selection: Condition
    studies: tuple[int, ...]
    told: tuple[StudyTold, ...]
    """The same studies, for the audit trail."""
    total: int
    last: int
    """The newest instance among them."""


HERE = Condition(sql="i.purged_at IS NULL")
"""Instances whose files are here."""


def purged(catalog: Catalog, selection: Condition, limit: int) -> list[Wanted]:
    """The selected instances whose files retention has removed, because the archive has them."""
    with catalog.read() as session:
        rows = session.rows(
            f"SELECT s.uid AS study, e.uid AS series, i.uid, i.sop_class {_FROM}{selection.sql} "
            f"AND i.purged_at IS NOT NULL ORDER BY i.id LIMIT {limit}",
            *selection.values,
        )
    return [
        Wanted(study=row["study"], series=row["series"], sop_instance=row["uid"], sop_class=row["sop_class"])
        for row in rows
    ]


def choose(catalog: Catalog, selection: Condition) -> Chosen:
    """Count the instances that are selected (:func:`kuva_gateway.catalog.visibility.selection`)."""
    with catalog.read() as session:
        rows = session.rows(
            "SELECT s.id AS study, s.uid, s.patient_id, s.accession_number, COUNT(*) AS number, MAX(i.id) AS last "
            f"{_FROM}{selection.sql} GROUP BY s.id, s.uid, s.patient_id, s.accession_number ORDER BY s.id",
            *selection.values,
        )
    return Chosen(
        selection=selection,
        studies=tuple(row["study"] for row in rows),
        told=tuple(
            StudyTold(
                uid=row["uid"],
                patient_id=row["patient_id"],
                accession_number=row["accession_number"],
                sop_classes={"": row["number"]},
            )
            for row in rows
        ),
        total=sum(row["number"] for row in rows),
        last=max((row["last"] for row in rows), default=0),
    )


def pages(catalog: Catalog, chosen: Chosen, *, as_received: bool = False, size: int = PAGE) -> Iterator[
    list[PendingInstance]
]:  # fmt: skip
    """The instances, at most ``size`` of them at a time; ``as_received``: without the amendments of their studies."""
    for study in chosen.studies:
        series, instance = 0, 0
        while page := _page(catalog, chosen, study, (series, instance), size, as_received=as_received):
            instances, series = page
            instance = instances[-1].instance_id
            yield instances


def _page(
    catalog: Catalog, chosen: Chosen, study: int, after: tuple[int, int], size: int, *, as_received: bool
) -> tuple[list[PendingInstance], int] | None:
    """The next instances of a study, and the series of the last of them."""
    with catalog.read() as session:
        rows = session.rows(
            f"SELECT i.id, i.series_id, i.digest, i.sop_class, i.uid, i.transfer_syntax, i.size {_FROM}"
            f"{chosen.selection.sql} AND i.study_id = ? AND i.id <= ? AND (i.series_id, i.id) > (?, ?) "
            "ORDER BY i.series_id, i.id LIMIT ?",
            *chosen.selection.values,
            study,
            chosen.last,
            *after,
            size,
        )
        amendments = () if as_received else amendments_of(session, [study]).get(study, ())
    if not rows:
        return None
    return [
        PendingInstance(
            instance_id=row["id"],
            sop_class=row["sop_class"],
            sop_instance=row["uid"],
            transfer_syntax=row["transfer_syntax"],
            digest=bytes(row["digest"]).hex(),
            size=row["size"],
            amendments=amendments,
        )
        for row in rows
    ], rows[-1]["series_id"]
