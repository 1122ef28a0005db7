"""The first schema."""

from __future__ import annotations

from typing import Any

from peewee import (
    SQL,
    AutoField,
    BigIntegerField,
    BlobField,
    CompositeKey,
    ForeignKeyField,
    IntegerField,
    Model,
    SmallIntegerField,
    SqliteDatabase,
    TextField,
)


class Table(Model):
    class Meta:
        legacy_table_names = False


class Study(Table):
    id = IntegerField(primary_key=True)
    uid = TextField(unique=True)
    state = TextField()
    revision = IntegerField()
    facts_version = IntegerField(default=0)
    judge = SmallIntegerField(default=0)
    delivered = SmallIntegerField(default=0)
    released_revision = IntegerField(null=True)
    rejected_at = BigIntegerField(null=True)
    rejected_by = TextField(null=True)
    rejected_reason = TextField(null=True)
    patient_id = TextField()
    patient_key = TextField()
    accession_number = TextField()
    study_date = TextField()
    modalities = TextField()
    procedure_code = TextField(null=True)
    series = IntegerField(default=0)
    instances = IntegerField(default=0)
    bytes = BigIntegerField(default=0)
    peer = TextField()
    first_arrival = BigIntegerField()
    last_arrival = BigIntegerField()
    receiving_since = BigIntegerField()

    class Meta:
        table_name = "studies"


Study.add_index(Study.index(Study.state, Study.last_arrival, name="studies_state"))
Study.add_index(Study.index(Study.last_arrival, name="studies_last_arrival"))
Study.add_index(Study.index(Study.peer, Study.last_arrival, name="studies_peer"))
Study.add_index(Study.index(Study.accession_number, Study.patient_key, name="studies_accession"))
Study.add_index(Study.index(Study.patient_key, name="studies_patient"))
Study.add_index(Study.index(Study.last_arrival, where=SQL("judge = 1"), name="studies_to_judge"))


class Series(Table):
    id = IntegerField(primary_key=True)
    study = ForeignKeyField(Study, index=False)
    uid = TextField()
    modality = TextField()
    number = TextField()
    date = TextField()
    description = TextField()
    body_part = TextField()

    class Meta:
        table_name = "series"
        indexes = ((("study", "uid"), True),)


class FactSet(Table):
    id = IntegerField(primary_key=True)
    study = ForeignKeyField(Study, index=False)
    digest = BlobField()
    facts = TextField()

    class Meta:
        table_name = "fact_sets"
        indexes = ((("study", "digest"), True),)


class Instance(Table):
    id = IntegerField(primary_key=True)
    digest = BlobField(unique=True)
    study = ForeignKeyField(Study, index=False)
    series = ForeignKeyField(Series, index=True)
    fact_set = ForeignKeyField(FactSet, index=True)
    revision = IntegerField()
    sop_class = TextField()
    uid = TextField(index=True)
    transfer_syntax = TextField()
    number = TextField()
    size = BigIntegerField()
    frames = IntegerField()
    rows = IntegerField()
    columns = IntegerField()
    current = SmallIntegerField()
    held = SmallIntegerField()
    peer = TextField()
    received_at = BigIntegerField()

    class Meta:
        table_name = "instances"


Instance.add_index(Instance.index(Instance.study, Instance.series, name="instances_study"))


class Receipt(Table):
    time_ns = BigIntegerField()
    association = IntegerField()
    number = IntegerField()
    peer = TextField()
    instance = ForeignKeyField(Instance, index=True)

    class Meta:
        table_name = "receipts"
        primary_key = CompositeKey("time_ns", "association", "number")
        without_rowid = True


class ObservedFinding(Table):
    id = AutoField()
    study = ForeignKeyField(Study, index=False)
    rule = TextField()
    severity = TextField()
    place = TextField()
    sop_instance_uid = TextField()
    other_uid = TextField()
    at = BigIntegerField()

    class Meta:
        table_name = "observed_findings"
        indexes = ((("study", "rule", "sop_instance_uid", "other_uid"), True),)


class Document(Table):
    id = AutoField()
    identifier = TextField(unique=True)
    set_id = TextField(index=True)
    version = IntegerField()
    kind = TextField()
    patient_key = TextField()
    current = SmallIntegerField()
    ready = SmallIntegerField()
    received_at = BigIntegerField(index=True)
    stored_as = TextField()
    digest = BlobField()
    content = TextField()

    class Meta:
        table_name = "documents"


class DocumentReference(Table):
    id = AutoField()
    document = ForeignKeyField(Document, index=True)
    what = TextField()
    value = TextField()

    class Meta:
        table_name = "document_references"


DocumentReference.add_index(
    DocumentReference.index(DocumentReference.what, DocumentReference.value, name="document_references_value")
)


class Link(Table):
    study = ForeignKeyField(Study, index=False)
    document = ForeignKeyField(Document, index=True)
    linked_by = TextField()
    at = BigIntegerField()

    class Meta:
        table_name = "links"
        primary_key = CompositeKey("study", "document")


class Code(Table):
    id = AutoField()
    code = TextField()
    scheme = TextField()
    valid_from = TextField()
    valid_to = TextField(null=True)
    name = TextField()
    abbreviation = TextField()
    replaced_by = TextField()
    radiology = SmallIntegerField()
    visible_light = SmallIntegerField()
    leaf = SmallIntegerField()
    level = IntegerField(null=True)

    class Meta:
        table_name = "codes"
        indexes = ((("code", "scheme", "valid_from"), True),)


class Entry(Table):
    id = AutoField()
    study = ForeignKeyField(Study, index=False)
    destination = TextField()
    revision = IntegerField()
    state = TextField()
    priority = IntegerField()
    required = SmallIntegerField()
    commitment = SmallIntegerField()
    attempts = IntegerField(default=0)
    created_at = BigIntegerField()
    tried_since = BigIntegerField()
    due_at = BigIntegerField(null=True)
    next_attempt_at = BigIntegerField(null=True)
    owner = TextField(default="")
    last_error = TextField(null=True)
    sent = IntegerField(default=0)
    committed = IntegerField(default=0)

    class Meta:
        table_name = "entries"
        indexes = ((("study", "destination", "revision"), True),)


_DUE = SQL("due_at IS NOT NULL")
Entry.add_index(
    Entry.index(Entry.destination, Entry.priority.desc(), Entry.due_at, Entry.id, where=_DUE, name="entries_due")
)
Entry.add_index(Entry.index(Entry.destination, Entry.due_at, where=_DUE, name="entries_next"))
Entry.add_index(Entry.index(Entry.state, Entry.id, name="entries_state"))


class Attempt(Table):
    id = AutoField()
    entry = ForeignKeyField(Entry, index=True)
    kind = TextField()
    started_at = BigIntegerField()
    ended_at = BigIntegerField()
    outcome = TextField()
    scope = TextField()
    code = TextField()
    meaning = TextField()
    comment = TextField()
    sent = IntegerField()
    warnings = IntegerField()
    failed = IntegerField()

    class Meta:
        table_name = "attempts"


class Ledger(Table):
    study = ForeignKeyField(Study, index=False)
    destination = TextField()
    instance = ForeignKeyField(Instance, index=True)
    revision = IntegerField()
    state = TextField()
    code = TextField(default="")
    changed_at = BigIntegerField()

    class Meta:
        table_name = "ledger"
        primary_key = CompositeKey("study", "destination", "instance")
        without_rowid = True


class Finding(Table):
    id = AutoField()
    study = ForeignKeyField(Study, index=False)
    revision = IntegerField()
    rule = TextField(index=True)
    severity = TextField()
    place = TextField()
    message = TextField()
    remedy = TextField()
    overridden_at = BigIntegerField(null=True)
    overridden_by = TextField(null=True)
    overridden_reason = TextField(null=True)

    class Meta:
        table_name = "findings"


Finding.add_index(Finding.index(Finding.study, Finding.revision, name="findings_study"))


class History(Table):
    id = AutoField()
    study = ForeignKeyField(Study, index=True)
    entry = ForeignKeyField(Entry, null=True, index=True)
    what = TextField()
    event = TextField()
    from_state = TextField()
    to_state = TextField()
    at = BigIntegerField()
    actor = TextField()
    detail = TextField()

    class Meta:
        table_name = "history"


class Commitment(Table):
    id = AutoField()
    transaction_uid = TextField(unique=True)
    entry = ForeignKeyField(Entry, index=True)
    destination = TextField()
    asked_at = BigIntegerField()
    due_at = BigIntegerField(null=True)
    answered_at = BigIntegerField(null=True)

    class Meta:
        table_name = "commitments"


Commitment.add_index(
    Commitment.index(Commitment.destination, Commitment.due_at, Commitment.id, where=_DUE, name="commitments_due")
)


class CommitmentInstance(Table):
    commitment = ForeignKeyField(Commitment, index=False)
    instance = ForeignKeyField(Instance, index=True)
    state = TextField()
    reason = IntegerField(null=True)

    class Meta:
        table_name = "commitment_instances"
        primary_key = CompositeKey("commitment", "instance")
        without_rowid = True


class Destination(Table):
    name = TextField(primary_key=True)
    resting_until = BigIntegerField()
    since = BigIntegerField()
    code = TextField()
    why = TextField()
    times = IntegerField()

    class Meta:
        table_name = "destinations"


TABLES: tuple[Any, ...] = (
    Study,
    Series,
    FactSet,
    Instance,
    Receipt,
    ObservedFinding,
    Document,
    DocumentReference,
    Link,
    Code,
    Entry,
    Attempt,
    Ledger,
    Finding,
    History,
    Commitment,
    CommitmentInstance,
    Destination,
)


def up(migrator: Any, db: Any) -> None:
    """Make every table; WITHOUT ROWID is SQLite's alone."""
    for table in TABLES:
        table._meta.without_rowid &= isinstance(db, SqliteDatabase)
    with db.bind_ctx(TABLES):
        db.create_tables(TABLES)
