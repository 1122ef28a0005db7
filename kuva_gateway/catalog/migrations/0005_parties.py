"""Whose register a document belongs to, service-purchase authorizations, providers."""

from __future__ import annotations

import json
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


class Table(Model):
    class Meta:
        legacy_table_names = False


class Document(Table):
    id = AutoField()
    content = TextField()

    class Meta:
        table_name = "documents"


class DocumentRegister(Table):
    document = ForeignKeyField(Document, primary_key=True)
    keeper = TextField(index=True)
    register = TextField()
    specifier = TextField()
    service_event = TextField()

    class Meta:
        table_name = "document_registers"


class Authorization(Table):
    id = AutoField()
    identifier = TextField(unique=True)
    set_id = TextField(index=True)
    version = IntegerField()
    current = SmallIntegerField()
    ready = SmallIntegerField()
    kind = TextField()
    valid_from = TextField()
    valid_to = TextField()
    producer = TextField()
    storing_keeper = TextField()
    search_keeper = TextField()
    search_register = TextField()
    search_specifier = TextField()
    patient_key = TextField()
    scope = TextField()
    documents_from = TextField()
    documents_to = TextField()
    invalidated_at = BigIntegerField(null=True)
    invalidated_by = TextField(null=True)
    invalidated_reason = TextField(null=True)
    received_at = BigIntegerField()
    stored_as = TextField()
    digest = BlobField()
    content = TextField()

    class Meta:
        table_name = "authorizations"


Authorization.add_index(
    Authorization.index(
        Authorization.producer, Authorization.storing_keeper, Authorization.patient_key, name="authorizations_producer"
    )
)


class AuthorizationReference(Table):
    id = AutoField()
    authorization = ForeignKeyField(Authorization, index=True)
    what = TextField()
    value = TextField()

    class Meta:
        table_name = "authorization_references"


AuthorizationReference.add_index(
    AuthorizationReference.index(
        AuthorizationReference.what, AuthorizationReference.value, name="authorization_references_value"
    )
)


class Provider(Table):
    id = AutoField()
    name = TextField(unique=True)
    sector = TextField()
    joined = TextField()
    oid = TextField(null=True)

    class Meta:
        table_name = "providers"


Provider.add_index(Provider.index(Provider.oid, where=SQL("oid IS NOT NULL"), unique=True, name="providers_oid"))

_TABLES = [DocumentRegister, Authorization, AuthorizationReference, Provider]
_AT_ONCE = 1000


def up(migrator: Any, db: Any) -> None:
    """Make the tables and their indexes, and say of every document whose register it belongs to."""
    with db.bind_ctx([Document, *_TABLES]):
        db.create_tables(_TABLES)
        last = 0
        while rows := list(Document.select().where(Document.id > last).order_by(Document.id).limit(_AT_ONCE)):
            DocumentRegister.insert_many([_register(row) for row in rows]).execute()
            last = rows[-1].id


def _register(row: Any) -> dict[str, Any]:
    said = json.loads(row.content)
    return {
        "document": row.id,
        "keeper": said.get("register_keeper") or "",
        "register": said.get("register") or "",
        "specifier": said.get("register_specifier") or "",
        "service_event": said.get("service_event") or "",
    }
