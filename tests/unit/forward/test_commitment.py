"""Asking for storage commitment: a scripted archive, and Orthanc, which reports on an association of its own."""

from __future__ import annotations

import threading
import time

import pytest

from kuva_gateway.errors import CatalogUnavailableError
from kuva_gateway.forward.commitment import Question, ask
from kuva_gateway.forward.outcome import Kind, Outcome, Scope
from kuva_gateway.forward.references import Result
from tests.support import free_port
from tests.unit.forward.archive import Report, Script, running
from tests.unit.forward.instances import CT
from tests.unit.forward.test_deliver import call_to

FIRST = Question(transaction_uid="2.25.1", references=((CT, "1.2.1"), (CT, "1.2.2")))
SECOND = Question(transaction_uid="2.25.2", references=((CT, "1.2.3"),))


class Heard:
    """What was told while asking."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Outcome]] = []
        self.results: list[Result] = []

    def on_asked(self, question: Question, found: Outcome) -> None:
        self.asked.append((question.transaction_uid, found))

    def on_result(self, result: Result) -> None:
        self.results.append(result)

    def ask(self, port: int, *questions: Question, wait: float = 5.0, count: int | None = None) -> Outcome | None:
        wanted = len(questions) if count is None else count
        return ask(
            call_to(port),
            questions,
            on_asked=self.on_asked,
            on_result=self.on_result,
            wait=wait,
            enough=lambda: len(self.results) >= wanted,
        )


def test_results_on_the_same_association_are_heard() -> None:
    heard = Heard()
    with running(Script(reports=lambda uid, refs: [Report(committed=refs, delay=0.5)])) as archive:
        assert heard.ask(archive.port, FIRST, SECOND) is None
        assert archive.associations == 1
    assert [uid for uid, found in heard.asked if found.stored] == ["2.25.1", "2.25.2"]
    assert {r.transaction_uid: r.committed for r in heard.results} == {
        "2.25.1": FIRST.references,
        "2.25.2": SECOND.references,
    }


def test_a_result_for_part_of_the_instances_names_the_others_with_their_reasons() -> None:
    heard = Heard()
    script = Script(reports=lambda uid, refs: [Report(committed=refs[:1], failed=[(*refs[1], 0x0112)])])
    with running(script) as archive:
        heard.ask(archive.port, FIRST)
    [result] = heard.results
    assert result.committed == FIRST.references[:1]
    assert result.failed == ((CT, "1.2.2", 0x0112),)


def test_no_result_is_waited_for_no_longer_than_said() -> None:
    heard = Heard()
    with running(Script(reports=lambda uid, refs: [])) as archive:
        begun = time.monotonic()
        assert heard.ask(archive.port, FIRST, wait=0.5) is None
        assert time.monotonic() - begun < 5
    assert heard.results == []
    assert [uid for uid, _ in heard.asked] == ["2.25.1"]


def test_waiting_ends_when_the_results_came_another_way() -> None:
    heard = Heard()
    elsewhere = threading.Event()
    with running(Script(reports=lambda uid, refs: [])) as archive:
        threading.Timer(0.3, elsewhere.set).start()
        begun = time.monotonic()
        ask(
            call_to(archive.port),
            [FIRST],
            on_asked=heard.on_asked,
            on_result=heard.on_result,
            wait=30,
            enough=elsewhere.is_set,
        )
        assert time.monotonic() - begun < 10


def test_the_same_result_twice_is_heard_twice_and_answered_with_success() -> None:
    heard = Heard()
    with running(Script(reports=lambda uid, refs: [Report(committed=refs), Report(committed=refs)])) as archive:
        heard.ask(archive.port, FIRST, count=2)
    assert len(heard.results) == 2
    assert archive.answers == [0, 0]


def test_a_result_that_cannot_be_recorded_now_is_answered_with_failure_so_that_it_comes_again() -> None:
    def away(result: Result) -> None:
        raise CatalogUnavailableError("locked")

    with running() as archive:
        ask(call_to(archive.port), [FIRST], on_asked=lambda q, o: None, on_result=away, wait=1.0)
    assert archive.answers == [0x0110]


@pytest.mark.parametrize("status", [0x0110, 0x0213, 0x0122])
def test_a_refused_request_tells_its_status(status: int) -> None:
    heard = Heard()
    with running(Script(action_status=status)) as archive:
        heard.ask(archive.port, FIRST, wait=0.2)
    [(_, found)] = heard.asked
    assert found.code == f"{status:04X}"
    assert not found.stored


def test_an_archive_without_storage_commitment_is_named_as_such() -> None:
    heard = Heard()
    with running(Script(commitment=False)) as archive:
        found = heard.ask(archive.port, FIRST)
    assert found is not None
    assert (found.kind, found.scope, found.code) == (Kind.PERSON, Scope.DESTINATION, "no-commitment")
    assert heard.asked == []


def test_nobody_there_is_the_destinations_matter() -> None:
    found = Heard().ask(free_port(), FIRST)
    assert found is not None
    assert found.scope is Scope.DESTINATION
