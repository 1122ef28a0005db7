"""Storage commitment in every way in which an archive may answer, late, twice, for others, or never (STC-01)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import generate_uid
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel

from kuva_gateway.catalog import commitments, entries
from kuva_gateway.errors import CatalogUnavailableError
from kuva_gateway.forward.references import read_result
from tests.support import wait_until
from tests.unit.forward.archive import Reference, Report, Script, data_set_of, running, send_report
from tests.unit.forward.instances import CT
from tests.unit.forward.orthanc import orthanc
from tests.unit.queue.line import Line, destination, line


@pytest.fixture
def way(tmp_path: Path) -> Iterator[Line]:
    with line(tmp_path) as made:
        yield made


@contextmanager
def reports_taken(way: Line) -> Iterator[int]:
    """An acceptor that hands results on as the gateway's own does: to ``Commitments.on_result``."""

    def report(event: evt.Event) -> tuple[int, None]:
        result = read_result(event.request.EventInformation.getvalue(), str(event.context.transfer_syntax))
        if way.commitments is not None:
            way.commitments.on_result("archive", result.transaction_uid, result.committed, result.failed)
        return 0x0000, None

    ae = AE(ae_title="KUVAGW")
    ae.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
    server: Any = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, report)])
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


def test_results_on_an_association_of_the_archives_own_archive_the_study(way: Line) -> None:
    with reports_taken(way) as port:
        script = Script(same_association=False, report_to=("127.0.0.1", port, "KUVAGW"))
        with running(script) as archive:
            way.start(destination(archive.port))
            sent = way.receive(3)
            way.accept()
            way.wait_for(sent.uid, "archived")
            wait_until(lambda: archive.answers == [0])
            assert way.study(sent.uid) == "archived"
            way.stop()


def test_one_that_reports_on_its_own_associations_is_asked_many_at_once(way: Line) -> None:
    with reports_taken(way) as port:
        script = Script(same_association=False, report_to=("127.0.0.1", port, "KUVAGW"))
        with running(script) as archive:
            way.start(destination(archive.port))
            way.wait_for(accepted(way)[0], "archived")
            way.stop()
            way.build(destination(archive.port))
            assert way.runner is not None
            way.runner.start()
            uids = accepted(way, 5)
            for uid in uids:
                way.wait_for(uid, "sent")
            way.stop()
            before = archive.associations
            way.start(destination(archive.port))
            for uid in uids:
                way.wait_for(uid, "archived")
            assert archive.associations - before < 5
            way.stop()


def accepted(way: Line, count: int = 1) -> list[str]:
    """Put studies in and have them accepted."""
    uids = [way.receive(1).uid for _ in range(count)]
    way.accept()
    return uids


def test_a_late_result_is_taken_on_a_new_association(way: Line) -> None:
    with reports_taken(way) as port:
        script = Script(
            same_association=False,
            report_to=("127.0.0.1", port, "KUVAGW"),
            reports=lambda uid, refs: [Report(committed=refs, delay=2.0)],
        )
        with running(script) as archive:
            way.start(destination(archive.port, commitment_wait="100ms"))
            sent = way.receive(1)
            way.accept()
            way.wait_for(sent.uid, "sent")
            way.wait_for(sent.uid, "archived")
            assert len(archive.asked) == 1
            way.stop()


def test_orthanc_as_the_archive(way: Line, tmp_path: Path) -> None:
    with (
        reports_taken(way) as port,
        orthanc(tmp_path / "orthanc", report_port=port) as archive,
    ):
        way.start(destination(archive.port))
        sent = way.receive(4)
        way.accept()
        way.wait_for(sent.uid, "archived", timeout=40)
        assert way.study(sent.uid) == "archived"
        way.stop()


def test_a_result_twice_changes_nothing_the_second_time(way: Line) -> None:
    with running(Script(reports=lambda uid, refs: [Report(committed=refs), Report(committed=refs)])) as archive:
        way.start(destination(archive.port))
        sent = way.receive(2)
        way.accept()
        way.wait_for(sent.uid, "archived")
        transaction, references = archive.asked[0]
        assert way.commitments is not None
        way.commitments.on_result("archive", transaction, references, ())
        assert way.entry(sent.uid)["committed"] == 2
        assert way.study(sent.uid) == "archived"
        way.stop()


def test_a_result_in_parts_archives_when_the_last_part_is_there(way: Line) -> None:
    def parts(uid: str, refs: list[Reference]) -> Iterable[Report]:
        return [Report(committed=refs[:1]), Report(committed=refs[1:], delay=0.3)]

    with running(Script(reports=parts)) as archive:
        way.start(destination(archive.port))
        sent = way.receive(3)
        way.accept()
        way.wait_for(sent.uid, "archived")
        assert len(archive.asked) == 1
        way.stop()


def test_results_for_other_instances_and_other_transactions_are_harmless(way: Line) -> None:
    stranger = (CT, str(generate_uid(None)))
    script = Script(
        reports=lambda uid, refs: [
            Report(committed=[stranger], transaction="2.25.404"),
            Report(committed=[stranger, refs[0]], failed=[(*stranger, 0x0112)]),
            Report(committed=refs),
        ]
    )
    with running(script) as archive:
        way.start(destination(archive.port))
        sent = way.receive(2)
        way.accept()
        way.wait_for(sent.uid, "archived")
        assert sorted(archive.requests) == sorted(sent.instances)
        assert [event for _, event, _ in way.log.lines if event == "a commitment result for nobody"]
        way.stop()


def test_a_result_from_another_destination_does_not_count(way: Line) -> None:
    with running(Script(reports=lambda uid, refs: [])) as archive:
        way.start(destination(archive.port, commitment_wait="100ms"), destination(archive.port, name="other"))
        sent = way.receive(1)
        way.accept()
        way.wait_for(sent.uid, "sent")
        wait_until(lambda: len(archive.asked) == 2)
        found = {commitments.find(way.catalog, uid).destination: (uid, refs) for uid, refs in archive.asked}  # type: ignore[union-attr]
        assert way.commitments is not None
        uid, references = found["archive"]
        way.commitments.on_result("other", uid, references, ())
        assert way.entry(sent.uid)["state"] == "sent"
        way.commitments.on_result("archive", uid, references, ())
        assert way.entry(sent.uid)["state"] == "archived"
        way.stop()


def test_no_such_instance_is_sent_again_and_only_that_one(way: Line) -> None:
    """0112: the archive has lost one of three."""
    asked: list[str] = []

    def reports(uid: str, refs: list[Reference]) -> Iterable[Report]:
        asked.append(uid)
        if len(asked) == 1:
            return [Report(committed=refs[1:], failed=[(*refs[0], 0x0112)])]
        return [Report(committed=refs)]

    with running(Script(reports=reports)) as archive:
        way.start(destination(archive.port))
        sent = way.receive(3)
        way.accept()
        way.wait_for(sent.uid, "archived")
        way.stop()
    lost = archive.asked[0][1][0][1]
    assert archive.requests.count(lost) == 2
    assert len(archive.requests) == 4
    assert [reference[1] for reference in archive.asked[1][1]] == [lost]


def test_an_archive_that_loses_everything_is_not_hammered(way: Line) -> None:
    script = Script(reports=lambda uid, refs: [Report(failed=[(*ref, 0x0112) for ref in refs])])
    with running(script) as archive:
        way.start(destination(archive.port, retry="1x100ms,5x30s"))
        sent = way.receive(1)
        way.accept()
        wait_until(lambda: len(archive.requests) >= 2)
        deferred = way.wait_for(sent.uid, "deferred")
        assert deferred["next_attempt_at"] is not None
        with pytest.raises(pytest.fail.Exception):
            wait_until(lambda: len(archive.requests) > 3, timeout=2)
        way.stop()


@pytest.mark.parametrize("reason", [0x0119, 0x0122])
def test_a_conflict_is_for_a_person_with_the_reason(way: Line, reason: int) -> None:
    script = Script(reports=lambda uid, refs: [Report(committed=refs[1:], failed=[(*refs[0], reason)])])
    with running(script) as archive:
        way.start(destination(archive.port))
        sent = way.receive(3)
        way.accept()
        entry = way.wait_for(sent.uid, "failed")
        assert entry["last_error"]["code"] == f"{reason:04X}"
        assert entry["committed"] == 2
        assert len(archive.requests) == 3
        way.stop()


def test_a_result_that_lacks_one_and_refuses_another_is_for_a_person_once(way: Line) -> None:
    def reports(uid: str, refs: list[Reference]) -> Iterable[Report]:
        if len(refs) == 3:
            return [Report(committed=refs[2:], failed=[(*refs[0], 0x0112), (*refs[1], 0x0119)])]
        return [Report(committed=refs)]

    with running(Script(reports=reports)) as archive:
        way.start(destination(archive.port))
        sent = way.receive(3)
        way.accept()
        entry = way.wait_for(sent.uid, "failed")
        assert entry["last_error"]["code"] == "0119"
        assert len(archive.requests) == 3
        entries.retry(way.catalog, [entry["id"]], by="anna")
        assert way.runner is not None
        way.runner.wake("archive")
        way.wait_for(sent.uid, "archived")
        assert len(archive.requests) == 5
        way.stop()


def test_a_duplicate_transaction_is_asked_again_under_a_new_one(way: Line) -> None:
    asked: list[str] = []

    def reports(uid: str, refs: list[Reference]) -> Iterable[Report]:
        asked.append(uid)
        return [Report(failed=[(*ref, 0x0131) for ref in refs]) if len(asked) == 1 else Report(committed=refs)]

    with running(Script(reports=reports)) as archive:
        way.start(destination(archive.port))
        sent = way.receive(2)
        way.accept()
        way.wait_for(sent.uid, "archived")
        assert len(set(asked)) == 2
        assert len(archive.requests) == 2
        way.stop()


@pytest.mark.parametrize(
    "reason",
    [0x0131, pytest.param(0x0213, marks=pytest.mark.slow), pytest.param(0x0110, marks=pytest.mark.slow)],
)
def test_an_archive_that_always_puts_us_off_is_asked_by_the_schedule(way: Line, reason: int) -> None:
    script = Script(reports=lambda uid, refs: [Report(failed=[(*ref, reason) for ref in refs])])
    with running(script) as archive:
        way.start(destination(archive.port, retry="1x100ms,5x30s"))
        sent = way.receive(1)
        way.accept()
        wait_until(lambda: len(archive.asked) >= 2)
        with pytest.raises(pytest.fail.Exception):
            wait_until(lambda: len(archive.asked) > 3, timeout=2)
        assert way.entry(sent.uid)["state"] == "sent"
        assert len(archive.requests) == 1
        assert len({uid for uid, _ in archive.asked}) == len(archive.asked)
        way.stop()


def test_a_result_that_could_not_be_written_whole_is_taken_when_it_comes_again(
    way: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(Script(reports=lambda uid, refs: [])) as archive:
        way.start(destination(archive.port, commitment_wait="100ms"))
        sent = way.receive(1)
        way.accept()
        wait_until(lambda: archive.asked)
        [(transaction, references)] = archive.asked
        failed = [(*references[0], 0x0119)]
        commitments_in_hand = way.commitments
        assert commitments_in_hand is not None
        with monkeypatch.context() as away:
            away.setattr(entries, "mark_failed", _away)
            with pytest.raises(CatalogUnavailableError):
                commitments_in_hand.on_result("archive", transaction, (), failed)
        commitments_in_hand.on_result("archive", transaction, (), failed)
        assert way.entry(sent.uid)["state"] == "failed"
        way.stop()


def _away(*arguments: object) -> int:
    raise CatalogUnavailableError("locked")


def test_silence_is_asked_again_under_a_new_transaction_and_nothing_is_sent_again(way: Line) -> None:
    asked: list[str] = []

    def reports(uid: str, refs: list[Reference]) -> Iterable[Report]:
        asked.append(uid)
        return [Report(committed=refs)] if len(asked) == 3 else []

    with running(Script(reports=reports)) as archive:
        way.start(destination(archive.port, commitment_wait="100ms", commitment_overdue="300ms"))
        sent = way.receive(2)
        way.accept()
        way.wait_for(sent.uid, "sent")
        wait_until(lambda: (way.commitments.wake(), way.entry(sent.uid)["state"] == "archived")[1])  # type: ignore[union-attr]
        assert len(set(asked)) == 3
        assert len(archive.requests) == 2
        way.stop()


def test_an_archive_that_never_answers_is_given_up_with_a_reason(way: Line) -> None:
    with running(Script(reports=lambda uid, refs: [])) as archive:
        way.start(destination(archive.port, commitment_wait="100ms", commitment_overdue="200ms", give_up_after="1s"))
        sent = way.receive(1)
        way.accept()
        wait_until(lambda: (way.commitments.wake(), way.entry(sent.uid)["state"] == "failed")[1])  # type: ignore[union-attr]
        assert way.entry(sent.uid)["last_error"]["code"] == "no-commitment-result"
        assert len(archive.requests) == 1
        way.stop()


def test_an_archive_that_cannot_be_asked_leaves_the_entry_sent_and_says_why(way: Line) -> None:
    with running(Script(commitment=False)) as archive:
        way.start(destination(archive.port))
        sent = way.receive(1)
        way.accept()
        way.wait_for(sent.uid, "sent")
        wait_until(lambda: [e for level, e, _ in way.log.lines if e == "commitment not asked" and level == "error"])
        assert len(archive.requests) == 1
        assert entries.destination_state(way.catalog, "archive").resting_until is None
        way.stop()


def test_what_was_delivered_and_not_asked_about_before_a_stop_is_asked_about_after_it(way: Line) -> None:
    with running() as archive:
        way.build(destination(archive.port))
        sent = way.receive(2)
        way.accept()
        assert way.runner is not None
        way.runner.start()
        way.wait_for(sent.uid, "sent")
        assert archive.asked == []
        way.stop()
        way.start(destination(archive.port))
        way.wait_for(sent.uid, "archived")
        assert len(archive.requests) == 2
        way.stop()


def test_a_result_from_a_stranger_after_everything_is_over_is_harmless(way: Line) -> None:
    with reports_taken(way) as port, running() as archive:
        way.start(destination(archive.port))
        sent = way.receive(1)
        way.accept()
        way.wait_for(sent.uid, "archived")
        transaction, references = archive.asked[0]
        late = Report(failed=[(*references[0], 0x0112)])
        data_set, kind = data_set_of(late, transaction)
        assert send_report(("127.0.0.1", port, "KUVAGW"), data_set, kind) == 0
        assert way.entry(sent.uid)["state"] == "archived"
        way.stop()


def test_studies_are_sent_and_asked_about_under_the_title_of_their_register_keeper(way: Line) -> None:
    keeper = "1.2.246.10.99999984.19.0"
    with running(Script(calling=("KUVATK",))) as archive:
        here = destination(archive.port, calling_ae_titles={keeper: "KUVATK"})
        way.start(here)
        sent = way.receive(2)
        way.keepers[sent.uid] = keeper
        way.accept()
        way.wait_for(sent.uid, "archived")
        strange = accepted(way)[0]
        wait_until(lambda: way.entry(strange)["last_error"])
        assert way.study(strange) == "accepted"
        way.stop()
