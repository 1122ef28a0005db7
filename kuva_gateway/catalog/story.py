"""A study's whole story, told from history, attempts, documents and storage commitment."""

from __future__ import annotations

import json
from typing import Any

from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.session import Row, Session, iso
from kuva_gateway.errors import NotFoundError

Told = dict[str, Any]


def trace(catalog: Catalog, uid: str) -> list[Told]:
    """The story, oldest first, as ``{at, event, what, by, detail}``.

    ``what`` names the thing that changed (``study``, ``entry 7 national-archive``, ``document 1.2.3``); ``detail`` is
    an object whose members depend on the event.

    Raises
    ------
    NotFoundError
        There is no study with this UID.
    """
    with catalog.read() as session:
        study = session.one("SELECT id FROM studies WHERE uid = ?", uid)
        if study is None:
            raise NotFoundError("there is no study with this UID")
        parts = (_changes, _attempts, _links, _commitments)
        told = [event for part in parts for event in part(session, study["id"])]
    told.sort(key=lambda event: event.pop("order"))
    return told


def _event(at: int, place: tuple[int, int], event: str, what: str, by: str, detail: dict[str, Any]) -> Told:
    """``place`` orders events of one moment: the part of the story, and the row's id."""
    return {"order": (at, *place), "at": iso(at), "event": event, "what": what, "by": by, "detail": detail}


def _entry(row: Row) -> str:
    return f"entry {row['entry_id']} {row['destination']}"


def _changes(session: Session, study_id: int) -> list[Told]:
    rows = session.rows(
        "SELECT h.*, e.destination FROM history h LEFT JOIN entries e ON e.id = h.entry_id "
        "WHERE h.study_id = ? ORDER BY h.id",
        study_id,
    )
    return [
        _event(
            row["at"],
            (1, row["id"]),
            row["event"],
            "study" if row["entry_id"] is None else _entry(row),
            row["actor"],
            {"from": row["from_state"], "to": row["to_state"], **json.loads(row["detail"])},
        )
        for row in rows
    ]


def _attempts(session: Session, study_id: int) -> list[Told]:
    rows = session.rows(
        "SELECT a.*, e.destination FROM attempts a JOIN entries e ON e.id = a.entry_id "
        "WHERE e.study_id = ? ORDER BY a.id",
        study_id,
    )
    shown = ("kind", "outcome", "scope", "code", "meaning", "comment", "sent", "warnings", "failed")
    return [
        _event(
            row["ended_at"],
            (0, row["id"]),
            "attempt",
            _entry(row),
            "gateway",
            {"started_at": iso(row["started_at"]), **{name: row[name] for name in shown}},
        )
        for row in rows
    ]


def _links(session: Session, study_id: int) -> list[Told]:
    rows = session.rows(
        "SELECT l.at, l.linked_by, d.id, d.identifier, d.kind, d.version FROM links l "
        "JOIN documents d ON d.id = l.document_id WHERE l.study_id = ?",
        study_id,
    )
    return [
        _event(
            row["at"],
            (0, row["id"]),
            "document_linked",
            f"document {row['identifier']}",
            "gateway",
            {"kind": row["kind"], "version": row["version"], "linked_by": row["linked_by"]},
        )
        for row in rows
    ]


def _commitments(session: Session, study_id: int) -> list[Told]:
    rows = session.rows(
        "SELECT c.*, (SELECT COUNT(*) FROM commitment_instances ci WHERE ci.commitment_id = c.id) AS asked "
        "FROM commitments c JOIN entries e ON e.id = c.entry_id WHERE e.study_id = ?",
        study_id,
    )
    told = []
    for row in rows:
        detail = {"transaction_uid": row["transaction_uid"], "instances": row["asked"]}
        told.append(_event(row["asked_at"], (2, row["id"]), "commitment_asked", _entry(row), "gateway", detail))
        if row["answered_at"] is not None:
            detail = {"transaction_uid": row["transaction_uid"]}
            told.append(
                _event(
                    row["answered_at"], (0, row["id"]), "commitment_answered", _entry(row), row["destination"], detail
                )
            )
    return told
