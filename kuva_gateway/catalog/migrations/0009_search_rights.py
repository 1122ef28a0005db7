"""Authorizations found by the register that they let a producer search."""

from __future__ import annotations

from typing import Any


def up(migrator: Any, db: Any) -> None:
    """Make the index."""
    columns = '"producer", "search_keeper", "patient_key"'
    db.execute_sql(f'CREATE INDEX "authorizations_search" ON "authorizations" ({columns})')
