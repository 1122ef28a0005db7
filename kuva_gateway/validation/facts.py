"""What the rules judge: everything known of one study at one moment, frozen.

Keeps nothing. Facts are made here of a catalog's view (:func:`facts_from_view`) and in :mod:`files` of files; the rules
cannot tell which. An attribute that some instances lack is no disagreement where others have it: companions of the
images (reports, presentation states, key objects, segmentations) often go without description, accession number or
date.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final, Generic, Literal, TypeVar

from kuva_gateway.catalog.linked import lacking
from kuva_gateway.catalog.records import FactSet, InstanceFinding, Neighbour, Rejection, StudyView
from kuva_gateway.clinical.codes import CodePeriod
from kuva_gateway.clinical.documents import ImagingDocument
from kuva_gateway.dicom.amendments import Amendment
from kuva_gateway.dicom.header import Header
from kuva_gateway.validation.parties import Parties, PartiesOf, concerned, nobody
from kuva_gateway.validation.practice import DEFAULT, Practice
from kuva_gateway.validation.procedure_codes import named_codes

Environment = Literal["test", "production"]
LookUp = Callable[[Collection[str]], Mapping[str, tuple[CodePeriod, ...]]]
"""The periods of validity of each of some codes; codes that the list lacks map to () or are left out."""

_REPLACEMENT_STEPS: Final = 4
"""How far a chain of replacements is followed: a code's replacement may have ended as well."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentFacts:
    """A document that is linked to the study; ``current`` when no newer version of it is known."""

    document: ImagingDocument
    current: bool
    linked_by: str
    """``study_uid`` or ``accession``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFacts:
    """One study as the rules see it.

    Attributes
    ----------
    sets
        Headers without what differs per instance, each with the number of instances that say so.
    code_periods
        Of every code that the study names, and of those that replace an ended one.
    instance_findings
        What was seen of single instances when they came in.
    received
        The same headers as they came, before amendments.
    amendments
        What is applied to the instances when they are sent.
    linked_late
        A link of patient ids that something of the study was delivered without.
    neighbours
        Studies and documents with the study's accession number and another patient id.
    unmapped
        Local procedure codes that the sender's code mapping lacks.
    rejection
        A person's earlier rejection of the study, to which instances have come since.
    private_classes
        SOP classes that the configuration allows beside the standard's.
    parties
        Who sent it, whose register it belongs into, and by what right.
    practice
        What the archive takes.
    today
        The day, where the gateway is.
    """

    study_instance_uid: str
    revision: int = 1
    delivered: bool = False
    sets: tuple[FactSet, ...] = ()
    documents: tuple[DocumentFacts, ...] = ()
    code_periods: Mapping[str, tuple[CodePeriod, ...]] = field(default_factory=dict)
    instance_findings: tuple[InstanceFinding, ...] = ()
    received: tuple[FactSet, ...] = ()
    amendments: tuple[Amendment, ...] = ()
    linked_late: bool = False
    neighbours: tuple[Neighbour, ...] = ()
    unmapped: tuple[str, ...] = ()
    rejection: Rejection | None = None
    peer: str = ""
    environment: Environment
    private_classes: Collection[str] = frozenset()
    parties: Parties = field(default_factory=Parties)
    practice: Practice = DEFAULT
    today: date
    memory: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What several rules need and one of them has worked out."""


@dataclass(frozen=True, slots=True)
class Told(Generic[T]):
    """One value that instances of a study have, how many of them, and one of these."""

    value: T
    instances: int
    example: str


def told(sets: Iterable[FactSet], read: Callable[[Header], T]) -> tuple[Told[T], ...]:
    """The distinct values of what ``read`` takes from each header, in order of appearance."""
    given = tuple(sets)
    if len(given) == 1:
        (one,) = given
        return (Told(read(one.header), one.instances, one.example_sop_instance_uid),)
    counts: dict[T, tuple[int, str]] = {}
    for one in given:
        value = read(one.header)
        number, example = counts.get(value, (0, one.example_sop_instance_uid))
        counts[value] = (number + one.instances, example)
    return tuple(Told(value, number, example) for value, (number, example) in counts.items())


def look_up_codes(sets: Iterable[FactSet], periods_for: LookUp) -> dict[str, tuple[CodePeriod, ...]]:
    """The periods of every code that the headers name, and of what replaces those that have an end."""
    found: dict[str, tuple[CodePeriod, ...]] = {}
    wanted = {code for one in sets for code in named_codes(one.header)}
    for _ in range(_REPLACEMENT_STEPS):
        wanted -= found.keys()
        if not wanted:
            break
        answers = periods_for(sorted(wanted))
        found.update({code: tuple(answers.get(code, ())) for code in wanted})
        wanted = {
            replacement
            for code in wanted
            for period in found[code]
            if period.valid_to is not None
            for replacement in period.replaced_by
        }
    return found


def facts_from_view(
    view: StudyView,
    *,
    periods_for: LookUp,
    environment: Environment,
    today: date,
    private_classes: Collection[str],
    parties_of: PartiesOf = nobody,
    unmapped: Collection[str] = (),
    practice: Practice = DEFAULT,
) -> StudyFacts:
    """The facts about a study in the catalog.

    Parameters
    ----------
    periods_for
        Asks the code list, for example ``partial(catalog.codes.periods_for, catalog)``; what it raises is passed on.
    parties_of
        Looks up senders, authorizations and providers; what it raises is passed on.
    today
        The day in the configured time zone.
    """
    return StudyFacts(
        study_instance_uid=view.study.study_instance_uid,
        revision=view.revision,
        delivered=view.delivered,
        sets=view.facts,
        documents=tuple(
            DocumentFacts(document=linked.document, current=linked.current, linked_by=linked.linked_by)
            for linked in view.documents
        ),
        code_periods=look_up_codes(view.facts, periods_for),
        instance_findings=view.instance_findings,
        received=view.received,
        amendments=view.amendments,
        linked_late=view.delivered and bool(lacking(view.received, view.amendments, view.links)),
        neighbours=view.neighbours,
        unmapped=tuple(unmapped),
        rejection=view.rejection,
        peer=view.study.peer,
        environment=environment,
        private_classes=private_classes,
        parties=parties_of(
            concerned(
                [view.study.peer, *(peer for one in view.facts for peer in one.peers)],
                [(linked.document, linked.current) for linked in view.documents],
                [one.header.patient_id for one in view.facts],
            )
        ),
        practice=practice,
        today=today,
    )
