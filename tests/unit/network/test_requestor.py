"""The requestor: to DCMTK's storescp and pynetdicom's AE, and to peers that do everything wrong."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.filereader import read_file_meta_info
from pynetdicom import AE, evt

from kuva_gateway.network import (
    Aborted,
    AssociationRejected,
    Command,
    NoContext,
    RequestorAssociation,
    Role,
    connect,
)
from kuva_gateway.network.sending import FileSlice
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
    RecordingServices,
    listening,
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
            data=[FileSlice(descriptor=file.fileno(), offset=offset, length=path.stat().st_size - offset)],
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
            association.contexts[1],
            sop_class=CT,
            sop_instance="1.2",
            data=[FileSlice(descriptor=file.fileno(), offset=6, length=length)],
        )
    assert answer.status == 0
    assert services.stored[0].data == path.read_bytes()[6:]


def test_commitment_is_asked_for_and_reported_on_the_same_association():
    reports: list[tuple[Command, bytes]] = []

    answered = threading.Event()

    def report(association):
        assert answered.wait(10)  # a report that came before would be answered while we wait for the answer
        data_set = dcmread(CT_FILE)[:0x00090000]
        answers.append(association.send_n_event_report(data_set, 1, COMMITMENT, "1.2.840.10008.1.20.1.1"))

    def on_action(event):
        threading.Thread(target=report, args=(event.assoc,)).start()
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
            answered.set()
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
