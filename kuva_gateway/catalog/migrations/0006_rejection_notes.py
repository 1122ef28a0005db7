"""Rejection notes, and what they reject."""

from __future__ import annotations

from typing import Any

from peewee import (
    SQL,
    AutoField,
    BigIntegerField,
    BlobField,
    ForeignKeyField,
    IntegerField,
    Model,
    SmallIntegerField,
    TextField,
)


class Study(Model):
    id = IntegerField(primary_key=True)

    class Meta:
        legacy_table_names = False
        table_name = "studies"


class Instance(Model):
    id = IntegerField(primary_key=True)

    class Meta:
        legacy_table_names = False
        table_name = "instances"


class RejectionNote(Model):
    id = AutoField()
    uid = TextField(unique=True)
    study = ForeignKeyField(Study, index=True)
    instance = ForeignKeyField(Instance, null=True, index=False)
    code = TextField()
    peer = TextField()
    at = BigIntegerField()
    waits = SmallIntegerField(default=0)
    content = BlobField(null=True)
    destinations = TextField(null=True)

    class Meta:
        legacy_table_names = False
        table_name = "rejection_notes"


RejectionNote.add_index(
    RejectionNote.index(RejectionNote.id, where=SQL("content IS NOT NULL"), name="rejection_notes_unwritten")
)


class RejectedInstance(Model):
    id = AutoField()
    note = ForeignKeyField(RejectionNote, index=False)
    code = TextField()
    uid = TextField()
    study_uid = TextField()
    sop_class = TextField()
    active = SmallIntegerField()

    class Meta:
        legacy_table_names = False
        table_name = "rejected_instances"
        indexes = ((("note", "uid"), True), (("uid", "active"), False))


def up(migrator: Any, db: Any) -> None:
    """Make the tables and their indexes."""
    tables = [RejectionNote, RejectedInstance]
    with db.bind_ctx(tables):
        db.create_tables(tables)
