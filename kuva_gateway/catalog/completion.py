"""When is an entry complete, and when a study: counted from the ledger after everything that changes it.

An entry answers for the ledger rows of its study and destination up to its own revision. It is complete when it is
``archived``, or ``sent`` where the destination offers no storage commitment. A study is archived when every required
entry of its present revision is complete, and there is one.
"""

from __future__ import annotations

from typing import NamedTuple

from kuva_gateway.catalog.retention import keep_from
from kuva_gateway.catalog.session import Row, Session
from kuva_gateway.catalog.states import apply


class Completed(NamedTuple):
    """What became complete."""

    entries: tuple[int, ...] = ()
    """Entries that are archived now."""
    study: bool = False


def ledger_counts(session: Session, study_id: int, destination: str, revision: int) -> dict[str, int]:
    """How many ledger rows up to ``revision`` are in each state."""
    rows = session.rows(
        "SELECT state, COUNT(*) AS n FROM ledger "
        "WHERE study_id = ? AND destination = ? AND revision <= ? GROUP BY state",
        study_id,
        destination,
        revision,
    )
    return {row["state"]: row["n"] for row in rows}


def recount(session: Session, study_id: int, destination: str) -> Completed:
    """Write the counts of the study's live entries at ``destination``, and complete what has become complete."""
    archived = []
    live = session.rows(
        "SELECT id, state, revision, commitment FROM entries WHERE study_id = ? AND destination = ? "
        "AND state NOT IN ('superseded', 'cancelled', 'archived')",
        study_id,
        destination,
    )
    for entry in live:
        counts = ledger_counts(session, study_id, destination, entry["revision"])
        committed = counts.get("committed", 0)
        session.execute(
            "UPDATE entries SET sent = ?, committed = ? WHERE id = ?",
            counts.get("sent", 0) + committed,
            committed,
            entry["id"],
        )
        if entry["state"] == "sent" and entry["commitment"] and committed == sum(counts.values()):
            apply(session, "entry", entry["id"], "committed", detail={"instances": committed})
            archived.append(entry["id"])
    return Completed(tuple(archived), complete_study(session, study_id))


def complete_study(session: Session, study_id: int) -> bool:
    """accepted -> archived, if every required entry of the present revision is complete; True if it was that."""
    study = session.one("SELECT state, revision FROM studies WHERE id = ?", study_id)
    if study is None or study["state"] != "accepted":
        return False
    entries = session.rows(
        "SELECT state, commitment FROM entries WHERE study_id = ? AND revision = ? AND required = 1",
        study_id,
        study["revision"],
    )
    if not entries or not all(is_complete(entry) for entry in entries):
        return False
    apply(session, "study", study_id, "all_complete", judge=0)
    keep_from(session, study_id)
    return True


def is_complete(entry: Row) -> bool:
    """Has the entry nothing left to do? Needs its ``state`` and ``commitment``."""
    return entry["state"] == "archived" or (entry["state"] == "sent" and not entry["commitment"])
