"""Rules on imaging documents: DOC-01 and DOC-02 (they are here), DOC-03 (a report is), DOC-04 (they agree), DOC-05 (why
one does not count).

Keeps nothing. A document counts when it is linked, current, ready, and of a kind that is known: ``other`` counts for no
rule. Where none of a kind counts, those that are current are compared all the same, so that one look tells every cause.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from kuva_gateway.clinical.documents import ImagingDocument
from kuva_gateway.clinical.identifiers import normalise_hetu
from kuva_gateway.validation import tags
from kuva_gateway.validation.accession import accession_numbers
from kuva_gateway.validation.codes import study_codes
from kuva_gateway.validation.facts import DocumentFacts, StudyFacts
from kuva_gateway.validation.findings import Fault
from kuva_gateway.validation.identity import differ_in_separator
from kuva_gateway.validation.parties import KINDS, own_keepers

_NATIONAL: Final = ("1.2.246.10.", "1.2.246.21", "1.2.246.537.", "1.2.246.777.")
"""Organisations (their documents and service events too), persons, code lists, document structures: no studies,
mostly."""
_MOST_NAMED: Final = 3


def counts(linked: DocumentFacts) -> bool:
    """Whether a linked document satisfies the rule of its kind."""
    return linked.current and linked.document.ready and linked.document.kind in KINDS


def judge_presence(facts: StudyFacts) -> Iterator[Fault]:
    """DOC-01 and DOC-02."""
    present = {linked.document.kind for linked in facts.documents if counts(linked)}
    numbers = ", ".join(accession_numbers(facts)) or "–"
    for rule, kind in (("DOC-01", "request"), ("DOC-02", "examination_entry")):
        if kind not in present:
            yield Fault(rule=rule, message="missing", where=tags.ACCESSION_NUMBER, quoted={"accession": numbers})


def judge_readiness(facts: StudyFacts) -> Iterator[Fault]:
    """DOC-05: of each kind of which none counts, why those that are here do not."""
    for kind in KINDS:
        linked = [one for one in facts.documents if one.document.kind == kind]
        if any(counts(one) for one in linked):
            continue
        current_sets = {one.document.set_id for one in linked if one.current}
        for one in linked:
            document = one.document
            values = {"version": str(document.version)}
            if one.current:
                quoted = {"status": document.record_status or "–"}
                message = f"{kind}_not_ready"
                yield Fault(rule="DOC-05", message=message, where=document.oid, values=values, quoted=quoted)
            elif document.set_id not in current_sets:
                yield Fault(rule="DOC-05", message=f"{kind}_superseded", where=document.oid, values=values)


def judge_agreement(facts: StudyFacts) -> Iterator[Fault]:
    """DOC-04."""
    present = {linked.document.kind for linked in facts.documents if counts(linked)}
    compared = []
    for linked in facts.documents:
        kind = linked.document.kind
        if kind in KINDS and linked.current and (linked.document.ready or kind not in present):
            compared.append(linked.document)
            yield from _patient(facts, linked.document)
            yield from _accession(facts, linked.document)
            yield from _study(facts, linked)
            yield from _code(facts, linked.document)
    yield from _keeper(facts, compared)


def judge_report(facts: StudyFacts) -> Iterator[Fault]:
    """DOC-03: reports that are linked; none is needed."""
    for linked in facts.documents:
        document = linked.document
        if document.kind == "report" and counts(linked):
            values = {"version": str(document.version)}
            yield Fault(rule="DOC-03", message="linked", where=document.oid, values=values)


def _keeper(facts: StudyFacts, documents: Sequence[ImagingDocument]) -> Iterator[Fault]:
    """The documents lie in the register of one keeper: the sender's, where that is configured."""
    own = own_keepers(facts.parties)
    expected = own or tuple(one.register_keeper for one in documents if one.register_keeper)[:1]
    for document in documents:
        if document.register_keeper and document.register_keeper not in expected:
            quoted = {"other": document.register_keeper, "keeper": ", ".join(expected)}
            message = "senders_keeper" if own else "keeper"
            yield Fault(rule="DOC-04", message=message, where=document.oid, quoted=quoted)


def _patient(facts: StudyFacts, document: ImagingDocument) -> Iterator[Fault]:
    ids = {normalise_hetu(one.header.patient_id) for one in facts.sets} - {""}
    named = normalise_hetu(document.patient_id)
    if not named:
        yield Fault(rule="DOC-04", message="no_patient", where=document.oid)
    elif ids and named not in ids:
        separator = any(differ_in_separator(named, one) for one in ids)
        yield Fault(rule="DOC-04", message="separator" if separator else "patient", where=document.oid)


def _accession(facts: StudyFacts, document: ImagingDocument) -> Iterator[Fault]:
    named = {extension.strip() for _, extension in document.accessions} - {""}
    numbers = accession_numbers(facts)
    if named and numbers and named.isdisjoint(numbers):
        quoted = {"accession": ", ".join(numbers)}
        yield Fault(rule="DOC-04", message="accession", where=document.oid, quoted=quoted)


def _study(facts: StudyFacts, linked: DocumentFacts) -> Iterator[Fault]:
    """A document that was linked by accession number, and that names studies but not this one.

    A UID in a document may be anything: roots of its accession numbers and national OIDs are left out.
    """
    document = linked.document
    if linked.linked_by == "study_uid" or facts.study_instance_uid in document.study_uids:
        return
    roots = {root for root, _ in document.accessions}
    others = [uid for uid in document.study_uids if uid not in roots and not uid.startswith(_NATIONAL)]
    if others:
        named = ", ".join(others[:_MOST_NAMED]) + (", …" if len(others) > _MOST_NAMED else "")
        yield Fault(rule="DOC-04", message="study", where=document.oid, quoted={"other": named})


def _code(facts: StudyFacts, document: ImagingDocument) -> Iterator[Fault]:
    codes = study_codes(facts)
    if document.procedure_codes and codes and codes.keys().isdisjoint(document.procedure_codes):
        quoted = {"other": ", ".join(document.procedure_codes), "code": ", ".join(codes)}
        yield Fault(rule="DOC-04", message="code", where=document.oid, quoted=quoted)
