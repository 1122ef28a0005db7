"""How many entries each destination has in each state."""

from __future__ import annotations

from typing import Any

_COUNT = (
    "INSERT INTO totals (what, state, number, instances, bytes) "
    "SELECT 'entries:' || destination, state, COUNT(*), 0, 0 FROM entries GROUP BY destination, state"
)


def up(migrator: Any, db: Any) -> None:
    """Count them once; from now on every change of theirs is added."""
    db.execute_sql(_COUNT)
