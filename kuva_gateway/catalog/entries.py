"""Queue entries: claiming, marking, ending. Persons' decisions and resting destinations stand in modules beside."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from kuva_gateway.catalog.amended import amendments_to_send
from kuva_gateway.catalog.completion import ledger_counts, recount
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.decisions import cancel, hold, prioritise, release, retry
from kuva_gateway.catalog.destinations import destination_state, rest, resting_until, spread, wake
from kuva_gateway.catalog.doubts import IN_DOUBT
from kuva_gateway.catalog.plans import supersede
from kuva_gateway.catalog.records import AttemptRecord, EntryRecord, PendingInstance
from kuva_gateway.catalog.session import Row, Session, iso, maybe_moment, microseconds, moment
from kuva_gateway.catalog.shapes import entry_listing as listing
from kuva_gateway.catalog.states import apply, move_ledger
from kuva_gateway.errors import NotFoundError, StateError

__all__ = [
    "cancel",
    "claim",
    "defer",
    "delivered",
    "destination_state",
    "fail",
    "find",
    "hold",
    "listing",
    "mark_failed",
    "mark_sent",
    "newest",
    "next_due",
    "pending_instances",
    "prioritise",
    "record_attempt",
    "release",
    "renew",
    "rest",
    "retry",
    "spread",
    "unconfirmed_instances",
    "wake",
]

_ENTRY = (
    "SELECT e.*, s.uid, s.state AS study_state, s.revision AS study_revision "
    "FROM entries e JOIN studies s ON s.id = e.study_id"
)
# A study is archived with its last required entry: the other ones still go. Of a withdrawn one only the note goes.
# An older revision that is still being sent finishes the instance in hand first: both would send the same instances.
_MAY_BE_CLAIMED = (
    "(e.state = 'sending' OR (s.state IN ('accepted', 'archived', 'withdrawn') AND s.revision = e.revision "
    "AND NOT EXISTS (SELECT 1 FROM entries o WHERE o.study_id = e.study_id AND o.destination = e.destination "
    "AND o.state = 'sending')))"
)
# The unary plus makes the planner walk the index of what is due in the order of urgency, and stop at the first.
_URGENT_FIRST = (
    f" WHERE e.destination = ? AND e.due_at IS NOT NULL AND +e.due_at <= ? AND {_MAY_BE_CLAIMED}"
    " ORDER BY e.priority DESC, e.due_at, e.id LIMIT 1"
)
_OLDEST_FIRST = (
    f" WHERE e.destination = ? AND e.due_at IS NOT NULL AND e.due_at <= ? AND {_MAY_BE_CLAIMED}"
    " ORDER BY e.due_at, e.id LIMIT 1"
)


def claim(
    catalog: Catalog,
    destination: str,
    now: datetime,
    lease: timedelta,
    owner: str,
    *,
    oldest_first: bool = False,
) -> EntryRecord | None:
    """The most urgent due entry, now ``sending`` and leased to ``owner``; None: nothing is due.

    With ``oldest_first`` the one that is due for longest, whatever its priority: asked for now and then, so that what
    is urgent never keeps everything else waiting for ever.

    Its study is accepted, or archived already. No two callers get the same entry. An entry whose lease has run out is
    due again, and says so (``resumed``). A destination that rests gets nothing before its rest is over.
    """
    due = microseconds(now)
    with catalog.read() as session:
        if resting_until(session, destination) > due or _due(session, destination, due, oldest_first) is None:
            return None
    with catalog.write() as session:
        while (row := _due(session, destination, due, oldest_first)) is not None:
            resumed = row["state"] == "sending"
            if resumed and not _take_back(session, row):
                continue
            return _begin(session, row, until=microseconds(now + lease), owner=owner, resumed=resumed)
    return None


def _due(session: Session, destination: str, due: int, oldest_first: bool) -> Row | None:
    return session.one(_ENTRY + (_OLDEST_FIRST if oldest_first else _URGENT_FIRST), destination, due)


def _may_go(row: Row) -> bool:
    """May the entry's study be sent (see above), and is it in the entry's revision?"""
    return bool(
        row["study_state"] in ("accepted", "archived", "withdrawn") and row["study_revision"] == row["revision"]
    )


def _take_back(session: Session, row: Row) -> bool:
    """sending -> deferred for a lease that ran out; False when the entry may not be claimed again after all."""
    apply(
        session,
        "entry",
        row["id"],
        "lease_expired",
        detail={"owner": row["owner"], "lease_until": iso(row["due_at"])},
        next_attempt_at=row["due_at"],
        owner="",
    )
    supersede(session, row["study_id"], row["study_revision"])
    return _may_go(row)


def _begin(session: Session, row: Row, *, until: int, owner: str, resumed: bool) -> EntryRecord:
    attempts = row["attempts"] + 1
    apply(
        session,
        "entry",
        row["id"],
        "claimed",
        detail={"attempt": attempts},
        due_at=until,
        next_attempt_at=None,
        owner=owner,
        attempts=attempts,
    )
    begun = {**row, "state": "sending", "due_at": until, "next_attempt_at": None, "owner": owner, "attempts": attempts}
    return _record(begun, resumed=resumed)


def _record(row: Row, *, resumed: bool = False) -> EntryRecord:
    return EntryRecord(
        id=row["id"],
        study_instance_uid=row["uid"],
        revision=row["revision"],
        destination=row["destination"],
        state=row["state"],
        priority=row["priority"],
        attempts=row["attempts"],
        created_at=moment(row["created_at"]),
        tried_since=moment(row["tried_since"]),
        next_attempt_at=maybe_moment(row["next_attempt_at"]),
        lease_until=maybe_moment(row["due_at"]) if row["state"] == "sending" else None,
        owner=row["owner"],
        required=bool(row["required"]),
        commitment=bool(row["commitment"]),
        resumed=resumed,
    )


def find(catalog: Catalog, entry_id: int) -> EntryRecord | None:
    """The entry, or None."""
    with catalog.read() as session:
        row = session.one(_ENTRY + " WHERE e.id = ?", entry_id)
    return None if row is None else _record(row)


def newest(catalog: Catalog, entry_id: int) -> int:
    """The newest entry of the same study and destination, which answers for what older ones sent."""
    with catalog.read() as session:
        found = session.value(
            "SELECT n.id FROM entries e JOIN entries n ON n.study_id = e.study_id AND n.destination = e.destination "
            "WHERE e.id = ? ORDER BY n.revision DESC LIMIT 1",
            entry_id,
        )
    return entry_id if found is None else int(found)


def _get(session: Session, entry_id: int) -> Row:
    row = session.one(_ENTRY + " WHERE e.id = ?", entry_id)
    if row is None:
        raise NotFoundError(f"there is no entry {entry_id}")
    return row


def renew(catalog: Catalog, entry_id: int, owner: str, until: datetime) -> bool:
    """Keep the lease until then.

    False: the lease is lost, the entry was cancelled, or its study has moved on (new instances, a withdrawn document);
    finish the instance in hand and call :func:`defer`.
    """
    with catalog.write() as session:
        kept = session.change(
            "UPDATE entries SET due_at = ? WHERE id = ? AND owner = ? AND state = 'sending'",
            microseconds(until),
            entry_id,
            owner,
        )
        if not kept:
            return False
        row = _get(session, entry_id)
    return _may_go(row)


_INSTANCES = (
    "SELECT i.id, i.sop_class, i.uid, i.transfer_syntax, i.digest, i.size, l.code FROM ledger l "
    "JOIN instances i ON i.id = l.instance_id "
    "WHERE l.study_id = (SELECT study_id FROM entries WHERE id = ?) AND l.destination = ? AND l.revision <= ? "
    "AND l.state = ? "
)


def pending_instances(catalog: Catalog, entry: EntryRecord) -> list[PendingInstance]:
    """What the entry has yet to deliver, in the order of arrival; never held or replaced instances."""
    return _instances(catalog, entry, "pending", "AND i.current = 1 AND i.held = 0 ")


def unconfirmed_instances(catalog: Catalog, entry: EntryRecord) -> list[PendingInstance]:
    """What was sent and is not committed, and what this entry must therefore ask about."""
    return _instances(catalog, entry, "sent", "")


def _instances(catalog: Catalog, entry: EntryRecord, state: str, which: str) -> list[PendingInstance]:
    with catalog.read() as session:
        rows = session.rows(_INSTANCES + which + "ORDER BY i.id", entry.id, entry.destination, entry.revision, state)
        amendments = amendments_to_send(session, entry.id)
    return [
        PendingInstance(
            instance_id=row["id"],
            sop_class=row["sop_class"],
            sop_instance=row["uid"],
            transfer_syntax=row["transfer_syntax"],
            digest=bytes(row["digest"]).hex(),
            size=row["size"],
            amendments=amendments,
            in_doubt=row["code"] == IN_DOUBT,
        )
        for row in rows
    ]


def mark_sent(catalog: Catalog, entry_id: int, instance_ids: Iterable[int], at: datetime) -> int:
    """pending -> sent for these instances; returns how many changed. The same mark again changes nothing."""
    with catalog.write() as session:
        row = _get(session, entry_id)
        changed = move_ledger(session, "sent", row["study_id"], row["destination"], instance_ids, at=microseconds(at))
        if changed:
            session.execute("UPDATE studies SET delivered = 1 WHERE id = ? AND delivered = 0", row["study_id"])
            recount(session, row["study_id"], row["destination"])
    return changed


def mark_failed(catalog: Catalog, entry_id: int, codes: Mapping[int, str], at: datetime) -> int:
    """pending or sent -> failed for these instances (instance id -> code); returns how many changed."""
    changed = 0
    with catalog.write() as session:
        row = _get(session, entry_id)
        for instance_id, code in codes.items():
            changed += move_ledger(
                session, "failed", row["study_id"], row["destination"], [instance_id], at=microseconds(at), code=code
            )
        recount(session, row["study_id"], row["destination"])
    return changed


def delivered(catalog: Catalog, entry_id: int, attempt: AttemptRecord) -> bool:
    """sending -> sent, all of it.

    Where the destination offers no commitment, or all is committed already, the entry is complete, and with the last
    one the study archived. False: the rest was refused, in a late commitment result for one, and the entry failed with
    that code.

    Raises
    ------
    StateError
        The entry is not being sent, or instances of it are still pending.
    """
    with catalog.write() as session:
        row = _get(session, entry_id)
        counts = ledger_counts(session, row["study_id"], row["destination"], row["revision"])
        if missing := counts.get("pending", 0):
            raise StateError(f"entry {entry_id} is not delivered: {missing} instances are not sent")
        if refused := counts.get("failed", 0):
            _fail(session, row, _refused(session, row, attempt, refused), "refused", "delivery")
            return False
        _write_attempt(session, entry_id, "delivery", attempt)
        detail = {"attempt": row["attempts"], "sent": attempt.sent}
        apply(session, "entry", entry_id, "delivered", detail=detail, due_at=None, next_attempt_at=None, owner="")
        recount(session, row["study_id"], row["destination"])
    return True


def _refused(session: Session, row: Row, attempt: AttemptRecord, instances: int) -> AttemptRecord:
    """The attempt that sent everything else, with the code of what the destination refused."""
    code = session.value(
        "SELECT code FROM ledger WHERE study_id = ? AND destination = ? AND revision <= ? AND state = 'failed' "
        "ORDER BY changed_at DESC, instance_id LIMIT 1",
        row["study_id"],
        row["destination"],
        row["revision"],
    )
    meaning = "the destination refused instances before or meanwhile"
    return replace(attempt, outcome="refused", scope="instance", code=code, meaning=meaning, failed=instances)


def defer(catalog: Catalog, entry_id: int, next_attempt_at: datetime, attempt: AttemptRecord | None) -> None:
    """sending -> deferred until then; superseded at once when its study has a newer revision.

    ``attempt`` None: no attempt is burnt (a destination that rests, a daemon that stops).
    """
    due = microseconds(next_attempt_at)
    with catalog.write() as session:
        row = _get(session, entry_id)
        columns: dict[str, Any] = {"due_at": due, "next_attempt_at": due, "owner": ""}
        if attempt is None:
            apply(session, "entry", entry_id, "deferred", **columns, attempts=max(0, row["attempts"] - 1))
        else:
            _write_attempt(session, entry_id, "delivery", attempt)
            detail = {"attempt": row["attempts"], "code": attempt.code, "next_attempt_at": iso(due)}
            apply(session, "entry", entry_id, "deferred", detail=detail, **columns, last_error=_last_error(attempt))
        supersede(session, row["study_id"], row["study_revision"])


def fail(catalog: Catalog, entry_id: int, attempt: AttemptRecord, *, gave_up: bool = False) -> None:
    """sending (or sent, or deferred since, when the archive will not commit) -> failed: a person is needed."""
    with catalog.write() as session:
        row = _get(session, entry_id)
        kind = "delivery" if row["state"] == "sending" else "commitment"
        _fail(session, row, attempt, "gave_up" if gave_up else "refused", kind)


def _fail(session: Session, row: Row, attempt: AttemptRecord, event: str, kind: str) -> None:
    _write_attempt(session, row["id"], kind, attempt)
    apply(
        session,
        "entry",
        row["id"],
        event,
        detail={"attempt": row["attempts"], "code": attempt.code},
        due_at=None,
        next_attempt_at=None,
        owner="",
        last_error=_last_error(attempt),
    )


def record_attempt(catalog: Catalog, entry_id: int, attempt: AttemptRecord, *, kind: str = "commitment") -> None:
    """Write an attempt that changes no state, such as asking for commitment; one with a code is the last error."""
    with catalog.write() as session:
        _write_attempt(session, entry_id, kind, attempt)
        if attempt.code:
            session.execute("UPDATE entries SET last_error = ? WHERE id = ?", _last_error(attempt), entry_id)


def _write_attempt(session: Session, entry_id: int, kind: str, attempt: AttemptRecord) -> None:
    attempt_id = session.insert(
        "attempts",
        entry_id=entry_id,
        kind=kind,
        started_at=microseconds(attempt.started_at),
        ended_at=microseconds(attempt.ended_at),
        outcome=attempt.outcome,
        scope=attempt.scope,
        code=attempt.code,
        meaning=attempt.meaning,
        comment=attempt.comment,
        sent=attempt.sent,
        warnings=attempt.warnings,
        failed=attempt.failed,
    )
    if attempt.sent:
        session.execute("INSERT INTO to_audit (attempt_id) VALUES (?)", attempt_id)


def _last_error(attempt: AttemptRecord) -> str:
    error = {
        "at": iso(microseconds(attempt.ended_at)),
        "code": attempt.code,
        "meaning": attempt.meaning,
        "comment": attempt.comment,
        **({"remedy": attempt.remedy} if attempt.remedy else {}),
    }
    return json.dumps(error, ensure_ascii=False, separators=(",", ":"))


def next_due(catalog: Catalog, destination: str) -> datetime | None:
    """When :func:`claim` will next find something (a time that has passed: at once); None: nothing waits.

    The end of a lease counts, a destination's rest does not.
    """
    with catalog.read() as session:
        due = session.value(
            "SELECT MIN(e.due_at) FROM entries e JOIN studies s ON s.id = e.study_id "
            f"WHERE e.destination = ? AND e.due_at IS NOT NULL AND {_MAY_BE_CLAIMED}",
            destination,
        )
    return maybe_moment(due)
