"""What the journal is still to be told of, and when a catalog was restored or made anew."""

from __future__ import annotations

from typing import Any

from peewee import AutoField, BigIntegerField, Model, TextField


class ToJournal(Model):
    id = AutoField()
    kind = TextField()
    what = TextField()

    class Meta:
        legacy_table_names = False
        table_name = "to_journal"


class Renewal(Model):
    id = AutoField()
    at = BigIntegerField()

    class Meta:
        legacy_table_names = False
        table_name = "renewals"


def up(migrator: Any, db: Any) -> None:
    """Make the tables."""
    with db.bind_ctx([ToJournal, Renewal]):
        db.create_tables([ToJournal, Renewal])
