"""The tables of what becomes of studies: entries, attempts, ledger, findings, history, commitment, and the totals.

Private to this folder, as :mod:`.models` are, which says how values are held.
"""

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
    SmallIntegerField,
    TextField,
)

from kuva_gateway.catalog import party_models
from kuva_gateway.catalog.models import AS_JSON, Instance, Study, Table


class Entry(Table):
    """One study's revision on its way to one destination."""

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
    tried_since = BigIntegerField(help_text="when it was made, or when a person last had it tried again")
    due_at = BigIntegerField(null=True, help_text="when a worker may claim it; a lease's end while sending; else null")
    next_attempt_at = BigIntegerField(null=True)
    owner = TextField(default="")
    last_error = TextField(null=True, help_text=AS_JSON)
    sent = IntegerField(default=0)
    committed = IntegerField(default=0)

    class Meta:
        table_name = "entries"
        indexes = ((("study", "destination", "revision"), True),)


_DUE = SQL("due_at IS NOT NULL")
_URGENCY = (Entry.destination, Entry.priority.desc(), Entry.due_at, Entry.id)
Entry.add_index(Entry.index(*_URGENCY, where=_DUE, name="entries_due"))
Entry.add_index(Entry.index(Entry.destination, Entry.due_at, where=_DUE, name="entries_next"))
Entry.add_index(Entry.index(Entry.state, Entry.id, name="entries_state"))


class Attempt(Table):
    """One attempt at a delivery, or at asking for commitment."""

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
    """What became of one instance at one destination; outlives entries."""

    study = ForeignKeyField(Study, index=False)
    destination = TextField()
    instance = ForeignKeyField(Instance, index=True)
    revision = IntegerField(help_text="the study's revision that first wanted it there")
    state = TextField()
    code = TextField(default="")
    changed_at = BigIntegerField()

    class Meta:
        table_name = "ledger"
        primary_key = CompositeKey("study", "destination", "instance")
        without_rowid = True


class Finding(Table):
    """One finding of one revision's verdict."""

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
    """Every change of state: what, from, event, to, when, by whom."""

    id = AutoField()
    study = ForeignKeyField(Study, index=True)
    entry = ForeignKeyField(Entry, null=True, index=True)
    what = TextField()
    event = TextField()
    from_state = TextField()
    to_state = TextField()
    at = BigIntegerField()
    actor = TextField()
    detail = TextField(help_text=AS_JSON)

    class Meta:
        table_name = "history"


class ToAudit(Table):
    """A row of history, or an attempt, that the audit trail is still to be told of."""

    id = AutoField()
    history_id = IntegerField(null=True)
    attempt_id = IntegerField(null=True)

    class Meta:
        table_name = "to_audit"


class ToJournal(Table):
    """A thing that changed and that the journal is still to be told of (:mod:`.outbox`)."""

    id = AutoField()
    kind = TextField()
    what = TextField(help_text="a study's id, a name, an OID; of receipts themselves as JSON")

    class Meta:
        table_name = "to_journal"


class Renewal(Table):
    """The catalog was restored or made anew: what came before may have been delivered without its knowledge."""

    id = AutoField()
    at = BigIntegerField()

    class Meta:
        table_name = "renewals"


class Commitment(Table):
    """One storage commitment transaction."""

    id = AutoField()
    transaction_uid = TextField(unique=True)
    entry = ForeignKeyField(Entry, index=True)
    destination = TextField()
    asked_at = BigIntegerField()
    due_at = BigIntegerField(null=True, help_text="null once nothing more is awaited")
    answered_at = BigIntegerField(null=True)

    class Meta:
        table_name = "commitments"


_AWAITED = (Commitment.destination, Commitment.due_at, Commitment.id)
Commitment.add_index(Commitment.index(*_AWAITED, where=_DUE, name="commitments_due"))


class CommitmentInstance(Table):
    """One instance of a storage commitment transaction, and what the destination said of it."""

    commitment = ForeignKeyField(Commitment, index=False)
    instance = ForeignKeyField(Instance, index=True)
    state = TextField(help_text="asked, committed or failed")
    reason = IntegerField(null=True)

    class Meta:
        table_name = "commitment_instances"
        primary_key = CompositeKey("commitment", "instance")
        without_rowid = True


class CommitmentRequest(Table):
    """One storage commitment transaction that a peer asked of us, and how far our report to it has come."""

    id = AutoField()
    peer = TextField(help_text="its configured name")
    transaction_uid = TextField()
    digest = BlobField(help_text="SHA-256 of what was asked about, whatever its order")
    asked_at = BigIntegerField()
    judged_at = BigIntegerField(null=True, help_text="when the report was made; null while it cannot be")
    due_at = BigIntegerField(null=True, help_text="when it is looked at next; null once it was told or given up")
    reported_at = BigIntegerField(null=True)
    attempts = IntegerField(default=0)
    instances = IntegerField()
    failed = IntegerField(default=0)
    last_error = TextField(default="")
    asked = TextField(help_text=AS_JSON + ": class, instance and, once judged, reason; failures alone once it is told")

    class Meta:
        table_name = "commitment_requests"
        indexes = ((("peer", "transaction_uid"), True),)


CommitmentRequest.add_index(
    CommitmentRequest.index(CommitmentRequest.due_at, where=_DUE, name="commitment_requests_due")
)


class Retention(Table):
    """An archived study whose files have not been asked back yet (:mod:`.retention`)."""

    study = ForeignKeyField(Study, primary_key=True)
    since = BigIntegerField(help_text="when it was archived, or its files came back")
    not_before = BigIntegerField(help_text="no sooner is it looked at")

    class Meta:
        table_name = "retentions"


Retention.add_index(Retention.index(Retention.since, Retention.study, name="retentions_since"))


class RejectionNote(Table):
    """One rejection note: a peer's, or our own."""

    id = AutoField()
    uid = TextField(unique=True, help_text="its SOP Instance UID")
    study = ForeignKeyField(Study, index=True, help_text="the study that it is filed in")
    instance = ForeignKeyField(Instance, null=True, index=False, help_text="null: our own, not in the spool yet")
    code = TextField()
    peer = TextField(help_text='"" for our own')
    at = BigIntegerField()
    waits = SmallIntegerField(default=0, help_text="1: a person's release of the study lets it go")
    content = BlobField(null=True, help_text="our own's data set, until it is in the spool")
    destinations = TextField(null=True, help_text=AS_JSON + ": where our own goes")

    class Meta:
        table_name = "rejection_notes"


RejectionNote.add_index(
    RejectionNote.index(RejectionNote.id, where=SQL("content IS NOT NULL"), name="rejection_notes_unwritten")
)


class RejectedInstance(Table):
    """One instance that a note rejects, here or yet to come."""

    id = AutoField()
    note = ForeignKeyField(RejectionNote, index=False)
    code = TextField()
    uid = TextField()
    study_uid = TextField()
    sop_class = TextField()
    active = SmallIntegerField(help_text="1: it is hidden")

    class Meta:
        table_name = "rejected_instances"
        indexes = ((("note", "uid"), True), (("uid", "active"), False))


class Destination(Table):
    """A destination that rests, and why; no row: it does not."""

    name = TextField(primary_key=True)
    resting_until = BigIntegerField()
    since = BigIntegerField()
    code = TextField()
    why = TextField()
    times = IntegerField()

    class Meta:
        table_name = "destinations"


class Total(Table):
    """How many studies or entries are in a state, and what studies add up to: kept with every change of theirs."""

    what = TextField(help_text="studies, entries, or entries:NAME for those of one destination")
    state = TextField()
    number = IntegerField()
    instances = BigIntegerField()
    bytes = BigIntegerField()

    class Meta:
        table_name = "totals"
        primary_key = CompositeKey("what", "state")


_MORE = (party_models,)  # their tables are among those below as well
TABLES: tuple[Any, ...] = tuple(Table.__subclasses__())
"""Every table, in the order of their references."""
