"""Withdrawing a study: it is hidden, nothing more of it goes, and those who have it are told by a rejection note.

Promises that decision, note and destinations are written in one transaction, so that a crash at any point later only
delays the note; that the note goes to the destinations that may have instances of the study and to nobody else; and
that it is delivered, retried and committed to as any instance is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.doubts import MAY_BE_THERE
from kuva_gateway.catalog.plans import plan_entries, supersede
from kuva_gateway.catalog.records import DestinationPlan
from kuva_gateway.catalog.rejections import write_references
from kuva_gateway.catalog.session import Session
from kuva_gateway.catalog.states import apply
from kuva_gateway.dicom.header import Header, from_json
from kuva_gateway.dicom.key_objects import KEY_OBJECT_SELECTION, Reference
from kuva_gateway.errors import NotFoundError

MakeNote = Callable[[Header, Sequence[Reference]], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """What was withdrawn, and who is told."""

    instances: int
    note_uid: str
    destinations: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnwrittenNote:
    """A note of ours that is not in the spool yet."""

    uid: str
    content: bytes


def withdraw(
    catalog: Catalog, uid: str, *, code: str, by: str, reason: str, note_uid: str, make_note: MakeNote
) -> Withdrawn:
    """any state -> withdrawn; ``code`` is the title of the note that ``make_note`` makes.

    Deliveries under way finish the instance in hand. Where nothing of the study has gone anywhere, no note goes either.

    Raises
    ------
    StateError
        The study is withdrawn already, or removed.
    NotFoundError
        There is no study with this UID.
    """
    with catalog.write() as session:
        study = session.one("SELECT id, uid, revision FROM studies WHERE uid = ?", uid)
        if study is None:
            raise NotFoundError("there is no study with this UID")
        references = _references(session, study["id"], uid)
        destinations = _where_it_is(session, study["id"])
        detail = {"reason": reason, "code": code, "note": note_uid, "destinations": list(destinations)}
        apply(
            session,
            "study",
            study["id"],
            "withdrawn",
            by=by,
            detail=detail,
            judge=0,
            revision=study["revision"] + 1,
        )
        _stop(session, study["id"], study["revision"] + 1)
        note_id = session.insert(
            "rejection_notes",
            uid=note_uid,
            study_id=study["id"],
            code=code,
            peer="",
            at=session.at,
            waits=0,
            content=make_note(_header(session, study["id"], uid), references) if destinations else None,
            destinations=json.dumps(destinations),
        )
        rows = [(one.sop_instance, one.study, one.sop_class) for one in references]
        write_references(session, note_id, code, rows)
        session.execute("UPDATE rejected_instances SET active = 1 WHERE note_id = ?", note_id)
    return Withdrawn(instances=len(references), note_uid=note_uid, destinations=tuple(destinations))


def _references(session: Session, study_id: int, uid: str) -> list[Reference]:
    """Every instance of the study but notes; one line for several objects with one UID."""
    rows = session.rows(
        "SELECT DISTINCT e.uid AS series, i.sop_class, i.uid FROM instances i JOIN series e ON e.id = i.series_id "
        "WHERE i.study_id = ? AND i.uid NOT IN (SELECT n.uid FROM rejection_notes n WHERE n.study_id = ?) "
        "ORDER BY e.uid, i.uid",
        study_id,
        study_id,
    )
    return [
        Reference(study=uid, series=row["series"], sop_class=row["sop_class"], sop_instance=row["uid"]) for row in rows
    ]


def _where_it_is(session: Session, study_id: int) -> dict[str, dict[str, bool]]:
    """The destinations that have instances of the study, or may get one at this moment, and the terms of each."""
    rows = session.rows(
        "SELECT e.destination, e.required, e.commitment FROM entries e WHERE e.study_id = ? AND (e.state = 'sending' "
        "OR EXISTS (SELECT 1 FROM ledger l WHERE l.study_id = e.study_id AND l.destination = e.destination "
        f"AND {MAY_BE_THERE})) ORDER BY e.revision",
        study_id,
    )
    return {
        row["destination"]: {"required": bool(row["required"]), "commitment": bool(row["commitment"])} for row in rows
    }


def _stop(session: Session, study_id: int, revision: int) -> None:
    """Nothing more of the study goes; commitment that was asked for is still awaited."""
    session.execute("UPDATE instances SET held = 1 WHERE study_id = ?", study_id)
    session.execute("DELETE FROM ledger WHERE study_id = ? AND state IN ('pending', 'failed')", study_id)
    supersede(session, study_id, revision)
    for row in session.rows("SELECT id FROM entries WHERE study_id = ? AND state = 'failed'", study_id):
        apply(session, "entry", row["id"], "cancelled", detail={"withdrawn": True}, due_at=None)


def _header(session: Session, study_id: int, uid: str) -> Header:
    facts = session.value(
        "SELECT f.facts FROM instances i JOIN fact_sets f ON f.id = i.fact_set_id WHERE i.study_id = ? "
        "ORDER BY i.current DESC, CASE WHEN i.sop_class = ? THEN 1 ELSE 0 END, i.id LIMIT 1",
        study_id,
        KEY_OBJECT_SELECTION,
    )
    return from_json(facts)


def unwritten(catalog: Catalog) -> list[UnwrittenNote]:
    """The notes of ours that have to be put into the spool."""
    with catalog.read() as session:
        rows = session.rows("SELECT uid, content FROM rejection_notes WHERE content IS NOT NULL ORDER BY id")
    return [UnwrittenNote(uid=row["uid"], content=bytes(row["content"])) for row in rows]


def is_ours(session: Session, uid: str) -> bool:
    """Whether this is a note of ours that comes into the catalog now."""
    return bool(session.value("SELECT 1 FROM rejection_notes WHERE uid = ? AND content IS NOT NULL", uid))


def send_note(session: Session, uid: str, instance_id: int) -> None:
    """A note of ours is in the catalog: put it on its way."""
    note = session.one(
        "SELECT n.id, n.study_id, n.destinations, s.revision FROM rejection_notes n "
        "JOIN studies s ON s.id = n.study_id WHERE n.uid = ?",
        uid,
    )
    assert note is not None
    session.execute("UPDATE rejection_notes SET instance_id = ?, content = NULL WHERE id = ?", instance_id, note["id"])
    plans = [DestinationPlan(name=name, **terms) for name, terms in json.loads(note["destinations"]).items()]
    plan_entries(session, {"id": note["study_id"], "revision": note["revision"]}, plans)
