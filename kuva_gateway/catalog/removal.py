"""Removal of stored files: what is to go, and what has gone. Rows and history stay.

A removal is asked for in one transaction with its reason (a row in ``removals`` for each instance). The indexer's
thread, which alone makes and removes names in ``instances/``, then moves the file to ``removing/``, removes it there,
and marks the instance purged. Each step may be repeated, so that a process that ends between any two of them is made
good by the next start. Bytes that come again before or after that are kept: what was acknowledged last counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.session import Session
from kuva_gateway.catalog.states import apply, write_history
from kuva_gateway.errors import NotFoundError, StateError

_NOTE_ON_ITS_WAY = (
    "SELECT 1 FROM rejection_notes n WHERE n.study_id = ? AND (n.content IS NOT NULL OR EXISTS ("
    "SELECT 1 FROM ledger l JOIN entries e ON e.study_id = l.study_id AND e.destination = l.destination "
    "AND e.state NOT IN ('cancelled', 'superseded') WHERE l.instance_id = n.instance_id "
    "AND NOT (l.state = 'committed' OR (l.state = 'sent' AND e.commitment = 0))))"
)


class Removal(NamedTuple):
    """One file that is to be removed."""

    instance_id: int
    digest: str


def remove_study(catalog: Catalog, uid: str, *, by: str, reason: str) -> int:
    """rejected, withdrawn -> removed: ask for the removal of all its files; returns how many.

    Raises
    ------
    StateError
        The study is neither rejected nor withdrawn, or its rejection note is still on its way.
    NotFoundError
        There is no study with this UID.
    """
    with catalog.write() as session:
        study = session.one("SELECT id, revision FROM studies WHERE uid = ?", uid)
        if study is None:
            raise NotFoundError("there is no study with this UID")
        if session.value(_NOTE_ON_ITS_WAY, study["id"]):
            raise StateError(
                "the rejection note of this study is still on its way: wait until it is archived, or cancel its entries"
            )
        files = ask(session, study["id"])
        detail = {"reason": reason, "revision": study["revision"], "files": files}
        apply(session, "study", study["id"], "removed", by=by, detail=detail, judge=0)
    return files


def ask(session: Session, study_id: int, instance_ids: Iterable[int] | None = None) -> int:
    """Ask for the removal of the files of these instances of a study (None: of all); returns how many are new to it.

    Who asks writes why into history, in the same transaction.
    """
    insert = (
        "INSERT INTO removals (instance_id, asked_at) SELECT i.id, CAST(? AS BIGINT) FROM instances i "
        "WHERE i.study_id = ? AND i.purged_at IS NULL "
        "AND NOT EXISTS (SELECT 1 FROM removals r WHERE r.instance_id = i.id)"
    )
    if instance_ids is None:
        return session.change(insert, session.at, study_id)
    return session.change_in(insert + " AND i.id IN {}", instance_ids, session.at, study_id)


def pending(catalog: Catalog, limit: int) -> list[Removal]:
    """Files that are to be removed, the oldest wish first."""
    with catalog.read() as session:
        rows = session.rows(
            "SELECT r.instance_id, i.digest FROM removals r JOIN instances i ON i.id = r.instance_id "
            "ORDER BY r.asked_at, r.instance_id LIMIT ?",
            limit,
        )
    return [Removal(row["instance_id"], bytes(row["digest"]).hex()) for row in rows]


def mark_purged(catalog: Catalog, instance_ids: Iterable[int]) -> None:
    """The files of these instances are gone; with the last of a study's its history says so."""
    ids = list(instance_ids)
    with catalog.write() as session:
        session.change_in("UPDATE instances SET purged_at = ? WHERE id IN {}", ids, session.at)
        session.change_in("DELETE FROM removals WHERE instance_id IN {}", ids)
        studies = {row["study_id"] for row in session.rows_in("SELECT study_id FROM instances WHERE id IN {}", ids)}
        for study_id in sorted(studies):
            _tell_when_all_are_gone(session, study_id)


def _tell_when_all_are_gone(session: Session, study_id: int) -> None:
    waiting = session.value(
        "SELECT COUNT(*) FROM removals r JOIN instances i ON i.id = r.instance_id WHERE i.study_id = ?", study_id
    )
    if waiting:
        return
    row = session.one(
        "SELECT s.state, SUM(CASE WHEN i.purged_at IS NULL THEN 0 ELSE 1 END) AS gone, COUNT(*) AS files "
        "FROM studies s JOIN instances i ON i.study_id = s.id WHERE s.id = ? GROUP BY s.state",
        study_id,
    )
    assert row is not None
    detail = {"files": int(row["gone"]), "left": int(row["files"] - row["gone"])}
    write_history(session, study_id=study_id, event="files_removed", change=(row["state"], row["state"]), detail=detail)


def keep(session: Session, digests: Mapping[bytes, str]) -> frozenset[int]:
    """These bytes have come again and are in ``instances/``: nobody removes them, and they are not purged.

    Returns the ids of the studies of which files had gone, or were about to.

    ``digests``: SHA-256 of the file to the SOP Instance UID in it, by which rows are found (decision 0010).
    """
    rows = session.rows_in(
        "SELECT i.id, i.digest, i.study_id, CASE WHEN i.purged_at IS NOT NULL OR EXISTS (SELECT 1 FROM removals r "
        "WHERE r.instance_id = i.id) THEN 1 ELSE 0 END AS going FROM instances i WHERE i.uid IN {}",
        set(digests.values()),
    )
    here = [row for row in rows if bytes(row["digest"]) in digests]
    ids = [row["id"] for row in here]
    session.change_in("DELETE FROM removals WHERE instance_id IN {}", ids)
    session.change_in("UPDATE instances SET purged_at = NULL WHERE purged_at IS NOT NULL AND id IN {}", ids)
    return frozenset(row["study_id"] for row in here if row["going"])


def is_purged(catalog: Catalog, digest: str, uid: str) -> bool | None:
    """Whether the file with this digest and SOP Instance UID was removed; None when no row knows it."""
    with catalog.read() as session:
        rows = session.rows("SELECT digest, purged_at FROM instances WHERE uid = ?", uid)
    return next((row["purged_at"] is not None for row in rows if bytes(row["digest"]).hex() == digest), None)
