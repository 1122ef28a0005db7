"""Askers that stop reading or go away, catalogs that do, and keys that are meant to hurt: the next one is served."""

from __future__ import annotations

import socket
import sqlite3
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kuva_gateway.catalog.attributes import ATTRIBUTES
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.forward.call import Call
from kuva_gateway.network import Command, commands, pdus
from kuva_gateway.network.negotiation import request_bytes
from kuva_gateway.scp.suboperations import Counts
from tests.support import wait_until
from tests.unit.network.peers import RawPeer, RecordingServices, listening, p_data, pdv, propose
from tests.unit.scp.conftest import EXPLICIT, TIMERS
from tests.unit.scp.querying import PATIENT_ROOT, STUDY_ROOT, Querying, ask, crowd, identifier, querying
from tests.unit.scp.retrieving import PATIENT_GET, PATIENT_MOVE, SOME_FAILED, STUDY_GET, STUDY_MOVE, SUCCESS, Asker

MANY = 10_000
OUT_OF_RESOURCES = 0xA700


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Querying]:
    """Ten thousand studies; who takes nothing for a second is cut off."""
    timers = replace(TIMERS, send_stall=1)
    with querying(tmp_path_factory.mktemp("crowded"), timers=timers) as found:
        crowd(found.hospital, MANY)
        with found.hospital.catalog.write() as session:  # answers that do not all fit into the system's buffers
            session.execute("UPDATE studies SET description = ?", "D" * 1000)
        yield found


@contextmanager
def asking(gateway: Querying) -> Iterator[RawPeer]:
    """A query for everything, of whose answers nothing was read yet."""
    with RawPeer(gateway.port, timeout=60) as peer:
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        contexts = propose((STUDY_ROOT, EXPLICIT))
        peer.send(request_bytes(called_ae="KUVAGW", calling_ae="PACS", contexts=contexts, roles={}, length=16384))
        assert peer.pdu()[0] == 2
        request = Command(
            field=commands.C_FIND_RQ, message_id=1, affected_class=STUDY_ROOT, priority=0, has_data_set=True
        )
        wanted = identifier(StudyDescription="")
        peer.send(p_data(pdv(1, 3, commands.encode(request))) + p_data(pdv(1, 2, wanted)))
        yield peer


def held() -> tuple[int, int]:
    """Threads and connections of this process, in which both sides are; the catalog keeps files open as it likes."""
    opened = []
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            opened.append(path.readlink())
    return threading.active_count(), sum(str(path).startswith("socket:") for path in opened)


def nothing_beyond(before: tuple[int, int]) -> bool:
    return all(now <= then for now, then in zip(held(), before, strict=True))


@pytest.mark.slow
def test_an_asker_that_stops_reading_is_cut_off_and_costs_nobody_else_anything(crowded: Querying) -> None:
    before, ended = held(), len(crowded.log.of("association"))
    with asking(crowded) as peer:
        assert peer.pdu()[0] == 4
        assert crowded.find(PatientID="nobody").statuses == [SUCCESS]
        lines = wait_until(lambda: crowded.log.of("association")[ended + 1 :], what="the end of the one that waits")
        assert "send" in lines[0]["how"]
    wait_until(lambda: nothing_beyond(before), what="threads and connections as before")


def reset(peer: RawPeer) -> None:
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def abort(peer: RawPeer) -> None:
    peer.send(pdus.abort_bytes(0, 0))


def hang_up(peer: RawPeer) -> None:
    peer.socket.shutdown(socket.SHUT_WR)


@pytest.mark.slow
@pytest.mark.parametrize("leave", [reset, abort, hang_up])
def test_an_asker_that_goes_in_the_middle_of_ten_thousand_answers_leaves_nothing(
    crowded: Querying, leave: Callable[[RawPeer], None]
) -> None:
    before, ended = held(), len(crowded.log.of("association"))
    with asking(crowded) as peer:
        for _ in range(200):
            assert peer.pdu()[0] == 4
        leave(peer)
    wait_until(lambda: len(crowded.log.of("association")) > ended, what="the association's end")
    wait_until(lambda: nothing_beyond(before), what="threads and connections as before")
    assert crowded.find(PatientID="nobody").statuses == [SUCCESS]


def test_an_asker_of_images_that_goes_in_the_middle_of_one_leaves_nothing(keyed: Querying) -> None:
    before, ended = held(), len(keyed.log.of("association"))
    with Asker(keyed, PATIENT_GET) as asker:
        asker.get(QueryRetrieveLevel="PATIENT", PatientID=ODD)
        assert asker.pdu()[0] == 4  # the first image, which is not answered
    wait_until(lambda: len(keyed.log.of("association")) > ended, what="the association's end")
    wait_until(lambda: nothing_beyond(before), what="threads and connections as before")
    assert keyed.log.of("retrieval")[-1]["completed"] == 0
    with Asker(keyed, PATIENT_GET) as asker:
        asker.get(QueryRetrieveLevel="PATIENT", PatientID=ODD)
        assert asker.answers()[-1].counts == (None, 2, 0, 0)


# -- a catalog that goes away ------------------------------------------------------------------------------------------


class Away:
    """A database whose disk fails from the moment that it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, good_for: int = 1 << 30) -> None:
        self.good_for = good_for
        connect = Catalog._connect

        def maybe(catalog: Catalog) -> Any:
            self.good_for -= 1
            if self.good_for < 0:
                raise sqlite3.OperationalError("disk I/O error")
            return connect(catalog)

        monkeypatch.setattr(Catalog, "_connect", maybe)


def test_a_catalog_that_goes_away_between_answers_ends_the_query_and_the_next_is_served(
    crowded: Querying, monkeypatch: pytest.MonkeyPatch
) -> None:
    with crowded.associate() as association:
        away = Away(monkeypatch, good_for=5)
        found = ask(association, identifier())
        assert found.final == OUT_OF_RESOURCES
        assert 0 < len(found.data_sets) < MANY
        assert found.comment == "the catalog is away for now: ask again"
        away.good_for = 1 << 30
        assert ask(association, identifier(StudyInstanceUID="1.2.0.77")).statuses == [0xFF00, SUCCESS]


def test_a_catalog_that_goes_away_between_studies_fails_the_rest_of_a_move(
    keyed: Querying, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = RecordingServices()
    noted = Counts.note

    def note(counts: Counts, sop_instance: str, found: Any) -> None:
        noted(counts, sop_instance, found)
        away.good_for = 0

    with listening(services) as acceptor, Asker(keyed, PATIENT_MOVE) as asker:
        CALLS["ARCHIVE"] = Call(
            name="archive", host="127.0.0.1", port=acceptor.ports[0], called_ae="ARCHIVE", calling_ae="KUVAGW"
        )
        keys = {"QueryRetrieveLevel": "PATIENT", "PatientID": ODD}
        away = Away(monkeypatch)
        with monkeypatch.context() as patched:
            patched.setattr(Counts, "note", note)
            asker.move(**keys)
            final = asker.answers()[-1]
        assert (final.status, final.counts) == (SOME_FAILED, (None, 1, 1, 0))
        assert final.command.error_comment == "1 failed: the catalog is away"
        away.good_for = 0
        asker.move(**keys)
        assert asker.answers()[-1].status == 0xA701
        away.good_for = 1 << 30
        asker.move(**keys)
        assert asker.answers()[-1].counts == (None, 2, 0, 0)


# -- keys that are meant to hurt ---------------------------------------------------------------------------------------

ODD = "50%_[x]'\"; --"
HURTFUL = ("%", "_", "x' OR '1'='1", '"', "[A-Z]", "'; DROP TABLE studies; --", "%s{}:x$1", "\0\x7f", "*'%_*", 64 * "?")
CALLS: dict[str, Call] = {}


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Querying]:
    """Two studies of a patient whose ID is made of metacharacters, and one of another."""
    folder = tmp_path_factory.mktemp("keyed")
    with querying(folder, allow=("find", "move", "get"), callee=CALLS.get) as found:
        for study, patient in (("1.2.1", ODD), ("1.2.2", ODD), ("1.2.3", "500 x")):
            found.hospital.send(study, 1, PatientID=patient)
        yield found


def element(tag: int, vr: str, value: bytes) -> bytes:
    """In explicit little endian; pydicom would not write such values."""
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    if vr == "SQ":
        item = struct.pack("<HHL", 0xFFFE, 0xE000, len(value)) + value
        return head + struct.pack("<HL", 0, len(item)) + item
    return head + struct.pack("<H", len(value)) + value


def hurtful(tag: int, value: str) -> bytes:
    """An identifier with this value for a key, or for the first member of a sequence."""
    attribute = ATTRIBUTES[tag]
    data = value.encode() + b" " * (len(value) % 2)
    if attribute.vr == "SQ":
        data = element(*attribute.members[0], data)
    level = attribute.level.name.encode()
    parts = {0x00080052: element(0x00080052, "CS", level + b" " * (len(level) % 2))}
    parts[tag] = element(tag, attribute.vr, data)
    return b"".join(parts[one] for one in sorted(parts))


@pytest.mark.parametrize("value", HURTFUL)
def test_no_key_takes_a_metacharacter_for_more_than_a_letter(keyed: Querying, value: str) -> None:
    with keyed.associate(PATIENT_ROOT) as association:
        for tag, attribute in ATTRIBUTES.items():
            found = ask(association, hurtful(tag, value))
            if attribute.kind.value == "none":  # answered and not matched
                assert found.final == SUCCESS, hex(tag)
            elif found.final == 0xA900:
                assert (found.offending, found.data_sets) == ((tag,), []), hex(tag)
            else:
                assert (found.final, found.data_sets) == (SUCCESS, []), hex(tag)
        assert len(ask(association, identifier(PatientID=ODD)).data_sets) == 2
        assert len(ask(association, identifier(PatientID="50%_[x]*--")).data_sets) == 2


def test_more_values_than_can_be_matched_are_refused_and_named(keyed: Querying) -> None:
    found = keyed.find(ModalitiesInStudy="\\".join(f"M{number}" for number in range(2000)))
    assert (found.statuses, found.offending) == ([0xA900], (0x00080061,))
    assert found.comment == "more than 100 values: ask in parts"


@pytest.mark.parametrize("field", [commands.C_MOVE_RQ, commands.C_GET_RQ])
def test_ten_mebibytes_of_identifier_are_too_much_to_retrieve_by(keyed: Querying, field: int) -> None:
    model = STUDY_MOVE if field == commands.C_MOVE_RQ else STUDY_GET
    with Asker(keyed, model) as asker:
        request = Command(field=field, message_id=3, affected_class=model, priority=0, has_data_set=True)
        asker.send(p_data(pdv(1, 3, commands.encode(request))))
        piece = p_data(pdv(1, 0, bytes(65_536)))
        for _ in range(160):
            asker.send(piece)
        asker.send(p_data(pdv(1, 2, b"")))
        assert asker.answer().status == OUT_OF_RESOURCES
        asker.ask(field, model, identifier(StudyInstanceUID="1.2.99"), destination="ARCHIVE")
        assert asker.answer().status in (SUCCESS, 0xA801)
