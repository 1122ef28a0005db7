"""Destinations of a C-MOVE: that break off, do not answer or want TLS; and what reaches them on the wire."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import trustme
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import CTImageStorage

from kuva_gateway.config import Configuration
from kuva_gateway.forward.call import Call
from kuva_gateway.network import AcceptedContext, Association, Command, Timers, commands, server_context
from kuva_gateway.parts.calling import call_peer
from kuva_gateway.scp import move
from kuva_gateway.scp.suboperations import Counts
from tests.support import wait_until
from tests.unit.forward.archive import running
from tests.unit.network.peers import MemorySink, Received, RecordingServices, listening
from tests.unit.scp.conftest import EXPLICIT
from tests.unit.scp.querying import Querying, querying
from tests.unit.scp.retrieving import (
    ALL_FAILED,
    CANCELLED,
    PATIENT_GET,
    PATIENT_MOVE,
    STUDY_MOVE,
    SUCCESS,
    Answer,
    Asker,
)

TIMERS = Timers(connect=60, associate=60, message=60, send_stall=60, response=60, release=5, closing=0.5)
LONG = bytes(6 << 20)
"""Pixels of an image that is more than the system buffers between two programs."""
UIDS = [f"1.2.1.1.{number}" for number in range(1, 5)]
CLASSES = [str(context.abstract_syntax) for context in AllStoragePresentationContexts]


@dataclass
class House:
    """A gateway with four images in study 1.2.1 and one in 1.2.2, both of patient P1, and whom it can call."""

    gateway: Querying
    calls: dict[str, Call]

    def knows(self, port: int, **more: Any) -> None:
        """ARCHIVE is at this port."""
        values = {"name": "archive", "host": "127.0.0.1", "called_ae": "ARCHIVE", "calling_ae": "KUVAGW"}
        self.calls["ARCHIVE"] = Call(**{**values, "port": port, "timers": TIMERS, **more})

    def move(self, **keys: str) -> Answer:
        """The final response to a C-MOVE of study 1.2.1 to ARCHIVE."""
        with Asker(self.gateway, STUDY_MOVE) as asker:
            asker.move(**(keys or {"StudyInstanceUID": "1.2.1"}))
            return asker.answers()[-1]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    calls: dict[str, Call] = {}
    with querying(tmp_path_factory.mktemp("house"), allow=("move", "get"), callee=calls.get) as gateway:
        gateway.hospital.send("1.2.1", 4, PatientID="P1")
        gateway.hospital.send("1.2.2", 1, PatientID="P1")
        yield House(gateway, calls)


# -- destinations that break off ---------------------------------------------------------------------------------------


def test_a_destination_that_ended_an_idle_association_is_called_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = RecordingServices()
    with listening(services) as acceptor:
        house.knows(acceptor.ports[0])
        noted = Counts.note

        def note(counts: Counts, sop_instance: str, found: Any) -> None:
            noted(counts, sop_instance, found)
            if sop_instance == UIDS[1]:
                acceptor.associations()[0].abort("idle for too long")
                wait_until(lambda: not acceptor._connections._incoming, what="A-ABORT to be on its way")

        monkeypatch.setattr(Counts, "note", note)
        final = house.move()
        assert (final.status, final.counts) == (SUCCESS, (None, 4, 0, 0))
        assert [one.command.affected_instance for one in services.stored] == UIDS
        assert len(services.requests) == 2


class TearingSink(MemorySink):
    """Aborts the association when the first bytes of a long data set come."""

    def write(self, view: memoryview) -> None:
        super().write(view)
        self.association.abort("restarted")

    association: Association


class Tearing(RecordingServices):
    """A destination that goes down in the middle of so many images."""

    tears = 1

    def store(self, association: Association, context: AcceptedContext, command: Command) -> MemorySink:
        if not self.tears:
            return MemorySink(self, Received(command, context))
        self.tears -= 1
        sink = TearingSink(self, Received(command, context))
        sink.association = association
        return sink


@pytest.mark.slow
@pytest.mark.parametrize(("tears", "status", "calls"), [(1, SUCCESS, 2), (99, ALL_FAILED, 3)])
def test_an_image_that_was_not_sent_whole_goes_once_more(tmp_path: Path, tears: int, status: int, calls: int) -> None:
    services = Tearing()
    services.tears = tears
    with ExitStack() as stack:
        acceptor = stack.enter_context(listening(services))
        known: dict[str, Call] = {}
        house = House(stack.enter_context(querying(tmp_path, allow=("move",), callee=known.get)), known)
        house.gateway.hospital.send("1.2.1", 2, PixelData=LONG, BitsAllocated=8)
        house.knows(acceptor.ports[0])
        final = house.move()
        assert (final.status, len(services.requests)) == (status, calls)
        whole = [one.command.affected_instance for one in services.stored if one.ended == "finished"]
        assert whole == (UIDS[:2] if status == SUCCESS else [])
        if status != SUCCESS:
            assert (final.counts, final.failed_uids) == ((None, 0, 2, 0), UIDS[:2])


# -- destinations that do not answer -----------------------------------------------------------------------------------


@contextmanager
def silent(*, full: bool) -> Iterator[tuple[int, socket.socket]]:
    """A port whose owner does nothing: does not read, or (``full``) does not even let anybody connect."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        if full:
            for _ in range(3):
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1], listener


def moving() -> bool:
    """Whether sub-operations are under way."""
    return any(thread.name == "move to archive" for thread in threading.enumerate())


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("goes", [False, True])
def test_nobody_waits_for_a_call_that_is_not_wanted_any_more(house: House, full: bool, goes: bool) -> None:
    """Its deadlines are a minute each."""
    with silent(full=full) as (port, _):
        house.knows(port)
        with Asker(house.gateway, STUDY_MOVE) as asker:
            asker.move(StudyInstanceUID="1.2.1")
            wait_until(moving)
            if not goes:
                asker.cancel()
                final = asker.answers()[-1]
                assert (final.status, final.counts) == (CANCELLED, (4, 0, 0, 0))
        wait_until(lambda: not moving(), what="the end of the move")


def test_a_cancel_breaks_off_an_image_that_the_destination_does_not_answer(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its deadline is a minute."""
    monkeypatch.setattr(move, "CANCEL_PATIENCE", 0.2)
    services = RecordingServices()
    services.may_finish.clear()
    with listening(services) as acceptor:
        house.knows(acceptor.ports[0])
        with Asker(house.gateway, STUDY_MOVE) as asker:
            asker.move(StudyInstanceUID="1.2.1")
            assert services.finishing.wait(20)
            asker.cancel()
            final = asker.answers()[-1]
        services.may_finish.set()
    assert (final.status, final.counts, final.failed_uids) == (CANCELLED, (3, 0, 1, 0), UIDS[:1])


@pytest.mark.slow
def test_a_sub_operation_that_takes_longer_than_we_let_a_peer_idle_ends_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The asker hears of it all the while: every four seconds, here often; a peer may idle for a second."""
    assert move.PENDING_AT_LEAST_EVERY + move.LISTEN_EVERY < 5
    monkeypatch.setattr(move, "PENDING_AT_LEAST_EVERY", 0.1)
    services = RecordingServices()
    services.may_finish.clear()
    known: dict[str, Call] = {}
    timers = replace(TIMERS, idle=1)
    with (
        listening(services) as acceptor,
        querying(tmp_path, allow=("move",), callee=known.get, timers=timers) as gateway,
    ):
        gateway.hospital.send("1.2.1", 2)
        House(gateway, known).knows(acceptor.ports[0])
        with pytest.raises(AssertionError, match="not type 7"), Asker(gateway, STUDY_MOVE) as idle:
            idle.answer()  # who only waits is cut off
        with Asker(gateway, STUDY_MOVE) as asker:
            asker.move(StudyInstanceUID="1.2.1")
            for _ in range(15):
                assert asker.answer().counts == (2, 0, 0, 0)
            services.may_finish.set()
            assert asker.answers()[-1].counts == (None, 2, 0, 0)


# -- what reaches them -------------------------------------------------------------------------------------------------


def test_a_move_over_tls_tells_the_destination_who_asked_and_by_which_message(house: House, tmp_path: Path) -> None:
    """PS3.7 9.1.1.1: Move Originator Application Entity Title and Message ID, as pynetdicom reads them."""
    authority = trustme.CA()
    for name, certificate in (("server", authority.issue_cert("127.0.0.1")), ("own", authority.issue_cert("gateway"))):
        certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / f"{name}.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    heard = []

    def stored(event: evt.Event) -> int:
        told = event.request
        heard.append((told.MoveOriginatorApplicationEntityTitle, told.MoveOriginatorMessageID, told.Priority))
        return 0

    ae = AE(ae_title="ARCHIVE")
    ae.add_supported_context(CTImageStorage, EXPLICIT)
    secured = server_context(tmp_path / "server.pem", tmp_path / "server.pem", tmp_path / "ca.pem")
    server = ae.start_server(
        ("127.0.0.1", 0), block=False, ssl_context=secured, evt_handlers=[(evt.EVT_C_STORE, stored)]
    )
    try:
        peer = {"name": "archive", "ae_title": "ARCHIVE", "host": "127.0.0.1", "port": server.server_address[1]}
        own = {"ca": "ca.pem", "certificate": "own.pem", "key": "own.pem"}
        configuration = Configuration.model_validate(
            {
                "environment": "test",
                "state_directory": str(tmp_path),
                "tls": {name: str(tmp_path / file) for name, file in own.items()},
                "peers": [{**peer, "require_tls": True}],
            }
        )
        call = call_peer(configuration, configuration.peers[0])
        assert call is not None
        house.calls["ARCHIVE"] = call
        final = house.move()
    finally:
        server.shutdown()
    assert (final.status, final.counts) == (SUCCESS, (None, 4, 0, 0))
    assert heard == [("PACS", 7, 0)] * 4


@pytest.mark.slow
def test_a_study_of_more_kinds_than_an_association_has_contexts_goes_over_several(tmp_path: Path) -> None:
    """PS3.8 9.3.2.2: at most 128 contexts; each kind is proposed in three transfer syntaxes."""
    known: dict[str, Call] = {}
    with querying(tmp_path, allow=("move",), callee=known.get) as gateway, running() as archive:
        for number, sop_class in enumerate(CLASSES[:130], 1):
            gateway.hospital.receive("1.2.1", instance=number, SOPClassUID=sop_class)
        gateway.hospital.index()
        house = House(gateway, known)
        house.knows(archive.port)
        final = house.move()
    assert (final.status, final.counts) == (SUCCESS, (None, 130, 0, 0))
    assert archive.instances == [f"1.2.1.1.{number}" for number in range(1, 131)]
    assert {syntax for _, syntax, _ in archive.stored} == {EXPLICIT}
    assert archive.associations == 4


# -- patient root ------------------------------------------------------------------------------------------------------

LEVELS = (
    ({"QueryRetrieveLevel": "PATIENT", "PatientID": "P1"}, 5),
    ({"QueryRetrieveLevel": "STUDY", "PatientID": "P1", "StudyInstanceUID": "1.2.1"}, 4),
    ({"QueryRetrieveLevel": "STUDY", "PatientID": "P2", "StudyInstanceUID": "1.2.1"}, 0),
    (
        {
            "QueryRetrieveLevel": "SERIES",
            "PatientID": "P1",
            "StudyInstanceUID": "1.2.2",
            "SeriesInstanceUID": "1.2.2.1",
        },
        1,
    ),
    (
        {
            "QueryRetrieveLevel": "IMAGE",
            "PatientID": "P1",
            "StudyInstanceUID": "1.2.1",
            "SeriesInstanceUID": "1.2.1.1",
            "SOPInstanceUID": "1.2.1.1.2\\1.2.1.1.3",
        },
        2,
    ),
)


@pytest.mark.parametrize("model", [PATIENT_MOVE, PATIENT_GET])
def test_every_level_of_the_patient_root_can_be_retrieved(house: House, model: str) -> None:
    services = RecordingServices()
    with listening(services) as acceptor:
        house.knows(acceptor.ports[0])
        with Asker(house.gateway, model) as asker:
            for keys, count in LEVELS:
                services.stored.clear()
                asker.received.clear()
                asker.move(**keys) if model == PATIENT_MOVE else asker.get(**keys)
                final = asker.answers()[-1]
                assert (final.status, final.counts) == (SUCCESS, (None, count, 0, 0)), keys
                assert len(services.stored if model == PATIENT_MOVE else asker.received) == count


def test_counts_say_no_more_than_their_sixteen_bits(house: House) -> None:
    """PS3.7 table 9.3-10: a patient with more images than that is moved all the same."""
    counts = Counts(total=200_000, completed=70_000)
    told = (counts.pending(), counts.final(EXPLICIT, cancelled=True))
    assert [(one.remaining, one.completed) for one in told] == [(65_535, 65_535)] * 2
    commands.encode(Command(field=0x8021, responded_to=1, remaining=told[0].remaining, completed=told[0].completed))
