"""Which instances others may see: the one place that says so, for queries (C-FIND) and retrieval (C-MOVE, C-GET).

Conditions are SQL over instances ``i`` of series ``e`` of studies ``s``, and are put behind an ``AND``. Promises that
every value is bound, and that what one service shows the others give.

How retrieval uses it::

    chosen = selection(keys, restriction)          # keys: identifier.retrieval_keys(), restriction: Lookup.may_see
    rows = session.rows(
        "SELECT i.digest, i.sop_class, i.uid, i.transfer_syntax, i.size FROM instances i "
        f"JOIN series e ON e.id = i.series_id JOIN studies s ON s.id = i.study_id WHERE {chosen.sql}", *chosen.values)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kuva_gateway.catalog.received import NOT_AMENDED
from kuva_gateway.catalog.rejections import HIDDEN
from kuva_gateway.catalog.session import CHUNK
from kuva_gateway.dicom.information_model import Level

GONE = ("withdrawn", "removed")
"""States of studies that nobody sees."""
HELD = ("held",)
REJECTED = ("rejected",)

_PURGED = {
    Level.STUDY: "EXISTS (SELECT 1 FROM instances i WHERE i.study_id = s.id AND i.purged_at IS NOT NULL)",
    Level.SERIES: "EXISTS (SELECT 1 FROM instances i WHERE i.study_id = s.id AND i.series_id = e.id "
    "AND i.purged_at IS NOT NULL)",
    Level.IMAGE: "i.purged_at IS NOT NULL",
}

_UNIQUE = {Level.PATIENT: "s.patient_id", Level.STUDY: "s.uid", Level.SERIES: "e.uid", Level.IMAGE: "i.uid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """SQL that is true or false of a row, and the values of its placeholders."""

    sql: str
    values: tuple[Any, ...] = ()

    def __and__(self, other: Condition) -> Condition:
        return Condition(sql=f"{self.sql} AND {other.sql}", values=self.values + other.values)


EVERYTHING = Condition(sql="1 = 1")
"""The restriction of a peer that may see all that may be seen."""


def one_of(column: str, values: Sequence[Any]) -> Condition:
    """The column has one of these values, any number of them."""
    if len(values) == 1:
        return Condition(sql=f"{column} = ?", values=(values[0],))
    parts = []
    for begin in range(0, len(values), CHUNK):
        parts.append(f"{column} IN ({', '.join('?' * len(values[begin : begin + CHUNK]))})")
    return Condition(sql=f"({' OR '.join(parts) or '1 = 0'})", values=tuple(values))


def without_states(states: Sequence[str]) -> Condition:
    """A restriction on studies: in none of these states."""
    if not states:
        return EVERYTHING
    return Condition(sql=f"s.state NOT IN ({', '.join('?' * len(states))})", values=tuple(states))


def studies(restriction: Condition) -> Condition:
    """Studies ``s`` of which somebody with this restriction sees something."""
    return Condition(sql="s.instances > 0") & without_states(GONE) & restriction


def instances() -> Condition:
    """Instances ``i`` that are seen when their study is: the current one of each SOP Instance UID, unless rejected."""
    return Condition(sql=f"i.current = 1 AND NOT {HIDDEN}")


def availability(level: Level) -> str:
    """SQL for Instance Availability (0008,0056) of what is seen at a level (PS3.3 C.4.23.1.1).

    ONLINE while the files are here, NEARLINE once one was removed because the archive has it.
    """
    return f"CASE WHEN {_PURGED[max(level, Level.STUDY)]} THEN 'NEARLINE' ELSE 'ONLINE' END"


def selection(keys: Mapping[Level, Sequence[str]], restriction: Condition, *, as_received: bool = False) -> Condition:
    """The instances that unique keys name (an empty sequence names all), as far as they may be seen.

    ``as_received``: the patient id is meant as it was received, whatever amendments made of it since.
    """
    chosen = instances() & studies(restriction)
    for level, values in sorted(keys.items()):
        if values and as_received and level is Level.PATIENT:
            chosen &= _received_patients(values)
        elif values:
            chosen &= one_of(_UNIQUE[level], values)
    return chosen


def _received_patients(values: Sequence[str]) -> Condition:
    now = one_of("s.patient_id", values) & Condition(sql=NOT_AMENDED)
    then = one_of("r.patient_id", values)
    return Condition(
        sql=f"(({now.sql}) OR s.id IN (SELECT r.study_id FROM received_studies r WHERE {then.sql}))",
        values=now.values + then.values,
    )
