"""From the spool to an archive: entries, attempts and ledger in a real catalog, archives that do as they are told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

import pytest

from kuva_gateway.catalog import entries, studies
from kuva_gateway.catalog.records import FindingRecord
from kuva_gateway.config import Peer
from kuva_gateway.decoding.process import Bounds
from kuva_gateway.dicom.syntaxes import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from kuva_gateway.forward.deliver import deliver
from kuva_gateway.network.timers import Timers
from kuva_gateway.queue import attempt
from kuva_gateway.queue.schedule import Tick, Wakeups
from tests.support import free_port, wait_until
from tests.unit.forward.archive import Script, running
from tests.unit.forward.instances import MR
from tests.unit.queue.line import Line, Verdict, destination, line, utc_now

MPEG_2 = "1.2.840.10008.1.2.4.100"


@pytest.fixture
def way(tmp_path: Path) -> Iterator[Line]:
    with line(tmp_path) as made:
        yield made


def uncommitted(port: int, **changes: object) -> object:
    return destination(port, storage_commitment=False, **changes)


def test_an_accepted_study_is_delivered_committed_and_archived(way: Line) -> None:
    with running() as archive:
        way.start(destination(archive.port))
        sent = way.receive(3)
        way.accept()
        entry = way.wait_for(sent.uid, "archived")
        assert sorted(archive.instances) == sorted(sent.instances)
        assert (entry["sent"], entry["committed"], entry["attempts"]) == (3, 3, 1)
        assert way.study(sent.uid) == "archived"
        assert len(archive.asked) == 1
        way.stop()
    events = [line["event"] for line in studies.trace(way.catalog, sent.uid)]
    assert "settled" in events
    assert "passed" in events


def test_a_destination_without_commitment_is_complete_when_everything_is_sent(way: Line) -> None:
    with running(Script(commitment=False)) as archive:
        way.start(uncommitted(archive.port))
        sent = way.receive(2)
        way.accept()
        way.wait_for(sent.uid, "sent")
        assert way.study(sent.uid) == "archived"
        assert archive.asked == []
        way.stop()


def test_a_study_goes_to_every_destination_and_is_archived_when_the_required_ones_are_complete(way: Line) -> None:
    with running() as first, running() as second:
        way.start(
            destination(first.port, name="archive"),
            destination(second.port, name="copy", required=False, ae_title="ARCHIVE"),
        )
        sent = way.receive(2)
        way.accept()
        way.wait_for(sent.uid, "archived", "archive")
        way.wait_for(sent.uid, "archived", "copy")
        assert sorted(first.instances) == sorted(second.instances) == sorted(sent.instances)
        assert way.study(sent.uid) == "archived"
        way.stop()


def test_a_held_study_is_not_delivered_until_it_is_judged_again(way: Line) -> None:
    finding = FindingRecord(rule="DOC-02", severity="hold", where="", message="no entry", remedy="send it")
    way.verdict = Verdict(False, (finding,))
    with running() as archive:
        way.start(destination(archive.port))
        sent = way.receive(1)
        way.accept()
        assert way.study(sent.uid) == "held"
        assert way.entry(sent.uid)["state"] == "none"
        way.verdict = Verdict(True)
        studies.recheck(way.catalog, [sent.uid])
        way.accept()
        way.wait_for(sent.uid, "archived")
        way.stop()


def test_each_kind_of_instance_is_delivered_in_its_own_syntax(way: Line) -> None:
    with running() as archive:
        way.start(destination(archive.port))
        sent = way.receive(2, syntax=EXPLICIT_LITTLE)
        more = way.receive(2, uid=sent.uid, syntax=IMPLICIT_LITTLE, sop_class=MR)
        way.accept()
        way.wait_for(sent.uid, "archived")
        assert {uid: syntax for uid, syntax, _ in archive.stored} == {
            **dict.fromkeys(sent.instances, EXPLICIT_LITTLE),
            **dict.fromkeys(more.instances, IMPLICIT_LITTLE),
        }
        way.stop()


def test_a_temporary_failure_is_tried_again_and_only_what_is_missing_is_sent(way: Line) -> None:
    sent = way.receive(4)
    bad = sent.instances[1]
    failing = [True]
    with running(Script(status=lambda uid: 0x0110 if uid == bad and failing[0] else 0)) as archive:
        way.start(destination(archive.port))
        way.accept()
        deferred = wait_until(lambda: (e := way.entry(sent.uid))["last_error"] and e)
        assert deferred["last_error"]["code"] == "0110"
        failing[0] = False
        entry = way.wait_for(sent.uid, "archived")
        assert entry["attempts"] >= 2
        assert sorted(archive.instances) == sorted(sent.instances)
        assert len(archive.requests) == 4 + entry["attempts"] - 1
        way.stop()


def test_what_a_person_must_cure_fails_with_its_reason_and_the_others_are_delivered(way: Line) -> None:
    sent = way.receive(4)
    bad = sent.instances[2]
    refusing = [True]
    with running(Script(status=lambda uid: 0xA77B if uid == bad and refusing[0] else 0)) as archive:
        way.start(destination(archive.port))
        way.accept()
        entry = way.wait_for(sent.uid, "failed")
        assert entry["last_error"]["code"] == "A77B"
        assert "UIDs" in entry["remedy"]
        alarms = [fields for _, event, fields in way.log.lines if event == "alarm"]
        assert [(one["kind"], one["entry"], one["code"]) for one in alarms] == [("entry_failed", entry["id"], "A77B")]
        assert entry["sent"] == 3
        assert sorted(archive.instances) == sorted(set(sent.instances) - {bad})
        refusing[0] = False
        entries.retry(way.catalog, [entry["id"]], by="a person")
        assert way.runner is not None
        way.runner.wake()
        way.wait_for(sent.uid, "archived")
        assert archive.requests.count(sent.instances[0]) == 1
        way.stop()


def test_an_entry_that_is_tried_for_too_long_is_given_up(way: Line) -> None:
    sent = way.receive(1)
    with running(Script(status=lambda uid: 0xA700)) as archive:
        way.start(destination(archive.port, give_up_after="1s", retry="100x200ms"))
        way.accept()
        entry = way.wait_for(sent.uid, "failed")
        assert entry["last_error"]["code"] == "A700"
        assert entry["attempts"] >= 2
        entries.retry(way.catalog, [entry["id"]], by="a person")
        assert way.runner is not None
        way.runner.wake()
        more = entry["attempts"] + 2
        wait_until(lambda: way.entry(sent.uid)["attempts"] >= more, what="more than one attempt in the new time")
        way.stop()


def test_an_archive_that_is_away_rests_burns_no_attempt_and_is_served_when_it_is_back(way: Line) -> None:
    port = free_port()
    way.start(destination(port))
    sent = [way.receive(1) for _ in range(3)]
    way.accept()
    wait_until(lambda: entries.destination_state(way.catalog, "archive").times >= 3, what="three failed calls")
    assert [way.entry(s.uid)["attempts"] for s in sent] == [0, 0, 0]
    assert {way.entry(s.uid)["state"] for s in sent} <= {"queued", "deferred"}
    with running(port=port) as archive:
        for study in sent:
            entry = way.wait_for(study.uid, "archived")
            assert entry["attempts"] == 1
        assert archive.echoes == 1
        assert entries.destination_state(way.catalog, "archive").resting_until is None
        way.stop()


def test_an_archive_that_refuses_us_rests_with_an_alarm(way: Line) -> None:
    with running(Script(status=lambda uid: 0x0124)) as archive:
        way.start(destination(archive.port))
        sent = way.receive(2)
        way.accept()
        wait_until(lambda: entries.destination_state(way.catalog, "archive").code == "0124")
        way.stop()
    assert way.entry(sent.uid)["attempts"] == 0
    alarms = [fields for level, event, fields in way.log.lines if (level, event) == ("error", "alarm")]
    assert [(fields["kind"], fields["code"]) for fields in alarms] == [("destination_rests", "0124")]


def test_a_dead_destination_does_not_hold_up_another(way: Line) -> None:
    with running() as archive:
        way.start(destination(free_port(), name="dead"), destination(archive.port, name="alive"))
        sent = way.receive(2)
        way.accept()
        way.wait_for(sent.uid, "archived", "alive")
        assert way.study(sent.uid) == "accepted"
        way.stop()


def test_an_archive_that_closes_in_the_middle_gets_the_rest_and_nothing_twice(way: Line) -> None:
    sent = way.receive(6)
    closed: list[str] = []

    def close(uid: str) -> bool:
        if len(archive.requests) == 4 and not closed:
            closed.append(uid)
        return closed == [uid] and archive.requests.count(uid) == 1

    with running(Script(close_at=close)) as archive:
        way.start(destination(archive.port))
        way.accept()
        entry = way.wait_for(sent.uid, "archived", timeout=30)
        way.stop()
    assert len(closed) == 1
    assert entry["committed"] == 6
    others = set(sent.instances) - set(closed)
    assert all(archive.requests.count(uid) == 1 for uid in others)


def test_an_unknown_outcome_is_asked_about_before_it_is_sent_again(way: Line) -> None:
    """The archive stores everything and answers nothing for one: commitment says that it is there."""
    sent = way.receive(3)
    quiet = sent.instances[1]
    with running(Script(silent_at=lambda uid: uid == quiet)) as archive:
        way.start(destination(archive.port), timers=Timers(response=0.5))
        way.accept()
        way.wait_for(sent.uid, "archived", timeout=30)
        assert archive.requests.count(quiet) == 1
        asked = [reference[1] for _, references in archive.asked for reference in references]
        assert quiet in asked
        way.stop()


def test_without_commitment_an_unknown_outcome_is_sent_again(way: Line) -> None:
    sent = way.receive(2)
    quiet = sent.instances[0]
    script = Script(silent_at=lambda uid: uid == quiet and archive.requests.count(uid) == 1, commitment=False)
    with running(script) as archive:
        way.start(uncommitted(archive.port), timers=Timers(response=0.5))
        way.accept()
        way.wait_for(sent.uid, "sent", timeout=30)
        assert archive.requests.count(quiet) == 2
        way.stop()


@pytest.mark.parametrize("took_it", [True, False])
def test_without_commitment_a_destination_that_can_be_queried_is_asked_what_it_has(way: Line, took_it: bool) -> None:
    """Only what is in doubt is asked about, and it goes again only where it is not there."""
    sent = way.receive(3)
    quiet = sent.instances[1]

    def once(uid: str) -> bool:
        return uid == quiet and archive.requests.count(uid) == 1

    script = Script(find_status=0, commitment=False)
    if took_it:
        script.silent_at = once
    else:
        script.close_at = once
    with running(script) as archive:
        way.start(uncommitted(archive.port), timers=Timers(response=0.5))
        way.accept()
        way.wait_for(sent.uid, "sent", timeout=30)
        assert archive.requests.count(quiet) == (1 if took_it else 2)
        assert sorted(archive.instances) == sorted(sent.instances)
        assert [query.QueryRetrieveLevel for query in archive.queries] == ["IMAGE"]
        way.stop()


def test_stopping_finishes_the_instance_in_hand_and_gives_the_entry_back(way: Line) -> None:
    sent = way.receive(5)
    third, go_on = threading.Event(), threading.Event()

    def status(uid: str) -> int:
        if len(archive.requests) == 3:
            third.set()
            go_on.wait(20)
        return 0

    with running(Script(status=status)) as archive:
        way.start(destination(archive.port))
        way.accept()
        assert third.wait(20)
        threading.Timer(0.3, go_on.set).start()
        way.stop()
        entry = way.entry(sent.uid)
        assert (entry["state"], entry["sent"], entry["attempts"]) == ("deferred", 3, 0)
        way.start(destination(archive.port))
        way.wait_for(sent.uid, "archived")
        assert sorted(archive.requests) == sorted(sent.instances)
        way.stop()


# pynetdicom's side forgets its socket without closing it when the association is aborted at the wrong moment.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_stopping_does_not_wait_longer_than_it_may_for_an_archive_that_hangs(way: Line) -> None:
    sent = way.receive(2)
    hanging = threading.Event()

    def silent(uid: str) -> bool:
        hanging.set()
        return True

    with running(Script(silent_at=silent)) as archive:
        way.start(destination(archive.port), timers=Timers(response=60))
        way.accept()
        assert hanging.wait(20)
        way.stop(0.3)
        assert way.entry(sent.uid)["attempts"] == 0
        assert way.entry(sent.uid)["state"] == "deferred"


def test_what_a_dead_gateway_left_is_taken_up_and_nothing_marked_is_sent_twice(way: Line) -> None:
    """A gateway dies between sending and marking: the ledger has one mark, the archive has two instances."""
    sent = way.receive(3)
    with running() as archive:
        dead = way.build(destination(archive.port), lease=timedelta(milliseconds=300), owner="dead")
        way.accept()
        entry = entries.claim(way.catalog, "archive", utc_now(), dead.lease, "dead")
        assert entry is not None
        first, second, third = entries.pending_instances(way.catalog, entry)
        deliver(way.lanes[0].call, [first, second], open_file=way.spool.open_instance, on_answer=lambda i, o: None)
        entries.mark_sent(way.catalog, entry.id, [first.instance_id], utc_now())
        way.start(destination(archive.port))
        way.wait_for(sent.uid, "archived")
        assert archive.requests == [first.sop_instance, second.sop_instance, third.sop_instance]
        assert [reference[1] for reference in archive.asked[0][1]] == [second.sop_instance, third.sop_instance]
        way.stop()


def test_what_was_left_in_the_middle_is_not_sent_before_the_archive_can_be_asked(way: Line) -> None:
    sent = way.receive(2)
    port = free_port()
    dead = way.build(destination(port), lease=timedelta(), owner="dead")
    way.accept()
    assert entries.claim(way.catalog, "archive", utc_now(), dead.lease, "dead") is not None
    way.start(destination(port))
    wait_until(lambda: entries.destination_state(way.catalog, "archive").times >= 2, what="two failed calls")
    with running(port=port) as archive:
        way.wait_for(sent.uid, "archived")
        assert [len(references) for _, references in archive.asked] == [2, 2]
        assert sorted(archive.requests) == sorted(sent.instances)
        way.stop()


def test_a_lease_is_kept_while_a_slow_archive_takes_its_time(way: Line) -> None:
    sent = way.receive(2)
    with running(Script(status=lambda uid: (threading.Event().wait(1.5) and 0) or 0)) as archive:
        way.start(destination(archive.port, workers=2), lease=timedelta(milliseconds=900))
        way.accept()
        entry = way.wait_for(sent.uid, "archived")
        assert entry["attempts"] == 1
        assert sorted(archive.requests) == sorted(sent.instances)
        way.stop()


def test_a_study_that_grows_while_it_is_sent_is_delivered_whole_and_nothing_twice(way: Line) -> None:
    sent = way.receive(3)
    second, go_on = threading.Event(), threading.Event()

    def status(uid: str) -> int:
        if len(archive.requests) == 2:
            second.set()
            go_on.wait(20)
        return 0

    with running(Script(status=status)) as archive:
        way.start(destination(archive.port), lease=timedelta(milliseconds=600))
        way.accept()
        assert second.wait(20)
        more = way.receive(2, uid=sent.uid)
        go_on.set()
        way.accept()
        way.wait_for(sent.uid, "archived")
        wait_until(lambda: way.study(sent.uid) == "archived")
        way.stop()
    assert sorted(archive.requests) == sorted(sent.instances + more.instances)


def test_many_studies_are_delivered_once_each_by_several_workers(way: Line) -> None:
    sent = [way.receive(2, size=100) for _ in range(12)]
    with running() as archive:
        way.start(destination(archive.port, workers=4))
        way.accept()
        for study in sent:
            way.wait_for(study.uid, "archived", timeout=60)
        way.stop()
    assert sorted(archive.requests) == sorted(uid for study in sent for uid in study.instances)


def test_an_instance_that_is_damaged_in_the_spool_is_for_a_person(way: Line) -> None:
    sent = way.receive(2)
    with running() as archive:
        way.build(destination(archive.port))
        way.accept()
        claimed = entries.claim(way.catalog, "archive", utc_now(), timedelta(seconds=0), "looking")
        assert claimed is not None
        first, _ = entries.pending_instances(way.catalog, claimed)
        path = way.spool.instance_path(first.digest)
        path.chmod(0o600)
        path.write_bytes(b"overwritten")
        way.start(destination(archive.port))
        entry = way.wait_for(sent.uid, "failed")
        assert entry["last_error"]["code"] == "unreadable"
        assert len(archive.stored) == 1
        way.stop()


def test_a_fault_that_nobody_foresaw_is_a_failed_attempt_and_is_tried_again(
    way: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = way.receive(2)
    faults = iter([True])

    def fail_once(*arguments: object, **keywords: object) -> object:
        if next(faults, False):
            raise KeyError("010190-999W")
        return deliver(*arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(attempt, "deliver", fail_once)
    with running() as archive:
        way.start(destination(archive.port))
        way.accept()
        way.wait_for(sent.uid, "archived")
        way.stop()
    with way.catalog.read() as session:
        tried = session.rows("SELECT outcome, code, comment FROM attempts WHERE kind = 'delivery' ORDER BY id")
    assert tried == [
        {"outcome": "deferred", "code": "fault", "comment": "KeyError"},
        {"outcome": "delivered", "code": "", "comment": ""},
    ]


def test_a_worker_whose_lease_another_one_of_the_same_gateway_took_over_leaves_the_entry_alone(way: Line) -> None:
    sent = way.receive(2)
    came, may_go = [threading.Event(), threading.Event()], [threading.Event(), threading.Event()]
    turns = iter((0, 1))

    def status(uid: str) -> int:
        turn = next(turns, None)
        if turn is not None:
            came[turn].set()
            may_go[turn].wait(20)
        return 0

    def said(what: str) -> list[str]:
        return [fields["why"] for _, event, fields in way.log.lines if event == what]

    with running(Script(status=status, commitment=False)) as archive:
        way.build(uncommitted(archive.port, workers=2), lease=timedelta(seconds=1))  # type: ignore[arg-type]
        way.accept()
        assert way.runner is not None
        way.runner.start()  # nobody ticks, so the first worker's lease runs out
        assert came[0].wait(20)
        runner = way.runner
        wait_until(lambda: runner.wake() or came[1].is_set(), what="the second worker at work")
        way.wakeups = Wakeups({"runner": Tick(call=runner.tick, every=0.1)}, log=way.log)
        way.wakeups.start()
        runner.tick()
        may_go[0].set()
        wait_until(lambda: said("the entry is not as it was left"), what="the first worker's end")
        assert way.entry(sent.uid)["state"] == "sending"
        may_go[1].set()
        assert way.wait_for(sent.uid, "sent")["attempts"] == 2
        way.stop()
        assert len(archive.requests) == 3, "the first worker stops after the instance in hand"
    assert "a worker failed" not in [event for _, event, _ in way.log.lines]


def test_stopping_leaves_no_thread(way: Line) -> None:
    before = set(threading.enumerate())
    with running() as archive:
        way.start(destination(archive.port, workers=3), destination(free_port(), name="dead"))
        sent = way.receive(1)
        way.accept()
        way.wait_for(sent.uid, "archived")
        assert len(set(threading.enumerate()) - before) >= 5
        way.stop()
    wait_until(lambda: not [t for t in set(threading.enumerate()) - before if "pynetdicom" not in type(t).__module__])


def test_no_line_of_the_log_names_a_patient(way: Line) -> None:
    with running(Script(status=lambda uid: 0xA777)) as archive:
        way.start(destination(archive.port))
        sent = way.receive(2)
        way.accept()
        way.wait_for(sent.uid, "failed")
        way.stop()
    text = repr(way.log.lines)
    assert "attempt" in text
    assert "010190" not in text


def test_what_is_urgent_goes_first_and_everything_else_has_its_turn(way: Line) -> None:
    way.peers = (Peer.model_validate({"name": "trauma", "ae_title": "TRAUMA", "urgent": True}),)
    with running(Script(commitment=False)) as archive:
        way.build(uncommitted(archive.port, workers=1))  # type: ignore[arg-type]
        normal = [way.receive(1) for _ in range(3)]
        urgent = [way.receive(1, peer="trauma") for _ in range(9)]
        way.accept()
        assert way.runner is not None
        way.runner.start()
        for study in (*normal, *urgent):
            way.wait_for(study.uid, "sent")
        way.stop()
    order = ["urgent" if uid in {u for s in urgent for u in s.instances} else "normal" for uid in archive.requests]
    assert order == ["urgent", "urgent", "urgent", "normal"] * 3


def test_late_instances_go_alone_are_committed_and_make_a_revision(way: Line) -> None:
    with running() as archive:
        way.start(destination(archive.port))
        sent = way.receive(3)
        way.accept()
        way.wait_for(sent.uid, "archived")
        late = way.receive(2, uid=sent.uid)
        assert way.study(sent.uid) == "receiving"
        way.accept()
        wait_until(lambda: way.study(sent.uid) == "archived", what="the study archived again")
        entry = way.entry(sent.uid)
        way.stop()
    assert archive.requests == [*sent.instances, *late.instances]
    assert sorted(uid for _, uid in archive.asked[-1][1]) == sorted(late.instances)
    assert (entry["revision"], entry["sent"], entry["committed"]) == (2, 5, 5)


def test_syntaxes_that_a_destination_does_not_accept_are_named_in_a_finding_until_it_does(way: Line) -> None:
    with running(Script(syntaxes=[EXPLICIT_LITTLE])) as archive:
        way.start(destination(archive.port))
        sent = way.receive(1)
        way.receive(2, uid=sent.uid, syntax=MPEG_2)
        way.accept()
        entry = way.wait_for(sent.uid, "failed")
        assert entry["last_error"]["code"] == "context"
        assert list(archive.instances) == sent.instances  # what is accepted goes
    (finding,) = studies.show(way.catalog, sent.uid)["findings"]
    assert (finding["rule"], finding["severity"], finding["where"]) == ("TS-01", "hold", "destination archive")
    assert f"({MPEG_2})" in finding["message"]
    assert finding["message"].endswith("(instances: 2)")
    with running(port=archive.port) as archive:
        entries.retry(way.catalog, [entry["id"]], by="a person")
        assert way.runner is not None
        way.runner.wake()
        way.wait_for(sent.uid, "archived")
        assert len(archive.instances) == 3  # this one never had the first: it says so when it is asked to commit
        way.stop()
    assert studies.show(way.catalog, sent.uid)["findings"] == []


def test_what_a_destination_does_not_accept_as_it_is_stored_goes_in_another_uncompressed_syntax(way: Line) -> None:
    with running(Script(syntaxes=[EXPLICIT_LITTLE])) as archive:
        way.start(destination(archive.port))
        sent = way.receive(1)
        more = way.receive(2, uid=sent.uid, syntax=IMPLICIT_LITTLE)
        way.accept()
        way.wait_for(sent.uid, "archived")
        assert list(archive.instances) == [*sent.instances, *more.instances]
        way.stop()
    assert studies.show(way.catalog, sent.uid)["findings"] == []


def test_an_image_that_cannot_be_decoded_is_held_with_its_syntax_and_the_reason_and_the_rest_goes(way: Line) -> None:
    way.decoding = Bounds()
    with running(Script(syntaxes=[EXPLICIT_LITTLE])) as archive:
        way.start(destination(archive.port))
        sent = way.receive(1)
        way.receive(1, uid=sent.uid, syntax="1.2.840.10008.1.2.4.70")
        way.accept()
        entry = way.wait_for(sent.uid, "failed")
        assert entry["last_error"]["code"] == "syntax"
        assert list(archive.instances) == sent.instances
        way.stop()
    (finding,) = studies.show(way.catalog, sent.uid)["findings"]
    assert (finding["rule"], finding["severity"]) == ("TS-01", "hold")
    assert "1.2.840.10008.1.2.4.70" in finding["message"]
    assert "there are no compressed pixels in it" in finding["message"]


def test_a_worker_that_a_disk_does_not_let_go_on_stands_still_and_one_that_waits_does_not(
    way: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung, free = threading.Event(), threading.Event()
    usual = way.spool.open_instance

    def open_instance(digest: str) -> BinaryIO:
        hung.set()
        free.wait()
        return usual(digest)

    monkeypatch.setattr(way.spool, "open_instance", open_instance)
    with running() as archive:
        way.start(destination(archive.port))
        runner = way.runner
        assert runner is not None
        assert runner.standstill() == 0
        sent = way.receive(2)
        way.accept()
        assert hung.wait(20)
        wait_until(lambda: runner.standstill() > 0.2, what="the worker to stand still")
        free.set()
        way.wait_for(sent.uid, "archived")
        wait_until(lambda: runner.standstill() == 0, what="the worker to wait for more")
        way.stop()
    assert runner.standstill() == 0, "who is asked to stop is not watched"
