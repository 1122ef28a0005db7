"""What links of patient ids come to: from one id to the next, as amendments. Facts only; no catalog is asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kuva_gateway.catalog.records import FactSet, PatientLink
from kuva_gateway.dicom.amendments import Amendment, amended
from kuva_gateway.dicom.header import Header

FARTHEST = 16
"""Links that are followed one after the other at most."""


def by_people(amendments: Iterable[Amendment]) -> tuple[Amendment, ...]:
    """Those of the amendments that people made."""
    return tuple(one for one in amendments if one.origin == "person")


def wanted(
    received: Sequence[FactSet], amendments: Sequence[Amendment], links: Sequence[PatientLink]
) -> tuple[Amendment, ...]:
    """The amendments that a study has by links: of its patients as they came, or as people amended them."""
    return chained([one.header for one in received], amendments, links)


def lacking(
    received: Sequence[FactSet], amendments: Sequence[Amendment], links: Sequence[PatientLink]
) -> tuple[Amendment, ...]:
    """Those of :func:`wanted` that the study does not have."""
    return missing([one.header for one in received], amendments, links)


def missing(
    headers: Sequence[Header], amendments: Sequence[Amendment], links: Sequence[PatientLink]
) -> tuple[Amendment, ...]:
    """The same of what has these headers."""
    present = [(one.changes, one.patient, one.issuer) for one in amendments if one.origin == "link"]
    return tuple(
        one for one in chained(headers, amendments, links) if (one.changes, one.patient, one.issuer) not in present
    )


def chained(
    headers: Iterable[Header], amendments: Sequence[Amendment], links: Sequence[PatientLink]
) -> tuple[Amendment, ...]:
    """The amendments by ``links`` of what has these headers, as people amended it."""
    own = by_people(amendments)
    found: dict[tuple[int, str], Amendment] = {}
    for header in headers:
        for one in _chain(amended(header, own), links):
            found.setdefault((one.id, one.patient), _amendment(one))
    return tuple(found.values())


def _chain(header: Header, links: Sequence[PatientLink]) -> list[PatientLink]:
    """The newest link of what a patient is called, then of the new id, and so on; each once."""
    chain: list[PatientLink] = []
    for _ in range(FARTHEST):
        matching = [one for one in links if one not in chain and _amendment(one).applies_to(header)]
        facts = [one for one in matching if "PatientID" not in one.changes]
        ids = [one for one in matching if "PatientID" in one.changes]
        step = [*facts[-1:], *ids[-1:]]
        if not step or any(one.patient == step[-1].patient and "PatientID" in one.changes for one in chain):
            break
        chain += step
        for one in step:
            header = amended(header, [_amendment(one)])
        if not ids:
            break
    return chain


def _amendment(one: PatientLink) -> Amendment:
    return Amendment(
        changes=one.changes,
        origin="link",
        by=one.by,
        at=one.at,
        reason=one.reason,
        patient=one.patient,
        issuer=one.issuer,
    )
