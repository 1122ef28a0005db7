"""What the audit trail is still to be told of."""

from __future__ import annotations

from typing import Any

from peewee import AutoField, IntegerField, Model


class ToAudit(Model):
    id = AutoField()
    history_id = IntegerField(null=True)
    attempt_id = IntegerField(null=True)

    class Meta:
        legacy_table_names = False
        table_name = "to_audit"


def up(migrator: Any, db: Any) -> None:
    """Make the table."""
    with db.bind_ctx([ToAudit]):
        db.create_tables([ToAudit])
