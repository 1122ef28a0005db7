"""From an accepted study to its entries and ledger."""

from __future__ import annotations

import json
from collections.abc import Sequence

from kuva_gateway.catalog import totals
from kuva_gateway.catalog.completion import complete_study, ledger_counts, recount
from kuva_gateway.catalog.doubts import IN_DOUBT
from kuva_gateway.catalog.records import DestinationPlan
from kuva_gateway.catalog.routing import NORMAL, Traits, priority, takes, traits
from kuva_gateway.catalog.session import Row, Session
from kuva_gateway.catalog.states import apply, write_history

UNROUTED = "not_routed"


def plan_entries(
    session: Session, study: Row, destinations: Sequence[DestinationPlan], seen: Traits | None = None
) -> int:
    """Make the entries that the study's present revision lacks; ``study`` needs ``id`` and ``revision``.

    ``seen``: the study's traits, where the caller knows them. Returns how many entries were made.

    The ledger is inherited: what was sent or committed in an older revision is not pending again, and an entry with
    nothing left to do completes at once. An entry in place of one that a person held is held by the same person.
    A destination whose filter does not take the study gets none, unless it got an older revision: what is there is
    kept whole. Where nobody who is required takes the study, its history says so.
    """
    there = session.rows("SELECT destination, revision FROM entries WHERE study_id = ? ORDER BY revision", study["id"])
    have = {row["destination"] for row in there if row["revision"] == study["revision"]}
    known = {row["destination"] for row in there}
    seen = seen if seen is not None else traits(session, study["id"])
    wanted = [plan for plan in destinations if plan.name in known or takes(plan, seen)]
    missing = [plan for plan in wanted if plan.name not in have]
    left = False
    for plan in missing:
        waits = _plan_entry(session, study, plan, priority(plan, seen), first=plan.name not in known)
        left = left or (plan.required and waits)
    if destinations and not any(plan.required for plan in wanted):
        _say_unrouted(session, study, [plan.name for plan in wanted])
    if not left:
        complete_study(session, study["id"])
    return len(missing)


def _say_unrouted(session: Session, study: Row, optional: list[str]) -> None:
    """One row of history for each revision that no required destination takes: it stays accepted, and says why."""
    detail = {"revision": study["revision"], "goes_to": optional, "why": "no required destination takes the study"}
    said = session.value(
        "SELECT detail FROM history WHERE study_id = ? AND event = ? ORDER BY id DESC LIMIT 1", study["id"], UNROUTED
    )
    if said is None or json.loads(said) != detail:
        write_history(session, study_id=study["id"], event=UNROUTED, change=("accepted", "accepted"), detail=detail)


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


def _plan_entry(session: Session, study: Row, plan: DestinationPlan, urgency: int, *, first: bool) -> bool:
    """Make the entry; ``first``: of this study at this destination, where nothing can be left of earlier ones.

    True: something of it is left to be done for sure.
    """
    if not first:
        failed_again_pending(session, study["id"], plan.name)
    pending = session.change(
        "INSERT INTO ledger (study_id, destination, instance_id, revision, state, code, changed_at) "
        "SELECT i.study_id, CAST(? AS TEXT), i.id, CAST(? AS INTEGER), 'pending', CASE WHEN i.received_at <= "
        f"(SELECT COALESCE(MAX(at), 0) FROM renewals) THEN '{IN_DOUBT}' ELSE '' END, CAST(? AS BIGINT) "
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
        priority=urgency if first else max(urgency, _given_priority(session, study, plan)),
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
    totals.add_entries(session, plan.name, [totals.Change("queued", 1)])
    if first and pending:
        return True
    if not _complete_at_once(session, entry_id, study, plan):
        _hold_still(session, entry_id, study, plan)
    recount(session, study["id"], plan.name)
    return False


def _given_priority(session: Session, study: Row, plan: DestinationPlan) -> int:
    """The priority of the entry's forerunner, which a person may have given."""
    found = session.value(
        "SELECT priority FROM entries WHERE study_id = ? AND destination = ? ORDER BY revision DESC LIMIT 1",
        study["id"],
        plan.name,
    )
    return int(found or NORMAL)


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
