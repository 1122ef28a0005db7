"""Files that are to be removed, and when one was."""

from __future__ import annotations

from typing import Any

from peewee import BigIntegerField, ForeignKeyField, IntegerField, Model
from playhouse.migrate import migrate


class Instance(Model):
    id = IntegerField(primary_key=True)

    class Meta:
        legacy_table_names = False
        table_name = "instances"


class Removal(Model):
    instance = ForeignKeyField(Instance, primary_key=True)
    asked_at = BigIntegerField()

    class Meta:
        legacy_table_names = False
        table_name = "removals"


def up(migrator: Any, db: Any) -> None:
    """Add the column and the table."""
    migrate(migrator.add_column("instances", "purged_at", BigIntegerField(null=True)))
    with db.bind_ctx([Instance, Removal]):
        db.create_tables([Removal])
