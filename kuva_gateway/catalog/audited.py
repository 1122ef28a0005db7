"""What the audit trail is still to be told of: people's decisions, removals and deliveries, each once it is committed.

A row in ``to_audit`` is written with what it tells of, in one transaction, and taken away when the trail has it: after
a crash in between the trail has it twice, never not at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.session import Row, Session, moment
from kuva_gateway.catalog.states import GATEWAY

AT_ONCE = 200
"""Events that are handed out at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Untold:
    """One event. With ``sent`` it is a delivery; else ``actor`` (empty: the gateway itself) did ``event``."""

    id: int
    at: datetime
    event: str
    actor: str
    reason: str
    study_instance_uid: str
    patient_id: str
    accession_number: str
    destination: str = ""
    entry: int | None = None
    sent: int = 0
    outcome: str = ""


def untold(catalog: Catalog) -> list[Untold]:
    """The oldest events of which the trail has not been told, at most :data:`AT_ONCE`."""
    with catalog.read() as session:
        rows = session.rows("SELECT * FROM to_audit ORDER BY id LIMIT ?", AT_ONCE)
        found = [*_changes(session, rows), *_attempts(session, rows)]
    return sorted(found, key=lambda one: one.id)


def told(catalog: Catalog, ids: Iterable[int]) -> None:
    """The trail has these."""
    with catalog.write() as session:
        session.change_in("DELETE FROM to_audit WHERE id IN {}", list(ids))


_STUDY = "s.uid AS study_uid, s.patient_id, s.accession_number"


def _concerned(row: Row) -> dict[str, Any]:
    """The study and, where there is one, the entry."""
    return {
        "study_instance_uid": row["study_uid"],
        "patient_id": row["patient_id"],
        "accession_number": row["accession_number"],
        "destination": row["destination"] or "",
        "entry": row["entry_id"],
    }


def _changes(session: Session, rows: Iterable[Row]) -> list[Untold]:
    waiting = {row["history_id"]: row["id"] for row in rows if row["history_id"] is not None}
    found = session.rows_in(
        f"SELECT h.*, e.destination, {_STUDY} FROM history h JOIN studies s ON s.id = h.study_id "
        "LEFT JOIN entries e ON e.id = h.entry_id WHERE h.id IN {}",
        waiting,
    )
    return [
        Untold(
            id=waiting[row["id"]],
            at=moment(row["at"]),
            event=row["event"],
            actor="" if row["actor"] == GATEWAY else row["actor"],
            reason=str(json.loads(row["detail"]).get("reason", "")),
            **_concerned(row),
        )
        for row in found
    ]


def _attempts(session: Session, rows: Iterable[Row]) -> list[Untold]:
    waiting = {row["attempt_id"]: row["id"] for row in rows if row["attempt_id"] is not None}
    found = session.rows_in(
        f"SELECT a.*, e.destination, {_STUDY} FROM attempts a JOIN entries e ON e.id = a.entry_id "
        "JOIN studies s ON s.id = e.study_id WHERE a.id IN {}",
        waiting,
    )
    return [
        Untold(
            id=waiting[row["id"]],
            at=moment(row["ended_at"]),
            event="sent",
            actor="",
            reason=" ".join(filter(None, (row["code"], row["meaning"]))),
            **_concerned(row),
            sent=row["sent"],
            outcome=row["outcome"],
        )
        for row in found
    ]
