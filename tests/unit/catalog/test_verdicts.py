"""Verdicts and decisions: what they write, what opens a question again, and what is too late to change."""

from __future__ import annotations

from datetime import timedelta

import pytest

from kuva_gateway.catalog import codes, entries, studies
from kuva_gateway.catalog.states import apply
from kuva_gateway.errors import NotFoundError, StateError
from tests.unit.catalog.making import ARCHIVE, COPY, MISSING, NOTE, Hospital, period


def rules(hospital: Hospital, study: str = "1.2.1") -> list[str]:
    return [finding["rule"] for finding in studies.show(hospital.catalog, study)["findings"]]


def events(hospital: Hospital) -> list[str]:
    return hospital.column("SELECT event FROM history WHERE entry_id IS NULL ORDER BY id")


# -- settling -----------------------------------------------------------------------------------------------------


def test_a_study_settles_when_nothing_has_come_for_a_while(hospital: Hospital) -> None:
    hospital.send()
    quiet, most = timedelta(seconds=60), timedelta(hours=2)
    assert studies.unsettled(hospital.catalog, hospital.clock.forward(seconds=59), quiet, most) == []
    found = studies.unsettled(hospital.catalog, hospital.clock.forward(seconds=2), quiet, most)
    assert [(one.study_instance_uid, one.revision, one.overdue) for one in found] == [("1.2.1", 1, False)]


def test_a_study_that_never_falls_quiet_is_overdue_after_the_longest_time(hospital: Hospital) -> None:
    hospital.receive()
    hospital.index()
    hospital.clock.forward(minutes=119)
    hospital.receive(instance=2)
    hospital.index()
    quiet, most = timedelta(seconds=90), timedelta(hours=2)
    assert studies.unsettled(hospital.catalog, hospital.clock.forward(seconds=30), quiet, most) == []
    found = studies.unsettled(hospital.catalog, hospital.clock.forward(seconds=31), quiet, most)
    assert [one.overdue for one in found] == [True]


def test_the_longest_time_begins_anew_with_a_revision(hospital: Hospital) -> None:
    hospital.accept()
    hospital.clock.forward(days=1)
    hospital.receive(instance=3)
    hospital.index()
    moment = hospital.clock.forward(seconds=30)
    assert studies.unsettled(hospital.catalog, moment, timedelta(seconds=60), timedelta(hours=2)) == []


def test_settling_is_for_the_revision_and_the_arrivals_that_were_seen(hospital: Hospital) -> None:
    hospital.send()
    seen = studies.unsettled(hospital.catalog, hospital.clock.forward(minutes=5), timedelta(0), timedelta(hours=2))[0]
    hospital.receive(instance=3)
    hospital.index()
    assert not studies.settle(hospital.catalog, "1.2.1", seen.revision, seen.last_arrival)
    assert not studies.settle(hospital.catalog, "1.2.1", 2)
    assert not studies.settle(hospital.catalog, "9.9.9", 1)
    assert studies.settle(hospital.catalog, "1.2.1", 1)
    assert not studies.settle(hospital.catalog, "1.2.1", 1)


# -- verdicts -----------------------------------------------------------------------------------------------------


def test_a_study_that_passes_is_accepted_with_an_entry_for_each_destination(hospital: Hospital) -> None:
    hospital.accept(instances=3, destinations=(ARCHIVE, COPY))
    assert hospital.state() == "accepted"
    assert hospital.rows("SELECT destination, state, required, commitment FROM entries ORDER BY id") == [
        {"destination": "archive", "state": "queued", "required": 1, "commitment": 1},
        {"destination": "copy", "state": "queued", "required": 0, "commitment": 0},
    ]
    assert hospital.column("SELECT COUNT(*) FROM ledger WHERE state = 'pending'") == [6]


def test_a_study_that_fails_is_held_with_its_findings(hospital: Hospital) -> None:
    hospital.hold("1.2.1", MISSING, NOTE)
    assert hospital.state() == "held"
    shown = studies.show(hospital.catalog, "1.2.1")
    assert shown["findings"] == [
        {
            "rule": "DOC-02",
            "severity": "hold",
            "where": "study",
            "message": "no entry",
            "remedy": "send it",
            "overridden": None,
        },
        {
            "rule": "COD-04",
            "severity": "warning",
            "where": "study",
            "message": "odd scheme",
            "remedy": "",
            "overridden": None,
        },
    ]
    assert shown["entries"] == []


def test_a_verdict_on_an_older_revision_is_discarded(hospital: Hospital) -> None:
    hospital.send()
    hospital.settle()
    seen = studies.view(hospital.catalog, "1.2.1")
    hospital.receive(instance=3)
    hospital.index()
    hospital.settle()
    assert not studies.record_verdict(hospital.catalog, seen, True, (), (ARCHIVE,))
    assert hospital.state() == "settled"
    assert studies.to_judge(hospital.catalog, 10) == ["1.2.1"]


def test_a_verdict_on_older_facts_is_discarded(hospital: Hospital) -> None:
    hospital.send()
    hospital.settle()
    seen = studies.view(hospital.catalog, "1.2.1")
    hospital.add_document()
    assert not studies.record_verdict(hospital.catalog, seen, False, (MISSING,), (ARCHIVE,))
    assert studies.to_judge(hospital.catalog, 10) == ["1.2.1"]
    assert rules(hospital) == []


def test_the_same_verdict_again_writes_nothing(hospital: Hospital) -> None:
    hospital.hold()
    before = hospital.rows("SELECT * FROM history"), hospital.rows("SELECT * FROM findings")
    assert studies.recheck(hospital.catalog, None) == 1
    assert studies.to_judge(hospital.catalog, 10) == ["1.2.1"]
    assert hospital.judge("1.2.1", MISSING)
    assert (hospital.rows("SELECT * FROM history"), hospital.rows("SELECT * FROM findings")) == before
    assert studies.to_judge(hospital.catalog, 10) == []


def test_another_verdict_that_fails_replaces_the_findings(hospital: Hospital) -> None:
    hospital.hold()
    studies.recheck(hospital.catalog, ["1.2.1"])
    assert hospital.judge("1.2.1", MISSING, NOTE)
    assert rules(hospital) == ["DOC-02", "COD-04"]
    assert events(hospital)[-2:] == ["facts_changed", "failed"]


def test_a_held_study_that_passes_now_goes(hospital: Hospital) -> None:
    hospital.hold()
    hospital.add_document()
    assert studies.to_judge(hospital.catalog, 10) == ["1.2.1"]
    assert hospital.judge()
    assert hospital.state() == "accepted"
    assert events(hospital) == ["arrived", "settled", "failed", "facts_changed", "passed"]
    assert rules(hospital) == []
    assert hospital.claim() is not None


# -- an accepted study whose facts change ---------------------------------------------------------------------------


def test_an_accepted_study_that_passes_again_stays_as_it_is(hospital: Hospital) -> None:
    hospital.accept()
    hospital.add_document()
    assert studies.to_judge(hospital.catalog, 10) == ["1.2.1"]
    before = events(hospital)
    assert hospital.judge()
    assert events(hospital) == before
    assert studies.to_judge(hospital.catalog, 10) == []


def test_a_withdrawn_document_stops_what_has_not_begun(hospital: Hospital) -> None:
    hospital.accept()
    hospital.add_document()
    assert hospital.judge("1.2.1", MISSING)
    assert hospital.state() == "held"
    assert events(hospital)[-2:] == ["facts_changed", "failed"]
    assert hospital.claim() is None
    assert entries.next_due(hospital.catalog, "archive") is None


def test_what_was_stopped_goes_on_when_the_study_passes_again(hospital: Hospital) -> None:
    hospital.accept()
    hospital.add_document()
    hospital.judge("1.2.1", MISSING)
    hospital.add_document("1.9.2")
    assert hospital.judge()
    assert hospital.column("SELECT COUNT(*) FROM entries") == [1]
    assert hospital.claim() is not None


@pytest.mark.parametrize("step", ["claimed", "delivered", "part"])
def test_what_has_begun_is_not_stopped(hospital: Hospital, step: str) -> None:
    hospital.accept()
    if step == "delivered":
        hospital.deliver()
    else:
        entry = hospital.claimed()
        if step == "part":
            first = entries.pending_instances(hospital.catalog, entry)[0]
            entries.mark_sent(hospital.catalog, entry.id, [first.instance_id], hospital.clock())
            entries.defer(hospital.catalog, entry.id, hospital.clock(), hospital.attempt("deferred"))
    hospital.add_document()
    assert studies.to_judge(hospital.catalog, 10) == []
    assert not hospital.judge("1.2.1", MISSING)
    assert hospital.state() == "accepted"


def test_a_verdict_that_comes_after_the_beginning_changes_nothing(hospital: Hospital) -> None:
    hospital.accept()
    hospital.add_document()
    seen = studies.view(hospital.catalog, "1.2.1")
    hospital.claimed()
    assert not studies.record_verdict(hospital.catalog, seen, False, (MISSING,), (ARCHIVE,))
    assert hospital.state() == "accepted"
    assert studies.to_judge(hospital.catalog, 10) == []


def test_a_code_list_that_changes_opens_the_question_and_one_that_does_not_leaves_it(hospital: Hospital) -> None:
    hospital.hold()
    hospital.send("1.2.2")
    codes.store(hospital.catalog, [period()])
    assert studies.to_judge(hospital.catalog, 10) == ["1.2.1"]
    hospital.judge("1.2.1", MISSING)
    codes.store(hospital.catalog, [period()])
    assert studies.to_judge(hospital.catalog, 10) == []


# -- decisions ------------------------------------------------------------------------------------------------------


def test_a_released_study_goes_in_spite_of_its_findings(hospital: Hospital) -> None:
    hospital.hold("1.2.1", MISSING, NOTE)
    studies.release(hospital.catalog, "1.2.1", by="anna", reason="phoned", destinations=(ARCHIVE,))
    assert hospital.state() == "accepted"
    held, noted = studies.show(hospital.catalog, "1.2.1")["findings"]
    assert held["overridden"] == {"by": "anna", "at": "2026-11-22T03:00:00.000000Z", "reason": "phoned"}
    assert noted["overridden"] is None
    assert hospital.claim() is not None
    told = studies.trace(hospital.catalog, "1.2.1")
    assert [event["by"] for event in told if event["event"] == "released"] == ["anna"]


def test_a_release_is_not_undone_by_facts_that_change(hospital: Hospital) -> None:
    hospital.hold()
    studies.release(hospital.catalog, "1.2.1", by="anna", reason="phoned", destinations=(ARCHIVE,))
    hospital.add_document()
    assert studies.to_judge(hospital.catalog, 10) == []
    assert not hospital.judge("1.2.1", MISSING)
    assert hospital.state() == "accepted"


def test_a_release_holds_for_its_revision_only(hospital: Hospital) -> None:
    hospital.hold()
    studies.release(hospital.catalog, "1.2.1", by="anna", reason="phoned", destinations=(ARCHIVE,))
    hospital.receive(instance=3)
    hospital.index()
    hospital.settle()
    assert hospital.judge("1.2.1", MISSING)
    assert hospital.state() == "held"
    assert studies.show(hospital.catalog, "1.2.1")["findings"][0]["overridden"] is None


def test_a_rejected_study_stays_until_instances_come_and_its_rejection_is_then_a_fact(hospital: Hospital) -> None:
    hospital.hold()
    studies.reject(hospital.catalog, "1.2.1", by="anna", reason="phantom")
    assert hospital.state() == "rejected"
    hospital.add_document()
    assert studies.to_judge(hospital.catalog, 10) == []
    hospital.receive(instance=3)
    hospital.index()
    hospital.settle()
    rejection = studies.view(hospital.catalog, "1.2.1").rejection
    assert rejection is not None
    assert (rejection.by, rejection.reason) == ("anna", "phantom")
    assert hospital.judge("1.2.1", MISSING)
    studies.release(hospital.catalog, "1.2.1", by="bo", reason="real after all", destinations=(ARCHIVE,))
    assert studies.view(hospital.catalog, "1.2.1").rejection is None
    hospital.receive(instance=4)
    hospital.index()
    hospital.settle()
    assert hospital.judge()
    assert hospital.state() == "accepted"


def test_only_held_studies_can_be_released_or_rejected(hospital: Hospital) -> None:
    hospital.accept()
    with pytest.raises(StateError):
        studies.release(hospital.catalog, "1.2.1", by="a", reason="r", destinations=(ARCHIVE,))
    with pytest.raises(StateError):
        studies.reject(hospital.catalog, "1.2.1", by="a", reason="r")
    with pytest.raises(NotFoundError):
        studies.reject(hospital.catalog, "9.9.9", by="a", reason="r")
    with pytest.raises(NotFoundError):
        studies.release(hospital.catalog, "9.9.9", by="a", reason="r", destinations=(ARCHIVE,))


def test_a_recheck_counts_what_will_be_judged(hospital: Hospital) -> None:
    hospital.hold()
    hospital.hold("1.2.2")
    hospital.send("1.2.3")
    assert studies.recheck(hospital.catalog, None) == 2
    assert studies.recheck(hospital.catalog, ["1.2.2"]) == 1
    assert studies.recheck(hospital.catalog, ["1.2.3", "9.9.9"]) == 0


# -- the ledger is inherited ------------------------------------------------------------------------------------------


def commit_everything(hospital: Hospital) -> None:
    """What an archive that commits at once would do."""
    with hospital.catalog.write() as session:
        session.execute("UPDATE ledger SET state = 'committed'")
        from kuva_gateway.catalog.completion import recount

        recount(session, 1, "archive")


def test_what_was_delivered_in_an_older_revision_is_not_pending_again(hospital: Hospital) -> None:
    hospital.accept()
    hospital.deliver()
    commit_everything(hospital)
    assert hospital.state() == "archived"
    hospital.receive(instance=3)
    hospital.index()
    hospital.settle()
    hospital.judge()
    entry = hospital.claimed()
    assert [one.sop_instance for one in entries.pending_instances(hospital.catalog, entry)] == ["1.2.1.1.3"]


def test_an_entry_with_nothing_left_to_do_completes_at_once(hospital: Hospital) -> None:
    hospital.accept()
    hospital.deliver()
    commit_everything(hospital)
    with hospital.catalog.write() as session:
        apply(session, "study", 1, "instance_arrived", revision=2)
    hospital.settle()
    hospital.judge()
    assert hospital.state() == "archived"
    assert hospital.rows("SELECT revision, state, committed FROM entries ORDER BY id") == [
        {"revision": 1, "state": "archived", "committed": 2},
        {"revision": 2, "state": "archived", "committed": 2},
    ]


def test_a_study_without_a_required_destination_is_never_archived_by_itself(hospital: Hospital) -> None:
    hospital.accept(destinations=(COPY,))
    hospital.deliver("copy")
    assert hospital.column("SELECT state FROM entries") == ["sent"]
    assert hospital.state() == "accepted"


def test_a_study_is_archived_when_every_required_destination_is_complete(hospital: Hospital) -> None:
    from dataclasses import replace

    second = replace(COPY, required=True)
    hospital.accept(destinations=(ARCHIVE, second))
    hospital.deliver("copy")
    assert hospital.state() == "accepted"
    hospital.deliver("archive")
    assert hospital.state() == "accepted"
    commit_everything(hospital)
    assert hospital.state() == "archived"


def test_facts_that_change_during_an_attempt_that_sends_nothing_are_judged_after_it(hospital: Hospital) -> None:
    hospital.accept()
    entry = hospital.claimed()
    hospital.add_document()
    assert studies.to_judge(hospital.catalog, 10) == []
    assert not hospital.judge("1.2.1", MISSING)
    entries.defer(hospital.catalog, entry.id, hospital.clock(), None)
    assert studies.to_judge(hospital.catalog, 10) == ["1.2.1"]
    assert hospital.judge("1.2.1", MISSING)
    assert hospital.state() == "held"


def test_facts_that_change_during_an_attempt_that_delivers_come_too_late(hospital: Hospital) -> None:
    hospital.accept()
    entry = hospital.claimed()
    hospital.add_document()
    pending = entries.pending_instances(hospital.catalog, entry)
    entries.mark_sent(hospital.catalog, entry.id, [one.instance_id for one in pending], hospital.clock())
    entries.delivered(hospital.catalog, entry.id, hospital.attempt(sent=len(pending)))
    assert not hospital.judge("1.2.1", MISSING)
    assert studies.to_judge(hospital.catalog, 10) == []
    assert hospital.state() == "accepted"
