"""Storage commitment that peers ask of us (PS3.4 J): what was asked, what we found, whether they have heard it.

Keeps one row per peer and Transaction UID. Promises that a request which was answered with success is remembered until
its report was delivered or given up, that the report stays the same however often it is sent, and that a Transaction
UID stands for one request at a time: again with the same instances it is the same request, with others it is refused
until the first has ended.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.session import Row, Session, iso, maybe_moment, microseconds, moment

Reference = tuple[str, str]  # SOP Class UID, SOP Instance UID


class Taken(StrEnum):
    """What became of a request."""

    NEW = "new"
    SAME = "same"
    """It was asked before and its report is on its way."""
    IN_USE = "in-use"
    """The Transaction UID stands for other instances whose report is on its way; nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """One request. ``reasons``: per reference 0 (committed) or the Failure Reason (0008,1197); () until judged."""

    id: int
    peer: str
    transaction_uid: str
    asked_at: datetime
    judged_at: datetime | None
    attempts: int
    references: tuple[Reference, ...]
    reasons: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """What is here under a SOP Instance UID that was asked about."""

    sop_class: str
    digest: str
    size: int
    gone: bool
    """A person had it removed: it is as if it had never been here."""
    archived: bool
    """Every required destination has it for good."""
    lost_cause: bool
    """It will not be archived as things stand: rejected, withdrawn, replaced or held for good."""


_REQUEST = "SELECT * FROM commitment_requests "


def take(catalog: Catalog, peer: str, transaction_uid: str, references: Sequence[Reference], due_at: datetime) -> Taken:
    """Write a request down, before it is answered; it is looked at when it is due, or when somebody asks before."""
    digest = hashlib.sha256("\n".join(sorted("=".join(one) for one in references)).encode()).digest()
    asked = json.dumps(list(references), separators=(",", ":"))
    due = microseconds(due_at)
    with catalog.write() as session:
        row = session.one(_REQUEST + "WHERE peer = ? AND transaction_uid = ?", peer, transaction_uid)
        if row is None:
            session.insert(
                "commitment_requests",
                peer=peer,
                transaction_uid=transaction_uid,
                digest=digest,
                asked_at=session.at,
                due_at=due,
                attempts=0,
                instances=len(references),
                failed=0,
                last_error="",
                asked=asked,
            )
            return Taken.NEW
        if row["due_at"] is not None:
            return Taken.SAME if bytes(row["digest"]) == digest else Taken.IN_USE
        session.execute(
            "UPDATE commitment_requests SET digest = ?, asked_at = ?, judged_at = NULL, due_at = ?, "
            "reported_at = NULL, attempts = 0, instances = ?, failed = 0, last_error = '', asked = ? WHERE id = ?",
            digest,
            session.at,
            due,
            len(references),
            asked,
            row["id"],
        )
    return Taken.NEW


def find(catalog: Catalog, peer: str, transaction_uid: str) -> RequestRecord | None:
    """The request whose report has not been delivered or given up, or None."""
    with catalog.read() as session:
        row = session.one(
            _REQUEST + "WHERE peer = ? AND transaction_uid = ? AND due_at IS NOT NULL", peer, transaction_uid
        )
    return None if row is None else _record(row)


def due(catalog: Catalog, now: datetime, *, peer: str, limit: int) -> list[RequestRecord]:
    """What is due for one peer, the longest waiting first."""
    with catalog.read() as session:
        rows = session.rows(
            _REQUEST + "WHERE due_at IS NOT NULL AND due_at <= ? AND peer = ? ORDER BY due_at, id LIMIT ?",
            microseconds(now),
            peer,
            limit,
        )
    return [_record(row) for row in rows]


def peers_due(catalog: Catalog, now: datetime) -> list[str]:
    """The peers for whom something is due."""
    with catalog.read() as session:
        rows = session.rows(
            "SELECT DISTINCT peer FROM commitment_requests WHERE due_at IS NOT NULL AND due_at <= ? ORDER BY peer",
            microseconds(now),
        )
    return [row["peer"] for row in rows]


def judged(catalog: Catalog, request_id: int, reasons: Sequence[int]) -> None:
    """Write the report down (see :class:`RequestRecord`); once it is made it stays."""
    with catalog.write() as session:
        row = session.one(_REQUEST + "WHERE id = ? AND judged_at IS NULL", request_id)
        if row is None:
            return
        asked = [[*one[:2], reason] for one, reason in zip(json.loads(row["asked"]), reasons, strict=True)]
        session.execute(
            "UPDATE commitment_requests SET judged_at = ?, failed = ?, asked = ? WHERE id = ?",
            session.at,
            sum(1 for reason in reasons if reason),
            json.dumps(asked, separators=(",", ":")),
            request_id,
        )


def postpone(catalog: Catalog, request_id: int, due_at: datetime, *, why: str = "") -> None:
    """Look again then; ``why``: an attempt to report failed."""
    with catalog.write() as session:
        session.execute(
            "UPDATE commitment_requests SET due_at = ?, attempts = attempts + ?, last_error = ? "
            "WHERE id = ? AND due_at IS NOT NULL",
            microseconds(due_at),
            int(bool(why)),
            why,
            request_id,
        )


def ended(catalog: Catalog, request_id: int, *, why: str = "") -> None:
    """The peer has its report, or (``why``) it never will; of what was asked only the failures are kept."""
    with catalog.write() as session:
        row = session.one(_REQUEST + "WHERE id = ? AND due_at IS NOT NULL", request_id)
        if row is None:
            return
        failures = [one for one in json.loads(row["asked"]) if len(one) > 2 and one[2]]
        session.execute(
            "UPDATE commitment_requests SET due_at = NULL, attempts = attempts + 1, reported_at = ?, last_error = ?, "
            "asked = ? WHERE id = ?",
            None if why else session.at,
            why,
            json.dumps(failures, separators=(",", ":")),
            request_id,
        )


def stored(catalog: Catalog, uids: Sequence[str]) -> dict[str, list[StoredObject]]:
    """What is here under these SOP Instance UIDs; nothing: no key."""
    found: dict[str, list[StoredObject]] = {}
    with catalog.read() as session:
        rows = session.rows_in(
            "SELECT i.id, i.uid, i.sop_class, i.digest, i.size, i.current, i.held, i.study_id, s.state "
            "FROM instances i JOIN studies s ON s.id = i.study_id WHERE i.uid IN {}",
            uids,
        )
        complete = _complete(session, rows)
    for row in rows:
        found.setdefault(row["uid"], []).append(
            StoredObject(
                sop_class=row["sop_class"],
                digest=bytes(row["digest"]).hex(),
                size=row["size"],
                gone=row["state"] == "removed",
                archived=row["id"] in complete,
                lost_cause=not row["current"]
                or bool(row["held"])
                or row["state"] in ("rejected", "withdrawn", "removed"),
            )
        )
    return found


def _complete(session: Session, rows: Sequence[Row]) -> set[int]:
    """Which of these instances every required destination has for good."""
    studies = {row["study_id"] for row in rows}
    required: dict[int, dict[str, int]] = {}
    for row in session.rows_in(
        "SELECT e.study_id, e.destination, e.commitment FROM entries e WHERE e.required = 1 AND e.state <> 'cancelled' "
        "AND e.study_id IN {} ORDER BY e.revision",
        studies,
    ):
        required.setdefault(row["study_id"], {})[row["destination"]] = row["commitment"]
    there: dict[int, dict[str, str]] = {}
    for row in session.rows_in(
        "SELECT instance_id, destination, state FROM ledger WHERE instance_id IN {}", [row["id"] for row in rows]
    ):
        there.setdefault(row["instance_id"], {})[row["destination"]] = row["state"]

    def is_there(instance_id: int, destination: str, commitment: int) -> bool:
        state = there.get(instance_id, {}).get(destination)
        return state == "committed" or (state == "sent" and not commitment)

    return {
        row["id"]
        for row in rows
        if (wanted := required.get(row["study_id"])) and all(is_there(row["id"], *one) for one in wanted.items())
    }


def listing(catalog: Catalog, *, peer: str | None = None, waiting: bool = False, limit: int = 1000) -> list[Any]:
    """Requests as JSON objects, the newest first; ``waiting``: only those whose report is not delivered."""
    conditions, values = ["1 = 1"], list[Any]()
    if peer is not None:
        conditions.append("peer = ?")
        values.append(peer)
    if waiting:
        conditions.append("reported_at IS NULL")
    with catalog.read() as session:
        rows = session.rows(
            f"SELECT peer, transaction_uid, asked_at, judged_at, reported_at, due_at, attempts, instances, failed, "
            f"last_error FROM commitment_requests WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT ?",
            *values,
            limit,
        )
    return [_shape(row) for row in rows]


def _shape(row: Row) -> dict[str, Any]:
    times = {name: iso(row[name]) for name in ("asked_at", "judged_at", "reported_at")}
    state = "reported" if row["reported_at"] else "given up" if row["due_at"] is None else "waiting"
    return {
        **{name: row[name] for name in ("peer", "transaction_uid", "instances", "failed", "attempts", "last_error")},
        **times,
        "state": state if row["judged_at"] or state != "waiting" else "not judged",
        "next_attempt_at": iso(row["due_at"]),
    }


def _record(row: Row) -> RequestRecord:
    asked = json.loads(row["asked"])
    return RequestRecord(
        id=row["id"],
        peer=row["peer"],
        transaction_uid=row["transaction_uid"],
        asked_at=moment(row["asked_at"]),
        judged_at=maybe_moment(row["judged_at"]),
        attempts=row["attempts"],
        references=tuple((one[0], one[1]) for one in asked),
        reasons=tuple(one[2] for one in asked) if row["judged_at"] is not None else (),
    )
