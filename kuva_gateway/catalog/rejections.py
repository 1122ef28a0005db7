"""Rejection notes (IOC-01): who may reject what, what is hidden, what later copies get, and which notes go on.

Keeps a row per note and a row per instance that one rejects. Promises that a note counts only when it comes from a peer
that may reject, or a person let it count; that what a note rejects for quality, safety or a wrong worklist entry is
never sent from then on; that later copies are kept out of sight whichever way they come in; and that a note leaves
for a destination only as the rule says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kuva_gateway.catalog import removal, totals
from kuva_gateway.catalog.completion import recount
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.doubts import MAY_BE_THERE
from kuva_gateway.catalog.questions import open_question
from kuva_gateway.catalog.retention import may_go
from kuva_gateway.catalog.session import Session
from kuva_gateway.catalog.states import write_history
from kuva_gateway.dicom.key_objects import RETENTION, SAFETY, WORKLIST, Note
from kuva_gateway.errors import NotFoundError, StateError

RULE = "IOC-01"

HIDDEN = (
    "EXISTS (SELECT 1 FROM rejected_instances h JOIN studies o ON o.uid = h.study_uid "
    "WHERE h.uid = i.uid AND h.active = 1 AND o.id = i.study_id)"
)
"""SQL: the instance ``i`` is not to be seen: a note that counts names it in its study."""

Rejecters = Mapping[str, bool]
"""Peers that may reject, by name; True: their notes are forwarded."""


class Fate(NamedTuple):
    """What becomes of a note that has come."""

    applies: bool
    goes: bool
    """It is delivered as any instance is."""
    waits: bool
    """A person's release lets it go (and count)."""
    severity: str
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """A note that a batch has brought in."""

    instance_id: int
    study_id: int
    uid: str
    peer: str
    note: Note
    fate: Fate


def refused(catalog: Catalog) -> frozenset[str]:
    """The SOP Instance UIDs of which no copy is taken any more (A771)."""
    with catalog.read() as session:
        rows = session.rows(
            "SELECT DISTINCT uid FROM rejected_instances WHERE active = 1 AND code IN (?, ?)", SAFETY, WORKLIST
        )
    return frozenset(row["uid"] for row in rows)


def rejected_among(session: Session, uids: Iterable[str]) -> frozenset[str]:
    """Those of ``uids`` of which later copies are kept out of sight; one look when there are no notes at all."""
    if session.value("SELECT 1 FROM rejected_instances LIMIT 1") is None:
        return frozenset()
    rows = session.rows_in(
        "SELECT DISTINCT uid FROM rejected_instances WHERE active = 1 AND code <> ? AND uid IN {}", uids, RETENTION
    )
    return frozenset(row["uid"] for row in rows)


def judge_note(session: Session, note: Note, peer: str, rejecters: Rejecters) -> Fate:
    """What becomes of a note from ``peer`` (IOC-01)."""
    if not note.references:
        return Fate(applies=False, goes=False, waits=True, severity="hold", where="unreadable")
    if peer not in rejecters:
        return Fate(applies=False, goes=False, waits=True, severity="hold", where="foreign")
    if note.code == RETENTION:
        return Fate(applies=True, goes=False, waits=False, severity="info", where="retention")
    if not _delivered(session, note):
        return Fate(applies=True, goes=False, waits=False, severity="info", where="kept")
    if rejecters[peer]:
        return Fate(applies=True, goes=True, waits=False, severity="info", where="forwarded")
    return Fate(applies=True, goes=False, waits=True, severity="hold", where="release")


def _delivered(session: Session, note: Note) -> bool:
    """Has anything that the note rejects gone to some destination, or may it have, or be on its way at this moment?"""
    return bool(
        session.rows_in(
            f"SELECT 1 FROM instances i JOIN ledger l ON l.instance_id = i.id WHERE ({MAY_BE_THERE} "
            "OR EXISTS (SELECT 1 FROM entries e WHERE e.study_id = l.study_id AND e.destination = l.destination "
            "AND e.state = 'sending')) AND i.uid IN {} LIMIT 1",
            [one.sop_instance for one in note.references],
        )
    )


def take(session: Session, arrived: Arrived) -> None:
    """Write a note down, and let it count at once if it may; the rows of its batch are there already."""
    note_id = session.insert(
        "rejection_notes",
        uid=arrived.uid,
        study_id=arrived.study_id,
        instance_id=arrived.instance_id,
        code=arrived.note.code,
        peer=arrived.peer,
        at=session.at,
        waits=int(arrived.fate.waits),
    )
    references = [(one.sop_instance, one.study, one.sop_class) for one in arrived.note.references]
    write_references(session, note_id, arrived.note.code, references)
    if arrived.fate.applies:
        apply_note(session, note_id)


def write_references(session: Session, note_id: int, code: str, references: Sequence[tuple[str, str, str]]) -> None:
    """What a note rejects: SOP Instance, Study Instance and SOP Class UIDs; nothing is hidden by that yet."""
    session.many(
        "INSERT INTO rejected_instances (note_id, code, uid, study_uid, sop_class, active) VALUES (?, ?, ?, ?, ?, 0) "
        "ON CONFLICT DO NOTHING",
        [(note_id, code, *one) for one in references],
    )


def apply_note(session: Session, note_id: int) -> None:
    """Hide what the note rejects; unless its time has merely run out, it is never sent from now on."""
    note = session.one("SELECT code, uid, peer FROM rejection_notes WHERE id = ?", note_id)
    assert note is not None
    rows = session.rows(
        f"SELECT i.id, i.study_id, i.size, i.current, i.held, s.state, CASE WHEN {HIDDEN} THEN 1 ELSE 0 END AS hidden "
        "FROM rejected_instances r JOIN instances i ON i.uid = r.uid "
        "JOIN studies s ON s.id = i.study_id AND s.uid = r.study_uid WHERE r.note_id = ?",
        note_id,
    )
    studies = {row["study_id"]: row["state"] for row in rows}
    for study_id, state in studies.items():
        gone = [row for row in rows if row["study_id"] == study_id and _is_seen(row)]
        _count(session, study_id, state, -len(gone), -sum(row["size"] for row in gone))
    session.execute("UPDATE rejected_instances SET active = 1 WHERE note_id = ?", note_id)
    ids = [row["id"] for row in rows]
    if note["code"] == RETENTION:
        for study_id in studies:
            removal.ask(session, study_id, {one["id"] for one in may_go(session, study_id)}.intersection(ids))
    else:
        session.change_in("UPDATE instances SET current = 0, held = 1 WHERE id IN {}", ids)
        session.change_in("DELETE FROM ledger WHERE state IN ('pending', 'failed') AND instance_id IN {}", ids)
    for study_id, state in studies.items():
        detail = {
            "code": note["code"],
            "peer": note["peer"],
            "note": note["uid"],
            "instances": sum(1 for row in rows if row["study_id"] == study_id),
        }
        write_history(session, study_id=study_id, event="rejection_note", change=(state, state), detail=detail)
        for row in session.rows("SELECT DISTINCT destination FROM entries WHERE study_id = ?", study_id):
            recount(session, study_id, row["destination"])
    open_question(session, studies)


def _is_seen(row: Mapping[str, int]) -> bool:
    """Whether its study counted the instance so far."""
    return bool(row["current"] and not row["held"] and not row["hidden"])


def release(session: Session, study_id: int) -> None:
    """A person lets the study go, and with it the notes in it that waited for that; they count from now on."""
    rows = session.rows(
        "SELECT n.id, n.uid, i.id AS instance_id, i.size, s.state FROM rejection_notes n "
        "JOIN instances i ON i.id = n.instance_id JOIN studies s ON s.id = n.study_id "
        "WHERE n.study_id = ? AND n.waits = 1",
        study_id,
    )
    for row in rows:
        session.execute("UPDATE rejection_notes SET waits = 0 WHERE id = ?", row["id"])
        session.execute("UPDATE instances SET held = 0 WHERE id = ?", row["instance_id"])
        session.execute(
            "UPDATE observed_findings SET severity = 'info' WHERE study_id = ? AND rule = ? AND sop_instance_uid = ?",
            study_id,
            RULE,
            row["uid"],
        )
        _count(session, study_id, row["state"], 1, row["size"])
        if session.value("SELECT 1 FROM rejected_instances WHERE note_id = ? AND active = 0", row["id"]):
            apply_note(session, row["id"])


def dismiss(catalog: Catalog, uid: str, *, by: str, reason: str) -> int:
    """The rejection notes that wait in a study go nowhere; returns how many. The study is judged again.

    One that is in force stays so here; one from a peer that may not reject never counts.

    Raises
    ------
    NotFoundError
        There is no study with this UID.
    StateError
        No note waits in it.
    """
    with catalog.write() as session:
        study = session.one("SELECT id, state FROM studies WHERE uid = ?", uid)
        if study is None:
            raise NotFoundError("there is no study with this UID")
        notes = session.rows("SELECT id, uid FROM rejection_notes WHERE study_id = ? AND waits = 1", study["id"])
        if not notes:
            raise StateError("no rejection note waits in this study")
        for note in notes:
            session.execute("UPDATE rejection_notes SET waits = 0 WHERE id = ?", note["id"])
            session.execute(
                "UPDATE observed_findings SET severity = 'info', place = 'dismissed' "
                "WHERE study_id = ? AND rule = ? AND sop_instance_uid = ?",
                study["id"],
                RULE,
                note["uid"],
            )
        detail = {"reason": reason, "notes": [note["uid"] for note in notes]}
        change = (study["state"], study["state"])
        write_history(session, study_id=study["id"], event="notes_dismissed", change=change, by=by, detail=detail)
        open_question(session, [study["id"]])
    return len(notes)


def lift_retention(session: Session, uids: Iterable[str]) -> None:
    """Copies have come again after their time had run out: they are seen again."""
    if session.value("SELECT 1 FROM rejected_instances LIMIT 1") is None:
        return
    hidden = session.rows_in(
        "SELECT DISTINCT i.id, i.uid, i.study_id, i.size, s.state FROM rejected_instances r "
        "JOIN instances i ON i.uid = r.uid JOIN studies s ON s.id = i.study_id AND s.uid = r.study_uid "
        "WHERE r.active = 1 AND r.code = ? AND i.current = 1 AND i.held = 0 AND i.uid IN {}",
        uids,
        RETENTION,
    )
    for row in hidden:
        _count(session, row["study_id"], row["state"], 1, row["size"])
    session.change_in(
        "UPDATE rejected_instances SET active = 0 WHERE active = 1 AND code = ? AND uid IN {}",
        [row["uid"] for row in hidden],
        RETENTION,
    )


def _count(session: Session, study_id: int, state: str, instances: int, size: int) -> None:
    session.execute(
        "UPDATE studies SET instances = instances + ?, bytes = bytes + ? WHERE id = ?", instances, size, study_id
    )
    totals.add_studies(session, [totals.Change(state, 0, instances, size)])
