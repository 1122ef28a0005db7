"""From an accepted study to its entries and ledger."""

from __future__ import annotations

import json
from collections.abc import Sequence

from kuva_gateway.catalog import totals
from kuva_gateway.catalog.completion import complete_study, ledger_counts, recount
from kuva_gateway.catalog.records import DestinationPlan
from kuva_gateway.catalog.session import Row, Session
from kuva_gateway.catalog.states import apply


def plan_entries(session: Session, study: Row, destinations: Sequence[DestinationPlan]) -> None:
    """Make the entries that the study's present revision lacks; ``study`` needs ``id`` and ``revision``.

    The ledger is inherited: what was sent or committed in an older revision is not pending again, and an entry with
    nothing left to do completes at once. An entry in place of one that a person held is held by the same person.
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
    """queued, deferred, held -> superseded for the study's entries of revisions before ``revision``."""
    rows = session.rows(
        "SELECT id FROM entries WHERE study_id = ? AND revision < ? AND state IN ('queued', 'deferred', 'held')",
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
        tried_since=session.at,
        due_at=session.at,
        next_attempt_at=session.at,
        owner="",
        sent=0,
        committed=0,
    )
    totals.add(session, "entries", [totals.Change("queued", 1)])
    if not _complete_at_once(session, entry_id, study, plan):
        _hold_still(session, entry_id, study, plan)
    recount(session, study["id"], plan.name)


def _complete_at_once(session: Session, entry_id: int, study: Row, plan: DestinationPlan) -> bool:
    """Lead an entry whose instances are all there already through its states, without a worker; False: not all are."""
    counts = ledger_counts(session, study["id"], plan.name, study["revision"])
    there = counts.get("committed", 0) + (0 if plan.commitment else counts.get("sent", 0))
    if there != sum(counts.values()):
        return False
    detail = {"nothing_pending": True}
    apply(session, "entry", entry_id, "claimed", detail=detail)
    apply(session, "entry", entry_id, "delivered", detail=detail, due_at=None, next_attempt_at=None)
    return True


def _hold_still(session: Session, entry_id: int, study: Row, plan: DestinationPlan) -> None:
    """Hold an entry whose forerunner a person held when it was superseded: by the same person, for the same reason."""
    forerunner = session.value(
        "SELECT id FROM entries WHERE study_id = ? AND destination = ? AND revision < ? ORDER BY revision DESC LIMIT 1",
        study["id"],
        plan.name,
        study["revision"],
    )
    last = session.rows(
        "SELECT event, from_state, actor, detail FROM history WHERE entry_id = ? AND event IN ('held', 'new_revision') "
        "ORDER BY id DESC LIMIT 2",
        forerunner,
    )
    if len(last) == 2 and (last[0]["event"], last[0]["from_state"]) == ("new_revision", "held"):
        held = last[1]
        detail = json.loads(held["detail"])
        apply(session, "entry", entry_id, "held", by=held["actor"], detail=detail, due_at=None, next_attempt_at=None)
