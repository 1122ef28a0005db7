"""The tables of who acts for whom: registers that documents name, authorizations, providers. Private to this folder."""

from __future__ import annotations

from peewee import (
    SQL,
    AutoField,
    BigIntegerField,
    BlobField,
    ForeignKeyField,
    IntegerField,
    SmallIntegerField,
    TextField,
)

from kuva_gateway.catalog.models import AS_JSON, Document, Table


class DocumentRegister(Table):
    """Whose register a document belongs to; one row for each document."""

    document = ForeignKeyField(Document, primary_key=True)
    keeper = TextField(index=True, help_text='OID, "" when the document names none')
    register = TextField()
    specifier = TextField()
    service_event = TextField()

    class Meta:
        table_name = "document_registers"


class Authorization(Table):
    """One version of a service-purchase authorization; what is searched are columns, all of it is JSON."""

    id = AutoField()
    identifier = TextField(unique=True, help_text="its OID")
    set_id = TextField(index=True)
    version = IntegerField()
    current = SmallIntegerField()
    ready = SmallIntegerField()
    kind = TextField(help_text="patient or population")
    valid_from = TextField(help_text="ISO date")
    valid_to = TextField(help_text="ISO date, inclusive")
    producer = TextField()
    storing_keeper = TextField()
    search_keeper = TextField()
    search_register = TextField()
    search_specifier = TextField()
    patient_key = TextField(help_text='"" for a population')
    scope = TextField(help_text="all, range or events")
    documents_from = TextField(help_text="as a DICOM date, for comparison with studies'")
    documents_to = TextField()
    invalidated_at = BigIntegerField(null=True)
    invalidated_by = TextField(null=True)
    invalidated_reason = TextField(null=True)
    received_at = BigIntegerField()
    stored_as = TextField()
    digest = BlobField()
    content = TextField(help_text=AS_JSON)

    class Meta:
        table_name = "authorizations"


Authorization.add_index(
    Authorization.index(
        Authorization.producer, Authorization.storing_keeper, Authorization.patient_key, name="authorizations_producer"
    )
)


Authorization.add_index(
    Authorization.index(
        Authorization.producer, Authorization.search_keeper, Authorization.patient_key, name="authorizations_search"
    )
)


class AuthorizationReference(Table):
    """What an authorization names: one that it ``replaces``, or a service ``event`` that it covers."""

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
    """A provider that uses the archive, since when, and whose register it keeps, as far as an operator knows."""

    id = AutoField()
    name = TextField(unique=True)
    sector = TextField()
    joined = TextField(help_text="ISO date")
    oid = TextField(null=True)

    class Meta:
        table_name = "providers"


Provider.add_index(Provider.index(Provider.oid, where=SQL("oid IS NOT NULL"), unique=True, name="providers_oid"))
