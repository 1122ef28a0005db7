"""Rules on single objects: SOP-01 (class), TS-01 (transfer syntax), UID-01 (UIDs).

Keeps nothing. The lists of transfer syntaxes are those of :mod:`kuva_gateway.dicom.syntaxes`; here is only said which
list a SOP class belongs to.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Final, Literal

from kuva_gateway.dicom import syntaxes
from kuva_gateway.dicom.sop_classes import NON_PATIENT_CLASSES, STORAGE_CLASSES, class_name
from kuva_gateway.dicom.uids import is_valid_uid
from kuva_gateway.validation import tags
from kuva_gateway.validation.facts import StudyFacts, told
from kuva_gateway.validation.findings import Fault

Kind = Literal["image", "video", "report", "other", "unknown"]

_LISTS: Final[Mapping[str, Collection[str]]] = {
    "image": syntaxes.ARCHIVE_IMAGE,
    "video": syntaxes.ARCHIVE_VIDEO,
    "report": syntaxes.ARCHIVE_SR,
    "other": syntaxes.ARCHIVE_OTHER,
}
_OF_PATIENTS: Final = STORAGE_CLASSES - NON_PATIENT_CLASSES
_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."
_REPORTS: Final = f"{_STORAGE}88."
_IMAGES_BY_ANOTHER_NAME: Final = frozenset(
    _STORAGE + arc
    for arc in (
        "6.2",  # Enhanced US Volume
        "30",  # Parametric Map
        "66.4",  # Segmentation
        "66.7",  # Label Map Segmentation
        "66.8",  # Height Map Segmentation
        "77.1.5.8",  # Ophthalmic Optical Coherence Tomography B-scan Volume Analysis
        "81.1",  # Ophthalmic Thickness Map
        "82.1",  # Corneal Topography Map
        "481.2",  # RT Dose
    )
)
"""Classes with pixel data whose names do not say so."""


@lru_cache(maxsize=512)
def kind_of(sop_class: str) -> Kind:
    """Which of the archive's lists of transfer syntaxes a SOP class belongs to."""
    if sop_class not in STORAGE_CLASSES:
        return "unknown"
    if sop_class.startswith(_REPORTS):
        return "report"
    name = class_name(sop_class)
    if name.startswith("Video "):
        return "video"
    return "image" if "Image Storage" in name or sop_class in _IMAGES_BY_ANOTHER_NAME else "other"


def judge_sop_class(facts: StudyFacts) -> Iterator[Fault]:
    """SOP-01, as far as the data set alone tells."""
    for one in told(facts.sets, lambda header: header.sop_class_uid):
        if not one.value:
            yield Fault(
                rule="SOP-01",
                message="missing",
                where=tags.SOP_CLASS,
                values={"keyword": tags.keyword(tags.SOP_CLASS), "instances": str(one.instances)},
            )
            continue
        if one.value in _OF_PATIENTS or one.value in facts.private_classes:
            continue
        yield Fault(
            rule="SOP-01",
            message="without_study" if one.value in NON_PATIENT_CLASSES else "not_allowed",
            where=tags.SOP_CLASS,
            values={"instances": str(one.instances)},
            quoted={"sop_class": class_name(one.value)},
        )


def judge_transfer_syntax(facts: StudyFacts) -> Iterator[Fault]:
    """TS-01."""
    for one in told(facts.sets, lambda header: (header.sop_class_uid, header.transfer_syntax_uid)):
        sop_class, syntax = one.value
        kind = kind_of(sop_class)
        if not sop_class or not syntax or syntax in _listed(facts, kind):
            continue
        yield Fault(
            rule="TS-01",
            message=kind,
            where=tags.TRANSFER_SYNTAX,
            values={"instances": str(one.instances)},
            quoted={"syntax": syntaxes.name(syntax), "sop_class": class_name(sop_class)},
        )


def _listed(facts: StudyFacts, kind: Kind) -> Collection[str]:
    """The transfer syntaxes that the archive takes for a kind of object: as configured, else by default."""
    configured = facts.practice.transfer_syntaxes
    if kind == "unknown":  # what a private class holds is not known: a fault is only what is on no list at all
        return frozenset().union(*(configured.get(one, _LISTS[one]) for one in _LISTS))
    return configured.get(kind, _LISTS[kind])


def judge_root(facts: StudyFacts) -> Iterator[Fault]:
    """UID-03: the Study Instance UID begins with a configured root; with none configured, every one is right."""
    roots = facts.practice.study_uid_roots
    uid = facts.study_instance_uid
    if roots and not any(uid == root or uid.startswith(f"{root}.") for root in roots):
        yield Fault(rule="UID-03", message="root", where=tags.STUDY, quoted={"uid": uid})


def judge_uids(facts: StudyFacts) -> Iterator[Fault]:
    """UID-01 for the study and one instance of each fact set; every instance was looked at when it came in."""
    instances = sum(one.instances for one in facts.sets)
    yield from uid_faults(tags.STUDY, facts.study_instance_uid, instances)
    for one in facts.sets:
        yield from uid_faults(tags.SOP_INSTANCE, one.example_sop_instance_uid, one.instances)


def uid_faults(where: str, uid: str, instances: int) -> Iterator[Fault]:
    """What is wrong with one UID."""
    values = {"keyword": tags.keyword(where), "instances": str(instances)}
    if not uid:
        yield Fault(rule="UID-01", message="missing", where=where, values=values)
    elif not is_valid_uid(uid):
        yield Fault(rule="UID-01", message="invalid", where=where, values=values, quoted={"uid": uid})
