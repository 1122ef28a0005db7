"""The day on which a verdict may change by itself, the content classes found, and what was judged by."""

from __future__ import annotations

from typing import Any

from peewee import IntegerField, Model, TextField
from playhouse.migrate import migrate


class Practice(Model):
    id = IntegerField(primary_key=True)
    digest = TextField()

    class Meta:
        legacy_table_names = False
        table_name = "practices"


_INDEX = 'CREATE INDEX "studies_look_again" ON "studies" ("look_again_on") WHERE look_again_on IS NOT NULL'


def up(migrator: Any, db: Any) -> None:
    """Add the columns, the index and the table."""
    migrate(
        migrator.add_column("studies", "look_again_on", TextField(null=True)),
        migrator.add_column("studies", "content_classes", TextField(null=True)),
    )
    db.execute_sql(_INDEX)
    with db.bind_ctx([Practice]):
        db.create_tables([Practice])
