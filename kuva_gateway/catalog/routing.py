"""Which destinations take a study, and how urgent it is: from what its instances say and who sent them.

Promises that the same study gets the same answer wherever it is asked: at the verdict, at a person's release, and at
the start, when the configuration has changed.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from kuva_gateway.catalog.records import DestinationPlan, FactSet
from kuva_gateway.catalog.session import Session
from kuva_gateway.catalog.summary import codes_named
from kuva_gateway.config.delivery import Choice
from kuva_gateway.dicom.header import Header, from_json

NORMAL = 0
URGENT = 10
"""The priority of what goes first; a person may give any (``queue prioritise``)."""

URGENT_REQUESTS = frozenset({"STAT", "HIGH"})
"""Values of (0040,1003) Requested Procedure Priority (PS3.3 C.4.11) that make a study urgent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What filters and urgency look at; of all current instances of a study that may be sent."""

    modalities: frozenset[str]
    peers: frozenset[str]
    procedure_codes: frozenset[str]
    content_classes: frozenset[str] = frozenset()
    request_priorities: frozenset[str] = frozenset()


def traits(session: Session, study_id: int) -> Traits:
    """What the study is, as the catalog has it now."""
    rows = session.rows(
        "SELECT f.facts FROM fact_sets f WHERE f.study_id = ? AND f.id IN "
        "(SELECT i.fact_set_id FROM instances i WHERE i.study_id = ? AND i.current = 1 AND i.held = 0)",
        study_id,
        study_id,
    )
    peers = session.rows("SELECT DISTINCT peer FROM instances WHERE study_id = ? AND current = 1", study_id)
    classes = session.value("SELECT content_classes FROM studies WHERE id = ?", study_id)
    headers = [from_json(row["facts"]) for row in rows]
    return _traits(headers, (row["peer"] for row in peers), json.loads(classes or "[]"))


def traits_of(received: Iterable[FactSet], content_classes: Iterable[str]) -> Traits:
    """The same of a study that was seen a moment ago, as it was received, and of what its verdict found."""
    sets = tuple(received)
    return _traits([one.header for one in sets], (peer for one in sets for peer in one.peers), content_classes)


def _traits(headers: Sequence[Header], peers: Iterable[str], content_classes: Iterable[str]) -> Traits:
    return Traits(
        modalities=frozenset(header.modality for header in headers if header.modality),
        peers=frozenset(peers),
        procedure_codes=frozenset(source.code for header in headers for source in codes_named(header)),
        content_classes=frozenset(content_classes),
        request_priorities=frozenset(header.request_priority.strip().upper() for header in headers),
    )


def takes(plan: DestinationPlan, study: Traits) -> bool:
    """Whether the destination's filter lets the study through; one without a filter takes everything."""
    chosen = plan.filter
    return chosen is None or (_has(chosen, study) and not (chosen.unless and _has(chosen.unless, study)))


def _has(choice: Choice, study: Traits) -> bool:
    """One of the values of every key that is given."""
    return (
        _one_of(choice.modality, study.modalities)
        and _one_of(choice.peer, study.peers)
        and _one_of(choice.content_class, study.content_classes)
        and (
            not choice.procedure_code
            or any(_like(code, pattern) for code in study.procedure_codes for pattern in choice.procedure_code)
        )
    )


def _one_of(wanted: Collection[str], present: frozenset[str]) -> bool:
    return not wanted or not present.isdisjoint(wanted)


def _like(code: str, pattern: str) -> bool:
    code, pattern = code.upper(), pattern.upper()
    return code.startswith(pattern[:-1]) if pattern.endswith("*") else code == pattern


def priority(plan: DestinationPlan, study: Traits) -> int:
    """The priority of the study's entry: urgent by a peer of its, or by its request."""
    urgent = not study.peers.isdisjoint(plan.urgent_peers) or not study.request_priorities.isdisjoint(URGENT_REQUESTS)
    return max(plan.priority, URGENT if urgent else NORMAL)
