"""Entries: who gets them, what marks do, how they end, and a person's hand on them."""

from __future__ import annotations

import multiprocessing
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kuva_gateway.catalog import entries, studies
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.errors import NotFoundError, StateError
from tests.unit.catalog.making import ARCHIVE, COPY, Hospital


def states(hospital: Hospital) -> list[str]:
    return hospital.column("SELECT state FROM entries ORDER BY id")


# -- claiming -------------------------------------------------------------------------------------------------------


def test_a_claimed_entry_is_being_sent_under_a_lease(hospital: Hospital) -> None:
    hospital.accept()
    entry = hospital.claimed()
    assert (entry.study_instance_uid, entry.revision, entry.destination) == ("1.2.1", 1, "archive")
    assert (entry.state, entry.attempts, entry.owner, entry.resumed) == ("sending", 1, "worker", False)
    assert entry.lease_until == hospital.clock() + timedelta(minutes=1)
    assert hospital.claim() is None
    assert entries.find(hospital.catalog, entry.id) == entry


def test_urgent_entries_go_first_then_older_ones(hospital: Hospital) -> None:
    for study, priority in (("1.2.1", 0), ("1.2.2", 5), ("1.2.3", 0)):
        hospital.clock.forward(seconds=1)
        hospital.accept(study, destinations=(replace(ARCHIVE, priority=priority),))
    assert [hospital.claimed().study_instance_uid for _ in range(3)] == ["1.2.2", "1.2.1", "1.2.3"]


def test_the_oldest_one_goes_first_when_it_is_its_turn(hospital: Hospital) -> None:
    for study, priority in (("1.2.1", 0), ("1.2.2", 5)):
        hospital.clock.forward(seconds=1)
        hospital.accept(study, destinations=(replace(ARCHIVE, priority=priority),))
    entry = entries.claim(
        hospital.catalog, "archive", hospital.clock(), timedelta(minutes=1), "worker", oldest_first=True
    )
    assert entry is not None
    assert entry.study_instance_uid == "1.2.1"


def test_a_person_lets_an_entry_go_first_and_a_later_revision_keeps_it(hospital: Hospital) -> None:
    hospital.accept("1.2.1")
    hospital.accept("1.2.2")
    second = hospital.column("SELECT MAX(id) FROM entries")[0]
    assert entries.prioritise(hospital.catalog, [second], priority=10, by="anna", reason="trauma") == [second]
    told = [line for line in studies.trace(hospital.catalog, "1.2.2") if line["event"] == "prioritised"]
    assert [(line["by"], line["detail"]["reason"], line["detail"]["priority"]) for line in told] == [
        ("anna", "trauma", 10)
    ]
    hospital.receive("1.2.2", instance=9)
    hospital.index()
    hospital.settle("1.2.2")
    hospital.judge("1.2.2")
    first = hospital.claimed()
    assert (first.study_instance_uid, first.revision, first.priority) == ("1.2.2", 2, 10)
    with pytest.raises(StateError, match="newer"):
        entries.prioritise(hospital.catalog, [second], priority=0, by="anna")


def test_a_retry_of_a_deferred_entry_says_who_and_why(hospital: Hospital) -> None:
    hospital.accept()
    entry = hospital.claimed()
    later = hospital.clock() + timedelta(hours=1)
    entries.defer(hospital.catalog, entry.id, later, hospital.attempt("deferred", code="A700"))
    entries.retry(hospital.catalog, [entry.id], by="anna", reason="they made room")
    last = studies.trace(hospital.catalog, "1.2.1")[-1]
    assert (last["event"], last["by"], last["detail"]["reason"]) == ("retried", "anna", "they made room")
    assert hospital.claim() is not None


def test_each_destination_has_its_own(hospital: Hospital) -> None:
    hospital.accept(destinations=(ARCHIVE, COPY))
    assert hospital.claimed("copy").destination == "copy"
    assert hospital.claim("copy") is None
    assert hospital.claimed("archive").destination == "archive"


def test_what_is_not_required_goes_after_the_study_is_archived(hospital: Hospital) -> None:
    local = replace(ARCHIVE, commitment=False)
    hospital.accept(destinations=(local, COPY))
    hospital.deliver()
    assert hospital.state() == "archived"
    assert entries.next_due(hospital.catalog, "copy") == hospital.clock()
    copy = hospital.claimed("copy")
    assert entries.renew(hospital.catalog, copy.id, copy.owner, hospital.clock() + timedelta(minutes=1))
    entries.defer(hospital.catalog, copy.id, hospital.clock(), hospital.attempt("deferred", code="A700"))
    hospital.claimed("copy")
    hospital.clock.forward(minutes=2)
    taken_over = hospital.claimed("copy")
    assert taken_over.resumed
    pending = entries.pending_instances(hospital.catalog, taken_over)
    entries.mark_sent(hospital.catalog, taken_over.id, [one.instance_id for one in pending], hospital.clock())
    entries.delivered(hospital.catalog, taken_over.id, hospital.attempt(sent=len(pending)))
    assert states(hospital) == ["sent", "sent"]


def test_an_entry_that_is_not_due_waits(hospital: Hospital) -> None:
    hospital.accept()
    entry = hospital.claimed()
    later = hospital.clock() + timedelta(minutes=5)
    entries.defer(hospital.catalog, entry.id, later, hospital.attempt("deferred", code="A700"))
    assert hospital.claim() is None
    assert entries.next_due(hospital.catalog, "archive") == later
    hospital.clock.forward(minutes=5)
    assert hospital.claimed().attempts == 2


def test_a_lease_that_ran_out_is_taken_over_and_says_so(hospital: Hospital) -> None:
    hospital.accept()
    first = hospital.claimed()
    assert entries.next_due(hospital.catalog, "archive") == hospital.clock() + timedelta(minutes=1)
    hospital.clock.forward(seconds=61)
    second = hospital.claim(owner="other")
    assert second is not None
    assert (second.id, second.owner, second.resumed, second.attempts) == (first.id, "other", True, 2)
    assert not entries.renew(hospital.catalog, first.id, "worker", hospital.clock())
    assert hospital.column("SELECT event FROM history WHERE entry_id IS NOT NULL ORDER BY id") == [
        "claimed",
        "lease_expired",
        "claimed",
    ]


def test_a_renewed_lease_is_not_taken_over(hospital: Hospital) -> None:
    hospital.accept()
    entry = hospital.claimed()
    hospital.clock.forward(seconds=50)
    assert entries.renew(hospital.catalog, entry.id, "worker", hospital.clock() + timedelta(minutes=1))
    hospital.clock.forward(seconds=50)
    assert hospital.claim() is None


def test_a_lost_entry_of_an_older_revision_gives_way(hospital: Hospital) -> None:
    hospital.accept()
    hospital.claimed()
    hospital.receive(instance=3)
    hospital.index()
    hospital.clock.forward(minutes=2)
    assert hospital.claim() is None
    assert states(hospital) == ["superseded"]


def test_a_resting_destination_gets_nothing_until_its_rest_is_over(hospital: Hospital) -> None:
    hospital.accept()
    until = hospital.clock() + timedelta(minutes=2)
    entries.rest(hospital.catalog, "archive", until, "no-answer", "connection refused")
    assert hospital.claim() is None
    resting = entries.destination_state(hospital.catalog, "archive")
    assert (resting.resting_until, resting.since, resting.code, resting.times) == (
        until,
        hospital.clock(),
        "no-answer",
        1,
    )
    entries.rest(hospital.catalog, "archive", until, "no-answer", "connection refused")
    assert entries.destination_state(hospital.catalog, "archive").times == 2
    assert entries.wake(hospital.catalog, "archive")
    assert not entries.wake(hospital.catalog, "archive")
    assert entries.destination_state(hospital.catalog, "archive").resting_until is None
    assert hospital.claimed().attempts == 1


def test_threads_never_get_the_same_entry(hospital: Hospital) -> None:
    for number in range(12):
        hospital.accept(f"1.2.{number}", instances=1)
    claimed: list[int] = []

    def work() -> None:
        while (entry := hospital.claim()) is not None:
            claimed.append(entry.id)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == sorted(hospital.column("SELECT id FROM entries"))


def claim_all(url: str | None, path: str, answers: multiprocessing.Queue[list[int]]) -> None:
    """Claim until nothing is left, in a process of its own."""
    catalog = Catalog.open(url, Path(path), busy_timeout=30)
    claimed = []
    while (entry := entries.claim(catalog, "archive", datetime.now(UTC), timedelta(hours=1), "x")) is not None:
        claimed.append(entry.id)
    catalog.close()
    answers.put(claimed)


def test_processes_never_get_the_same_entry(hospital: Hospital, catalog_url: str | None, tmp_path: Path) -> None:
    for number in range(12):
        hospital.accept(f"1.2.{number}", instances=1)
    with hospital.catalog.write() as session:
        session.execute("UPDATE entries SET due_at = 0")
    context = multiprocessing.get_context("spawn")
    answers: multiprocessing.Queue[list[int]] = context.Queue()
    path = str(tmp_path / "catalog.sqlite3")
    processes = [context.Process(target=claim_all, args=(catalog_url, path, answers)) for _ in range(2)]
    for process in processes:
        process.start()
    claimed = [answers.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)
    answers.close()
    answers.join_thread()
    assert sorted(entry for part in claimed for entry in part) == hospital.column("SELECT id FROM entries ORDER BY id")


@pytest.mark.parametrize(
    ("order", "index"), [(entries._URGENT_FIRST, "entries_due"), (entries._OLDEST_FIRST, "entries_next")]
)
def test_looking_for_what_is_due_walks_the_index_of_what_is_due(hospital: Hospital, order: str, index: str) -> None:
    """Finished entries are not in that index, so that looking does not grow with them."""
    hospital.accept()
    claim = entries._ENTRY + order.replace("?", "'5'")
    if hospital.catalog.postgresql:
        with hospital.catalog.write() as session:
            for expensive in ("seqscan", "sort", "bitmapscan"):
                session.execute(f"SET LOCAL enable_{expensive} = off")
            plan = str(session.rows(f"EXPLAIN {claim}"))
    else:
        plan = str(hospital.rows(f"EXPLAIN QUERY PLAN {claim}"))
        assert "SCAN" not in plan
        assert "TEMP B-TREE" not in plan
    assert index in plan


# -- marks and ends -------------------------------------------------------------------------------------------------


def test_pending_instances_come_as_they_were_received(hospital: Hospital) -> None:
    for series, instance in ((1, 1), (2, 1), (1, 2)):
        hospital.receive(series=series, instance=instance)
    hospital.index()
    hospital.settle()
    hospital.judge()
    pending = entries.pending_instances(hospital.catalog, hospital.claimed())
    assert [one.sop_instance for one in pending] == ["1.2.1.1.1", "1.2.1.2.1", "1.2.1.1.2"]
    for one in pending:
        assert hospital.spool.instance_path(one.digest).stat().st_size == one.size


def test_marks_are_remembered_whatever_becomes_of_the_attempt(hospital: Hospital) -> None:
    hospital.accept(instances=3)
    entry = hospital.claimed()
    first = entries.pending_instances(hospital.catalog, entry)[0]
    assert entries.mark_sent(hospital.catalog, entry.id, [first.instance_id], hospital.clock()) == 1
    assert entries.mark_sent(hospital.catalog, entry.id, [first.instance_id], hospital.clock()) == 0
    entries.defer(hospital.catalog, entry.id, hospital.clock(), hospital.attempt("deferred", code="A700", sent=1))
    again = hospital.claimed()
    assert len(entries.pending_instances(hospital.catalog, again)) == 2
    assert [one.instance_id for one in entries.unconfirmed_instances(hospital.catalog, again)] == [first.instance_id]
    assert entries.listing(hospital.catalog)[0]["sent"] == 1


def test_an_entry_with_pending_instances_is_not_delivered(hospital: Hospital) -> None:
    hospital.accept()
    entry = hospital.claimed()
    with pytest.raises(StateError):
        entries.delivered(hospital.catalog, entry.id, hospital.attempt())
    assert states(hospital) == ["sending"]
    assert hospital.column("SELECT COUNT(*) FROM attempts") == [0]


def test_a_study_that_had_something_delivered_says_so(hospital: Hospital) -> None:
    hospital.accept()
    assert not studies.view(hospital.catalog, "1.2.1").delivered
    hospital.deliver()
    assert studies.view(hospital.catalog, "1.2.1").delivered


def test_an_attempt_that_is_given_back_is_not_burnt(hospital: Hospital) -> None:
    hospital.accept()
    entry = hospital.claimed()
    entries.defer(hospital.catalog, entry.id, hospital.clock(), None)
    [row] = entries.listing(hospital.catalog)
    assert (row["attempts"], row["last_error"]) == (0, None)
    assert hospital.column("SELECT COUNT(*) FROM attempts") == [0]


def test_a_failure_says_what_and_when(hospital: Hospital) -> None:
    hospital.accept()
    entry = hospital.claimed()
    ids = [one.instance_id for one in entries.pending_instances(hospital.catalog, entry)]
    entries.mark_failed(hospital.catalog, entry.id, {ids[0]: "A900"}, hospital.clock())
    attempt = hospital.attempt(
        "failed", code="A900", meaning="does not match", comment="no", scope="instance", failed=1, remedy="mend it"
    )
    entries.fail(hospital.catalog, entry.id, attempt)
    [row] = entries.listing(hospital.catalog, state="failed")
    assert row["last_error"] == {
        "at": "2026-11-22T03:00:00.000000Z",
        "code": "A900",
        "meaning": "does not match",
        "comment": "no",
    }
    assert row["remedy"] == "mend it"
    assert (row["first_attempt_at"], row["last_attempt_at"]) == (
        "2026-11-22T02:59:59.000000Z",
        "2026-11-22T03:00:00.000000Z",
    )
    assert hospital.rows("SELECT state, code FROM ledger WHERE instance_id = ?", ids[0]) == [
        {"state": "failed", "code": "A900"}
    ]
    assert hospital.claim() is None


def test_a_listing_is_bounded_and_has_the_newest(hospital: Hospital) -> None:
    for number in range(5):
        hospital.accept(f"1.2.{number}")
    listed = entries.listing(hospital.catalog, destination="archive", limit=2)
    assert [row["study_instance_uid"] for row in listed] == ["1.2.3", "1.2.4"]


def test_giving_up_is_told_apart_from_a_refusal(hospital: Hospital) -> None:
    hospital.accept()
    entries.fail(hospital.catalog, hospital.claimed().id, hospital.attempt("gave_up", code="A700"), gave_up=True)
    assert hospital.column("SELECT event FROM history ORDER BY id DESC LIMIT 1") == ["gave_up"]


def test_an_end_that_comes_too_late_is_refused(hospital: Hospital) -> None:
    hospital.accept()
    entry = hospital.deliver()
    with pytest.raises(StateError):
        entries.delivered(hospital.catalog, entry.id, hospital.attempt())
    with pytest.raises(StateError):
        entries.defer(hospital.catalog, entry.id, hospital.clock(), None)
    with pytest.raises(NotFoundError):
        entries.defer(hospital.catalog, 99, hospital.clock(), None)


# -- decisions --------------------------------------------------------------------------------------------------------


def test_a_failed_entry_that_is_tried_again_sends_what_failed(hospital: Hospital) -> None:
    hospital.accept()
    entry = hospital.claimed()
    ids = [one.instance_id for one in entries.pending_instances(hospital.catalog, entry)]
    entries.mark_sent(hospital.catalog, entry.id, ids[:1], hospital.clock())
    entries.mark_failed(hospital.catalog, entry.id, {ids[1]: "A900"}, hospital.clock())
    entries.fail(hospital.catalog, entry.id, hospital.attempt("failed", code="A900"))
    assert entries.retry(hospital.catalog, [entry.id], by="anna", reason="fixed") == [entry.id]
    again = hospital.claimed()
    assert [one.instance_id for one in entries.pending_instances(hospital.catalog, again)] == ids[1:]


def test_an_entry_that_is_tried_again_has_its_time_anew(hospital: Hospital) -> None:
    hospital.accept()
    entry = hospital.claimed()
    assert entry.tried_since == entry.created_at
    hospital.clock.forward(days=31)
    entries.fail(hospital.catalog, entry.id, hospital.attempt("gave_up", code="A700"), gave_up=True)
    entries.retry(hospital.catalog, [entry.id], by="anna")
    again = hospital.claimed()
    assert (again.created_at, again.tried_since) == (entry.created_at, hospital.clock())


def test_a_refused_object_that_is_corrected_under_its_uid_goes(hospital: Hospital) -> None:
    hospital.accept()
    entry = hospital.claimed()
    ids = [one.instance_id for one in entries.pending_instances(hospital.catalog, entry)]
    entries.mark_sent(hospital.catalog, entry.id, ids[:1], hospital.clock())
    entries.mark_failed(hospital.catalog, entry.id, {ids[1]: "A900"}, hospital.clock())
    entries.fail(hospital.catalog, entry.id, hospital.attempt("refused", code="A900"))
    hospital.receive(instance=2, Rows=8)
    hospital.index()
    hospital.settle()
    assert hospital.judge()
    again = hospital.deliver()
    assert again.revision == 2
    assert hospital.rows("SELECT instance_id, state FROM ledger ORDER BY instance_id") == [
        {"instance_id": ids[0], "state": "sent"},
        {"instance_id": max(ids) + 1, "state": "sent"},
    ]
    assert states(hospital) == ["failed", "sent"]


def test_what_failed_and_does_not_count_any_more_is_not_tried_again(hospital: Hospital) -> None:
    hospital.accept()
    entry = hospital.claimed()
    ids = [one.instance_id for one in entries.pending_instances(hospital.catalog, entry)]
    entries.mark_failed(hospital.catalog, entry.id, dict.fromkeys(ids, "A900"), hospital.clock())
    entries.fail(hospital.catalog, entry.id, hospital.attempt("refused", code="A900"))
    with hospital.catalog.write() as session:
        session.execute("UPDATE instances SET held = 1 WHERE id = ?", ids[0])
    entries.retry(hospital.catalog, [entry.id], by="anna")
    assert hospital.column("SELECT state FROM ledger ORDER BY instance_id") == ["failed", "pending"]


def test_a_deferred_entry_that_is_tried_again_is_due_at_once(hospital: Hospital) -> None:
    hospital.accept()
    entry = hospital.claimed()
    entries.defer(hospital.catalog, entry.id, hospital.clock() + timedelta(hours=5), hospital.attempt("deferred"))
    assert entries.retry(hospital.catalog, None, by="anna") == [entry.id]
    assert hospital.claim() is not None


def test_a_failed_entry_whose_study_has_moved_on_is_not_tried_again(hospital: Hospital) -> None:
    hospital.accept()
    entry = hospital.claimed()
    entries.fail(hospital.catalog, entry.id, hospital.attempt("failed", code="A900"))
    hospital.receive(instance=3)
    hospital.index()
    assert entries.retry(hospital.catalog, None, by="anna") == []
    with pytest.raises(StateError):
        entries.retry(hospital.catalog, [entry.id], by="anna")


def test_a_held_entry_waits_until_it_is_released(hospital: Hospital) -> None:
    hospital.accept()
    assert entries.hold(hospital.catalog, None, by="anna", reason="maintenance") == [1]
    assert hospital.claim() is None
    assert entries.release(hospital.catalog, [1], by="anna") == [1]
    assert hospital.claim() is not None
    assert hospital.rows("SELECT event, actor, detail FROM history WHERE event = 'held'") == [
        {"event": "held", "actor": "anna", "detail": '{"reason":"maintenance"}'}
    ]


def test_what_a_person_held_stays_held_when_its_study_grows(hospital: Hospital) -> None:
    hospital.accept(destinations=(ARCHIVE, COPY))
    entries.hold(hospital.catalog, [1], by="anna", reason="maintenance")
    for number in (3, 4):
        hospital.receive(instance=number)
        hospital.index()
        hospital.settle()
        assert hospital.judge(destinations=(ARCHIVE, COPY))
    assert states(hospital) == ["superseded", "superseded", "superseded", "superseded", "held", "queued"]
    assert hospital.claim() is None
    assert hospital.rows("SELECT actor, detail FROM history WHERE event = 'held' AND entry_id = 5") == [
        {"actor": "anna", "detail": '{"reason":"maintenance"}'}
    ]
    with pytest.raises(StateError, match="entry 1 is of revision 1; its study has a newer one"):
        entries.release(hospital.catalog, [1], by="anna")
    entries.release(hospital.catalog, [5], by="anna")
    assert len(entries.pending_instances(hospital.catalog, hospital.claimed())) == 4


def test_what_a_person_let_go_again_is_not_held_when_its_study_grows(hospital: Hospital) -> None:
    hospital.accept()
    entries.hold(hospital.catalog, [1], by="anna")
    entries.release(hospital.catalog, [1], by="anna")
    hospital.receive(instance=3)
    hospital.index()
    hospital.settle()
    assert hospital.judge()
    assert hospital.claimed().revision == 2


def test_a_failed_entry_of_an_older_revision_can_still_be_cancelled(hospital: Hospital) -> None:
    hospital.accept()
    entries.fail(hospital.catalog, hospital.claimed().id, hospital.attempt("refused", code="A900"))
    hospital.receive(instance=3)
    hospital.index()
    assert entries.cancel(hospital.catalog, [1], by="anna") == [1]


def test_a_cancelled_entry_never_goes(hospital: Hospital) -> None:
    hospital.accept()
    entry = hospital.claimed()
    assert entries.cancel(hospital.catalog, [entry.id], by="anna", reason="wrong patient") == [entry.id]
    assert not entries.renew(hospital.catalog, entry.id, "worker", hospital.clock())
    hospital.clock.forward(days=1)
    assert hospital.claim() is None
    with pytest.raises(StateError):
        entries.retry(hospital.catalog, [entry.id], by="anna")


def test_one_name_that_is_wrong_changes_nothing_at_all(hospital: Hospital) -> None:
    hospital.accept()
    hospital.accept("1.2.2")
    hospital.claimed()
    with pytest.raises(StateError):
        entries.hold(hospital.catalog, [2, 1], by="anna")
    with pytest.raises(NotFoundError):
        entries.hold(hospital.catalog, [2, 99], by="anna")
    assert states(hospital) == ["sending", "queued"]


# -- waking and spreading ---------------------------------------------------------------------------------------------


def deferred(hospital: Hospital, uid: str, priority: int = 0, **later: float) -> None:
    """A study whose entry was tried once, and is to be tried again ``later``."""
    hospital.accept(uid, destinations=(replace(ARCHIVE, priority=priority),))
    entry = hospital.claimed()
    entries.defer(
        hospital.catalog, entry.id, hospital.clock() + timedelta(**later), hospital.attempt("deferred", code="A700")
    )
    hospital.clock.forward(seconds=1)


def test_a_destination_that_is_back_wakes_everything_in_order_of_priority_and_age(hospital: Hospital) -> None:
    deferred(hospital, "1.2.1", hours=2)
    deferred(hospital, "1.2.2", hours=1)
    deferred(hospital, "1.2.3", priority=10, hours=3)
    hospital.accept("1.2.4")
    entries.rest(hospital.catalog, "archive", hospital.clock() + timedelta(minutes=1), "unreachable", "away")
    assert hospital.claim() is None
    assert entries.wake(hospital.catalog, "archive")
    assert [hospital.claimed().study_instance_uid for _ in range(4)] == ["1.2.3", "1.2.1", "1.2.2", "1.2.4"]


def test_waking_leaves_other_destinations_and_what_is_held_alone(hospital: Hospital) -> None:
    deferred(hospital, "1.2.1", hours=2)
    entries.hold(hospital.catalog, None, by="anna")
    entries.rest(hospital.catalog, "copy", hospital.clock(), "unreachable", "away")
    entries.rest(hospital.catalog, "archive", hospital.clock(), "unreachable", "away")
    entries.wake(hospital.catalog, "copy")
    entries.wake(hospital.catalog, "archive")
    assert hospital.claim() is None


def test_what_is_overdue_at_the_start_is_spread_in_order_of_priority_and_age(hospital: Hospital) -> None:
    for uid, priority in (("1.2.1", 0), ("1.2.2", 10), ("1.2.3", 0)):
        deferred(hospital, uid, priority, minutes=1)
    hospital.clock.forward(days=1)
    hospital.accept("1.2.4")
    assert entries.spread(hospital.catalog, "archive", timedelta(minutes=1), timedelta(seconds=5)) == 3
    order = []
    for _ in range(3):
        while (entry := hospital.claim()) is not None:
            order.append(entry.study_instance_uid)
        hospital.clock.forward(seconds=5)
    assert order == ["1.2.2", "1.2.4", "1.2.1", "1.2.3"]


def test_spreading_takes_no_longer_than_it_may(hospital: Hospital) -> None:
    for number in range(4):
        deferred(hospital, f"1.2.{number}", minutes=1)
    hospital.clock.forward(days=1)
    entries.spread(hospital.catalog, "archive", timedelta(seconds=4), timedelta(hours=1))
    hospital.clock.forward(seconds=4)
    assert all(hospital.claim() is not None for _ in range(4))
