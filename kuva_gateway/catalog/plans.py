"""From an accepted study to its entries and ledger."""

from __future__ import annotations

from collections.abc import Sequence

from kuva_gateway.catalog.completion import complete_study, ledger_counts, recount
from kuva_gateway.catalog.records import DestinationPlan
from kuva_gateway.catalog.session import Row, Session
from kuva_gateway.catalog.states import apply


def plan_entries(session: Session, study: Row, destinations: Sequence[DestinationPlan]) -> None:
    """Make the entries that the study's present revision lacks; ``study`` needs ``id`` and ``revision``.

    The ledger is inherited: what was sent or committed in an older revision is not pending again, and an entry with
    nothing left to do completes at once.
    """
    for plan in destinations:
        present = session.value(
            "SELECT id FROM entries WHERE study_id = ? AND destination = ? AND revision = ?",
            study["id"],
            plan.name,
            study["revision"],
        )
        if present is None:
            _plan_entry(session, study, plan)
    complete_study(session, study["id"])


def supersede(session: Session, study_id: int, revision: int) -> None:
    """queued, deferred -> superseded for the study's entries of revisions before ``revision``."""
    rows = session.rows(
        "SELECT id FROM entries WHERE study_id = ? AND revision < ? AND state IN ('queued', 'deferred')",
        study_id,
        revision,
    )
    for row in rows:
        apply(session, "entry", row["id"], "new_revision", detail={"revision": revision}, due_at=None)


def failed_again_pending(session: Session, study_id: int, destination: str) -> None:
    """failed -> pending for what failed at ``destination``; never for held or replaced instances."""
    session.execute(
        "UPDATE ledger SET state = 'pending', code = '', changed_at = ? "
        "WHERE study_id = ? AND destination = ? AND state = 'failed' "
        "AND instance_id IN (SELECT i.id FROM instances i WHERE i.study_id = ? AND i.current = 1 AND i.held = 0)",
        session.at,
        study_id,
        destination,
        study_id,
    )


def _plan_entry(session: Session, study: Row, plan: DestinationPlan) -> None:
    failed_again_pending(session, study["id"], plan.name)
    session.execute(
        "INSERT INTO ledger (study_id, destination, instance_id, revision, state, code, changed_at) "
        "SELECT i.study_id, CAST(? AS TEXT), i.id, CAST(? AS INTEGER), 'pending', '', CAST(? AS BIGINT) "
        "FROM instances i WHERE i.study_id = ? AND i.current = 1 AND i.held = 0 ON CONFLICT DO NOTHING",
        plan.name,
        study["revision"],
        session.at,
        study["id"],
    )
    entry_id = session.insert(
        "entries",
        study_id=study["id"],
        destination=plan.name,
        revision=study["revision"],
        state="queued",
        priority=plan.priority,
        required=int(plan.required),
        commitment=int(plan.commitment),
        attempts=0,
        created_at=session.at,
        due_at=session.at,
        next_attempt_at=session.at,
        owner="",
        sent=0,
        committed=0,
    )
    _complete_at_once(session, entry_id, study, plan)
    recount(session, study["id"], plan.name)


def _complete_at_once(session: Session, entry_id: int, study: Row, plan: DestinationPlan) -> None:
    """Lead an entry whose instances are all there already through its states, without a worker."""
    counts = ledger_counts(session, study["id"], plan.name, study["revision"])
    there = counts.get("committed", 0) + (0 if plan.commitment else counts.get("sent", 0))
    if there != sum(counts.values()):
        return
    detail = {"nothing_pending": True}
    apply(session, "entry", entry_id, "claimed", detail=detail)
    apply(session, "entry", entry_id, "delivered", detail=detail, due_at=None, next_attempt_at=None)
