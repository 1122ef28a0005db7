"""Peers that did not grow up here: DCMTK's tools and pynetdicom's AE send to the gateway."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydicom import dcmread, examples
from pydicom.data import get_testdata_file
from pydicom.uid import ExplicitVRBigEndian
from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage, MRImageStorage, StorageCommitmentPushModel, Verification

from kuva_gateway.config import Configuration
from kuva_gateway.network import Acceptor, Listener, server_context
from kuva_gateway.scp.dispatch import Dispatcher
from kuva_gateway.spool import Spool
from tests.support import dcmtk, dcmtk_environment, wait_until
from tests.unit.scp.conftest import CONFIGURATION, Asked, Gateway, Lines, encode, image, store

SYNTAXES: Mapping[str, tuple[str, str]] = {
    "-xi": ("CT_small.dcm", "1.2.840.10008.1.2"),
    "-xe": ("CT_small.dcm", "1.2.840.10008.1.2.1"),
    "-xd": ("CT_small.dcm", "1.2.840.10008.1.2.1.99"),
    "-xs": ("SC_rgb_jpeg_gdcm.dcm", "1.2.840.10008.1.2.4.70"),
    "-xy": ("SC_rgb_jpeg_dcmtk.dcm", "1.2.840.10008.1.2.4.50"),
    "-xt": ("MR_small_jpeg_ls_lossless.dcm", "1.2.840.10008.1.2.4.80"),
    "-xv": ("MR_small_jp2klossless.dcm", "1.2.840.10008.1.2.4.90"),
    "-xw": ("JPEG2000.dcm", "1.2.840.10008.1.2.4.91"),
    "-xr": ("MR_small_RLE.dcm", "1.2.840.10008.1.2.5"),
}


def run(gateway: Gateway, tool: str, *options: str, files: tuple[Path, ...] = (), calling: str = "CT1") -> int:
    command = [dcmtk(tool), "-aet", calling, "-aec", "KUVAGW", *options, "127.0.0.1", str(gateway.port)]
    done = subprocess.run(
        [*command, *map(str, files)],
        env=dcmtk_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.returncode


def shipped(name: str) -> Path:
    path = get_testdata_file(name)
    assert path, name
    return Path(path)


def test_echoscu_is_answered(gateway: Gateway) -> None:
    assert run(gateway, "echoscu", calling="MONITOR") == 0


@pytest.mark.parametrize(("calling", "called"), [("STRANGER", "KUVAGW"), ("CT1", "OTHER")])
def test_echoscu_of_a_stranger_is_rejected(gateway: Gateway, calling: str, called: str) -> None:
    assert run(gateway, "echoscu", "-aec", called, calling=calling) != 0


@pytest.mark.parametrize(("option", "name", "syntax"), [(key, *value) for key, value in SYNTAXES.items()])
def test_storescu_in_each_syntax_is_stored_and_understood(
    gateway: Gateway, option: str, name: str, syntax: str
) -> None:
    assert run(gateway, "storescu", "-R", option, files=(shipped(name),)) == 0
    ((arrival, header),) = gateway.receipts
    assert header.transfer_syntax_uid == syntax
    read = dcmread(arrival.path)
    assert read.file_meta.TransferSyntaxUID == syntax
    assert header.study_instance_uid == read.StudyInstanceUID
    spool_path = gateway.spool.adopt(arrival)
    gateway.spool.verify(spool_path.name)


@pytest.mark.parametrize("option", ["-xs", "-xv", "-xr"])
def test_compressed_pixels_are_kept_byte_by_byte(gateway: Gateway, option: str) -> None:
    """storescu sends pixels as they stand in the file; only elements such as group lengths may change on its side."""
    name, _ = SYNTAXES[option]
    assert run(gateway, "storescu", "-R", option, files=(shipped(name),)) == 0
    ((arrival, _),) = gateway.receipts
    sent, kept = dcmread(shipped(name)), dcmread(arrival.path)
    assert kept.PixelData == sent.PixelData


def test_storescu_sends_a_folder_over_one_association(gateway: Gateway, tmp_path: Path) -> None:
    for number in range(20):
        data_set = dcmread(examples.get_path("ct"))
        data_set.SOPInstanceUID = data_set.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number + 1}"
        data_set.PixelData = bytes(1 << 20)
        data_set.Rows = data_set.Columns = 724
        data_set.save_as(tmp_path / f"{number}.dcm")
    assert run(gateway, "storescu", "+sd", files=(tmp_path,)) == 0
    assert len(gateway.receipts) == 20
    (line,) = gateway.closed()
    assert line["stored"] == 20


def test_storescu_repeating_sends_the_same_bytes_which_are_one_instance(gateway: Gateway) -> None:
    assert run(gateway, "storescu", "--repeat", "10", files=(shipped("CT_small.dcm"),)) == 0
    assert len(gateway.receipts) == 10
    for arrival, _ in gateway.receipts:
        gateway.spool.adopt(arrival)
        gateway.spool.forget(arrival)
    assert len(gateway.kept()["instances"]) == 1


def test_storescu_aborting_keeps_what_was_acknowledged_and_nothing_else(gateway: Gateway) -> None:
    run(gateway, "storescu", "--abort", "--repeat", "3", files=(shipped("CT_small.dcm"),))
    gateway.closed()
    assert gateway.kept().keys() == {"arrived"}
    assert len(gateway.kept()["arrived"]) == len(gateway.receipts)


def test_storescu_killed_in_the_middle_leaves_whole_images_only(gateway: Gateway, tmp_path: Path) -> None:
    data_set = dcmread(examples.get_path("ct"))
    data_set.PixelData = bytes(32 << 20)
    data_set.Rows = data_set.Columns = 4096
    data_set.save_as(tmp_path / "large.dcm")
    command = [dcmtk("storescu"), "-aet", "CT1", "-aec", "KUVAGW", "--repeat", "1000", "127.0.0.1", str(gateway.port)]
    with subprocess.Popen(
        [*command, str(tmp_path / "large.dcm")],
        env=dcmtk_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as sender:
        try:
            wait_until(lambda: gateway.receipts and gateway.kept().get("incoming"), what="an image half-way")
        finally:
            sender.send_signal(signal.SIGKILL)
    gateway.closed()
    assert "incoming" not in gateway.kept()
    for arrival in gateway.spool.arrivals():
        gateway.spool.adopt(arrival)  # reads it and compares its digest


def test_dcmsend_sends_every_kind_of_object_that_pydicom_ships(gateway: Gateway) -> None:
    names = ("CT_small.dcm", "MR_small.dcm", "rtplan.dcm", "rtdose.dcm", "reportsi.dcm", "waveform_ecg.dcm")
    files = tuple(shipped(name) for name in names)
    assert run(gateway, "dcmsend", "+ma", files=files) == 0
    assert sorted(header.sop_instance_uid for _, header in gateway.receipts) == sorted(
        str(dcmread(path).SOPInstanceUID) for path in files
    )


def test_dcmsend_of_a_peer_that_may_only_echo_stores_nothing(gateway: Gateway) -> None:
    run(gateway, "dcmsend", calling="MONITOR", files=(shipped("CT_small.dcm"),))
    assert gateway.receipts == []
    assert gateway.kept() == {}


# -- pynetdicom --------------------------------------------------------------------------------------------------------


def associated(port: int, *classes: str, calling: str = "CT1", **more: Any) -> Any:
    entity = AE(ae_title=calling)
    for abstract in classes:
        entity.add_requested_context(abstract)
    return entity.associate("127.0.0.1", port, ae_title="KUVAGW", **more)


def test_pynetdicom_stores_and_echoes_on_one_association(gateway: Gateway) -> None:
    association = associated(gateway.port, Verification, CTImageStorage, MRImageStorage)
    assert association.is_established
    try:
        assert association.send_c_echo().Status == 0x0000
        for name in ("ct", "mr"):
            assert association.send_c_store(examples.get_path(name)).Status == 0x0000
        status = association.send_c_store(examples.get_path("mr"))
        assert status.Status == 0x0000
    finally:
        association.release()
    assert [header.modality for _, header in gateway.receipts] == ["CT", "MR", "MR"]


def test_pynetdicom_may_store_in_big_endian(gateway: Gateway) -> None:
    entity = AE(ae_title="CT1")
    entity.add_requested_context(MRImageStorage, ExplicitVRBigEndian)
    association = entity.associate("127.0.0.1", gateway.port, ae_title="KUVAGW")
    try:
        assert association.send_c_store(shipped("MR_small_bigendian.dcm")).Status == 0x0000
    finally:
        association.release()
    ((arrival, header),) = gateway.receipts
    assert header.transfer_syntax_uid == ExplicitVRBigEndian
    assert dcmread(arrival.path).StudyInstanceUID == header.study_instance_uid


def test_pynetdicom_hears_the_comment_of_a_refusal(gateway: Gateway) -> None:
    data_set = dcmread(examples.get_path("ct"))
    del data_set.StudyInstanceUID
    association = associated(gateway.port, CTImageStorage)
    try:
        status = association.send_c_store(data_set)
    finally:
        association.release()
    assert status.Status == 0xA900
    assert status.ErrorComment == "Study Instance UID is missing"


def test_pynetdicom_sees_which_contexts_it_may_use(gateway: Gateway) -> None:
    association = associated(gateway.port, Verification, CTImageStorage, StorageCommitmentPushModel, calling="MONITOR")
    try:
        assert [context.abstract_syntax for context in association.accepted_contexts] == [Verification]
        assert [context.result for context in association.rejected_contexts] == [3, 3]
    finally:
        association.release()


def test_the_archive_may_not_store_nor_echo(gateway: Gateway) -> None:
    association = associated(gateway.port, Verification, CTImageStorage, calling="ARCHIVE")
    assert not association.accepted_contexts
    association.abort()


@pytest.fixture
def tls_port(tmp_path: Path) -> Iterator[tuple[int, trustme.CA, list[Any]]]:
    """A TLS listener of a gateway whose only peer must show the certificate of ct1.example."""
    authority = trustme.CA()
    own = authority.issue_cert("127.0.0.1", common_name="gateway.example")
    own.private_key_pem.write_to_path(tmp_path / "key.pem")
    own.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    peer = {"name": "ct1", "ae_title": "CT1", "allow": ["store"], "require_tls": True}
    configuration = {**CONFIGURATION, "peers": [{**peer, "certificate_subject": "ct1.example"}]}
    receipts: list[Any] = []
    dispatcher = Dispatcher(
        Configuration.model_validate(configuration),
        Spool(tmp_path / "spool", minimum_free=0),
        on_receipt=lambda arrival, header: receipts.append(arrival),
        immediate=lambda header, peer: None,
        on_commitment_result=lambda *result: None,
        commitment_requests=Asked(),
        log=Lines(),
    )
    context = server_context(tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "ca.pem")
    acceptor = Acceptor([Listener(host="127.0.0.1", port=0, tls=context)], dispatcher)
    acceptor.start()
    try:
        yield acceptor.ports[0], authority, receipts
    finally:
        acceptor.drain(5)


@pytest.mark.parametrize(("common_name", "inside"), [("ct1.example", True), ("ct2.example", False)])
def test_a_peer_with_tls_is_known_by_its_certificate(
    tls_port: tuple[int, trustme.CA, list[Any]], tmp_path: Path, common_name: str, inside: bool
) -> None:
    port, authority, receipts = tls_port
    certificate = authority.issue_cert(common_name, common_name=common_name)
    certificate.private_key_pem.write_to_path(tmp_path / "peer-key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "peer-cert.pem")
    command = [
        *(dcmtk("storescu"), "-aet", "CT1", "-aec", "KUVAGW"),
        *("+tls", str(tmp_path / "peer-key.pem"), str(tmp_path / "peer-cert.pem")),
        *("+cf", str(tmp_path / "ca.pem"), "127.0.0.1", str(port), str(shipped("CT_small.dcm"))),
    ]
    done = subprocess.run(command, env=dcmtk_environment(), stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert (done.returncode == 0) is inside, done.stderr
    assert len(receipts) == int(inside)


# -- several at once ---------------------------------------------------------------------------------------------------


def test_four_senders_at_once_lose_and_mix_nothing(gateway: Gateway) -> None:
    failures: list[int] = []

    def send(sender: int) -> None:
        with gateway.associate() as association:
            for number in range(25):
                uid = f"1.2.{sender + 1}.{number + 1}"
                data = encode(
                    image(SOPInstanceUID=uid, StudyInstanceUID=f"1.2.{sender + 1}", pixels=300_000 * (number % 2))
                )
                if store(association, data, sop_instance=uid).status != 0:
                    failures.append(number)

    senders = [threading.Thread(target=send, args=(sender,)) for sender in range(4)]
    for thread in senders:
        thread.start()
    for thread in senders:
        thread.join(60)
    assert failures == []
    assert len({header.sop_instance_uid for _, header in gateway.receipts}) == 100
    for arrival, header in gateway.receipts:
        stored = arrival.path.read_bytes()
        assert header.sop_instance_uid.encode() in stored
        gateway.spool.adopt(arrival)
        gateway.spool.verify(arrival.digest)
