"""Storage commitment that peers ask of us."""

from __future__ import annotations

from typing import Any

from peewee import SQL, AutoField, BigIntegerField, BlobField, IntegerField, Model, TextField


class CommitmentRequest(Model):
    id = AutoField()
    peer = TextField()
    transaction_uid = TextField()
    digest = BlobField()
    asked_at = BigIntegerField()
    judged_at = BigIntegerField(null=True)
    due_at = BigIntegerField(null=True)
    reported_at = BigIntegerField(null=True)
    attempts = IntegerField(default=0)
    instances = IntegerField()
    failed = IntegerField(default=0)
    last_error = TextField(default="")
    asked = TextField()

    class Meta:
        legacy_table_names = False
        table_name = "commitment_requests"
        indexes = ((("peer", "transaction_uid"), True),)


_DUE = SQL("due_at IS NOT NULL")
CommitmentRequest.add_index(
    CommitmentRequest.index(CommitmentRequest.due_at, where=_DUE, name="commitment_requests_due")
)


def up(migrator: Any, db: Any) -> None:
    """Make the table and its indexes."""
    with db.bind_ctx([CommitmentRequest]):
        db.create_tables([CommitmentRequest])
