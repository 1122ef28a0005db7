"""The requestor: to DCMTK's storescp and pynetdicom's AE, and to peers that do everything wrong."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import pytest
from pydicom import dcmread
from pydicom.filereader import read_file_meta_info
from pynetdicom import AE, evt

from kuva_gateway.errors import DamageError
from kuva_gateway.network import (
    Aborted,
    AssociationRejected,
    CannotConnect,
    Command,
    ConnectionLost,
    NetworkError,
    NoAnswer,
    NoContext,
    ProtocolViolation,
    Released,
    RequestorAssociation,
    Role,
    Stopped,
    TimedOut,
    Timers,
    commands,
    connect,
    pdus,
)
from kuva_gateway.network.negotiation import accept_bytes, read_items
from kuva_gateway.network.records import Answer
from tests.support import dcmtk, dcmtk_environment, free_port, wait_until
from tests.unit.network.peers import (
    COMMITMENT,
    CT,
    CT_FILE,
    EXPLICIT,
    IMPLICIT,
    MR,
    MR_FILE,
    QUICK,
    VERIFICATION,
    RawPeer,
    RecordingServices,
    listening,
    p_data,
    pdv,
    propose,
    target,
)

CONTEXTS = propose((VERIFICATION, IMPLICIT), (CT, EXPLICIT), (MR, EXPLICIT))


@contextmanager
def storescp(folder: Path, *options: str) -> Iterator[int]:
    """DCMTK's receiver on a free port."""
    port = free_port()
    receiver = subprocess.Popen(
        [dcmtk("storescp"), "-od", str(folder), *options, str(port)],
        env=dcmtk_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def listens() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
        return True

    try:
        wait_until(listens)
        yield port
    finally:
        receiver.send_signal(signal.SIGKILL)
        receiver.wait()


def send(association: RequestorAssociation, path: Path, **more: object):
    """Store a Part 10 file without decoding it."""
    meta = read_file_meta_info(path)
    offset = 128 + 4 + 12 + meta.FileMetaInformationGroupLength
    sop_class = str(meta.MediaStorageSOPClassUID)
    with path.open("rb") as file:
        return association.store(
            association.context_for(sop_class, str(meta.TransferSyntaxUID)),
            sop_class=sop_class,
            sop_instance=str(meta.MediaStorageSOPInstanceUID),
            descriptor=file.fileno(),
            offset=offset,
            length=path.stat().st_size - offset,
            **more,
        )


@pytest.mark.parametrize("options", [[], ["--max-pdu", "4096"], ["--max-pdu", "131072"]])
def test_storescp_writes_what_we_send(tmp_path, options):
    with storescp(tmp_path, *options) as port, connect(target(port), CONTEXTS, timers=QUICK) as association:
        assert association.echo() == 0
        assert send(association, CT_FILE).status == 0
        assert send(association, MR_FILE).status == 0
        assert association.traffic.instances_sent == 2
    written = {dcmread(path).SOPInstanceUID: dcmread(path) for path in tmp_path.iterdir()}
    for path in (CT_FILE, MR_FILE):
        data = dcmread(path)
        assert written[data.SOPInstanceUID].PixelData == data.PixelData
        assert written[data.SOPInstanceUID].PatientID == data.PatientID


def test_pynetdicom_takes_what_we_send():
    stored: list[bytes] = []

    def on_store(event):
        stored.append(event.request.DataSet.getvalue())
        return 0xB000

    ae = AE()
    ae.add_supported_context(CT, EXPLICIT)
    ae.maximum_pdu_size = 0
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, on_store)])
    try:
        with connect(target(server.server_address[1]), CONTEXTS, timers=QUICK) as association:
            assert list(association.contexts) == [3]
            assert send(association, CT_FILE, move_originator="PACS", move_originator_id=2).status == 0xB000
    finally:
        server.shutdown()
    raw = CT_FILE.read_bytes()
    assert raw.endswith(stored[0])


@pytest.mark.parametrize("room", [100, 16384, 0])
@pytest.mark.parametrize("length", [0, 2, 94, 5000, 262_132, 700_002])
def test_every_length_arrives_whole_in_every_size_of_pdu(tmp_path, room, length):
    path = tmp_path / "data"
    path.write_bytes(b"before" + os.urandom(length))
    services = RecordingServices()
    with (
        listening(services) as acceptor,
        connect(target(acceptor.ports[0]), propose((CT, EXPLICIT)), timers=QUICK) as association,
        path.open("rb") as file,
    ):
        association.room = room - 6 if room else 262_132
        answer = association.store(
            association.contexts[1], sop_class=CT, sop_instance="1.2", descriptor=file.fileno(), offset=6, length=length
        )
    assert answer.status == 0
    assert services.stored[0].data == path.read_bytes()[6:]


def test_commitment_is_asked_for_and_reported_on_the_same_association():
    reports: list[tuple[Command, bytes]] = []

    def on_action(event):
        threading.Thread(
            target=lambda: answers.append(
                event.assoc.send_n_event_report(dcmread(CT_FILE)[:0x00090000], 1, COMMITMENT, "1.2.840.10008.1.20.1.1")
            )
        ).start()
        return 0x0000, None

    answers: list[object] = []
    ae = AE()
    ae.add_supported_context(COMMITMENT, IMPLICIT, scu_role=True, scp_role=True)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_ACTION, on_action)])
    try:
        with connect(target(server.server_address[1]), propose((COMMITMENT, IMPLICIT)), timers=QUICK) as association:
            answer = association.action(
                association.context_for(COMMITMENT),
                sop_class=COMMITMENT,
                sop_instance="1.2.840.10008.1.20.1.1",
                action_type=1,
                data_set=b"\x08\0\x95\x11\x04\0\0\x001.2\0",
            )
            assert answer.status == 0
            assert association.wait_event(10, lambda command, data: reports.append((command, data)) or 0)
            assert not association.wait_event(0.05)
            assert association.open
    finally:
        server.shutdown()
    assert reports[0][0].event_type == 1
    assert len(reports[0][1]) > 50


def test_roles_are_agreed_with_pynetdicom():
    ae = AE()
    ae.add_supported_context(COMMITMENT, IMPLICIT, scu_role=False, scp_role=True)
    server = ae.start_server(("127.0.0.1", 0), block=False)
    try:
        with connect(
            target(server.server_address[1]),
            propose((COMMITMENT, IMPLICIT)),
            roles={COMMITMENT: Role(scu=False, scp=True)},
            timers=QUICK,
        ) as association:
            assert (association.contexts[1].scu, association.contexts[1].scp) == (False, True)
            with pytest.raises(NoContext):
                association.context_for(COMMITMENT)
    finally:
        server.shutdown()


class ScriptedServer:
    """Listens once, answers A-ASSOCIATE-RQ, then does what it is told with the socket."""

    def __init__(self, then: Callable[[ScriptedServer], None], *, length: int = 16384, accept: bool = True) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._then = then
        self._length = length
        self._accept = accept
        self.errors: list[BaseException] = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(20)
        self._listener.close()
        assert not self.errors

    def _run(self) -> None:
        connection, _ = self._listener.accept()
        connection.settimeout(15)
        with connection:
            self.socket = connection
            try:
                if self._accept:
                    self.associate()
                self._then(self)
            except BaseException as error:
                self.errors.append(error)

    read = RawPeer.read
    pdu = RawPeer.pdu
    send = RawPeer.send

    def associate(self) -> None:
        kind, body = self.pdu()
        assert kind == 1
        contexts = read_items(body, accept=False).contexts
        answers = {context.id: Answer(transfer_syntax=context.transfer_syntaxes[0]) for context in contexts}
        self.send(accept_bytes(body, answers, roles={}, length=self._length, identity=None))

    def until_closed(self) -> bytes:
        """Everything that still comes."""
        data = b""
        while piece := self.read(65536):
            data += piece
        return data


def echo_through(port: int, timers: Timers = QUICK) -> int:
    with connect(target(port), CONTEXTS, timers=timers) as association:
        return association.echo()


def response(message_id: int = 1, field: int = commands.C_ECHO_RSP, **more: object) -> bytes:
    return p_data(pdv(1, 3, commands.encode(Command(field=field, responded_to=message_id, status=0, **more))))


def test_nobody_there():
    with pytest.raises(CannotConnect, match="refused") as caught:
        connect(target(free_port()), CONTEXTS)
    assert not caught.value.sent
    assert isinstance(caught.value, NoAnswer)
    with pytest.raises(CannotConnect, match="no address"):
        connect(target(104, host="nobody.invalid"), CONTEXTS)


def test_a_rejection_is_told_in_words():
    def reject(server: ScriptedServer) -> None:
        server.pdu()
        server.send(pdus.reject_bytes(1, 1, 7))
        server.until_closed()

    with ScriptedServer(reject, accept=False) as server, pytest.raises(AssociationRejected) as caught:
        connect(target(server.port), CONTEXTS, timers=QUICK)
    error = caught.value
    assert (error.result, error.source, error.reason, error.permanent) == (1, 1, 7, True)
    assert error.meaning == "called AE title not recognized"
    assert error.code == "rejected-1-1-7"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (pdus.abort_bytes(2, 1), Aborted),
        (b"", ConnectionLost),
        (b"\x02\0\xff\xff\xff\xff", ProtocolViolation),
        (b"\x02\0\0\0\0\x05hello", ProtocolViolation),
        (pdus.RELEASE_RP_BYTES, ProtocolViolation),
        (b"SSH-2.0-OpenSSH", ProtocolViolation),
    ],
)
def test_nonsense_instead_of_an_acceptance(said, expected):
    def nonsense(server: ScriptedServer) -> None:
        server.pdu()
        server.send(said)

    with ScriptedServer(nonsense, accept=False) as server, pytest.raises(expected) as caught:
        connect(target(server.port), CONTEXTS, timers=QUICK)
    assert not caught.value.sent


def test_silence_instead_of_an_acceptance():
    with (
        ScriptedServer(lambda server: server.until_closed() and None, accept=False) as server,
        pytest.raises(TimedOut) as caught,
    ):
        connect(target(server.port), CONTEXTS, timers=Timers(associate=0.3, closing=0.2))
    assert caught.value.phase == "associate"


@pytest.mark.parametrize(
    ("said", "expected", "text"),
    [
        (pdus.abort_bytes(2, 6), Aborted, "invalid PDU parameter value"),
        (pdus.abort_bytes(0, 0), Aborted, "by the application"),
        (pdus.RELEASE_RQ_BYTES, Released, "released"),
        (b"", ConnectionLost, "closed by the peer"),
        (response(2), ProtocolViolation, "another request"),
        (response(1, commands.C_STORE_RSP), ProtocolViolation, "another request"),
        (p_data(pdv(99, 3, b"")), ProtocolViolation, "not accepted"),
        (p_data(pdv(1, 3, b"junk")), ProtocolViolation, "command set"),
        (b"\x04\0\xff\xff\xff\xff", ProtocolViolation, "4294967295"),
    ],
)
def test_instead_of_a_response(said, expected, text):
    """The request was complete, so its outcome is unknown: ``sent`` is true."""
    last: list[bytes] = []

    def answer(server: ScriptedServer) -> None:
        server.pdu()
        server.send(said)
        if said:
            last.append(server.until_closed())

    with ScriptedServer(answer) as server:
        association = connect(target(server.port), CONTEXTS, timers=QUICK)
        with pytest.raises(expected, match=text) as caught:
            association.echo()
        assert not association.open
        association.release()
    assert caught.value.sent
    if expected is ProtocolViolation:
        assert last[0][:1] == b"\x07"
    elif expected is Released:
        assert last == [pdus.RELEASE_RP_BYTES]


def test_no_response_in_time():
    with ScriptedServer(lambda server: server.until_closed() and None) as server:
        started = monotonic()
        with pytest.raises(TimedOut) as caught:
            echo_through(server.port, Timers(response=0.3, closing=0.2))
        assert monotonic() - started < 2
    assert (caught.value.phase, caught.value.sent) == ("response", True)


def test_a_response_byte_by_byte_has_its_own_deadline():
    def drip(server: ScriptedServer) -> None:
        server.pdu()
        server.socket.settimeout(0.05)
        for byte in response():
            try:
                server.socket.send(bytes([byte]))
                if not server.socket.recv(100):
                    return
            except TimeoutError:
                continue
            except OSError:
                return

    with ScriptedServer(drip) as server, pytest.raises(TimedOut) as caught:
        echo_through(server.port, Timers(message=0.3, closing=0.2))
    assert caught.value.phase == "message"


def test_the_time_for_a_response_grows_with_the_object(tmp_path):
    """PS3.7 sets none; a fixed one aborts transfers that were complete (a peer still writing a large object)."""
    path = tmp_path / "data"
    path.write_bytes(bytes(1_000_000))
    slow = threading.Event()

    def late(server: ScriptedServer) -> None:
        server.pdu()
        received = 0
        while received < 1_000_000:
            received += len(server.pdu()[1]) - 6
        slow.wait(0.8)
        server.send(response(1, commands.C_STORE_RSP))
        server.pdu()
        server.send(pdus.RELEASE_RP_BYTES)

    timers = Timers(response=0.2, minimum_rate=500_000)
    with (
        ScriptedServer(late) as server,
        connect(target(server.port), propose((CT, EXPLICIT)), timers=timers) as association,
        path.open("rb") as file,
    ):
        answer = association.store(
            association.contexts[1], sop_class=CT, sop_instance="1.2", descriptor=file.fileno(), offset=0, length=10**6
        )
    assert answer.status == 0


def big_store(port: int, path: Path, timers: Timers = QUICK, size: int = 40_000_000) -> NetworkError:
    path.touch()
    os.truncate(path, size)
    association = connect(target(port), propose((CT, EXPLICIT)), timers=timers)
    with path.open("rb") as file, pytest.raises(NetworkError) as caught:
        association.store(
            association.contexts[1], sop_class=CT, sop_instance="1.2", descriptor=file.fileno(), offset=0, length=size
        )
    return caught.value


def test_a_peer_that_stops_reading_is_noticed(tmp_path):
    done = threading.Event()
    with ScriptedServer(lambda server: done.wait(15) and None) as server:
        started = monotonic()
        error = big_store(server.port, tmp_path / "data", Timers(send_stall=0.5, closing=0.2))
        assert monotonic() - started < 4
        done.set()
    assert isinstance(error, TimedOut)
    assert (error.phase, error.sent) == ("send", False)


def test_an_abort_in_the_middle_of_a_large_object_is_told_as_one(tmp_path):
    def abort(server: ScriptedServer) -> None:
        server.pdu()
        server.pdu()
        server.send(pdus.abort_bytes(2, 4))
        server.until_closed()

    with ScriptedServer(abort) as server:
        error = big_store(server.port, tmp_path / "data", size=400_000_000)
    assert isinstance(error, Aborted)
    assert (error.source, error.reason, error.sent) == (2, 4, False)


def test_a_peer_that_hangs_up_in_the_middle_of_a_large_object(tmp_path):
    def hang_up(server: ScriptedServer) -> None:
        server.pdu()
        server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with ScriptedServer(hang_up) as server:
        error = big_store(server.port, tmp_path / "data")
    assert isinstance(error, ConnectionLost)
    assert not error.sent


def test_an_event_that_comes_while_we_wait_is_answered_first():
    events: list[tuple[int | None, bytes]] = []

    def report(server: ScriptedServer) -> None:
        server.pdu()
        event = Command(
            field=commands.N_EVENT_REPORT_RQ,
            message_id=77,
            affected_class=COMMITMENT,
            affected_instance="1.2.3",
            event_type=2,
            has_data_set=True,
        )
        server.send(p_data(pdv(1, 3, commands.encode(event)), pdv(1, 2, b"result")))
        answer = commands.decode(server.pdu()[1][6:])
        assert (answer.field, answer.responded_to, answer.status) == (commands.N_EVENT_REPORT_RSP, 77, 0x0112)
        assert (answer.event_type, answer.affected_instance) == (2, "1.2.3")
        server.send(response())
        assert server.pdu()[0] == 5
        server.send(pdus.RELEASE_RP_BYTES)

    def on_event(command: Command, data: bytes) -> int:
        events.append((command.event_type, data))
        return 0x0112

    with (
        ScriptedServer(report) as server,
        connect(target(server.port), CONTEXTS, timers=QUICK, on_event=on_event) as association,
    ):
        assert association.echo() == 0
    assert events == [(2, b"result")]


def test_a_request_of_the_peer_that_nobody_negotiated_is_an_abort():
    def ask(server: ScriptedServer) -> None:
        server.pdu()
        server.send(p_data(pdv(1, 3, commands.encode(Command(field=commands.C_ECHO_RQ, message_id=1)))))
        assert server.pdu()[0] == 7

    with ScriptedServer(ask) as server, pytest.raises(ProtocolViolation, match="out of turn"):
        echo_through(server.port)


def test_both_release_at_once():
    def collide(server: ScriptedServer) -> None:
        assert server.pdu()[0] == 5
        server.send(pdus.RELEASE_RQ_BYTES)
        assert server.pdu()[0] == 6
        server.send(p_data(pdv(1, 3, b"data that is dropped")), pdus.RELEASE_RP_BYTES)
        assert server.pdu() == (0, b"")

    with ScriptedServer(collide) as server:
        connect(target(server.port), CONTEXTS, timers=QUICK).release()


def test_a_release_that_is_not_answered_ends_in_time():
    with ScriptedServer(lambda server: server.until_closed() and None) as server:
        started = monotonic()
        connect(target(server.port), CONTEXTS, timers=Timers(release=0.2, closing=0.2)).release()
        assert monotonic() - started < 2


def test_an_exception_in_the_callers_block_aborts():
    seen: list[int] = []
    with (
        ScriptedServer(lambda server: seen.append(server.pdu()[0])) as server,
        pytest.raises(KeyError),
        connect(target(server.port), CONTEXTS, timers=QUICK),
    ):
        raise KeyError
    assert seen == [7]


@pytest.mark.parametrize("asking", [True, False])
def test_another_thread_can_abort_us(asking):
    reached = threading.Event()
    seen: list[int] = []

    def wait(server: ScriptedServer) -> None:
        if asking:
            server.pdu()
            reached.set()
        seen.append(server.pdu()[0])

    with ScriptedServer(wait) as server:
        association = connect(target(server.port), CONTEXTS, timers=QUICK)
        caught: list[NetworkError] = []

        def ask() -> None:
            try:
                association.echo()
            except NetworkError as error:
                caught.append(error)

        if asking:
            thread = threading.Thread(target=ask)
            thread.start()
            assert reached.wait(10)
            association.abort("the runner stops")
            thread.join(10)
            assert isinstance(caught[0], Stopped)
            assert caught[0].sent
        else:
            association.abort("the runner stops")
        assert not association.open
    assert seen == [7]


def test_a_file_that_shrank_is_damage_and_the_peer_gets_an_abort(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(bytes(1000))
    services = RecordingServices()
    with listening(services) as acceptor:
        association = connect(target(acceptor.ports[0]), propose((CT, EXPLICIT)), timers=QUICK)
        with path.open("rb") as file, pytest.raises(DamageError):
            association.store(
                association.contexts[1],
                sop_class=CT,
                sop_instance="1.2",
                descriptor=file.fileno(),
                offset=0,
                length=2000,
            )
        wait_until(lambda: services.ended)
    assert not any(received.ended == "finished" for received in services.stored)
    assert "aborted" in services.ended[0][1]


@pytest.mark.parametrize(
    ("option", "expected"),
    [("--refuse", AssociationRejected), ("--abort-after", Aborted), ("--abort-during", Aborted)],
)
def test_the_faults_that_storescp_can_make(tmp_path, option, expected):
    def send_three(port: int) -> None:
        with connect(target(port), CONTEXTS, timers=QUICK) as association:
            for _ in range(3):
                send(association, CT_FILE)

    with storescp(tmp_path, option) as port, pytest.raises(expected):
        send_three(port)
