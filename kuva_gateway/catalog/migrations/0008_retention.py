"""Archived studies whose files are kept for now."""

from __future__ import annotations

from typing import Any

from peewee import BigIntegerField, ForeignKeyField, IntegerField, Model


class Study(Model):
    id = IntegerField(primary_key=True)

    class Meta:
        legacy_table_names = False
        table_name = "studies"


class Retention(Model):
    study = ForeignKeyField(Study, primary_key=True)
    since = BigIntegerField()
    not_before = BigIntegerField()

    class Meta:
        legacy_table_names = False
        table_name = "retentions"


Retention.add_index(Retention.index(Retention.since, Retention.study, name="retentions_since"))

_ARCHIVED = (
    "INSERT INTO retentions (study_id, since, not_before) SELECT s.id, COALESCE((SELECT MAX(h.at) FROM history h "
    "WHERE h.study_id = s.id AND h.event = 'all_complete'), s.last_arrival), 0 FROM studies s "
    "WHERE s.state = 'archived'"
)


def up(migrator: Any, db: Any) -> None:
    """Make the table; what is archived already has been since then."""
    with db.bind_ctx([Retention]):
        db.create_tables([Retention])
    db.execute_sql(_ARCHIVED)
