"""Storage commitment as SCP: what is committed to, who is told, how often, and when nobody is told any more."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel

from kuva_gateway.catalog import commitment_requests as requests
from kuva_gateway.catalog import entries, studies
from kuva_gateway.catalog.records import DestinationPlan
from kuva_gateway.errors import CatalogUnavailableError
from kuva_gateway.forward.call import Call
from kuva_gateway.network.timers import Timers
from kuva_gateway.queue.answering import Answering, Asker, WhenThere
from kuva_gateway.queue.backoff import Schedule
from tests.support import NoThreads, free_port, wait_until
from tests.unit.catalog.making import ARCHIVE, COPY, CT, Hospital
from tests.unit.queue.test_resting import Lines

MR = "1.2.840.10008.5.1.4.1.1.4"
HERE = [(CT, "1.2.1.1.1"), (CT, "1.2.1.1.2")]
TIMERS = Timers(connect=5, associate=5, response=5, release=5, closing=0.5)


class Modality:
    """A pynetdicom AE that hears reports; ``status`` is what it answers."""

    def __init__(self) -> None:
        self.port = free_port()
        self.status = 0x0000
        self.heard: list[tuple[int, str, list[str], list[tuple[str, int]], str]] = []

    def take(self, event: Any) -> tuple[int, None]:
        data = event.event_information
        self.heard.append(
            (
                event.event_type,
                str(data.TransactionUID),
                [str(item.ReferencedSOPInstanceUID) for item in data.get("ReferencedSOPSequence", [])],
                [
                    (str(item.ReferencedSOPInstanceUID), int(item.FailureReason))
                    for item in data.get("FailedSOPSequence", [])
                ],
                str(data.RetrieveAETitle),
            )
        )
        return self.status, None

    @contextmanager
    def listening(self, **roles: bool) -> Iterator[None]:
        ae = AE("CT1")
        ae.add_supported_context(StorageCommitmentPushModel, **(roles or {"scu_role": False, "scp_role": True}))
        server = ae.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, self.take)]
        )
        try:
            yield
        finally:
            server.shutdown()
            ae.shutdown()

    def asker(self, **changes: Any) -> Asker:
        call = Call(name="ct1", host="127.0.0.1", port=self.port, called_ae="CT1", calling_ae="KUVAGW", timers=TIMERS)
        values: dict[str, Any] = {
            "call": call,
            "when_archived": False,
            "schedule": Schedule.parse("2x1m,1x10m"),
            "give_up_after": timedelta(hours=1),
            **changes,
        }
        return Asker(**values)


class Desk:
    """An Answering with one peer, and a switch for whether arrivals are indexed."""

    def __init__(self, hospital: Hospital, modality: Modality, **changes: Any) -> None:
        self.hospital, self.lines = hospital, Lines()
        self.indexed = True
        self.answering = Answering(
            hospital.catalog,
            hospital.spool,
            {"ct1": modality.asker(**changes)},
            ae_title="KUVAGW",
            indexed=lambda moment: self.indexed,
            now=hospital.clock,
            rng=random.Random(1),
            log=self.lines,
        )

    def ask(self, references: Any = HERE, uid: str = "2.25.1") -> str:
        return self.answering.take("ct1", uid, references)

    def later(self, **time: float) -> None:
        """Some time passes, and what is due is looked after."""
        self.hospital.clock.forward(**(time or {"seconds": 11}))
        self.answering.look_after("ct1")

    def shown(self) -> dict[str, Any]:
        (row,) = requests.listing(self.hospital.catalog)
        return dict(row)


@pytest.fixture
def modality() -> Modality:
    return Modality()


@pytest.fixture
def desk(hospital: Hospital, modality: Modality) -> Desk:
    hospital.send()
    return Desk(hospital, modality)


def reasons(desk: Desk, references: Any) -> dict[str, int]:
    """What is reported of each instance; 0: committed."""
    desk.ask(references, "2.25.9")
    found = desk.answering.ready("ct1", "2.25.9", 0)
    assert found is not None
    return {**{uid: 0 for _, uid in found.committed}, **{uid: reason for _, uid, reason in found.failed}}


def test_what_is_stored_is_committed_and_the_peer_is_told_on_an_association_of_ours(
    desk: Desk, modality: Modality
) -> None:
    assert desk.ask() == "soon"
    with modality.listening():
        desk.later()
    assert modality.heard == [(1, "2.25.1", ["1.2.1.1.1", "1.2.1.1.2"], [], "KUVAGW")]
    shown = desk.shown()
    assert (shown["state"], shown["instances"], shown["failed"], shown["attempts"]) == ("reported", 2, 0, 1)


def test_a_peer_that_answers_no_role_selection_is_told_all_the_same(desk: Desk, modality: Modality) -> None:
    desk.ask()
    with modality.listening(scu_role=None, scp_role=None):
        desk.later()
    assert len(modality.heard) == 1


def test_each_instance_that_cannot_be_committed_has_its_own_reason(desk: Desk, modality: Modality) -> None:
    missing = desk.hospital.spool.instance_path(
        bytes(desk.hospital.column("SELECT digest FROM instances WHERE uid = '1.2.1.1.2'")[0]).hex()
    )
    missing.unlink()
    desk.ask([(CT, "1.2.1.1.1"), (CT, "9.9.9"), (MR, "1.2.1.1.1"), (CT, "1.2.1.1.2")])
    with modality.listening():
        desk.later()
    failed = [("9.9.9", 0x0112), ("1.2.1.1.1", 0x0119), ("1.2.1.1.2", 0x0110)]
    assert modality.heard == [(2, "2.25.1", ["1.2.1.1.1"], failed, "KUVAGW")]


def test_a_file_that_is_cut_short_is_not_committed_to(desk: Desk) -> None:
    digest = bytes(desk.hospital.column("SELECT digest FROM instances WHERE uid = '1.2.1.1.1'")[0]).hex()
    path = desk.hospital.spool.instance_path(digest)
    path.write_bytes(path.read_bytes()[:-1])
    assert reasons(desk, HERE) == {"1.2.1.1.1": 0x0110, "1.2.1.1.2": 0}


def test_a_request_waits_for_what_arrived_before_it(desk: Desk, modality: Modality) -> None:
    desk.indexed = False
    desk.ask([(CT, "1.2.5.1.1")])
    with modality.listening():
        desk.later()
        assert modality.heard == []
        desk.hospital.send("1.2.5", 1)
        desk.indexed = True
        desk.later()
    assert [heard[2] for heard in modality.heard] == [["1.2.5.1.1"]]


def test_one_who_does_not_hear_is_told_again_by_the_schedule_and_then_given_up(desk: Desk, modality: Modality) -> None:
    desk.ask()
    desk.later()
    assert (desk.shown()["state"], desk.shown()["attempts"]) == ("waiting", 1)
    assert "unreachable" in desk.shown()["last_error"]
    desk.later(seconds=30)
    assert desk.shown()["attempts"] == 1  # not due yet
    desk.later(seconds=45)
    assert desk.shown()["attempts"] == 2
    modality.status = 0x0110
    with modality.listening():
        desk.later(minutes=2)
    assert (len(modality.heard), desk.shown()["attempts"]) == (1, 3)
    desk.later(hours=2)
    assert desk.shown()["state"] == "given up"
    assert ("error", "commitment report given up") in [line[:2] for line in desk.lines.lines]
    with modality.listening():
        desk.later(days=1)
    assert len(modality.heard) == 1


def test_the_report_is_the_same_however_often_it_goes_out(desk: Desk, modality: Modality) -> None:
    desk.ask([(CT, "1.2.1.1.1"), (CT, "1.2.7.1.1")])
    desk.later()
    desk.hospital.send("1.2.7", 1)
    with modality.listening():
        desk.later(minutes=2)
    assert modality.heard == [(2, "2.25.1", ["1.2.1.1.1"], [("1.2.7.1.1", 0x0112)], "KUVAGW")]


def test_a_report_that_the_asking_association_heard_goes_out_no_more(desk: Desk, modality: Modality) -> None:
    desk.ask()
    assert desk.answering.ready("ct1", "2.25.1", 0) is not None
    desk.answering.told("ct1", "2.25.1", 0x0000)
    assert desk.shown()["state"] == "reported"
    with modality.listening():
        desk.later()
    assert modality.heard == []


@pytest.mark.parametrize("status", [None, 0x0110])
def test_one_that_it_did_not_hear_goes_out_at_once(desk: Desk, modality: Modality, status: int | None) -> None:
    desk.ask()
    assert desk.answering.ready("ct1", "2.25.1", 0) is not None
    desk.answering.told("ct1", "2.25.1", status)
    with modality.listening():
        desk.later(seconds=0)
    assert len(modality.heard) == 1


def test_while_the_asking_association_may_be_told_nobody_else_is(desk: Desk, modality: Modality) -> None:
    desk.ask()
    assert desk.answering.ready("ct1", "2.25.1", 0) is not None
    with modality.listening():
        desk.later(seconds=5)
        assert modality.heard == []
        desk.later(seconds=6)  # the process that had it is gone
        assert len(modality.heard) == 1


def test_the_same_request_again_is_one_and_another_under_its_uid_is_refused(desk: Desk, modality: Modality) -> None:
    assert desk.ask() == "soon"
    assert desk.ask(list(reversed(HERE))) == "later"
    assert desk.ask(HERE[:1]) == "refused"
    with modality.listening():
        desk.later()
        assert len(modality.heard) == 1
        assert desk.ask(HERE[:1]) == "soon"  # the first has ended: the UID is free
        desk.later()
    assert [len(heard[2]) for heard in modality.heard] == [2, 1]


def test_two_peers_may_use_one_transaction_uid(hospital: Hospital) -> None:
    at = hospital.clock()
    assert requests.take(hospital.catalog, "ct1", "2.25.1", HERE, at) is requests.Taken.NEW
    assert requests.take(hospital.catalog, "ct2", "2.25.1", HERE[:1], at) is requests.Taken.NEW
    assert requests.peers_due(hospital.catalog, at) == ["ct1", "ct2"]


def archive_it(hospital: Hospital, destination: str = "archive") -> None:
    entry = hospital.deliver(destination)
    rows = hospital.rows("SELECT instance_id FROM ledger WHERE destination = ?", destination)
    with hospital.catalog.write() as session:
        for row in rows:
            session.execute(
                "UPDATE ledger SET state = 'committed' WHERE destination = ? AND instance_id = ?",
                destination,
                row["instance_id"],
            )
    assert entry.destination == destination


def test_with_commit_when_archived_the_report_waits_for_every_required_destination(
    hospital: Hospital, modality: Modality
) -> None:
    second = DestinationPlan(name="second", commitment=False)
    hospital.accept(destinations=(ARCHIVE, second, COPY))
    desk = Desk(hospital, modality, when_archived=True, give_up_after=timedelta(days=7))
    assert desk.ask() == "later"
    with modality.listening():
        desk.later()
        archive_it(hospital)
        desk.later()
        assert modality.heard == []
        hospital.deliver("second")  # offers no commitment: sent is all there is
        desk.later(minutes=1)
    assert [heard[:3] for heard in modality.heard] == [(1, "2.25.1", ["1.2.1.1.1", "1.2.1.1.2"])]


def test_what_will_not_be_archived_fails_at_once_and_what_is_not_in_time_fails_then(
    hospital: Hospital, modality: Modality
) -> None:
    hospital.hold("1.2.1")
    hospital.send("1.2.2", 1)
    desk = Desk(hospital, modality, when_archived=True)
    studies.reject(hospital.catalog, "1.2.1", by="anna", reason="a phantom")
    with modality.listening():
        desk.ask(HERE, "2.25.1")
        desk.ask([(CT, "1.2.2.1.1")], "2.25.2")
        desk.later()
        assert [heard[:2] for heard in modality.heard] == [(2, "2.25.1")]
        desk.later(minutes=61)
    assert modality.heard[1] == (2, "2.25.2", [], [("1.2.2.1.1", 0x0110)], "KUVAGW")


def test_a_peer_without_an_address_or_out_of_the_configuration_is_given_up(hospital: Hospital) -> None:
    hospital.send()
    desk = Desk(hospital, Modality(), call=None)
    desk.ask()
    requests.take(hospital.catalog, "gone", "2.25.1", HERE, hospital.clock())
    desk.later()
    desk.answering.look_after("gone")
    assert {row["peer"]: row["state"] for row in requests.listing(hospital.catalog)} == {
        "ct1": "given up",
        "gone": "given up",
    }


# pynetdicom leaves the socket of an association that is aborted under its handler to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_peer_that_is_stuck_holds_up_no_other_and_a_stop_ends_the_wait(hospital: Hospital) -> None:
    stuck, well = Modality(), Modality()
    hospital.send()
    desk = Desk(hospital, well)
    desk.answering._askers = {"ct1": well.asker(), "stuck": stuck.asker()}
    reached, let_go = threading.Event(), threading.Event()

    def wait(event: Any) -> tuple[int, None]:
        reached.set()
        let_go.wait(20)
        return 0x0000, None

    stuck.take = wait  # type: ignore[method-assign]
    desk.ask()
    desk.answering.take("stuck", "2.25.2", HERE)
    hospital.clock.forward(seconds=11)
    with stuck.listening(), well.listening():
        desk.answering.tick()
        assert reached.wait(20)
        wait_until(lambda: len(well.heard) == 1)
        desk.answering.tick()  # the stuck one is not told twice at a time
        desk.answering.stop(10)
        let_go.set()
    row = next(row for row in requests.listing(hospital.catalog) if row["peer"] == "stuck")
    assert (row["state"], row["attempts"]) == ("waiting", 0)


def test_without_a_catalog_nothing_is_promised() -> None:
    away = WhenThere(lambda: None)
    for call in (lambda: away.take("ct1", "1.2", []), lambda: away.ready("ct1", "1.2", 0)):
        with pytest.raises(CatalogUnavailableError):
            call()


def test_only_failures_are_kept_of_a_request_that_has_ended(desk: Desk, modality: Modality) -> None:
    desk.ask([*HERE, (CT, "9.9.9")])
    with modality.listening():
        desk.later()
    assert desk.hospital.column("SELECT asked FROM commitment_requests") == [f'[["{CT}","9.9.9",274]]']
    assert entries.next_due(desk.hospital.catalog, "archive") is None


def test_without_a_thread_a_report_waits_for_the_next_tick(
    desk: Desk, modality: Modality, no_threads: NoThreads
) -> None:
    desk.ask()
    with modality.listening():
        desk.hospital.clock.forward(seconds=11)
        with no_threads():
            desk.answering.tick()
        desk.answering.tick()
        wait_until(lambda: desk.shown()["state"] == "reported")
        desk.answering.stop(10)
