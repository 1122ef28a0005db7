"""A person's hand on queue entries: try again, hold, let go, give up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kuva_gateway.catalog.completion import recount
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.plans import failed_again_pending
from kuva_gateway.catalog.session import Row, Session
from kuva_gateway.catalog.states import ENTRY, apply, targets, write_history
from kuva_gateway.errors import NotFoundError, StateError

UNFINISHED = ("queued", "sending", "deferred", "held", "failed")
"""Entries of which something is left to be sent."""


def retry(catalog: Catalog, ids: Iterable[int] | None, *, by: str, reason: str | None = None) -> list[int]:
    """failed -> queued, due at once; deferred ones become due at once; what was refused of them is tried again.

    None: all that can. Returns the ids changed.

    Raises
    ------
    StateError
        An entry that was named knows no such event, or its study has a newer revision; nothing is changed.
    NotFoundError
        There is no such entry; nothing is changed.
    """
    changed = []
    with catalog.write() as session:
        for row in _chosen(session, ids, (*targets(ENTRY, "retried"), "deferred")):
            _refuse_older(row)
            if row["state"] == "deferred":
                _due_at_once(session, row)
                _tell(session, row, "retried", by, _why(reason))
            else:
                _retry_failed(session, row, by, reason)
            changed.append(row["id"])
    return changed


def prioritise(
    catalog: Catalog, ids: Iterable[int] | None, *, priority: int, by: str, reason: str | None = None
) -> list[int]:
    """Let unfinished entries go before (or, with 0, among) the others; otherwise as :func:`retry`."""
    with catalog.write() as session:
        rows = _chosen(session, ids, UNFINISHED)
        for row in rows:
            _refuse_older(row)
            if row["state"] not in UNFINISHED:
                raise StateError(f"entry {row['id']} is {row['state']}: nothing of it is left to be sent")
            session.execute("UPDATE entries SET priority = ? WHERE id = ?", priority, row["id"])
            _tell(session, row, "prioritised", by, {"priority": priority, **_why(reason)})
    return [row["id"] for row in rows]


def hold(catalog: Catalog, ids: Iterable[int] | None, *, by: str, reason: str | None = None) -> list[int]:
    """queued, deferred -> held; otherwise as :func:`retry`."""
    return _decide(catalog, ids, "held", by, reason, due=False)


def release(catalog: Catalog, ids: Iterable[int] | None, *, by: str, reason: str | None = None) -> list[int]:
    """held -> queued; otherwise as :func:`retry`."""
    return _decide(catalog, ids, "released", by, reason, due=True)


def cancel(catalog: Catalog, ids: Iterable[int] | None, *, by: str, reason: str | None = None) -> list[int]:
    """Unfinished -> cancelled; otherwise as :func:`retry`, but of any revision, since nothing goes for it.

    One that is being sent finishes the instance in hand.
    """
    return _decide(catalog, ids, "cancelled", by, reason, due=False)


def _decide(
    catalog: Catalog, ids: Iterable[int] | None, event: str, by: str, reason: str | None, *, due: bool
) -> list[int]:
    with catalog.write() as session:
        rows = _chosen(session, ids, targets(ENTRY, event))
        for row in rows:
            if event != "cancelled":
                _refuse_older(row)
            moment = session.at if due else None
            columns: dict[str, Any] = {"due_at": moment, "next_attempt_at": moment}
            apply(session, "entry", row["id"], event, by=by, detail=_why(reason), **columns)
    return [row["id"] for row in rows]


def _chosen(session: Session, ids: Iterable[int] | None, states: tuple[str, ...]) -> list[Row]:
    query = (
        "SELECT e.id, e.state, e.study_id, e.destination, e.revision, s.revision AS study_revision "
        "FROM entries e JOIN studies s ON s.id = e.study_id WHERE "
    )
    if ids is None:
        return session.rows_in(query + "e.revision = s.revision AND e.state IN {} ORDER BY e.id", states)
    wanted = list(dict.fromkeys(ids))
    rows = {row["id"]: row for row in session.rows_in(query + "e.id IN {}", wanted)}
    for entry_id in wanted:
        if entry_id not in rows:
            raise NotFoundError(f"there is no entry {entry_id}")
    return [rows[entry_id] for entry_id in wanted]


def _refuse_older(row: Row) -> None:
    if row["revision"] != row["study_revision"]:
        raise StateError(f"entry {row['id']} is of revision {row['revision']}; its study has a newer one")


def _tell(session: Session, row: Row, event: str, by: str, detail: dict[str, Any]) -> None:
    """A person's decision that changes no state has its line in the story as well."""
    write_history(
        session,
        study_id=row["study_id"],
        entry_id=row["id"],
        event=event,
        change=(row["state"], row["state"]),
        by=by,
        detail=detail,
    )


def _due_at_once(session: Session, row: Row) -> None:
    session.execute(
        "UPDATE entries SET due_at = ?, next_attempt_at = ? WHERE id = ? AND state = 'deferred'",
        session.at,
        session.at,
        row["id"],
    )
    failed_again_pending(session, row["study_id"], row["destination"])


def _retry_failed(session: Session, row: Row, by: str, reason: str | None) -> None:
    apply(
        session,
        "entry",
        row["id"],
        "retried",
        by=by,
        detail=_why(reason),
        due_at=session.at,
        next_attempt_at=session.at,
        tried_since=session.at,
    )
    failed_again_pending(session, row["study_id"], row["destination"])
    recount(session, row["study_id"], row["destination"])


def _why(reason: str | None) -> dict[str, str]:
    return {"reason": reason} if reason else {}
