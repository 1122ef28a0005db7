"""What the catalog hands out and takes in: frozen records without behaviour.

Times are aware datetimes in UTC; ids are the catalog's own integers and mean nothing elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from kuva_gateway.clinical.authorizations import Authorization
from kuva_gateway.clinical.documents import ImagingDocument
from kuva_gateway.config.delivery import Filter
from kuva_gateway.dicom.amendments import Amendment, Value
from kuva_gateway.dicom.header import Header


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRecord:
    """One study as its row stands."""

    id: int
    study_instance_uid: str
    state: str
    revision: int
    """Grows with every instance that arrives after the study has settled."""
    facts_version: int
    """Grows with every document, link or code list that may change the verdict."""
    patient_id: str
    accession_number: str
    study_date: str
    """As received (YYYYMMDD), "" when absent."""
    modalities: tuple[str, ...]
    procedure_code: str | None
    """The code that all sources agree on, else None."""
    series: int
    instances: int
    bytes: int
    peer: str
    """The configured name of the peer that sent the first instance; "" when a rebuild could not know it."""
    first_arrival: datetime
    last_arrival: datetime
    delivered: bool
    """Some instance has been sent to some destination."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FactSet:
    """Instances of a study whose headers say the same about everything that is judged."""

    header: Header
    """``Header.facts()`` of these instances."""
    instances: int
    example_sop_instance_uid: str
    peers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedDocument:
    """A document that belongs to a study."""

    document: ImagingDocument
    current: bool
    """No newer version of it, and no document that replaces it, is here."""
    linked_by: str
    """``study_uid`` or ``accession``."""
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceFinding:
    """What the indexer saw of one instance (DUP-01, UID-02) or of the study's state (QUA-02)."""

    rule: str
    severity: str
    where: str
    sop_instance_uid: str
    other_uid: str
    """UID-02: the other study's UID; DUP-01: empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A person's decision that the study never goes, made before its last instances arrived (REJ-01)."""

    by: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientLink:
    """One patient id stands for another (a temporary one for a personal identity code, mostly)."""

    id: int
    patient: str
    """The old id, as :func:`~kuva_gateway.dicom.amendments.patient_key` has it."""
    issuer: str
    """Only where the old id is of this issuer or of none; "": of any."""
    changes: Mapping[str, Value]
    by: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """Something with the study's accession number, and an id that differs from the patient's in the separator alone."""

    what: str
    """``study`` or ``document``."""
    uid: str
    """Its Study Instance UID or OID."""
    patient_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """What linking two patient ids changed."""

    amended: tuple[str, ...]
    """Study Instance UIDs that have the new id now."""
    delivered: tuple[str, ...]
    """Those that have been delivered with the old one: they must be withdrawn first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyView:
    """A study and everything that its verdict depends on, read in one transaction."""

    study: StudyRecord
    facts: tuple[FactSet, ...]
    """With the study's amendments applied: what would be delivered."""
    documents: tuple[LinkedDocument, ...]
    instance_findings: tuple[InstanceFinding, ...]
    revision: int
    facts_version: int
    delivered: bool
    rejection: Rejection | None = None
    received: tuple[FactSet, ...] = ()
    """The same as they came."""
    amendments: tuple[Amendment, ...] = ()
    links: tuple[PatientLink, ...] = ()
    """Links of the study's patient ids, and of what they lead to."""
    neighbours: tuple[Neighbour, ...] = ()


class FindingLike(Protocol):
    """What :func:`~kuva_gateway.catalog.studies.record_verdict` needs of a finding; validation's own has it."""

    @property
    def rule(self) -> str: ...
    @property
    def severity(self) -> str: ...
    @property
    def where(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def remedy(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRecord:
    """A finding as it is written."""

    rule: str
    severity: str
    where: str
    message: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationPlan:
    """Where an accepted study goes."""

    name: str
    required: bool = True
    """The study is archived only when this destination is complete."""
    commitment: bool = True
    """The destination offers storage commitment: complete means committed, else sent."""
    priority: int = 0
    """Entries with a greater number go first."""
    filter: Filter | None = None
    """Which studies go there; None: all."""
    urgent_peers: frozenset[str] = frozenset()
    """Names of peers whose studies go before those of others."""


class Unsettled(NamedTuple):
    """A study in ``receiving`` whose time has come, as far as the catalog can tell."""

    study_instance_uid: str
    revision: int
    last_arrival: datetime
    overdue: bool
    """``settle_at_most`` has passed since the first receipt of this revision: settle it whatever is under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRecord:
    """One queue entry: a study's revision on its way to one destination."""

    id: int
    study_instance_uid: str
    revision: int
    destination: str
    state: str
    priority: int
    attempts: int
    """Attempts begun so far, the present one included."""
    created_at: datetime
    tried_since: datetime
    """When it was made, or when a person last had it tried again after it had failed: it is given up so long after."""
    next_attempt_at: datetime | None
    lease_until: datetime | None
    owner: str
    required: bool
    commitment: bool
    resumed: bool = False
    """Claimed after its lease ran out: what is pending may have been sent without a mark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingInstance:
    """One instance that an entry has yet to deliver, or that is sent and not confirmed."""

    instance_id: int
    sop_class: str
    sop_instance: str
    transfer_syntax: str
    digest: str
    """SHA-256 of the whole file, in hexadecimal: its name in the spool."""
    size: int
    """Bytes of the whole file."""
    amendments: tuple[Amendment, ...] = ()
    """What is to be applied to its study's instances; the file is as it was received."""
    in_doubt: bool = False
    """It was sent whole before, and never answered: the destination may have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    """One attempt at a delivery or at asking for commitment, as it ended."""

    started_at: datetime
    ended_at: datetime
    outcome: str
    """``delivered``, ``deferred``, ``failed`` or what the queue calls it."""
    code: str = ""
    """A DIMSE status in hexadecimal or a word of our own such as ``no-answer``; "" when all went well."""
    meaning: str = ""
    comment: str = ""
    """The peer's own words: Error Comment and Offending Element."""
    scope: str = ""
    """``instance``, ``study``, ``sop_class`` or ``destination``."""
    remedy: str = ""
    """What a person can do about it."""
    sent: int = 0
    warnings: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationState:
    """Whether a destination rests, and why."""

    name: str
    resting_until: datetime | None
    """None: it does not rest. A time that has passed: it may be probed."""
    since: datetime | None
    """When the rest began."""
    code: str
    why: str
    times: int
    """Rests in a row, for growing pauses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedInstance:
    """One instance of a storage commitment request."""

    instance_id: int
    sop_class: str
    sop_instance: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedInstance:
    """One instance that the destination did not commit to, with its failure reason (0008,1197)."""

    instance_id: int
    sop_class: str
    sop_instance: str
    reason: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentRecord:
    """One storage commitment transaction."""

    transaction_uid: str
    entry_id: int
    destination: str
    study_instance_uid: str
    asked_at: datetime
    due_at: datetime
    answered_at: datetime | None
    """When the last of its instances was answered for; None while some are not."""
    waiting: tuple[AskedInstance, ...]
    """Asked about and not answered for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentOutcome:
    """What a storage commitment result changed."""

    transaction_uid: str
    known: bool
    """False: no such transaction with this destination; nothing was changed."""
    entry_id: int | None = None
    study_instance_uid: str = ""
    committed: int = 0
    """Instances newly committed by this result."""
    resend: tuple[FailedInstance, ...] = ()
    """Failed with 0112 (no such object instance): pending again, and their entry is deferred."""
    failed: tuple[FailedInstance, ...] = ()
    """Failed for another reason: still ``sent``; the queue decides."""
    waiting: tuple[AskedInstance, ...] = ()
    """Asked about in this transaction and still not answered for."""
    entry_archived: bool = False
    study_archived: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What adding a document changed."""

    id: str
    """The document's own OID."""
    new: bool
    """False: this very document was here already; nothing was changed."""
    superseded: tuple[str, ...]
    """OIDs of the documents that are no longer current because of it."""
    studies_affected: tuple[str, ...]
    """Study Instance UIDs whose question is open again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeSummary:
    """What storing a code list changed, in validity periods."""

    added: int
    changed: int
    ended: int
    unchanged: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildSummary:
    """What a rebuild found."""

    instances: int
    studies: int
    arrivals: int
    bad: Sequence[str]
    """Digests of stored files that could not be read or are missing."""
    decisions: int = 0
    """What people decided, from the journal."""
    held: int = 0
    """Studies of which the journal cannot tell enough (QUA-03)."""
    gone: int = 0
    """Studies that the journal knows and of which no file is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAuthorization:
    """An authorization as it stands in the catalog."""

    authorization: Authorization
    current: bool
    invalidated: bool

    @property
    def counts(self) -> bool:
        """Whether it may be relied on: the latest version, ready, and invalidated by nobody."""
        return self.current and self.authorization.ready and not self.invalidated
