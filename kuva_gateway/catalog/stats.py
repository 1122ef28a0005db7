"""Figures over the whole catalog."""

from __future__ import annotations

from typing import Any

from kuva_gateway.catalog import totals
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.session import iso


def stats(catalog: Catalog) -> dict[str, Any]:
    """What is here, in figures.

    ``studies`` and ``entries`` map states to counts; ``instances`` and ``bytes`` are those that count (not replaced,
    not held duplicates); ``oldest_unarchived_at`` is the first arrival of the oldest study that still has a way to go.
    """
    with catalog.read() as session:
        studies = totals.read(session, "studies")
        oldest = session.value(
            "SELECT first_arrival FROM studies WHERE state NOT IN ('archived', 'rejected', 'withdrawn', 'removed') "
            "ORDER BY first_arrival LIMIT 1"
        )
        return {
            "studies": {state: total.number for state, total in studies.items()},
            "entries": {state: total.number for state, total in totals.read(session, "entries").items()},
            "instances": sum(total.instances for total in studies.values()),
            "bytes": sum(total.bytes for total in studies.values()),
            "documents": session.value("SELECT COUNT(*) FROM documents"),
            "codes": session.value("SELECT COUNT(DISTINCT code) FROM codes"),
            "oldest_unarchived_at": iso(oldest),
            "resting": [
                {"destination": row["name"], "until": iso(row["resting_until"]), "code": row["code"], "why": row["why"]}
                for row in session.rows("SELECT * FROM destinations ORDER BY name")
            ],
        }
