"""Amendments of studies, and patient ids that stand for others."""

from __future__ import annotations

from typing import Any

from peewee import AutoField, BigIntegerField, ForeignKeyField, IntegerField, Model, TextField


class Study(Model):
    id = IntegerField(primary_key=True)

    class Meta:
        legacy_table_names = False
        table_name = "studies"


class Amendment(Model):
    id = AutoField()
    study = ForeignKeyField(Study, index=True)
    origin = TextField()
    revision = IntegerField()
    patient = TextField(default="")
    issuer = TextField(default="")
    where_absent = TextField(default="")
    changes = TextField()
    actor = TextField()
    at = BigIntegerField()
    reason = TextField()

    class Meta:
        legacy_table_names = False
        table_name = "amendments"


class PatientLink(Model):
    id = AutoField()
    patient = TextField(index=True)
    issuer = TextField(default="")
    changes = TextField()
    actor = TextField()
    at = BigIntegerField()
    reason = TextField()

    class Meta:
        legacy_table_names = False
        table_name = "patient_links"


def up(migrator: Any, db: Any) -> None:
    """Make the tables and their indexes."""
    with db.bind_ctx([Study, Amendment, PatientLink]):
        db.create_tables([Amendment, PatientLink])
