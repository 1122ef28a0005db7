"""What is on its way, brought into line with the destinations that are configured now.

Run when the daemon starts. Promises that no entry waits because of a configuration that is no more: what a destination
offers and whether it is required is as configured now, a destination that was added gets what is accepted and not yet
archived, and an entry whose destination was taken away says so.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from kuva_gateway.catalog.completion import complete_study, recount
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.plans import plan_entries
from kuva_gateway.catalog.records import DestinationPlan
from kuva_gateway.catalog.session import Row, Session, chunks, iso

STUDIES_PER_TRANSACTION = 200
NO_DESTINATION = "no-destination"

_UNFINISHED = "state IN ('queued', 'sending', 'deferred', 'sent', 'failed', 'held')"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """How many entries changed their terms, how many studies got entries, how many entries lead nowhere."""

    changed: int
    planned: int
    orphaned: int


def reconcile(catalog: Catalog, destinations: Sequence[DestinationPlan]) -> Reconciled:
    """Bring entries into line with ``destinations``; again changes nothing."""
    changed = sum(_set_terms(catalog, plan) for plan in destinations)
    lacking = _lacking(catalog, destinations)
    planned = sum(_plan_some(catalog, some, destinations) for some in chunks(lacking, STUDIES_PER_TRANSACTION))
    return Reconciled(changed=changed, planned=planned, orphaned=_mark_orphans(catalog, destinations))


def _set_terms(catalog: Catalog, plan: DestinationPlan) -> int:
    """``required`` and ``commitment`` of unfinished entries; what went where nobody asks stays unasked."""
    with catalog.write() as session:
        rows = session.rows(
            f"SELECT id, study_id FROM entries WHERE destination = ? AND {_UNFINISHED} AND (required <> ? "
            "OR (commitment <> ? AND NOT (state = 'sent' AND commitment = 0)))",
            plan.name,
            int(plan.required),
            int(plan.commitment),
        )
        for row in rows:
            session.execute("UPDATE entries SET required = ? WHERE id = ?", int(plan.required), row["id"])
            session.execute(
                "UPDATE entries SET commitment = ? WHERE id = ? AND NOT (state = 'sent' AND commitment = 0)",
                int(plan.commitment),
                row["id"],
            )
            recount(session, row["study_id"], plan.name)
    return len(rows)


def _lacking(catalog: Catalog, destinations: Sequence[DestinationPlan]) -> list[int]:
    """Accepted studies whose present revision has no entry at some destination (a filter may be why)."""
    found: set[int] = set()
    with catalog.read() as session:
        for plan in destinations:
            rows = session.rows(
                "SELECT s.id FROM studies s WHERE s.state = 'accepted' AND NOT EXISTS (SELECT 1 "
                "FROM entries e WHERE e.study_id = s.id AND e.revision = s.revision AND e.destination = ?)",
                plan.name,
            )
            found.update(row["id"] for row in rows)
    return sorted(found)


def _plan_some(catalog: Catalog, ids: Sequence[int], destinations: Sequence[DestinationPlan]) -> int:
    """Entries for these studies at destinations that take them; returns how many studies got some."""
    with catalog.write() as session:
        rows = session.rows_in("SELECT id, revision FROM studies WHERE state = 'accepted' AND id IN {}", ids)
        return sum(plan_entries(session, row, destinations) > 0 for row in rows)


def _mark_orphans(catalog: Catalog, destinations: Sequence[DestinationPlan]) -> int:
    """Entries for destinations that are no more: nobody delivers them, no study waits for them, and none rests."""
    names = {plan.name for plan in destinations}
    with catalog.write() as session:
        for row in session.rows("SELECT name FROM destinations"):
            if row["name"] not in names:
                session.execute("DELETE FROM destinations WHERE name = ?", row["name"])
        rows = session.rows(f"SELECT id, study_id, destination, required, last_error FROM entries WHERE {_UNFINISHED}")
        orphans = [row for row in rows if row["destination"] not in names and not _is_marked(row)]
        for row in orphans:
            session.execute(
                "UPDATE entries SET required = 0, last_error = ? WHERE id = ?", _no_destination(session), row["id"]
            )
        for study_id in {row["study_id"] for row in orphans}:
            complete_study(session, study_id)
    return len(orphans)


def _is_marked(row: Row) -> bool:
    return not row["required"] and NO_DESTINATION in (row["last_error"] or "")


def _no_destination(session: Session) -> str:
    meaning = "the destination is not in the configuration any more: configure it again, or cancel the entry"
    return json.dumps({"at": iso(session.at), "code": NO_DESTINATION, "meaning": meaning, "comment": ""})
