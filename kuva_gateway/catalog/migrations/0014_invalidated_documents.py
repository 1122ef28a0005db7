"""A document that a person took out of force: by whom, when and why."""

from __future__ import annotations

from typing import Any

from peewee import BigIntegerField, TextField
from playhouse.migrate import migrate


def up(migrator: Any, db: Any) -> None:
    """Add the columns."""
    migrate(
        migrator.add_column("documents", "invalidated_at", BigIntegerField(null=True)),
        migrator.add_column("documents", "invalidated_by", TextField(null=True)),
        migrator.add_column("documents", "invalidated_reason", TextField(null=True)),
    )
