"""Everything in the catalog that waits for a moment, moved at once: the clock was set.

What has happened keeps the time that it was written down with.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.session import Session

_MICROSECOND: Final = timedelta(microseconds=1)
_MOMENTS: Final = (
    ("entries", ("due_at", "next_attempt_at", "tried_since"), "state NOT IN ('archived', 'cancelled', 'superseded')"),
    ("destinations", ("resting_until",), "resting_until > 0"),
    ("commitments", ("due_at",), "due_at IS NOT NULL"),
    ("commitment_requests", ("due_at",), "due_at IS NOT NULL"),
    ("retentions", ("since", "not_before"), "since > 0"),
)
"""Table, moments that are waited for (or from which a patience is counted), and which rows wait."""


def shift(catalog: Catalog, step: timedelta) -> int:
    """Move every such moment by ``step``; returns how many rows. All or, where it raises, none.

    Raises
    ------
    CatalogUnavailableError
        The database is away.
    """
    by = int(step / _MICROSECOND)
    with catalog.write() as session:
        return _shift_arrivals(session, by) + sum(
            session.change(
                f"UPDATE {table} SET {', '.join(f'{name} = {name} + ?' for name in names)} WHERE {which}",
                *(by for _ in names),
            )
            for table, names, which in _MOMENTS
        )


def _shift_arrivals(session: Session, by: int) -> int:
    """From which settling counts. Who receives goes by the wall clock: what came since the step is right already."""
    is_older, now = ("<=", session.at) if by > 0 else (">", session.at + by)
    moved = ", ".join(
        f"{name} = CASE WHEN {name} {is_older} ? THEN {name} + ? ELSE {name} END"
        for name in ("last_arrival", "receiving_since")
    )
    return session.change(f"UPDATE studies SET {moved} WHERE state = 'receiving'", now, by, now, by)
