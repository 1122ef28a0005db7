"""Which studies are settled, judged and given entries; a real catalog, indexer and spool."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kuva_gateway.catalog import studies
from kuva_gateway.catalog.records import DestinationPlan, FindingRecord, StudyView
from kuva_gateway.errors import CatalogUnavailableError
from kuva_gateway.queue.admission import Admission
from tests.unit.queue.line import Line, Verdict, line, utc_now

HELD = Verdict(False, (FindingRecord(rule="COD-01", severity="hold", where="", message="no code", remedy="add it"),))


@pytest.fixture
def way(tmp_path: Path) -> Iterator[Line]:
    with line(tmp_path) as made:
        yield made


class Desk:
    """Admission with everything that a test may want to turn."""

    def __init__(self, way: Line) -> None:
        self.way = way
        self.ahead = timedelta()  # how far the clock is ahead of this moment
        self.passed = True
        self.asked: list[datetime] = []
        self.admitted = 0
        self.judge: Callable[[StudyView], Verdict] = lambda view: Verdict(True)
        self.admission = Admission(
            way.catalog,
            judge=self._judge,
            amend=lambda view: (),
            destinations=[DestinationPlan(name="archive")],
            settle_after=timedelta(seconds=60),
            settle_at_most=timedelta(hours=2),
            indexer_passed=self._passed,
            in_flight=lambda uid: uid in self.way.flying,
            now=lambda: utc_now() + self.ahead,
            today=self._today,
            admitted=self._admitted,
            log=way.log,
        )

    def _today(self) -> date:
        return (utc_now() + self.ahead).date()

    def run(self) -> int:
        return self.admission.run()

    def _judge(self, view: StudyView) -> Verdict:
        return self.judge(view)

    def _passed(self, until: datetime) -> bool:
        self.asked.append(until)
        return self.passed

    def _admitted(self) -> None:
        self.admitted += 1


@pytest.fixture
def desk(way: Line) -> Desk:
    return Desk(way)


def verdict_lines(way: Line) -> list[dict[str, Any]]:
    return [fields for _, event, fields in way.log.lines if event == "verdict"]


def elsewhere(work: Callable[[], object]) -> None:
    """Something that another thread does meanwhile."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_a_study_is_left_alone_while_it_may_still_grow(way: Line, desk: Desk) -> None:
    sent = way.receive(1)
    desk.run()
    assert way.study(sent.uid) == "receiving"
    desk.ahead = timedelta(seconds=61)
    desk.run()
    assert way.study(sent.uid) == "accepted"


def test_a_study_is_not_settled_before_the_indexer_has_passed_its_quiet_time(way: Line, desk: Desk) -> None:
    sent = way.receive(1)
    found = studies.find(way.catalog, sent.uid)
    assert found is not None
    desk.ahead, desk.passed = timedelta(seconds=61), False
    desk.run()
    assert way.study(sent.uid) == "receiving"
    assert desk.asked == [found.last_arrival + timedelta(seconds=60)]
    desk.passed = True
    desk.run()
    assert way.study(sent.uid) == "accepted"


def test_a_study_in_the_middle_of_a_message_is_waited_for(way: Line, desk: Desk) -> None:
    sent, other = way.receive(1), way.receive(1)
    way.flying.add(sent.uid)
    desk.ahead = timedelta(seconds=61)
    desk.run()
    assert way.study(sent.uid) == "receiving"
    assert way.study(other.uid) == "accepted"


def test_a_study_that_never_rests_is_settled_after_the_longest_time(way: Line, desk: Desk) -> None:
    sent = way.receive(1)
    way.flying.add(sent.uid)
    desk.passed = False
    desk.ahead = timedelta(hours=2, seconds=1)
    desk.run()
    assert way.study(sent.uid) == "accepted"


def test_each_verdict_is_one_line_without_patient_data(way: Line, desk: Desk) -> None:
    passed, held = way.receive(2), way.receive(1)
    desk.ahead = timedelta(seconds=61)
    desk.judge = lambda view: HELD if view.study.study_instance_uid == held.uid else Verdict(True)
    assert desk.run() == 2
    found = {line["study"]: (line["passed"], line["rules"], line["instances"]) for line in verdict_lines(way)}
    assert found == {passed.uid: (True, [], 2), held.uid: (False, ["COD-01"], 1)}
    assert "010190" not in repr(way.log.lines)


def test_the_queue_is_told_only_when_something_was_admitted(way: Line, desk: Desk) -> None:
    way.receive(1)
    desk.ahead = timedelta(seconds=61)
    desk.judge = lambda view: HELD
    desk.run()
    assert desk.admitted == 0
    way.receive(1)
    desk.ahead = timedelta(seconds=122)
    desk.judge = lambda view: Verdict(True)
    desk.run()
    assert desk.admitted == 1


def test_a_held_study_is_judged_again_when_its_question_is_opened(way: Line, desk: Desk) -> None:
    sent = way.receive(1)
    desk.ahead = timedelta(seconds=61)
    desk.judge = lambda view: HELD
    desk.run()
    desk.judge = lambda view: Verdict(True)
    assert desk.run() == 0
    assert way.study(sent.uid) == "held"
    studies.recheck(way.catalog, [sent.uid])
    assert desk.run() == 1
    assert way.study(sent.uid) == "accepted"


def test_a_verdict_on_facts_that_moved_on_is_dropped_and_made_again(way: Line, desk: Desk) -> None:
    sent = way.receive(1)
    desk.ahead = timedelta(seconds=61)
    revisions: list[tuple[int, int]] = []

    def judge(view: StudyView) -> Verdict:
        revisions.append((view.revision, view.facts_version))
        if len(revisions) == 1:
            desk.judge = judge
            elsewhere(lambda: studies.recheck(way.catalog, [sent.uid]))
            elsewhere(lambda: way.receive(1, uid=sent.uid))
            return Verdict(True)
        return HELD

    desk.judge = judge
    desk.run()
    assert way.entry(sent.uid)["state"] == "none"
    desk.ahead = timedelta(seconds=200)
    desk.run()
    assert way.study(sent.uid) == "held"
    assert revisions[-1] > revisions[0]


def test_a_study_that_cannot_be_judged_is_held_with_that_reason_and_stops_no_other(way: Line, desk: Desk) -> None:
    bad, good = way.receive(1), way.receive(1)
    desk.ahead = timedelta(seconds=61)

    def judge(view: StudyView) -> Verdict:
        if view.study.study_instance_uid == bad.uid:
            raise ZeroDivisionError("a rule with a fault")
        return Verdict(True)

    desk.judge = judge
    assert desk.run() == 2
    assert way.study(good.uid) == "accepted"
    assert desk.run() == 0
    assert way.study(bad.uid) == "held"
    (finding,) = studies.show(way.catalog, bad.uid)["findings"]
    assert (finding["rule"], finding["severity"]) == ("QUA-02", "hold")
    assert "ZeroDivisionError" in finding["message"]
    assert [fields["study"] for level, _, fields in way.log.lines if level == "error"] == [bad.uid]
    desk.judge = lambda view: Verdict(True)
    assert studies.recheck(way.catalog, [bad.uid]) == 1
    assert desk.run() == 1
    assert way.study(bad.uid) == "accepted"


def test_a_catalog_that_goes_away_ends_the_run(way: Line, desk: Desk) -> None:
    sent = way.receive(1)
    desk.ahead = timedelta(seconds=61)

    def away(view: StudyView) -> Verdict:
        raise CatalogUnavailableError("locked")

    desk.judge = away
    with pytest.raises(CatalogUnavailableError):
        desk.run()
    desk.judge = lambda view: Verdict(True)
    desk.run()
    assert way.study(sent.uid) == "accepted"


WAITING = FindingRecord(rule="CON-01", severity="hold", where="", message="opens tomorrow", remedy="wait")


def test_a_study_whose_day_has_come_is_judged_again_by_itself(way: Line, desk: Desk) -> None:
    waits, other = way.receive(1), way.receive(1)
    desk.ahead = timedelta(seconds=61)
    tomorrow = desk._today() + timedelta(days=1)
    judged: list[str] = []

    def judge(view: StudyView) -> Verdict:
        judged.append(view.study.study_instance_uid)
        if desk._today() < tomorrow:
            again = tomorrow if view.study.study_instance_uid == waits.uid else None
            return Verdict(False, (WAITING,), look_again_on=again)
        return Verdict(True)

    desk.judge = judge
    assert desk.run() == 2
    assert desk.run() == 0
    judged.clear()
    desk.ahead += timedelta(days=1)
    assert desk.run() == 1
    assert judged == [waits.uid]
    assert (way.study(waits.uid), way.study(other.uid)) == ("accepted", "held")
    assert desk.run() == 0


def test_a_verdict_made_before_midnight_and_recorded_after_it_is_made_again(way: Line, desk: Desk) -> None:
    sent = way.receive(1)
    desk.ahead = timedelta(seconds=61)
    tomorrow = desk._today() + timedelta(days=1)

    def judge(view: StudyView) -> Verdict:
        desk.ahead += timedelta(days=1)
        desk.judge = lambda view: Verdict(True)
        return Verdict(False, (WAITING,), look_again_on=tomorrow)

    desk.judge = judge
    desk.run()
    assert way.study(sent.uid) == "held"
    desk.run()
    assert way.study(sent.uid) == "accepted"


def test_many_studies_share_transactions_and_one_that_fails_stops_no_other(
    way: Line, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = [way.receive(1) for _ in range(4)]
    desk.ahead = timedelta(seconds=61)
    whole = studies.record_verdict

    def fail_one(catalog: Any, view: StudyView, passed: bool, *rest: Any, **more: Any) -> bool:
        if view.study.study_instance_uid == sent[1].uid and passed:
            raise ZeroDivisionError("a fault in recording")
        return whole(catalog, view, passed, *rest, **more)

    monkeypatch.setattr(studies, "record_verdict", fail_one)
    assert desk.run() == 4
    assert [way.study(one.uid) for one in sent] == ["accepted", "held", "accepted", "accepted"]


def test_a_study_that_always_moves_on_is_left_to_the_next_run(way: Line, desk: Desk) -> None:
    sent, other = way.receive(1), way.receive(1)
    desk.ahead = timedelta(seconds=61)

    def judge(view: StudyView) -> Verdict:
        if view.study.study_instance_uid == sent.uid:
            elsewhere(lambda: studies.recheck(way.catalog, [sent.uid]))
        return Verdict(True)

    desk.judge = judge
    assert desk.run() == 1
    assert (way.study(sent.uid), way.study(other.uid)) == ("settled", "accepted")
    assert [event for _, event, _ in way.log.lines].count("the study changes faster than it is judged") == 1
    desk.judge = lambda view: Verdict(True)
    assert desk.run() == 1
    assert way.study(sent.uid) == "accepted"
