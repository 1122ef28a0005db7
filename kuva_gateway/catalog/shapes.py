"""The JSON objects of the operators' contract (DESIGN section 7): studies, findings, documents, entries."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from kuva_gateway.catalog.amended import amendments_shown
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.session import Row, Session, iso

Object = dict[str, Any]

_DOCUMENT = (
    "d.id, d.identifier, d.kind, d.version, d.current, d.ready, d.received_at, "
    "d.invalidated_at, d.invalidated_by, d.invalidated_reason"
)
_ENTRY = (
    "SELECT e.id, e.study_id, s.uid, e.destination, e.state, e.revision, e.priority, e.attempts, e.created_at, "
    "e.next_attempt_at, e.last_error, e.sent, e.committed, r.resting_until, r.since, r.code, r.why, "
    "(SELECT MIN(a.started_at) FROM attempts a WHERE a.entry_id = e.id) AS first_attempt_at, "
    "(SELECT MAX(a.ended_at) FROM attempts a WHERE a.entry_id = e.id) AS last_attempt_at "
    "FROM entries e JOIN studies s ON s.id = e.study_id "
    "LEFT JOIN destinations r ON r.name = e.destination AND e.state IN ('queued', 'deferred')"
)


def studies(session: Session, rows: list[Row]) -> list[Object]:
    """Rows of ``studies`` as JSON objects, each with its findings, documents, amendments and entries."""
    ids = [row["id"] for row in rows]
    findings = _grouped(
        session.rows_in(
            "SELECT f.* FROM findings f JOIN studies s ON s.id = f.study_id AND s.revision = f.revision "
            "WHERE f.study_id IN {} ORDER BY f.id",
            ids,
        )
    )
    documents = _grouped(
        session.rows_in(
            f"SELECT l.study_id, l.linked_by, {_DOCUMENT} FROM links l JOIN documents d ON d.id = l.document_id "
            "WHERE l.study_id IN {} ORDER BY d.received_at, d.id",
            ids,
        )
    )
    amendments = amendments_shown(session, ids)
    entries = _grouped(session.rows_in(_ENTRY + " WHERE e.study_id IN {} ORDER BY e.id", ids))
    return [
        {
            **study(row),
            "findings": [finding(one) for one in findings.get(row["id"], [])],
            "documents": [document(one) for one in documents.get(row["id"], [])],
            "amendments": amendments.get(row["id"], []),
            "entries": [entry(one) for one in entries.get(row["id"], [])],
        }
        for row in rows
    ]


def _grouped(rows: Iterable[Row]) -> dict[int, list[Row]]:
    groups: dict[int, list[Row]] = {}
    for row in rows:
        groups.setdefault(row["study_id"], []).append(row)
    return groups


def study(row: Row) -> Object:
    """The study's own part of its object."""
    return {
        "study_instance_uid": row["uid"],
        "patient_id": row["patient_id"],
        "accession_number": row["accession_number"],
        "study_date": iso_date(row["study_date"]),
        "modalities": json.loads(row["modalities"]),
        "procedure_code": row["procedure_code"],
        "state": row["state"],
        "revision": row["revision"],
        "series": row["series"],
        "instances": row["instances"],
        "bytes": row["bytes"],
        "peer": row["peer"],
        "first_arrival": iso(row["first_arrival"]),
        "last_arrival": iso(row["last_arrival"]),
    }


def iso_date(value: str) -> str | None:
    """A DICOM date (PS3.5 6.2, DA; the retired form with dots too) as YYYY-MM-DD; None when it is none."""
    digits = value.replace(".", "")
    if len(digits) != 8 or not digits.isascii() or not digits.isdigit():
        return None
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"


def finding(row: Row) -> Object:
    """One finding; ``overridden`` is null or who released the study, when and why."""
    overridden = None
    if row["overridden_at"] is not None:
        overridden = {
            "by": row["overridden_by"],
            "at": iso(row["overridden_at"]),
            "reason": row["overridden_reason"],
        }
    return {
        "rule": row["rule"],
        "severity": row["severity"],
        "where": row["place"],
        "message": row["message"],
        "remedy": row["remedy"],
        "overridden": overridden,
    }


def document(row: Row) -> Object:
    """One document; ``id`` is its OID."""
    return {
        "id": row["identifier"],
        "kind": row["kind"],
        "version": row["version"],
        "current": bool(row["current"]),
        "ready": bool(row["ready"]),
        "received_at": iso(row["received_at"]),
        "linked_by": row["linked_by"],
        "invalidated": invalidated(row),
    }


def invalidated(row: Row) -> Object | None:
    """Who took a paper out of force, when and why; null while nobody did."""
    if row["invalidated_at"] is None:
        return None
    return {
        "by": row["invalidated_by"],
        "at": iso(row["invalidated_at"]),
        "reason": row["invalidated_reason"],
    }


def entry(row: Row) -> Object:
    """One entry. One whose destination rests says so in ``last_error``, without an attempt of its own."""
    resting = row["resting_until"] is not None
    last = json.loads(row["last_error"]) if row["last_error"] else None
    remedy = last.get("remedy") if last else None
    return {
        "id": row["id"],
        "study_instance_uid": row["uid"],
        "destination": row["destination"],
        "state": row["state"],
        "revision": row["revision"],
        "priority": row["priority"],
        "attempts": row["attempts"],
        "created_at": iso(row["created_at"]),
        "next_attempt_at": iso(row["resting_until"] if resting else row["next_attempt_at"]),
        "first_attempt_at": iso(row["first_attempt_at"]),
        "last_attempt_at": iso(row["last_attempt_at"]),
        "last_error": _rest(row) if resting else {name: last[name] for name in _ERROR} if last else None,
        "remedy": remedy or None,
        "sent": row["sent"],
        "committed": row["committed"],
    }


_ERROR = ("at", "code", "meaning", "comment")


def _rest(row: Row) -> Object:
    meaning = f"the destination rests: {row['why']}"
    return {"at": iso(row["since"]), "code": row["code"], "meaning": meaning, "comment": ""}


def entry_listing(
    catalog: Catalog, *, destination: str | None = None, state: str | None = None, limit: int = 1000
) -> list[Object]:
    """The newest ``limit`` entries as JSON objects, the oldest of them first; of one destination, or in one state."""
    wanted = {"e.destination": destination, "e.state": state}
    conditions = [f"{column} = ?" for column, value in wanted.items() if value is not None]
    where = " WHERE " + " AND ".join(conditions) if conditions else ""
    values = [value for value in wanted.values() if value is not None]
    with catalog.read() as session:
        rows = session.rows(f"{_ENTRY}{where} ORDER BY e.id DESC LIMIT ?", *values, limit)
    return [entry(row) for row in reversed(rows)]
