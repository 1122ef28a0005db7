"""C-MOVE and C-GET: counts, statuses, cancel, and askers and destinations that break off or stand still."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom.filereader import read_dataset

from kuva_gateway.forward import outcome
from kuva_gateway.forward.call import Call
from kuva_gateway.forward.outgoing import OpenFile, Sendable
from kuva_gateway.network import Command, Timers, commands
from kuva_gateway.network.sending import FileSlice, Part
from kuva_gateway.scp import move, suboperations
from kuva_gateway.scp.suboperations import Counts
from tests.support import wait_until
from tests.unit.catalog.making import HETU
from tests.unit.forward.archive import Archive, Script, running
from tests.unit.network.peers import p_data, pdv
from tests.unit.scp.conftest import CT, EXPLICIT, IMPLICIT
from tests.unit.scp.querying import Querying, identifier, querying
from tests.unit.scp.retrieving import (
    ALL_FAILED,
    CANCELLED,
    PENDING,
    SOME_FAILED,
    STUDY_GET,
    STUDY_MOVE,
    SUCCESS,
    UNKNOWN,
    Answer,
    Asker,
)


@dataclass
class House:
    """A gateway that holds study 1.2.1 with four images, and the destination ARCHIVE that a test scripts."""

    gateway: Querying
    archive: Archive
    script: Script


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    script = Script()
    with ExitStack() as stack:
        archive = stack.enter_context(running(script))
        call = Call(
            name="archive",
            host="127.0.0.1",
            port=archive.port,
            called_ae="ARCHIVE",
            calling_ae="KUVAGW",
            timers=Timers(connect=5, associate=5, message=5, send_stall=5, response=5, release=1, closing=0.5),
        )
        callee = {"ARCHIVE": call}.get
        gateway = stack.enter_context(querying(tmp_path / "state", allow=("move", "get"), callee=callee))
        gateway.hospital.send("1.2.1", 4)
        yield House(gateway, archive, script)


def test_a_move_sends_everything_and_counts_it(house: House) -> None:
    with Asker(house.gateway, STUDY_MOVE) as asker:
        asker.move(StudyInstanceUID="1.2.1")
        *pending, final = asker.answers()
    assert all(one.status == PENDING and sum(one.counts) == 4 for one in pending)  # type: ignore[arg-type]
    assert (final.status, final.counts, final.data_set) == (SUCCESS, (None, 4, 0, 0), b"")
    assert house.archive.instances == [f"1.2.1.1.{number}" for number in range(1, 5)]
    assert house.archive.associations == 1


def test_a_get_sends_everything_on_the_association_that_asked(house: House) -> None:
    with Asker(house.gateway, STUDY_GET) as asker:
        asker.get(StudyInstanceUID="1.2.1")
        first, final = asker.answers()
        assert asker.received == [f"1.2.1.1.{number}" for number in range(1, 5)]
    assert (first.status, first.counts) == (PENDING, (3, 1, 0, 0))
    assert (final.status, final.counts) == (SUCCESS, (None, 4, 0, 0))


def test_what_an_asker_may_only_get_it_may_not_store(house: House) -> None:
    with Asker(house.gateway, STUDY_GET) as asker:
        request = Command(
            field=commands.C_STORE_RQ, message_id=1, affected_class=CT, affected_instance="1.2", has_data_set=True
        )
        asker.send(p_data(pdv(3, 3, commands.encode(request))) + p_data(pdv(3, 2, b"")))
        command, _ = asker._message()
    assert (command.status, command.error_comment) == (0x0124, "this context is for what is sent to you by C-GET")


def test_one_refused_instance_is_named_and_the_others_go_on(house: House) -> None:
    house.script.status = lambda uid: 0xC001 if uid.endswith(".2") else 0xB007 if uid.endswith(".3") else 0
    with Asker(house.gateway, STUDY_MOVE) as asker:
        asker.move(StudyInstanceUID="1.2.1")
        final = asker.answers()[-1]
    assert (final.status, final.counts, final.failed_uids) == (SOME_FAILED, (None, 2, 1, 1), ["1.2.1.1.2"])
    assert final.command.error_comment == "1 failed: C001 cannot understand"


def test_an_instance_whose_file_is_gone_fails_alone(house: House) -> None:
    spool = house.gateway.hospital.spool
    victim = next(iter(spool.instances()))
    spool.instance_path(victim).unlink()
    with Asker(house.gateway, STUDY_GET) as asker:
        asker.get(StudyInstanceUID="1.2.1")
        final = asker.answers()[-1]
        assert (final.status, final.counts) == (SOME_FAILED, (None, 3, 1, 0))
        assert set(final.failed_uids) | set(asker.received) == {f"1.2.1.1.{number}" for number in range(1, 5)}
    [line] = wait_until(lambda: house.gateway.log.of("a stored image cannot be sent"), what="the log line")
    assert [line["sop_instance"]] == final.failed_uids
    assert "spool verify" in line["remedy"]


def test_a_file_that_breaks_off_ends_a_get_and_costs_a_move_one_instance(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a disk fails between the look at a file's length and its last byte."""
    real = suboperations.open_outgoing

    @contextmanager
    def torn(open_file: OpenFile, instance: Sendable, into: str, **more: Any) -> Iterator[Sequence[Part]]:
        with real(open_file, instance, into, **more) as (whole,):
            assert isinstance(whole, FileSlice)
            missing = 1000 if instance.sop_instance == "1.2.1.1.2" else 0
            yield (replace(whole, length=whole.length + missing),)

    monkeypatch.setattr(suboperations, "open_outgoing", torn)
    with Asker(house.gateway, STUDY_MOVE) as asker:
        asker.move(StudyInstanceUID="1.2.1")
        final = asker.answers()[-1]
    assert (final.status, final.counts, final.failed_uids) == (SOME_FAILED, (None, 3, 1, 0), ["1.2.1.1.2"])
    assert house.archive.associations == 2
    with Asker(house.gateway, STUDY_GET) as asker:
        asker.get(StudyInstanceUID="1.2.1")
        assert asker.answer().status == PENDING
        with pytest.raises(AssertionError, match="not type 7"):  # A-ABORT
            asker.answer()
        assert asker.received == ["1.2.1.1.1"]


def test_what_was_not_negotiated_fails_with_the_reason(house: House) -> None:
    house.script.classes = ["1.2.840.10008.5.1.4.1.1.4"]
    with ExitStack() as stack:
        other = stack.enter_context(running(house.script))
        callee = {"ARCHIVE": _call(other.port)}.get
        gateway = stack.enter_context(querying(house.gateway.hospital.spool.root / "x", allow=("move",), callee=callee))
        gateway.hospital.send("1.2.1", 2)
        asker = stack.enter_context(Asker(gateway, STUDY_MOVE))
        asker.move(StudyInstanceUID="1.2.1")
        final = asker.answers()[-1]
    assert (final.status, final.counts) == (ALL_FAILED, (None, 0, 2, 0))
    assert final.command.error_comment.startswith("2 failed: context presentation context not accepted")


@pytest.mark.parametrize("accepted", [IMPLICIT, EXPLICIT])
def test_a_destination_gets_uncompressed_images_in_the_syntax_that_it_takes(house: House, accepted: str) -> None:
    house.script.syntaxes = [accepted]
    with ExitStack() as stack:
        other = stack.enter_context(running(house.script))
        callee = {"ARCHIVE": _call(other.port)}.get
        gateway = stack.enter_context(querying(house.gateway.hospital.spool.root / "x", allow=("move",), callee=callee))
        gateway.hospital.send("1.2.1", 2)
        asker = stack.enter_context(Asker(gateway, STUDY_MOVE))
        asker.move(StudyInstanceUID="1.2.1")
        final = asker.answers()[-1]
    assert (final.status, final.counts) == (SUCCESS, (None, 2, 0, 0))
    assert {syntax for _, syntax, _ in other.stored} == {accepted}
    read = [read_dataset(BytesIO(other.data[uid]), accepted == IMPLICIT, True) for uid in other.instances]
    assert [(one.SOPInstanceUID, one.PatientID, one.StudyDescription) for one in read] == [
        (f"1.2.1.1.{number}", HETU, "GD1AD Thorax TT") for number in (1, 2)
    ]
    assert other.associations == 1


def test_an_asker_of_implicit_little_endian_alone_gets_what_is_stored_in_explicit(house: House) -> None:
    with Asker(house.gateway, STUDY_GET, syntaxes=(IMPLICIT,)) as asker:
        asker.get(StudyInstanceUID="1.2.1")
        final = asker.answers()[-1]
        assert asker.received == [f"1.2.1.1.{number}" for number in range(1, 5)]
    assert (final.status, final.counts) == (SUCCESS, (None, 4, 0, 0))
    read = [read_dataset(BytesIO(data), True, True) for data in asker.data]
    assert [one.SOPInstanceUID for one in read] == asker.received


def _call(port: int) -> Call:
    return Call(name="archive", host="127.0.0.1", port=port, called_ae="ARCHIVE", calling_ae="KUVAGW")


def test_nobody_by_that_name_is_a801(house: House) -> None:
    with Asker(house.gateway, STUDY_MOVE) as asker:
        asker.move("STRANGER", StudyInstanceUID="1.2.1")
        assert asker.answer().status == UNKNOWN
        asker.move(StudyInstanceUID="1.2.99")
        nothing = asker.answer()
    assert (nothing.status, nothing.counts) == (SUCCESS, (None, 0, 0, 0))


def test_a_cancelled_get_stops_after_the_instance_in_hand(house: House) -> None:
    with Asker(house.gateway, STUDY_GET) as asker:
        asker.get(StudyInstanceUID="1.2.1")
        assert asker.answer().status == PENDING
        asker.cancel()
        final = asker.answers()[-1]
    assert final.status == CANCELLED
    assert sum(final.counts) == 4  # type: ignore[arg-type]
    assert final.counts[0]
    assert len(asker.received) == final.counts[1]


def test_a_cancelled_move_stops_after_the_instance_in_hand(house: House) -> None:
    reached, go = threading.Event(), threading.Event()

    def status(uid: str) -> int:
        reached.set()
        assert go.wait(20)
        return 0

    house.script.status = status
    with Asker(house.gateway, STUDY_MOVE) as asker:
        asker.move(StudyInstanceUID="1.2.1")
        assert reached.wait(20)
        asker.cancel()
        # The gateway listens while it waits for the destination; only then the instance in hand may end.
        wait_until(lambda: any(thread.name == "move to archive" for thread in threading.enumerate()))
        association = house.gateway.acceptor.associations()[0]
        wait_until(lambda: 7 in association._cancelled, what="the cancel to be heard")
        go.set()
        final = asker.answers()[-1]
    assert (final.status, final.counts) == (CANCELLED, (3, 1, 0, 0))


def test_an_asker_that_waits_for_a_slow_destination_hears_that_the_gateway_is_at_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(move, "PENDING_AT_LEAST_EVERY", 0.05)
    heard = threading.Event()

    def status(uid: str) -> int:
        assert heard.wait(20)
        return 0

    house.script.status = status
    with Asker(house.gateway, STUDY_MOVE) as asker:
        asker.move(StudyInstanceUID="1.2.1")
        told = [asker.answer() for _ in range(3)]
        assert [(one.status, one.counts) for one in told] == [(PENDING, (4, 0, 0, 0))] * 3
        heard.set()
        assert asker.answers()[-1].status == SUCCESS


def test_an_asker_that_goes_away_ends_the_move(house: House) -> None:
    reached = threading.Event()

    def silent(uid: str) -> bool:
        reached.set()
        return True

    house.script.silent_at = silent
    with Asker(house.gateway, STUDY_MOVE) as asker:
        asker.move(StudyInstanceUID="1.2.1")
        assert reached.wait(20)
    wait_until(lambda: not any(thread.name == "move to archive" for thread in threading.enumerate()), timeout=4)
    assert house.archive.requests == ["1.2.1.1.1"], "nothing more was sent"
    (line,) = wait_until(lambda: house.gateway.log.of("retrieval"))
    assert line["status"] == ""


def test_a_destination_that_breaks_off_again_and_again_is_given_up(house: House) -> None:
    house.script.close_at = lambda uid: True
    with Asker(house.gateway, STUDY_MOVE) as asker:
        asker.move(StudyInstanceUID="1.2.1")
        final = asker.answers()[-1]
    assert (final.status, final.counts) == (ALL_FAILED, (None, 0, 4, 0))
    assert len(final.failed_uids) == 4
    assert house.archive.associations == 3


def test_latest_images_that_are_not_indexed_yet_are_waited_for_or_refused(house: House) -> None:
    house.gateway.indexed = False
    with Asker(house.gateway, STUDY_GET) as asker:
        asker.get(StudyInstanceUID="1.2.1")
        assert asker.answer().status == 0xA700
        house.gateway.indexed = True
        asker.get(StudyInstanceUID="1.2.1")
        assert asker.answers()[-1].status == SUCCESS


@pytest.mark.parametrize("field", [commands.C_MOVE_RQ, commands.C_GET_RQ])
def test_a_key_that_is_a_pattern_or_missing_is_a900(house: House, field: int) -> None:
    model = STUDY_MOVE if field == commands.C_MOVE_RQ else STUDY_GET
    with Asker(house.gateway, model) as asker:
        for keys in ({}, {"StudyInstanceUID": "1.2.*"}, {"QueryRetrieveLevel": "NONSENSE"}):
            asker.ask(field, model, identifier(**keys), destination="ARCHIVE")
            answer = asker.answer()
            assert (answer.status, bool(answer.command.offending)) == (0xA900, True)


def test_the_list_of_failed_instances_is_bounded() -> None:
    counts = Counts(total=3000)
    for number in range(3000):
        counts.note(f"1.2.3.9{number:049}", outcome.unreadable("gone"))
    final = counts.final(EXPLICIT, cancelled=False)
    assert final.data_set is not None
    assert len(final.data_set) < 65_536 + 8
    assert len(Answer(Command(field=0), final.data_set).failed_uids) > 1000
    assert final.failed == 3000
