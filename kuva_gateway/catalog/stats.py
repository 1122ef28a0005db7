"""Figures over the whole catalog."""

from __future__ import annotations

from typing import Any

from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.session import Session, iso

_ON_THE_WAY = frozenset({"receiving", "settled", "held", "accepted"})


def stats(catalog: Catalog) -> dict[str, Any]:
    """What is here, in figures.

    ``studies`` and ``entries`` map states to counts; ``instances`` and ``bytes`` are those that count (not replaced,
    not held duplicates); ``oldest_unarchived_at`` is the first arrival of the oldest study that still has a way to go.
    """
    with catalog.read() as session:
        states = session.rows(
            "SELECT state, COUNT(*) AS n, SUM(instances) AS instances, SUM(bytes) AS bytes, "
            "MIN(first_arrival) AS oldest FROM studies GROUP BY state ORDER BY state"
        )
        unarchived = [row["oldest"] for row in states if row["state"] in _ON_THE_WAY]
        return {
            "studies": {row["state"]: row["n"] for row in states},
            "entries": _by_state(session, "entries"),
            "instances": sum(int(row["instances"]) for row in states),
            "bytes": sum(int(row["bytes"]) for row in states),
            "documents": session.value("SELECT COUNT(*) FROM documents"),
            "codes": session.value("SELECT COUNT(DISTINCT code) FROM codes"),
            "oldest_unarchived_at": iso(min(unarchived, default=None)),
            "resting": [
                {"destination": row["name"], "until": iso(row["resting_until"]), "code": row["code"], "why": row["why"]}
                for row in session.rows("SELECT * FROM destinations ORDER BY name")
            ],
        }


def _by_state(session: Session, table: str) -> dict[str, int]:
    rows = session.rows(f"SELECT state, COUNT(*) AS n FROM {table} GROUP BY state ORDER BY state")
    return {row["state"]: row["n"] for row in rows}
