"""Fewer indexes to write for each instance, and figures that are kept instead of counted (decision 0010)."""

from __future__ import annotations

from typing import Any

from peewee import BigIntegerField, CompositeKey, IntegerField, Model, TextField


class Total(Model):
    what = TextField()
    state = TextField()
    number = IntegerField()
    instances = BigIntegerField()
    bytes = BigIntegerField()

    class Meta:
        legacy_table_names = False
        table_name = "totals"
        primary_key = CompositeKey("what", "state")


_DROPPED = ("instances_digest", "instances_uid", "instances_series_id", "instances_fact_set_id")
_UNARCHIVED = "state NOT IN ('archived', 'rejected', 'withdrawn', 'removed')"
_TOTALS = "INSERT INTO totals (what, state, number, instances, bytes)"
_STATEMENTS = (
    'CREATE UNIQUE INDEX "instances_uid_digest" ON "instances" ("uid", "digest")',
    f'CREATE INDEX "studies_unarchived" ON "studies" ("first_arrival") WHERE {_UNARCHIVED}',
    f"{_TOTALS} SELECT 'studies', state, COUNT(*), SUM(instances), SUM(bytes) FROM studies GROUP BY state",
    f"{_TOTALS} SELECT 'entries', state, COUNT(*), 0, 0 FROM entries GROUP BY state",
)


def up(migrator: Any, db: Any) -> None:
    """Exchange the indexes, and count once; series and fact sets are never removed, so nobody looks by them."""
    for name in _DROPPED:
        db.execute_sql(f'DROP INDEX "{name}"')
    with db.bind_ctx([Total]):
        db.create_tables([Total])
    for statement in _STATEMENTS:
        db.execute_sql(statement)
