"""Storage commitment transactions (PS3.4 J), persisted so that results may come late, twice, or in parts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from kuva_gateway.catalog.completion import ledger_counts, recount
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.plans import supersede
from kuva_gateway.catalog.records import AskedInstance, CommitmentOutcome, CommitmentRecord, FailedInstance
from kuva_gateway.catalog.session import Row, Session, maybe_moment, microseconds, moment
from kuva_gateway.catalog.states import apply, move_ledger
from kuva_gateway.dicom.statuses import NO_SUCH_INSTANCE

_COMMITMENT = (
    "SELECT c.*, e.study_id, s.uid, s.revision AS study_revision FROM commitments c "
    "JOIN entries e ON e.id = c.entry_id JOIN studies s ON s.id = e.study_id"
)
_OVERDUE = " WHERE c.destination = ? AND c.due_at <= ? ORDER BY c.due_at, c.id LIMIT ?"


def ask(catalog: Catalog, entry_id: int, transaction_uid: str, instance_ids: Iterable[int], due_at: datetime) -> None:
    """Write down that the entry's destination is about to be asked to commit to these instances.

    Called before the N-ACTION goes out, so that a result can never come for an unknown transaction. Older transactions
    of the entry that wait only for instances of this one are closed: a late result for them still counts.
    """
    asked = list(instance_ids)
    with catalog.write() as session:
        commitment = session.insert(
            "commitments",
            transaction_uid=transaction_uid,
            entry_id=entry_id,
            destination=session.value("SELECT destination FROM entries WHERE id = ?", entry_id),
            asked_at=session.at,
            due_at=microseconds(due_at),
        )
        session.many(
            "INSERT INTO commitment_instances (commitment_id, instance_id, state) VALUES (?, ?, 'asked')",
            [(commitment, instance_id) for instance_id in asked],
        )
        session.execute(
            "UPDATE commitments SET due_at = NULL WHERE entry_id = ? AND id <> ? AND due_at IS NOT NULL "
            "AND NOT EXISTS (SELECT 1 FROM commitment_instances o WHERE o.commitment_id = commitments.id "
            "AND o.state = 'asked' AND o.instance_id NOT IN "
            "(SELECT n.instance_id FROM commitment_instances n WHERE n.commitment_id = ?))",
            entry_id,
            commitment,
            commitment,
        )


def find(catalog: Catalog, transaction_uid: str) -> CommitmentRecord | None:
    """The transaction, or None."""
    with catalog.read() as session:
        row = session.one(_COMMITMENT + " WHERE c.transaction_uid = ?", transaction_uid)
        return None if row is None else _record(session, row)


def _record(session: Session, row: Row) -> CommitmentRecord:
    return CommitmentRecord(
        transaction_uid=row["transaction_uid"],
        entry_id=row["entry_id"],
        destination=row["destination"],
        study_instance_uid=row["uid"],
        asked_at=moment(row["asked_at"]),
        due_at=moment(row["asked_at"] if row["due_at"] is None else row["due_at"]),
        answered_at=maybe_moment(row["answered_at"]),
        waiting=_waiting(session, row["id"]),
    )


def _asked(session: Session, commitment: int) -> list[Row]:
    return session.rows(
        "SELECT ci.instance_id, ci.state, i.sop_class, i.uid FROM commitment_instances ci "
        "JOIN instances i ON i.id = ci.instance_id WHERE ci.commitment_id = ? ORDER BY ci.instance_id",
        commitment,
    )


def _waiting(session: Session, commitment: int) -> tuple[AskedInstance, ...]:
    return tuple(
        AskedInstance(instance_id=row["instance_id"], sop_class=row["sop_class"], sop_instance=row["uid"])
        for row in _asked(session, commitment)
        if row["state"] == "asked"
    )


def record_result(
    catalog: Catalog,
    transaction_uid: str,
    destination: str,
    committed: Sequence[tuple[str, str]],
    failed: Sequence[tuple[str, str, int]],
    at: datetime,
    *,
    resend_at: datetime | None = None,
) -> CommitmentOutcome:
    """Write a result: ``committed`` (class, instance), ``failed`` (class, instance, reason).

    Instances that were not asked about are passed over; the same result again changes nothing, and a failure counts
    only while no newer transaction of the study asks the destination about the instance. 0112 (no such object instance)
    makes the instance pending again and defers the study's newest entry there, whichever asked, due at ``resend_at``
    (None: at once); what follows from other reasons is the queue's to decide.
    """
    when = microseconds(at)
    with catalog.write() as session:
        row = session.one(
            _COMMITMENT + " WHERE c.transaction_uid = ? AND c.destination = ?", transaction_uid, destination
        )
        if row is None:
            return CommitmentOutcome(transaction_uid=transaction_uid, known=False)
        asked: dict[str, list[Row]] = {}
        for one in _asked(session, row["id"]):
            asked.setdefault(one["uid"], []).append(one)
        newly = _commit(session, row, [one for _, uid in committed for one in asked.get(uid, [])], when)
        failures = _fail(session, row, asked, failed)
        resend = tuple(failure for failure in failures if failure.reason == NO_SUCH_INSTANCE)
        _send_again(session, row, resend, when, when if resend_at is None else microseconds(resend_at))
        waiting = _waiting(session, row["id"])
        if not waiting and row["answered_at"] is None:
            session.execute("UPDATE commitments SET answered_at = ?, due_at = NULL WHERE id = ?", when, row["id"])
        done = recount(session, row["study_id"], destination)
    return CommitmentOutcome(
        transaction_uid=transaction_uid,
        known=True,
        entry_id=row["entry_id"],
        study_instance_uid=row["uid"],
        committed=newly,
        resend=resend,
        failed=tuple(failure for failure in failures if failure.reason != NO_SUCH_INSTANCE),
        waiting=waiting,
        entry_archived=row["entry_id"] in done.entries,
        study_archived=done.study,
    )


def _commit(session: Session, row: Row, instances: list[Row], when: int) -> int:
    """sent or pending -> committed for these instances; returns how many ledger rows changed."""
    ids = [one["instance_id"] for one in instances]
    session.change_in(
        "UPDATE commitment_instances SET state = 'committed', reason = NULL "
        "WHERE commitment_id = ? AND instance_id IN {}",
        ids,
        row["id"],
    )
    newly = move_ledger(session, "committed", row["study_id"], row["destination"], ids, at=when)
    if newly:
        session.execute("UPDATE studies SET delivered = 1 WHERE id = ? AND delivered = 0", row["study_id"])
    return newly


def _fail(
    session: Session, row: Row, asked: dict[str, list[Row]], failed: Sequence[tuple[str, str, int]]
) -> list[FailedInstance]:
    """Note failures that are news: asked here, not answered yet, and not asked again since."""
    asked_again = {
        one["instance_id"]
        for one in session.rows(
            "SELECT n.instance_id FROM commitment_instances n JOIN commitments c ON c.id = n.commitment_id "
            "JOIN entries e ON e.id = c.entry_id WHERE e.study_id = ? AND e.destination = ? AND c.id > ?",
            row["study_id"],
            row["destination"],
            row["id"],
        )
    }
    noted = []
    for _, uid, reason in failed:
        for one in asked.get(uid, []):
            changed = session.change(
                "UPDATE commitment_instances SET state = 'failed', reason = ? "
                "WHERE commitment_id = ? AND instance_id = ? AND state = 'asked'",
                reason,
                row["id"],
                one["instance_id"],
            )
            if changed and one["instance_id"] not in asked_again:
                noted.append(
                    FailedInstance(
                        instance_id=one["instance_id"], sop_class=one["sop_class"], sop_instance=uid, reason=reason
                    )
                )
    return noted


def _send_again(session: Session, row: Row, resend: tuple[FailedInstance, ...], when: int, due_at: int) -> None:
    """sent -> pending for these instances, and what was sent of the study deferred for all that is pending.

    The rows may be pending already, through an older revision's answer. An entry of an older revision gives way.
    """
    ids = [failure.instance_id for failure in resend]
    move_ledger(session, "commitment_failed", row["study_id"], row["destination"], ids, at=when)
    sent = session.rows(
        "SELECT id, revision FROM entries WHERE study_id = ? AND destination = ? AND state = 'sent'",
        row["study_id"],
        row["destination"],
    )
    for entry in sent:
        counts = ledger_counts(session, row["study_id"], row["destination"], entry["revision"])
        if pending := counts.get("pending", 0):
            detail = {"instances": pending, "transaction_uid": row["transaction_uid"]}
            apply(
                session, "entry", entry["id"], "commitment_failed", detail=detail, due_at=due_at, next_attempt_at=due_at
            )
    supersede(session, row["study_id"], row["study_revision"])


def overdue(catalog: Catalog, destination: str, now: datetime, *, limit: int) -> list[CommitmentRecord]:
    """The ``limit`` oldest transactions that wait for the destination's answer and were due at ``now``.

    None that a newer one has replaced.
    """
    with catalog.read() as session:
        rows = session.rows(_COMMITMENT + _OVERDUE, destination, microseconds(now), limit)
        return [_record(session, row) for row in rows]


def postpone(catalog: Catalog, transaction_uid: str, due_at: datetime) -> None:
    """The transaction waits for its answer until then; one that is answered or closed stays so."""
    with catalog.write() as session:
        session.execute(
            "UPDATE commitments SET due_at = ? WHERE transaction_uid = ? AND due_at IS NOT NULL",
            microseconds(due_at),
            transaction_uid,
        )


def close(catalog: Catalog, transaction_uid: str, at: datetime) -> None:
    """Nothing more is awaited from this transaction (it was asked again under a new one, or could not be asked).

    A late result for it still counts.
    """
    with catalog.write() as session:
        session.execute(
            "UPDATE commitments SET due_at = NULL, answered_at = COALESCE(answered_at, ?) WHERE transaction_uid = ?",
            microseconds(at),
            transaction_uid,
        )
