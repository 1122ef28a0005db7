"""What amended studies said when they were received, for peers that want to see that."""

from __future__ import annotations

from typing import Any

from peewee import ForeignKeyField, IntegerField, Model, TextField


class Study(Model):
    id = IntegerField(primary_key=True)

    class Meta:
        legacy_table_names = False
        table_name = "studies"


class ReceivedStudy(Model):
    study = ForeignKeyField(Study, primary_key=True)
    patient_id = TextField()
    accession_number = TextField()
    patient_name = TextField()
    name_key = TextField()
    name_accents = TextField()
    name_other = TextField()
    birth_date = TextField()
    sex = TextField()
    issuer_of_patient_id = TextField()
    description = TextField()
    procedure_codes = TextField()

    class Meta:
        legacy_table_names = False
        table_name = "received_studies"


def up(migrator: Any, db: Any) -> None:
    """Make the table."""
    with db.bind_ctx([Study, ReceivedStudy]):
        db.create_tables([ReceivedStudy])
