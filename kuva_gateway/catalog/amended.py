"""Reading amendments; they are written in :mod:`.amendments`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kuva_gateway.catalog.records import FactSet
from kuva_gateway.catalog.session import Row, Session, iso, microseconds, moment
from kuva_gateway.dicom.amendments import Amendment, Value, amended


def amendments_of(session: Session, study_ids: Iterable[int]) -> dict[int, tuple[Amendment, ...]]:
    """The amendments of each of these studies that has some, in the order in which they were made."""
    found: dict[int, list[Amendment]] = {}
    for row in session.rows_in("SELECT * FROM amendments WHERE study_id IN {} ORDER BY id", study_ids):
        found.setdefault(row["study_id"], []).append(_amendment(row))
    return {study_id: tuple(amendments) for study_id, amendments in found.items()}


def amendments_to_send(session: Session, entry_id: int) -> tuple[Amendment, ...]:
    """What is applied to the instances of an entry.

    Of a withdrawn study its rejection note is left to go: to those who have it as it was amended until then.
    """
    study = session.one(
        "SELECT s.id, s.state FROM studies s JOIN entries e ON e.study_id = s.id WHERE e.id = ?", entry_id
    )
    if study is None:
        return ()
    amendments = amendments_of(session, [study["id"]]).get(study["id"], ())
    if amendments and study["state"] == "withdrawn":
        until = "SELECT MAX(at) FROM history WHERE study_id = ? AND event = 'withdrawn' AND entry_id IS NULL"
        withdrawn_at = session.value(until, study["id"])
        return tuple(one for one in amendments if withdrawn_at is None or microseconds(one.at) <= withdrawn_at)
    return amendments


def amended_sets(received: Sequence[FactSet], amendments: Sequence[Amendment]) -> tuple[FactSet, ...]:
    """Fact sets as they read with the amendments applied."""
    if not amendments:
        return tuple(received)
    return tuple(replace(one, header=amended(one.header, amendments)) for one in received)


def amendments_shown(session: Session, study_ids: Iterable[int]) -> dict[int, list[dict[str, Any]]]:
    """The same as JSON objects, without values."""
    found: dict[int, list[dict[str, Any]]] = {}
    for row in session.rows_in("SELECT * FROM amendments WHERE study_id IN {} ORDER BY id", study_ids):
        found.setdefault(row["study_id"], []).append(
            {
                "at": iso(row["at"]),
                "by": row["actor"],
                "reason": row["reason"],
                "origin": row["origin"],
                "revision": row["revision"],
                "attributes": sorted(json.loads(row["changes"])),
            }
        )
    return found


def _amendment(row: Row) -> Amendment:
    return Amendment(
        changes=changes_from_json(row["changes"]),
        origin=row["origin"],
        by=row["actor"],
        at=moment(row["at"]),
        reason=row["reason"],
        patient=row["patient"],
        issuer=row["issuer"],
        where_absent=row["where_absent"],
    )


def changes_to_json(changes: Mapping[str, Value]) -> str:
    """Changes as JSON; equal changes give equal text."""
    return json.dumps(changes, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def changes_from_json(text: str) -> dict[str, Value]:
    """What :func:`changes_to_json` wrote."""
    return {name: value if isinstance(value, str) else tuple(value) for name, value in json.loads(text).items()}
