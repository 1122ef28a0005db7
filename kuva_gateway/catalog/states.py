"""The states of studies, entries and ledger rows: tables as data, and the one function that applies an event.

Nothing else in the program writes a ``state`` column. An event that a table lacks raises StateError; row and history
row are written in the caller's one transaction.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kuva_gateway.catalog import totals
from kuva_gateway.catalog.outbox import note
from kuva_gateway.catalog.session import Row, Session
from kuva_gateway.errors import NotFoundError, StateError

STUDY: Mapping[tuple[str, str], str] = {
    ("receiving", "settled"): "settled",
    ("settled", "passed"): "accepted",
    ("settled", "failed"): "held",
    ("held", "facts_changed"): "settled",
    ("held", "released"): "accepted",
    ("held", "rejected"): "rejected",
    ("accepted", "facts_changed"): "settled",
    ("accepted", "all_complete"): "archived",
    ("settled", "instance_arrived"): "receiving",
    ("held", "instance_arrived"): "receiving",
    ("accepted", "instance_arrived"): "receiving",
    ("archived", "instance_arrived"): "receiving",
    ("rejected", "instance_arrived"): "receiving",
    ("receiving", "withdrawn"): "withdrawn",
    ("settled", "withdrawn"): "withdrawn",
    ("held", "withdrawn"): "withdrawn",
    ("accepted", "withdrawn"): "withdrawn",
    ("archived", "withdrawn"): "withdrawn",
    ("rejected", "withdrawn"): "withdrawn",
    ("rejected", "removed"): "removed",
    ("withdrawn", "removed"): "removed",
}

ENTRY: Mapping[tuple[str, str], str] = {
    ("queued", "claimed"): "sending",
    ("deferred", "claimed"): "sending",
    ("sending", "delivered"): "sent",
    ("sending", "deferred"): "deferred",
    ("sending", "lease_expired"): "deferred",
    ("sending", "refused"): "failed",
    ("sending", "gave_up"): "failed",
    ("failed", "retried"): "queued",
    ("sent", "committed"): "archived",
    ("sent", "commitment_failed"): "deferred",
    ("sent", "refused"): "failed",
    ("deferred", "refused"): "failed",
    ("queued", "held"): "held",
    ("deferred", "held"): "held",
    ("held", "released"): "queued",
    ("queued", "cancelled"): "cancelled",
    ("sending", "cancelled"): "cancelled",
    ("deferred", "cancelled"): "cancelled",
    ("held", "cancelled"): "cancelled",
    ("failed", "cancelled"): "cancelled",
    ("sent", "cancelled"): "cancelled",
    ("queued", "new_revision"): "superseded",
    ("deferred", "new_revision"): "superseded",
    ("held", "new_revision"): "superseded",
}

LEDGER: Mapping[tuple[str, str], str] = {
    ("pending", "sent"): "sent",
    ("sent", "committed"): "committed",
    ("pending", "committed"): "committed",
    ("sent", "commitment_failed"): "pending",
    ("pending", "failed"): "failed",
    ("sent", "failed"): "failed",
    ("failed", "retried"): "pending",
}

GATEWAY = "gateway"
"""Who changed a state when no person did."""

JOURNALED = frozenset(
    {
        "delivered",
        "committed",
        "refused",
        "gave_up",
        "commitment_failed",
        "all_complete",
        "instance_arrived",
        "rejection_note",
        "files_removed",
    }
)
"""What the journal is told of even where no person did it: what went where, and what came after it."""

AUDITED = frozenset({"files_removed"})
"""What the audit trail is told of even where no person did it."""

_TABLES: Mapping[str, tuple[totals.What, Mapping[tuple[str, str], str]]] = {
    "study": ("studies", STUDY),
    "entry": ("entries", ENTRY),
}


def targets(table: Mapping[tuple[str, str], str], event: str) -> tuple[str, ...]:
    """The states from which ``table`` knows ``event``."""
    return tuple(state for state, known in table if known == event)


PEOPLES = frozenset({"released", "rejected", "withdrawn", "removed", "retried", "held", "cancelled"})
"""Events that people cause, by commands."""


Events = Sequence[tuple[str, Mapping[str, Any] | None]]
"""Events that follow each other at one moment, with the details for the history."""


def apply(
    session: Session,
    what: str,
    row_id: int,
    event: str,
    *,
    by: str = GATEWAY,
    detail: Mapping[str, Any] | None = None,
    row: Row | None = None,
    **columns: Any,
) -> str:
    """Apply ``event`` to a ``study`` or an ``entry``: its row (with ``columns``) and its history, or neither.

    ``row``: the whole row, where the transaction has read it already; its state becomes the new one. Returns that.

    Raises
    ------
    StateError
        The present state does not know the event.
    NotFoundError
        There is no such row.
    """
    return apply_all(session, what, row_id, [(event, detail)], by=by, row=row, **columns)


def apply_all(
    session: Session,
    what: str,
    row_id: int,
    events: Events,
    *,
    by: str = GATEWAY,
    row: Row | None = None,
    **columns: Any,
) -> str:
    """:func:`apply` for events of one moment: each has its history, the row is written once."""
    table, known = _TABLES[what]
    row = row if row is not None else session.one(f"SELECT * FROM {table} WHERE id = ?", row_id)
    if row is None:
        raise NotFoundError(f"there is no such {what}")
    changes = []
    state = str(row["state"])
    for event, _ in events:
        before, state = state, _after(what, known, state, event)
        changes.append((before, state))
    settings = ", ".join(f"{name} = ?" for name in ("state", *columns))
    session.execute(f"UPDATE {table} SET {settings} WHERE id = ?", state, *columns.values(), row_id)
    totals.move(session, table, row, state)
    row["state"] = state
    for (event, detail), change in zip(events, changes, strict=True):
        write_history(
            session,
            study_id=row["id"] if what == "study" else row["study_id"],
            entry_id=row_id if what == "entry" else None,
            event=event,
            change=change,
            by=by,
            detail=detail,
        )
    return state


def _after(what: str, known: Mapping[tuple[str, str], str], before: str, event: str) -> str:
    after = known.get((before, event))
    if after is None:
        possible = sorted(name for state, name in known if state == before and name in PEOPLES)
        raise StateError(
            f"{_article(what)} that is {before} cannot be {event.replace('_', ' ')}; possible for a person now: "
            f"{', '.join(possible) or 'nothing'}",
            code="QUA-02",
        )
    return after


def put_back_study(session: Session, row: Row, state: str, **columns: Any) -> None:
    """The state that the journal has of a study in a catalog made anew; its history says so, no event leads there."""
    settings = ", ".join(f"{name} = ?" for name in ("state", *columns))
    session.execute(f"UPDATE studies SET {settings} WHERE id = ?", state, *columns.values(), row["id"])
    totals.move(session, "studies", row, state)
    detail = {"revision": columns["revision"]}
    write_history(session, study_id=row["id"], event="recalled", change=(row["state"], state), detail=detail)
    row["state"] = state


def write_history(
    session: Session,
    *,
    study_id: int,
    event: str,
    change: tuple[str, str],
    entry_id: int | None = None,
    by: str = GATEWAY,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """One row of history; ``change`` is the state before and after. What people do goes to the audit trail, too."""
    told = _told(session, study_id, entry_id, event, change, by, detail)
    if by != GATEWAY or event in JOURNALED:
        note(session, "study", study_id)
    if by != GATEWAY or event in AUDITED:
        history_id = session.value(f"{_HISTORY} RETURNING id", *told)
        session.execute("INSERT INTO to_audit (history_id) VALUES (?)", history_id)
    else:
        session.execute(_HISTORY, *told)


def write_histories(
    session: Session, event: str, change: tuple[str, str], details: Mapping[int, Mapping[str, Any]]
) -> None:
    """The same row of the gateway's for many studies at once: study id -> detail."""
    rows = [_told(session, study_id, None, event, change, GATEWAY, detail) for study_id, detail in details.items()]
    session.many(_HISTORY, rows)


_HISTORY = (
    "INSERT INTO history (study_id, entry_id, what, event, from_state, to_state, at, actor, detail) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def _told(
    session: Session,
    study_id: int,
    entry_id: int | None,
    event: str,
    change: tuple[str, str],
    by: str,
    detail: Mapping[str, Any] | None,
) -> tuple[Any, ...]:
    what = "study" if entry_id is None else "entry"
    said = json.dumps(dict(detail or {}), ensure_ascii=False, separators=(",", ":"))
    return (study_id, entry_id, what, event, *change, session.at, by, said)


def move_ledger(
    session: Session,
    event: str,
    study_id: int,
    destination: str,
    instance_ids: Iterable[int],
    *,
    at: int | None = None,
    code: str = "",
) -> int:
    """Apply ``event`` to the ledger rows of these instances that know it; returns how many changed.

    Rows that do not know it stay as they are: marks are made in groups, and results come late and twice.
    """
    if event != "sent":  # marks are made in groups while an entry is sent; its end is told of
        note(session, "study", study_id)
    before = targets(LEDGER, event)
    after = LEDGER[before[0], event]
    marks = ", ".join("?" * len(before))
    return session.change_in(
        f"UPDATE ledger SET state = ?, code = ?, changed_at = ? WHERE study_id = ? AND destination = ? "
        f"AND state IN ({marks}) AND instance_id IN {{}}",
        instance_ids,
        *(after, code, session.at if at is None else at, study_id, destination, *before),
    )


def _article(what: str) -> str:
    return f"{'an' if what[0] in 'aeiou' else 'a'} {what}"
