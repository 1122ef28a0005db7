"""Indexes for millions of instances: fewer to write for each, and figures without reading studies (decision 0010)."""

from __future__ import annotations

from typing import Any

_DROPPED = ("instances_digest", "instances_uid", "instances_series_id", "instances_fact_set_id")
_MADE = (
    'CREATE UNIQUE INDEX "instances_uid_digest" ON "instances" ("uid", "digest")',
    'CREATE INDEX "studies_figures" ON "studies" ("state", "first_arrival", "instances", "bytes")',
)


def up(migrator: Any, db: Any) -> None:
    """Exchange them; series and fact sets are never removed, so nobody looks for instances by them."""
    for name in _DROPPED:
        db.execute_sql(f'DROP INDEX "{name}"')
    for statement in _MADE:
        db.execute_sql(statement)
