"""Figures over the whole catalog."""

from __future__ import annotations

from typing import Any

from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.session import Session, iso


def stats(catalog: Catalog) -> dict[str, Any]:
    """What is here, in figures.

    ``studies`` and ``entries`` map states to counts; ``instances`` and ``bytes`` are those that count (not replaced,
    not held duplicates); ``oldest_unarchived_at`` is the first arrival of the oldest study that still has a way to go.
    """
    with catalog.read() as session:
        totals = session.one("SELECT COALESCE(SUM(instances), 0) AS n, COALESCE(SUM(bytes), 0) AS bytes FROM studies")
        oldest = session.value(
            "SELECT MIN(first_arrival) FROM studies WHERE state IN ('receiving', 'settled', 'held', 'accepted')"
        )
        assert totals is not None
        return {
            "studies": _by_state(session, "studies"),
            "entries": _by_state(session, "entries"),
            "instances": int(totals["n"]),
            "bytes": int(totals["bytes"]),
            "documents": session.value("SELECT COUNT(*) FROM documents"),
            "codes": session.value("SELECT COUNT(DISTINCT code) FROM codes"),
            "oldest_unarchived_at": iso(oldest),
            "resting": [
                {"destination": row["name"], "until": iso(row["resting_until"]), "code": row["code"], "why": row["why"]}
                for row in session.rows("SELECT * FROM destinations ORDER BY name")
            ],
        }


def _by_state(session: Session, table: str) -> dict[str, int]:
    rows = session.rows(f"SELECT state, COUNT(*) AS n FROM {table} GROUP BY state ORDER BY state")
    return {row["state"]: row["n"] for row in rows}
