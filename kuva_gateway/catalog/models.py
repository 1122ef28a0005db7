"""The tables of what came in, as peewee models; what leaves stands in :mod:`.queue_models`. Private to this folder.

These two are the one place where columns, references and indexes stand.

peewee makes the schema, runs the migrations and owns connections and their pool. The statements themselves are SQL that
SQLite and PostgreSQL both know, run through :class:`~kuva_gateway.catalog.session.Session`: most of them are set-based
or hot. The models are bound to no database, so that two catalogs can be open at once (a rebuild).
Times are microseconds since 1970 UTC, flags are 0 or 1, digests are raw bytes. Ids of studies, series, fact sets and
instances are given out by the indexer, which is the only writer of those tables.
"""

from __future__ import annotations

from peewee import (
    SQL,
    AutoField,
    BigIntegerField,
    BlobField,
    CompositeKey,
    ForeignKeyField,
    IntegerField,
    Model,
    Node,
    SmallIntegerField,
    TextField,
)

AS_JSON = "JSON text, not a database type, so that both databases hold the same"
_EMPTY: list[Node] = [SQL("DEFAULT ''")]
_NONE: list[Node] = [SQL("DEFAULT '[]'")]


class Table(Model):
    """What all tables share."""

    class Meta:
        legacy_table_names = False


class Study(Table):
    """One row per Study Instance UID, with the summary that lists and queries show."""

    id = IntegerField(primary_key=True)
    uid = TextField(unique=True)
    state = TextField()
    revision = IntegerField()
    facts_version = IntegerField(default=0)
    judge = SmallIntegerField(default=0, help_text="facts have changed, or the study has settled")
    delivered = SmallIntegerField(default=0)
    released_revision = IntegerField(null=True, help_text="a person's release holds for this revision")
    rejected_at = BigIntegerField(null=True)
    rejected_by = TextField(null=True)
    rejected_reason = TextField(null=True)
    patient_id = TextField()
    patient_key = TextField(help_text="patient_id without case and blanks, for links")
    accession_number = TextField()
    study_date = TextField()
    modalities = TextField(help_text=AS_JSON)
    procedure_code = TextField(null=True)
    series = IntegerField(default=0)
    instances = IntegerField(default=0)
    bytes = BigIntegerField(default=0)
    peer = TextField()
    first_arrival = BigIntegerField()
    last_arrival = BigIntegerField()
    receiving_since = BigIntegerField(help_text="first receipt of this revision")
    look_again_on = TextField(null=True, help_text="local day (YYYY-MM-DD) on which the verdict may change by itself")
    content_classes = TextField(null=True, help_text="of the last verdict; " + AS_JSON)
    patient_name = TextField(constraints=_EMPTY)
    name_key = TextField(constraints=_EMPTY, help_text="its alphabetic group as it is searched: dicom.names")
    name_accents = TextField(constraints=_EMPTY, help_text="the same with its accents, if it has any")
    name_other = TextField(constraints=_EMPTY, help_text="its ideographic and phonetic groups")
    birth_date = TextField(constraints=_EMPTY)
    sex = TextField(constraints=_EMPTY)
    issuer_of_patient_id = TextField(constraints=_EMPTY)
    study_time = TextField(constraints=_EMPTY)
    moment = TextField(constraints=_EMPTY, help_text="date and time as digits that sort: dicom.names")
    dicom_study_id = TextField(constraints=_EMPTY, help_text="(0020,0010) Study ID")
    description = TextField(constraints=_EMPTY)
    referring_physician = TextField(constraints=_EMPTY)
    referring_key = TextField(constraints=_EMPTY)
    sop_classes = TextField(constraints=_NONE, help_text=AS_JSON)
    procedure_codes = TextField(constraints=_NONE, help_text=AS_JSON + ": value, scheme and meaning of each")

    class Meta:
        table_name = "studies"


for _name, _columns in {
    "state": (Study.state, Study.last_arrival),
    "last_arrival": (Study.last_arrival,),
    "peer": (Study.peer, Study.last_arrival),
    "accession": (Study.accession_number, Study.patient_key),
    "patient": (Study.patient_key,),
    "patient_id": (Study.patient_id, Study.issuer_of_patient_id),
    "moment": (Study.moment,),
}.items():
    Study.add_index(Study.index(*_columns, name=f"studies_{_name}"))
Study.add_index(Study.index(Study.last_arrival, where=SQL("judge = 1"), name="studies_to_judge"))
_AGAIN = SQL("look_again_on IS NOT NULL")
Study.add_index(Study.index(Study.look_again_on, where=_AGAIN, name="studies_look_again"))
_UNARCHIVED = SQL("state NOT IN ('archived', 'rejected', 'withdrawn', 'removed')")
Study.add_index(Study.index(Study.first_arrival, where=_UNARCHIVED, name="studies_unarchived"))


class Practice(Table):
    """By which configuration and tables the studies here were judged last: one row."""

    id = IntegerField(primary_key=True)
    digest = TextField(help_text="of everything besides the facts that a verdict depends on")

    class Meta:
        table_name = "practices"


class Series(Table):
    """One row per series of a study."""

    id = IntegerField(primary_key=True)
    study = ForeignKeyField(Study, index=False)
    uid = TextField()
    modality = TextField()
    number = TextField()
    date = TextField()
    description = TextField()
    body_part = TextField()
    time = TextField(constraints=_EMPTY)
    moment = TextField(constraints=_EMPTY, help_text="date and time as digits that sort: dicom.names")
    laterality = TextField(constraints=_EMPTY)
    institution = TextField(constraints=_EMPTY)
    requests = TextField(constraints=_NONE, help_text=AS_JSON + ": requested procedure, step and accession of each")

    class Meta:
        table_name = "series"
        indexes = ((("study", "uid"), True), (("uid",), False))


class FactSet(Table):
    """The distinct ``Header.facts()`` of a study; instances refer to one, so that a study has few."""

    id = IntegerField(primary_key=True)
    study = ForeignKeyField(Study, index=False)
    digest = BlobField(help_text="SHA-256 of facts")
    facts = TextField(help_text=AS_JSON)

    class Meta:
        table_name = "fact_sets"
        indexes = ((("study", "digest"), True),)


class Instance(Table):
    """One stored object, keyed by the SHA-256 of its file; found by its UID, which the bytes hold (decision 0010)."""

    id = IntegerField(primary_key=True)
    digest = BlobField()
    study = ForeignKeyField(Study, index=False)
    series = ForeignKeyField(Series, index=False)
    fact_set = ForeignKeyField(FactSet, index=False)
    revision = IntegerField(help_text="the study's revision that it came with")
    sop_class = TextField()
    uid = TextField()
    transfer_syntax = TextField()
    number = TextField()
    size = BigIntegerField(help_text="bytes of the whole file")
    frames = IntegerField()
    rows = IntegerField()
    columns = IntegerField()
    current = SmallIntegerField(help_text="0: another object with its SOP Instance UID counts instead")
    held = SmallIntegerField(help_text="1: never sent (DUP-01 after delivery)")
    peer = TextField()
    received_at = BigIntegerField()
    purged_at = BigIntegerField(null=True, help_text="its file was removed; row and history stay")

    class Meta:
        table_name = "instances"
        indexes = ((("uid", "digest"), True),)


Instance.add_index(Instance.index(Instance.study, Instance.series, name="instances_study"))


class Removal(Table):
    """A file that is to be removed: the indexer's thread does it, and deletes the row (:mod:`.removal`)."""

    instance = ForeignKeyField(Instance, primary_key=True)
    asked_at = BigIntegerField()

    class Meta:
        table_name = "removals"


class Receipt(Table):
    """One acknowledged C-STORE; its key makes indexing repeatable."""

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
    """What the indexer saw of one instance: DUP-01, UID-02, QUA-02."""

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
    """One imaging document; what is searched are columns, all of it is JSON."""

    id = AutoField()
    identifier = TextField(unique=True, help_text="its OID")
    set_id = TextField(index=True)
    version = IntegerField()
    kind = TextField()
    patient_key = TextField()
    current = SmallIntegerField()
    ready = SmallIntegerField()
    received_at = BigIntegerField(index=True)
    stored_as = TextField()
    digest = BlobField()
    content = TextField(help_text=AS_JSON)
    invalidated_at = BigIntegerField(null=True, help_text="a person took it out of force: it is not current any more")
    invalidated_by = TextField(null=True)
    invalidated_reason = TextField(null=True)

    class Meta:
        table_name = "documents"


class DocumentReference(Table):
    """What a document names: a ``study`` UID, an ``accession`` number, or a document that it ``replaces``."""

    id = AutoField()
    document = ForeignKeyField(Document, index=True)
    what = TextField()
    value = TextField()

    class Meta:
        table_name = "document_references"


_NAMED = (DocumentReference.what, DocumentReference.value)
DocumentReference.add_index(DocumentReference.index(*_NAMED, name="document_references_value"))


class Link(Table):
    """A document belongs to a study."""

    study = ForeignKeyField(Study, index=False)
    document = ForeignKeyField(Document, index=True)
    linked_by = TextField()
    at = BigIntegerField()

    class Meta:
        table_name = "links"
        primary_key = CompositeKey("study", "document")


class Code(Table):
    """One period of validity of one procedure code."""

    id = AutoField()
    code = TextField()
    scheme = TextField()
    valid_from = TextField(help_text='ISO date, "" when the list has none')
    valid_to = TextField(null=True)
    name = TextField()
    abbreviation = TextField()
    replaced_by = TextField(help_text=AS_JSON)
    radiology = SmallIntegerField()
    visible_light = SmallIntegerField()
    leaf = SmallIntegerField()
    level = IntegerField(null=True)

    class Meta:
        table_name = "codes"
        indexes = ((("code", "scheme", "valid_from"), True),)


class Amendment(Table):
    """What is to be changed of a study's instances while they are sent; what was received stays as it is."""

    id = AutoField()
    study = ForeignKeyField(Study, index=True)
    origin = TextField(help_text="person, link, issuer or mapping")
    revision = IntegerField(help_text="the study's revision when it was made")
    patient = TextField(default="", help_text="only instances with this patient id, as patient_key has it")
    issuer = TextField(default="", help_text="with patient: only ids of this issuer, or of none")
    where_absent = TextField(default="", help_text="only instances without this attribute")
    changes = TextField(help_text=AS_JSON)
    actor = TextField()
    at = BigIntegerField()
    reason = TextField()

    class Meta:
        table_name = "amendments"


class PatientLink(Table):
    """One patient id stands for another: for every study that is not delivered, and for those that still come."""

    id = AutoField()
    patient = TextField(index=True, help_text="the old id, as patient_key has it")
    issuer = TextField(default="", help_text="only where the old id is of this issuer, or of none")
    changes = TextField(help_text=AS_JSON)
    actor = TextField()
    at = BigIntegerField()
    reason = TextField()

    class Meta:
        table_name = "patient_links"


class ReceivedStudy(Table):
    """What an amended study said when it was received; the columns are those of studies."""

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
    procedure_codes = TextField(help_text=AS_JSON)

    class Meta:
        table_name = "received_studies"
