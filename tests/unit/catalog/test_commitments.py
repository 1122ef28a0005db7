"""Storage commitment results: in parts, late, twice, and for what nobody asked about."""

from __future__ import annotations

from datetime import datetime, timedelta

from kuva_gateway.catalog import commitments, entries
from kuva_gateway.catalog.records import CommitmentOutcome, CommitmentRecord, EntryRecord
from tests.unit.catalog.making import ARCHIVE, CT, Hospital

NO_SUCH = 0x0112
CONFLICT = 0x0119


def asked(hospital: Hospital, uid: str = "2.25.1", instances: int = 2) -> EntryRecord:
    """An entry that is sent and asked about, due in an hour."""
    hospital.accept(instances=instances)
    entry = hospital.deliver()
    ask(hospital, entry, uid)
    return entry


def ask(hospital: Hospital, entry: EntryRecord, uid: str) -> None:
    ids = [one.instance_id for one in entries.unconfirmed_instances(hospital.catalog, entry)]
    commitments.ask(hospital.catalog, entry.id, uid, ids, hospital.clock() + timedelta(hours=1))


def result(
    hospital: Hospital,
    *committed: str,
    failed: tuple[tuple[str, int], ...] = (),
    uid: str = "2.25.1",
    who: str = "archive",
) -> CommitmentOutcome:
    return commitments.record_result(
        hospital.catalog,
        uid,
        who,
        [(CT, one) for one in committed],
        [(CT, one, reason) for one, reason in failed],
        hospital.clock(),
    )


def overdue(
    hospital: Hospital, now: datetime, *, destination: str = "archive", limit: int = 9
) -> list[CommitmentRecord]:
    return commitments.overdue(hospital.catalog, destination, now, limit=limit)


def ledger(hospital: Hospital) -> list[str]:
    return hospital.column("SELECT l.state FROM ledger l JOIN instances i ON i.id = l.instance_id ORDER BY i.uid")


FIRST, SECOND, THIRD = "1.2.1.1.1", "1.2.1.1.2", "1.2.1.1.3"


def test_a_commitment_to_everything_archives_entry_and_study(hospital: Hospital) -> None:
    entry = asked(hospital)
    assert hospital.state() == "accepted"
    found = result(hospital, FIRST, SECOND)
    assert (found.known, found.entry_id, found.study_instance_uid) == (True, entry.id, "1.2.1")
    assert (found.committed, found.resend, found.failed, found.waiting) == (2, (), (), ())
    assert (found.entry_archived, found.study_archived) == (True, True)
    assert hospital.state() == "archived"
    [row] = entries.listing(hospital.catalog)
    assert (row["state"], row["sent"], row["committed"]) == ("archived", 2, 2)
    record = commitments.find(hospital.catalog, "2.25.1")
    assert record is not None
    assert record.answered_at == hospital.clock()
    assert overdue(hospital, hospital.clock() + timedelta(days=1)) == []


def test_the_same_result_again_changes_nothing(hospital: Hospital) -> None:
    asked(hospital)
    result(hospital, FIRST, SECOND)
    before = hospital.rows("SELECT * FROM history")
    again = result(hospital, FIRST, SECOND)
    assert (again.known, again.committed, again.entry_archived, again.study_archived) == (True, 0, False, False)
    assert hospital.rows("SELECT * FROM history") == before


def test_a_result_in_parts_archives_with_the_last_part(hospital: Hospital) -> None:
    asked(hospital)
    found = result(hospital, FIRST)
    assert (found.committed, found.entry_archived) == (1, False)
    assert [one.sop_instance for one in found.waiting] == [SECOND]
    record = commitments.find(hospital.catalog, "2.25.1")
    assert record is not None
    assert record.answered_at is None
    assert result(hospital, SECOND).study_archived


def test_results_for_others_are_passed_over(hospital: Hospital) -> None:
    asked(hospital)
    assert not result(hospital, FIRST, SECOND, who="somebody").known
    assert not result(hospital, FIRST, SECOND, uid="2.25.99").known
    found = result(hospital, "1.2.3.4.5", failed=(("1.2.3.4.6", NO_SUCH),))
    assert (found.known, found.committed, found.resend, len(found.waiting)) == (True, 0, (), 2)
    assert ledger(hospital) == ["sent", "sent"]


def test_an_instance_that_the_archive_lacks_is_sent_again_and_nothing_else(hospital: Hospital) -> None:
    entry = asked(hospital)
    found = result(hospital, FIRST, failed=((SECOND, NO_SUCH),))
    assert [(one.sop_instance, one.reason) for one in found.resend] == [(SECOND, NO_SUCH)]
    assert not found.entry_archived
    assert ledger(hospital) == ["committed", "pending"]
    again = hospital.claimed()
    assert (again.id, again.resumed) == (entry.id, False)
    assert [one.sop_instance for one in entries.pending_instances(hospital.catalog, again)] == [SECOND]
    pending = entries.pending_instances(hospital.catalog, again)
    entries.mark_sent(hospital.catalog, again.id, [one.instance_id for one in pending], hospital.clock())
    entries.delivered(hospital.catalog, again.id, hospital.attempt())
    ask(hospital, again, "2.25.2")
    assert result(hospital, SECOND, uid="2.25.2").study_archived


def test_a_failure_that_comes_twice_counts_once(hospital: Hospital) -> None:
    asked(hospital)
    result(hospital, FIRST, failed=((SECOND, NO_SUCH),))
    hospital.deliver()
    found = result(hospital, FIRST, failed=((SECOND, NO_SUCH),))
    assert (found.resend, found.failed) == ((), ())
    assert ledger(hospital) == ["committed", "sent"]


def test_other_failures_are_the_queues_to_decide(hospital: Hospital) -> None:
    entry = asked(hospital)
    found = result(hospital, FIRST, failed=((SECOND, CONFLICT),))
    assert [(one.sop_instance, one.reason) for one in found.failed] == [(SECOND, CONFLICT)]
    assert ledger(hospital) == ["committed", "sent"]
    entries.mark_failed(hospital.catalog, entry.id, {found.failed[0].instance_id: "0119"}, hospital.clock())
    entries.fail(hospital.catalog, entry.id, hospital.attempt("failed", code="0119"))
    assert hospital.column("SELECT state FROM entries") == ["failed"]
    assert ledger(hospital) == ["committed", "failed"]
    entries.retry(hospital.catalog, [entry.id], by="anna")
    pending = entries.pending_instances(hospital.catalog, hospital.claimed())
    assert [one.sop_instance for one in pending] == [SECOND]


def test_a_late_commitment_counts_after_all(hospital: Hospital) -> None:
    entry = asked(hospital)
    commitments.close(hospital.catalog, "2.25.1", hospital.clock())
    ask(hospital, entry, "2.25.2")
    hospital.clock.forward(days=3)
    assert result(hospital, FIRST, SECOND).study_archived
    assert result(hospital, FIRST, SECOND, uid="2.25.2").committed == 0


def test_a_late_failure_does_not_count_when_the_question_was_asked_anew(hospital: Hospital) -> None:
    entry = asked(hospital)
    ask(hospital, entry, "2.25.2")
    found = result(hospital, failed=((FIRST, NO_SUCH), (SECOND, NO_SUCH)))
    assert (found.resend, found.failed) == ((), ())
    assert ledger(hospital) == ["sent", "sent"]
    assert result(hospital, FIRST, SECOND, uid="2.25.2").study_archived


def test_an_overdue_question_is_found_until_it_is_asked_anew(hospital: Hospital) -> None:
    entry = asked(hospital)
    assert overdue(hospital, hospital.clock.forward(minutes=59)) == []
    [record] = overdue(hospital, hospital.clock.forward(minutes=2))
    assert (record.transaction_uid, record.entry_id, record.destination) == ("2.25.1", entry.id, "archive")
    assert (record.study_instance_uid, len(record.waiting)) == ("1.2.1", 2)
    ask(hospital, entry, "2.25.2")
    assert overdue(hospital, hospital.clock()) == []
    [record] = overdue(hospital, hospital.clock.forward(hours=2))
    assert record.transaction_uid == "2.25.2"
    commitments.postpone(hospital.catalog, "2.25.2", hospital.clock() + timedelta(hours=1))
    assert overdue(hospital, hospital.clock()) == []


def test_what_is_overdue_is_looked_for_at_one_destination_and_no_more_than_asked(hospital: Hospital) -> None:
    entry = asked(hospital)
    ids = hospital.column("SELECT id FROM instances ORDER BY id")
    now = hospital.clock()
    for number, due_at in ((2, now - timedelta(minutes=2)), (3, now - timedelta(minutes=1))):
        commitments.ask(hospital.catalog, entry.id, f"2.25.{number}", ids[:1], due_at)
    assert [one.transaction_uid for one in overdue(hospital, now + timedelta(hours=1))] == ["2.25.3", "2.25.1"]
    [oldest] = overdue(hospital, now + timedelta(hours=1), limit=1)
    assert oldest.transaction_uid == "2.25.3"
    assert overdue(hospital, now + timedelta(hours=1), destination="copy") == []


def test_looking_for_what_is_overdue_walks_the_index_of_what_is_due(hospital: Hospital) -> None:
    """Answered questions are not in that index, nor are other destinations' in the way."""
    asked(hospital)
    query = commitments._COMMITMENT + commitments._OVERDUE.replace("?", "'5'")
    if hospital.catalog.postgresql:
        with hospital.catalog.write() as session:
            for expensive in ("seqscan", "sort", "bitmapscan"):
                session.execute(f"SET LOCAL enable_{expensive} = off")
            plan = str(session.rows(f"EXPLAIN {query}"))
    else:
        plan = str(hospital.rows(f"EXPLAIN QUERY PLAN {query}"))
        assert "SCAN" not in plan
        assert "TEMP B-TREE" not in plan
    assert "commitments_due" in plan


def test_a_question_about_other_instances_leaves_the_first_one_open(hospital: Hospital) -> None:
    entry = asked(hospital, instances=2)
    ids = hospital.column("SELECT id FROM instances ORDER BY id")
    commitments.ask(hospital.catalog, entry.id, "2.25.2", ids[:1], hospital.clock() + timedelta(hours=1))
    found = overdue(hospital, hospital.clock.forward(hours=2))
    assert sorted(one.transaction_uid for one in found) == ["2.25.1", "2.25.2"]


def test_what_a_lost_worker_had_sent_without_a_mark_may_be_committed(hospital: Hospital) -> None:
    """After a crash the queue asks about pending instances before it sends them."""
    hospital.accept()
    hospital.claimed()
    hospital.clock.forward(minutes=2)
    entry = hospital.claimed()
    pending = entries.pending_instances(hospital.catalog, entry)
    ids = [one.instance_id for one in pending]
    commitments.ask(hospital.catalog, entry.id, "2.25.1", ids, hospital.clock() + timedelta(hours=1))
    found = result(hospital, FIRST, failed=((SECOND, NO_SUCH),))
    assert found.committed == 1
    assert ledger(hospital) == ["committed", "pending"]
    assert hospital.column("SELECT state FROM entries") == ["sending"]
    assert [one.sop_instance for one in entries.pending_instances(hospital.catalog, entry)] == [SECOND]


def test_an_older_revisions_answer_completes_its_entry_and_the_newer_one_sends_the_rest(
    hospital: Hospital,
) -> None:
    asked(hospital)
    hospital.receive(instance=3)
    hospital.index()
    assert result(hospital, FIRST, SECOND).entry_archived
    assert hospital.state() == "receiving"
    hospital.settle()
    hospital.judge("1.2.1", destinations=(ARCHIVE,))
    pending = entries.pending_instances(hospital.catalog, hospital.claimed())
    assert [one.sop_instance for one in pending] == ["1.2.1.1.3"]


def two_revisions(hospital: Hospital) -> tuple[EntryRecord, EntryRecord]:
    """Revision 1 sent two instances and asked 2.25.1; revision 2 sent a third one."""
    first = asked(hospital)
    hospital.receive(instance=3)
    hospital.index()
    hospital.settle()
    assert hospital.judge()
    return first, hospital.deliver()


def states(hospital: Hospital) -> list[str]:
    return hospital.column("SELECT state FROM entries ORDER BY id")


def test_what_two_revisions_asked_about_and_the_archive_lacks_is_sent_again(hospital: Hospital) -> None:
    _, second = two_revisions(hospital)
    ask(hospital, second, "2.25.2")
    assert result(hospital, SECOND, failed=((FIRST, NO_SUCH),)).resend == ()
    assert ledger(hospital) == ["sent", "committed", "sent"]
    assert [one.sop_instance for one in result(hospital, THIRD, failed=((FIRST, NO_SUCH),), uid="2.25.2").resend] == [
        FIRST
    ]
    assert states(hospital) == ["superseded", "deferred"]
    again = hospital.deliver()
    assert again.id == second.id
    ask(hospital, again, "2.25.3")
    assert result(hospital, FIRST, uid="2.25.3").study_archived


def test_an_older_revisions_answer_defers_the_newer_entry_that_is_sent(hospital: Hospital) -> None:
    _, second = two_revisions(hospital)
    found = result(hospital, SECOND, failed=((FIRST, NO_SUCH),))
    assert [one.sop_instance for one in found.resend] == [FIRST]
    assert states(hospital) == ["superseded", "deferred"]
    assert [one.sop_instance for one in entries.pending_instances(hospital.catalog, hospital.claimed())] == [FIRST]
    assert entries.next_due(hospital.catalog, "archive") == hospital.clock() + timedelta(minutes=1)
    assert states(hospital)[second.id - 1] == "sending"


def test_rows_that_are_pending_already_defer_the_entry_that_is_sent(hospital: Hospital) -> None:
    _, second = two_revisions(hospital)
    ask(hospital, second, "2.25.2")
    with hospital.catalog.write() as session:
        session.execute("UPDATE ledger SET state = 'pending' WHERE instance_id = 1")
    result(hospital, SECOND, THIRD, failed=((FIRST, NO_SUCH),), uid="2.25.2")
    assert states(hospital) == ["superseded", "deferred"]


def test_an_entry_that_must_send_again_gives_way_to_a_revision_that_is_to_come(hospital: Hospital) -> None:
    asked(hospital)
    hospital.receive(instance=3)
    hospital.index()
    result(hospital, SECOND, failed=((FIRST, NO_SUCH),))
    assert states(hospital) == ["superseded"]
    hospital.settle()
    assert hospital.judge()
    pending = entries.pending_instances(hospital.catalog, hospital.claimed())
    assert sorted(one.sop_instance for one in pending) == [FIRST, THIRD]


def test_a_result_that_lacks_one_and_refuses_another_needs_a_person(hospital: Hospital) -> None:
    entry = asked(hospital)
    found = result(hospital, failed=((FIRST, NO_SUCH), (SECOND, CONFLICT)))
    assert states(hospital) == ["deferred"]
    entries.mark_failed(hospital.catalog, entry.id, {found.failed[0].instance_id: "0119"}, hospital.clock())
    entries.fail(hospital.catalog, entry.id, hospital.attempt("not_committed", code="0119"))
    assert (states(hospital), ledger(hospital)) == (["failed"], ["pending", "failed"])
    assert hospital.claim() is None
    assert hospital.column("SELECT kind FROM attempts ORDER BY id DESC LIMIT 1") == ["commitment"]
    entries.retry(hospital.catalog, [entry.id], by="anna")
    hospital.deliver()
    assert (states(hospital), ledger(hospital)) == (["sent"], ["sent", "sent"])


def test_an_entry_of_which_something_was_refused_meanwhile_ends_with_that_code(hospital: Hospital) -> None:
    hospital.accept()
    entry = hospital.claimed()
    first, second = [one.instance_id for one in entries.pending_instances(hospital.catalog, entry)]
    entries.mark_sent(hospital.catalog, entry.id, [first, second], hospital.clock())
    entries.mark_failed(hospital.catalog, entry.id, {second: "0119"}, hospital.clock())
    assert not entries.delivered(hospital.catalog, entry.id, hospital.attempt(sent=2))
    assert (states(hospital), ledger(hospital)) == (["failed"], ["sent", "failed"])
    [row] = entries.listing(hospital.catalog)
    assert row["last_error"]["code"] == "0119"
    assert hospital.rows("SELECT outcome, scope, code, failed, sent FROM attempts") == [
        {"outcome": "refused", "scope": "instance", "code": "0119", "failed": 1, "sent": 2}
    ]


def test_a_deferred_entry_that_is_tried_again_sends_what_was_refused_too(hospital: Hospital) -> None:
    entry = asked(hospital)
    found = result(hospital, failed=((FIRST, NO_SUCH), (SECOND, CONFLICT)))
    entries.mark_failed(hospital.catalog, entry.id, {found.failed[0].instance_id: "0119"}, hospital.clock())
    assert entries.retry(hospital.catalog, [entry.id], by="anna") == [entry.id]
    assert ledger(hospital) == ["pending", "pending"]


def test_the_newest_entry_answers_for_what_an_older_one_sent(hospital: Hospital) -> None:
    first, second = two_revisions(hospital)
    assert entries.newest(hospital.catalog, first.id) == second.id
    assert entries.newest(hospital.catalog, second.id) == second.id
    assert entries.newest(hospital.catalog, 99) == 99
