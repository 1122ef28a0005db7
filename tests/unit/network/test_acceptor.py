"""The acceptor beside DCMTK and pynetdicom: what they send arrives byte for byte, what they ask is answered."""

from __future__ import annotations

import subprocess
import threading
from collections import Counter
from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_file_meta_info
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID
from pynetdicom import AE, build_role, evt
from pynetdicom.pdu_primitives import UserIdentityNegotiation

from kuva_gateway.network import Rejection, Response, Role, commands
from tests.support import dcmtk, dcmtk_environment, wait_until
from tests.unit.network.peers import (
    COMMITMENT,
    CT,
    CT_FILE,
    EXPLICIT,
    FIND,
    IMPLICIT,
    JPEG_2000,
    MR_FILE,
    VERIFICATION,
    RecordingServices,
    listening,
    shipped,
)


def run(tool: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [dcmtk(tool), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=dcmtk_environment(),
    )


def data_set(data: bytes, transfer_syntax: str) -> Dataset:
    """A data set as it came off the wire."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(transfer_syntax)
    head = DicomBytesIO()
    write_file_meta_info(head, meta, enforce_standard=False)
    return dcmread(BytesIO(b"\0" * 128 + b"DICM" + head.getvalue() + data))


def test_echoscu_is_answered():
    services = RecordingServices()
    with listening(services) as acceptor:
        assert run("echoscu", "-aet", "ME", "-aec", "GATE", "127.0.0.1", acceptor.ports[0]).returncode == 0
        wait_until(lambda: services.ended)
    assert [command.name for command, _ in services.asked] == ["C-ECHO"]
    (request,) = services.requests
    assert (request.calling_ae, request.called_ae, request.address) == ("ME", "GATE", "127.0.0.1")
    assert (request.tls, request.certificate_subject, request.user_identity) == (False, None, None)
    assert request.implementation_version.startswith("OFFIS")
    association, how = services.ended[0]
    assert how == "released"
    assert association.traffic.requests == 1


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("CT_small.dcm", ["-xe"]),
        ("MR_small.dcm", ["-xe"]),
        ("MR_small_implicit.dcm", ["-xi"]),
        ("MR_small_bigendian.dcm", ["-xb"]),
        ("MR_small_RLE.dcm", ["-xr"]),
        ("MR_small_jp2klossless.dcm", ["-xv"]),
        ("MR_small_jpeg_ls_lossless.dcm", ["-xt"]),
        ("JPEG-lossy.dcm", ["-xx"]),
        ("image_dfl.dcm", ["-xd"]),
    ],
)
def test_storescu_sends_every_syntax_and_the_bytes_are_the_files(name, options):
    path = shipped(name)
    services = RecordingServices(syntaxes=(str(read_file_meta_info(path).TransferSyntaxUID),))
    with listening(services) as acceptor:
        result = run("storescu", "-v", *options, "127.0.0.1", acceptor.ports[0], path)
        assert result.returncode == 0, result.stderr
    (received,) = services.stored
    assert received.ended == "finished"
    assert received.context.transfer_syntax == read_file_meta_info(path).TransferSyntaxUID
    assert received.command.affected_instance == read_file_meta_info(path).MediaStorageSOPInstanceUID
    came, sent = data_set(received.data, received.context.transfer_syntax), dcmread(path)  # storescu writes it anew
    for keyword in ("SOPInstanceUID", "PatientID", "Rows", "PixelData"):
        assert came[keyword].value == sent[keyword].value


def test_storescu_scans_folders_and_repeats(tmp_path):
    for number in range(3):
        for path in (CT_FILE, MR_FILE):
            data = dcmread(path)
            data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}.{path.stat().st_size}"
            (tmp_path / str(number)).mkdir(exist_ok=True)
            data.save_as(tmp_path / str(number) / path.name)
    services = RecordingServices()
    with listening(services) as acceptor:
        result = run("storescu", "+sd", "+r", "--repeat", 5, "127.0.0.1", acceptor.ports[0], tmp_path)
        assert result.returncode == 0, result.stderr
        wait_until(lambda: services.ended)
    assert len(services.stored) == 30
    assert services.ended[0][0].traffic.instances_received == 30
    assert services.ended[0][0].traffic.bytes_received > 30 * 9000


def test_dcmsend_sends_many_files_on_one_association():
    services = RecordingServices()
    with listening(services) as acceptor:
        result = run("dcmsend", "-v", "127.0.0.1", acceptor.ports[0], CT_FILE, MR_FILE, shipped("image_dfl.dcm"))
        assert result.returncode == 0, result.stderr
    assert [received.ended for received in services.stored] == ["finished"] * 3
    assert len(services.requests) == 1


def test_storescu_that_aborts_at_the_end_is_told_as_aborted():
    services = RecordingServices()
    with listening(services) as acceptor:
        run("storescu", "--abort", "127.0.0.1", acceptor.ports[0], CT_FILE)
        wait_until(lambda: services.ended)
    assert services.stored[0].ended == "finished"
    assert "aborted the association" in services.ended[0][1]


def test_four_senders_at_once_do_not_mix():
    services = RecordingServices()
    with listening(services) as acceptor:
        command = [dcmtk("storescu"), "--repeat", "25", "127.0.0.1", str(acceptor.ports[0])]
        senders = [subprocess.Popen([*command, str(path)], env=dcmtk_environment()) for path in (CT_FILE, MR_FILE) * 2]
        assert [sender.wait(60) for sender in senders] == [0] * 4
    assert len(services.stored) == 100
    assert sorted(Counter(received.data for received in services.stored).values()) == [50, 50]


def test_a_refusal_of_the_association_reaches_the_peer():
    services = RecordingServices(rejection=Rejection(result=1, source=1, reason=7, why="not us"))
    with listening(services) as acceptor:
        result = run("echoscu", "-v", "127.0.0.1", acceptor.ports[0])
    assert result.returncode != 0
    assert "Called AE Title Not Recognized" in result.stderr
    assert not services.ended


def test_a_refused_store_is_read_to_its_end_and_the_next_one_is_taken():
    services = RecordingServices(refuse_store=Response(status=0x0124, comment="not allowed"))
    with listening(services) as acceptor:
        result = run("storescu", "-v", "--no-halt", "127.0.0.1", acceptor.ports[0], CT_FILE, MR_FILE)
        wait_until(lambda: services.ended)
    assert result.stderr.count("0x124") == 2, result.stderr
    assert services.ended[0][0].traffic.requests == 2
    assert services.ended[0][1] == "released"


def pynetdicom_association(port: int, *contexts: tuple[str, str], **more: object):
    ae = AE(ae_title="PYNET")
    for abstract, syntax in contexts:
        ae.add_requested_context(abstract, syntax)
    ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 10
    association = ae.associate("127.0.0.1", port, **more)
    assert association.is_established
    return association


def test_pynetdicom_stores_and_echoes():
    services = RecordingServices()
    with listening(services) as acceptor:
        association = pynetdicom_association(acceptor.ports[0], (VERIFICATION, IMPLICIT), (CT, EXPLICIT))
        assert association.send_c_echo().Status == 0
        assert association.send_c_store(dcmread(CT_FILE), originator_aet="PACS", originator_id=4).Status == 0
        association.release()
        assert association.is_released
        wait_until(lambda: services.ended)
    (received,) = services.stored
    assert (received.command.move_originator, received.command.move_originator_id) == ("PACS", 4)
    assert services.ended[0][1] == "released"


def test_the_identity_of_the_user_is_passed_up():
    services = RecordingServices()
    identity = UserIdentityNegotiation()
    identity.user_identity_type = 2
    identity.primary_field = b"nurse"
    identity.secondary_field = b"secret"
    with listening(services) as acceptor:
        pynetdicom_association(acceptor.ports[0], (VERIFICATION, IMPLICIT), ext_neg=[identity]).release()
    found = services.requests[0].user_identity
    assert found is not None
    assert (found.type, found.primary, found.secondary) == (2, b"nurse", b"secret")


def test_an_archive_in_the_scp_role_reports_its_commitment_to_us():
    """As the archive does on an association of its own: it is SCP there, we are SCU (PS3.4 J.3.3)."""
    services = RecordingServices(roles={COMMITMENT: Role(scu=False, scp=True)})
    with listening(services) as acceptor:
        association = pynetdicom_association(
            acceptor.ports[0], (COMMITMENT, IMPLICIT), ext_neg=[build_role(COMMITMENT, scp_role=True)]
        )
        (context,) = association.accepted_contexts
        assert (context.as_scu, context.as_scp) == (False, True)
        status, _ = association.send_n_event_report(
            dcmread(CT_FILE)[:0x00090000], 1, COMMITMENT, "1.2.840.10008.1.20.1.1"
        )
        assert status.Status == 0
        association.release()
        wait_until(lambda: services.ended)
    (command, data_set) = services.asked[0]
    assert (command.field, command.event_type) == (commands.N_EVENT_REPORT_RQ, 1)
    assert len(data_set) > 50
    assert services.ended[0][0].contexts[context.context_id].scu


def test_find_responses_stream_and_a_cancel_is_noticed_between_them():
    services = RecordingServices()
    seen: list[int] = []

    def find(association, context, command, data_set):
        for number in range(10_000):
            if association.cancelled(command.message_id):
                yield Response(status=0xFE00)
                return
            seen.append(number)
            yield Response(status=0xFF00, data_set=b"\x08\0\x52\0\x06\0\0\0STUDY ")
        yield Response(status=0)

    services.on_request = find
    with listening(services) as acceptor:
        association = pynetdicom_association(acceptor.ports[0], (FIND, IMPLICIT))
        query = dcmread(CT_FILE)[:0x00090000]
        statuses = []
        for status, _ in association.send_c_find(query, FIND, msg_id=7):
            statuses.append(status.Status)
            if len(statuses) == 3:
                association.send_c_cancel(7, query_model=FIND)
        assert association.send_c_find is not None
        association.release()
    assert statuses[-1] == 0xFE00
    assert set(statuses[:-1]) == {0xFF00}
    assert len(seen) < 10_000


def test_responses_that_follow_one_another_at_once_go_out_together_and_in_their_order():
    services = RecordingServices()
    data_set = b"\x08\0\x52\0\x06\0\0\0STUDY "
    written: list[int] = []

    def find(association, context, command, data):
        real = association.write
        association.write = lambda data, allowance: (written.append(len(data)), real(data, allowance))[1]
        for number in range(3000):
            yield Response(status=0xFF00 + number % 2, data_set=data_set, more=number % 100 != 99)
        yield Response(status=0)

    services.on_request = find
    with listening(services) as acceptor:
        association = pynetdicom_association(acceptor.ports[0], (FIND, IMPLICIT))
        query = dcmread(CT_FILE)[:0x00090000]
        statuses = [status.Status for status, _ in association.send_c_find(query, FIND)]
        association.release()
    assert statuses == [0xFF00, 0xFF01] * 1500 + [0]
    assert len(written) == 31, "a hundred at a time, and the last one"


def test_what_runs_after_a_response_may_ask_the_peer_on_the_same_association():
    """A commitment result on the association that asked for it, as some peers want (PS3.4 J.3.3)."""
    services = RecordingServices(roles={COMMITMENT: Role(scu=True, scp=True)})
    answers, reported = [], threading.Event()

    def request(association, context, command, data_set):
        def after(association):
            answers.append(
                association.event_report(
                    context, sop_class=COMMITMENT, sop_instance="1.2.3", event_type=1, data_set=b""
                )
            )

        yield Response(status=0, after=after)

    services.on_request = request

    def on_report(event):
        reported.set()
        return 0x0112, None

    with listening(services) as acceptor:
        association = pynetdicom_association(
            acceptor.ports[0], (COMMITMENT, IMPLICIT), evt_handlers=[(evt.EVT_N_EVENT_REPORT, on_report)]
        )
        status, _ = association.send_n_action(dcmread(CT_FILE)[:0x00090000], 1, COMMITMENT, "1.2.840.10008.1.20.1.1")
        assert status.Status == 0
        assert reported.wait(10)
        wait_until(lambda: answers)
        association.release()
    assert answers[0].status == 0x0112


def test_the_choice_of_a_context_is_the_services():
    services = RecordingServices(syntaxes=(JPEG_2000,))
    with listening(services) as acceptor:
        ae = AE()
        ae.add_requested_context(CT, [IMPLICIT, EXPLICIT, JPEG_2000])
        ae.add_requested_context(VERIFICATION, [IMPLICIT])
        association = ae.associate("127.0.0.1", acceptor.ports[0])
        assert [context.transfer_syntax for context in association.accepted_contexts] == [[JPEG_2000]]
        assert association.rejected_contexts[0].result == 4
        association.release()
