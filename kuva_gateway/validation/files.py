"""Facts of files that nobody has received: instances put together to studies, documents linked to them.

Keeps nothing and reads nothing; what files say is handed in. Promises the same facts that the catalog would have after
receiving the same files in the same order: the same linking, the same versions, the same duplicates.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from kuva_gateway.catalog.records import FactSet, InstanceFinding
from kuva_gateway.clinical.documents import ImagingDocument
from kuva_gateway.clinical.identifiers import normalise_hetu
from kuva_gateway.dicom.header import Header
from kuva_gateway.dicom.uids import is_valid_uid
from kuva_gateway.validation import tags
from kuva_gateway.validation.facts import DocumentFacts, Environment, LookUp, StudyFacts, look_up_codes
from kuva_gateway.validation.parties import PartiesOf, concerned, nobody
from kuva_gateway.validation.practice import DEFAULT, Practice


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInstance:
    """One DICOM file: its header, and its digest where another file has its SOP Instance UID ("" elsewhere)."""

    header: Header
    digest: str = ""


@dataclass(slots=True)
class _Study:
    """The files of one study while they are put together."""

    uid: str
    by_uid: dict[str, FileInstance] = field(default_factory=dict)
    seen: set[tuple[str, str]] = field(default_factory=set)
    findings: list[InstanceFinding] = field(default_factory=list)

    def note(self, rule: str, severity: str, where: str, sop_instance: str, other: str = "") -> None:
        self.findings.append(
            InstanceFinding(rule=rule, severity=severity, where=where, sop_instance_uid=sop_instance, other_uid=other)
        )

    def add(self, instance: FileInstance, duplicates: Literal["newest", "first"]) -> None:
        """Take a file in; the same bytes again are no event."""
        uid = instance.header.sop_instance_uid
        if (uid, instance.digest) in self.seen and instance.digest:
            return
        self.seen.add((uid, instance.digest))
        before = self.by_uid.get(uid)
        if before is None:
            self.by_uid[uid] = instance
            return
        if before.header.series_instance_uid != instance.header.series_instance_uid:
            self.note("UID-02", "hold", tags.SOP_INSTANCE, uid, self.uid)
        else:
            self.note("DUP-01", "warning", tags.SOP_INSTANCE, uid)
        if duplicates == "newest":
            self.by_uid[uid] = instance

    def sets(self) -> tuple[FactSet, ...]:
        counts: dict[Header, tuple[int, str]] = {}
        for uid, instance in self.by_uid.items():
            facts = instance.header.facts()
            number, example = counts.get(facts, (0, uid))
            counts[facts] = (number + 1, example)
        return tuple(
            FactSet(header=facts, instances=number, example_sop_instance_uid=example, peers=())
            for facts, (number, example) in counts.items()
        )


def facts_from_files(
    instances: Iterable[FileInstance],
    documents: Sequence[ImagingDocument],
    *,
    periods_for: LookUp,
    environment: Environment,
    today: date,
    private_classes: Collection[str],
    practice: Practice = DEFAULT,
    duplicates: Literal["newest", "first"] = "newest",
    parties_of: PartiesOf = nobody,
    peer: str = "",
) -> tuple[StudyFacts, ...]:
    """The facts of every study among ``instances``, in order of appearance, with the ``documents`` that belong to
    it."""
    studies: dict[str, _Study] = {}
    for instance in instances:
        uid = instance.header.study_instance_uid
        studies.setdefault(uid, _Study(uid)).add(instance, duplicates)
    _note_shared(studies.values())
    known = list({document.oid: document for document in documents}.values())
    facts = []
    for study in studies.values():
        sets = study.sets()
        linked = tuple(_linked(study.uid, sets, known))
        patients = [one.header.patient_id for one in sets]
        _note_bad_uids(study, {one.example_sop_instance_uid for one in sets})
        facts.append(
            StudyFacts(
                study_instance_uid=study.uid,
                sets=sets,
                documents=linked,
                code_periods=look_up_codes(sets, periods_for),
                instance_findings=tuple(study.findings),
                environment=environment,
                private_classes=private_classes,
                parties=parties_of(concerned([peer], [(one.document, one.current) for one in linked], patients)),
                practice=practice,
                today=today,
            )
        )
    return tuple(facts)


def _note_shared(studies: Iterable[_Study]) -> None:
    """UID-02: one SOP Instance UID in two studies, seen from both."""
    first: dict[str, _Study] = {}
    for study in studies:
        for uid in study.by_uid:
            other = first.setdefault(uid, study)
            if other is not study:
                study.note("UID-02", "hold", tags.SOP_INSTANCE, uid, other.uid)
                other.note("UID-02", "hold", tags.SOP_INSTANCE, uid, study.uid)


def _note_bad_uids(study: _Study, judged: Collection[str]) -> None:
    """UID-01 of what is not among the facts: every series, and the instances that are nobody's example."""
    series = {instance.header.series_instance_uid for instance in study.by_uid.values()}
    for uid in sorted(series):
        if not is_valid_uid(uid):
            study.note("UID-01", "refuse", tags.SERIES, uid)
    for uid in study.by_uid:
        if uid not in judged and not is_valid_uid(uid):
            study.note("UID-01", "refuse", tags.SOP_INSTANCE, uid)


def _linked(study_uid: str, sets: Sequence[FactSet], documents: Sequence[ImagingDocument]) -> Iterator[DocumentFacts]:
    """The documents that belong to a study: by Study Instance UID, else by accession number and patient."""
    headers = [one.header for one in sets]
    orders = {
        (header.accession_number, normalise_hetu(header.patient_id))
        for header in headers
        if header.accession_number and normalise_hetu(header.patient_id)
    }
    for document in documents:
        patient = normalise_hetu(document.patient_id)
        if study_uid in document.study_uids:
            linked_by = "study_uid"
        elif any((extension, patient) in orders for _, extension in document.accessions):
            linked_by = "accession"
        else:
            continue
        yield DocumentFacts(document=document, current=is_current(document, documents), linked_by=linked_by)


def is_current(document: ImagingDocument, documents: Sequence[ImagingDocument]) -> bool:
    """Whether none of ``documents`` is a later version of ``document`` or replaces it; of equal versions the last
    counts."""
    place = documents.index(document)
    for number, other in enumerate(documents):
        if other.oid == document.oid:
            continue
        later = (other.version, number) > (document.version, place)
        if document.oid in other.replaces or (other.set_id == document.set_id and later):
            return False
    return True
