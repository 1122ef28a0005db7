"""Which stored files may go because the archive has them: chosen here, removed by the indexer (:mod:`.removal`).

Keeps a row for each archived study whose files have not been asked for yet. Promises that a file is asked for only when
a required destination has committed to it, when no other destination still waits for it, and when its study is
archived; and that choosing, history and request are one transaction.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from kuva_gateway.catalog import removal
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.session import Row, Session, microseconds
from kuva_gateway.catalog.states import write_history

STUDIES_PER_TRANSACTION = 20
LOOK_AGAIN = timedelta(hours=1)
"""For a study of which something is still wanted by a destination that is not required."""

_LIVE = "e.study_id = l.study_id AND e.destination = l.destination AND e.state NOT IN ('cancelled', 'superseded')"
_OF_STUDY = "l.instance_id = i.id AND l.study_id = i.study_id"
_MAY_GO = (
    "SELECT i.id, i.size FROM instances i WHERE i.study_id = ? AND i.purged_at IS NULL "
    f"AND EXISTS (SELECT 1 FROM ledger l JOIN entries e ON {_LIVE} WHERE {_OF_STUDY} "
    "AND l.state = 'committed' AND e.required = 1) "
    f"AND NOT EXISTS (SELECT 1 FROM ledger l JOIN entries e ON {_LIVE} WHERE {_OF_STUDY} "
    "AND NOT (l.state = 'committed' OR (l.state = 'sent' AND e.commitment = 0)))"
)


class Chosen(NamedTuple):
    """What was asked for in one step."""

    looked_at: int
    """Studies; 0: nothing is left to look at."""
    files: int
    bytes: int


def keep_from(session: Session, study_id: int) -> None:
    """The study is archived, or files of it have come back: the time that they are kept begins now."""
    session.execute(
        "INSERT INTO retentions (study_id, since, not_before) VALUES (?, ?, 0) "
        "ON CONFLICT (study_id) DO UPDATE SET since = excluded.since, not_before = 0",
        study_id,
        session.at,
    )


def choose(catalog: Catalog, *, archived_before: datetime, why: str, wanted_bytes: int | None = None) -> Chosen:
    """Ask for the files of the next few studies that were archived before this, the longest archived first.

    ``wanted_bytes``: stop when these are so many bytes. ``why`` goes into the studies' history.
    """
    files = size = 0
    with catalog.write() as session:
        rows = session.rows(
            "SELECT r.study_id, s.state FROM retentions r JOIN studies s ON s.id = r.study_id "
            "WHERE r.since <= ? AND r.not_before <= ? ORDER BY r.since, r.study_id LIMIT ?",
            microseconds(archived_before),
            session.at,
            STUDIES_PER_TRANSACTION,
        )
        for row in rows:
            if wanted_bytes is not None and size >= wanted_bytes:
                break
            found = may_go(session, row["study_id"]) if row["state"] == "archived" else []
            if found:
                _ask(session, row, found, why)
                files += len(found)
                size += sum(one["size"] for one in found)
            _look_again(session, row)
    return Chosen(len(rows), files, size)


def may_go(session: Session, study_id: int) -> list[Row]:
    """The instances (``id``, ``size``) of a study whose files nobody needs from us any more."""
    return session.rows(_MAY_GO, study_id)


def _ask(session: Session, row: Row, found: list[Row], why: str) -> None:
    removal.ask(session, row["study_id"], [one["id"] for one in found])
    write_history(
        session,
        study_id=row["study_id"],
        event="retention",
        change=(row["state"], row["state"]),
        detail={"files": len(found), "bytes": sum(one["size"] for one in found), "why": why},
    )


def _look_again(session: Session, row: Row) -> None:
    """Later, while somebody still waits for something of it; else when it is archived again or files come back."""
    waiting = row["state"] == "archived" and session.value(
        "SELECT 1 FROM entries WHERE study_id = ? AND state IN ('queued', 'sending', 'deferred', 'held', 'failed') "
        "OR (study_id = ? AND state = 'sent' AND commitment = 1) LIMIT 1",
        row["study_id"],
        row["study_id"],
    )
    if waiting:
        session.execute(
            "UPDATE retentions SET not_before = ? WHERE study_id = ?",
            session.at + LOOK_AGAIN // timedelta(microseconds=1),
            row["study_id"],
        )
    else:
        session.execute("DELETE FROM retentions WHERE study_id = ?", row["study_id"])


def asked_bytes(catalog: Catalog) -> int:
    """Bytes of files that are to be removed and are still there."""
    with catalog.read() as session:
        found = session.value("SELECT SUM(i.size) FROM removals r JOIN instances i ON i.id = r.instance_id")
    return int(found or 0)
