"""Peers that did not grow up here: DCMTK's senders, Orthanc as the archive and as a modality."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.acceptance.conftest import Pair
from tests.acceptance.gateway import Gateway
from tests.acceptance.orthanc import Orthanc
from tests.stand_in import StandIn
from tests.studies import make_study
from tests.support import dcmtk, dcmtk_environment, free_port

# A real file of pydicom's in each transfer syntax, and the option that makes storescu propose it.
SYNTAXES = {
    "explicit little endian": ("MR_small.dcm", "-xe"),
    "implicit little endian": ("MR_small_implicit.dcm", "-xi"),
    "explicit big endian": ("MR_small_bigendian.dcm", "-xb"),
    "deflated": ("image_dfl.dcm", "-xd"),
    "RLE": ("MR_small_RLE.dcm", "-xr"),
    "JPEG baseline": ("SC_rgb_jpeg_dcmtk.dcm", "-xy"),
    "JPEG extended": ("JPGExtended.dcm", "-xx"),
    "JPEG-LS lossless": ("MR_small_jpeg_ls_lossless.dcm", "-xt"),
    "JPEG-LS near lossless": ("JPEGLSNearLossless_16.dcm", "-xu"),
    "JPEG 2000 lossless": ("MR_small_jp2klossless.dcm", "-xv"),
    "JPEG 2000": ("JPEG2000.dcm", "-xw"),
}


def test_storescu_sends_every_transfer_syntax_and_the_archive_gets_the_same_bytes(pair: Pair) -> None:
    gateway, archive = pair
    studies = []
    with StandIn(ae_title="KUVAGW") as witness:
        for number, (source, option) in enumerate(SYNTAXES.values()):
            study = make_study(source=source, accession=f"T{number}")
            paths = study.write(gateway.folder / "sent")
            for port in (gateway.port, witness.port):
                gateway.storescu(paths, option, port=port)
            studies.append(study)
        witness.wait("stored", len(studies))
        expected = {(event["transfer_syntax_uid"], event["digest"]) for event in witness.events("stored")}
    assert {syntax for syntax, _ in expected} == {
        str(study.data_sets[0].file_meta.TransferSyntaxUID) for study in studies
    }
    uids = [study.uid for study in studies]
    for uid in uids:
        gateway.wait_state(uid, "held")
    done = gateway.cli("studies", "release", *uids, "--by", "test", "--reason", "transfer syntaxes")
    assert done.status == 0, done.stderr
    for uid in uids:
        gateway.wait_state(uid, "archived")
    assert {(event["transfer_syntax_uid"], event["digest"]) for event in archive.events("stored")} == expected


def test_storescu_scans_a_folder_with_sd(pair: Pair) -> None:
    gateway, _ = pair
    study = make_study(kind="ct", instances=4)
    folder = gateway.folder / "sent"
    study.write(folder)
    gateway.storescu([folder], "+sd", "+r")
    assert gateway.wait_state(study.uid, "held")["instances"] == 4


def test_dcmsend_sends_different_classes_over_one_association(pair: Pair) -> None:
    gateway, _ = pair
    studies = [make_study(kind=kind, accession=f"D-{kind}") for kind in ("ct", "mr", "ecg")]
    folder = gateway.folder / "sent"
    for study in studies:
        study.write(folder)
    command = [dcmtk("dcmsend"), "-aet", "CT1", "-aec", "KUVAGW", "+sd", "127.0.0.1", str(gateway.port), str(folder)]
    subprocess.run(command, env=dcmtk_environment(), check=True, timeout=60, stdin=subprocess.DEVNULL)
    for study in studies:
        assert gateway.wait_state(study.uid, "held")["instances"] == 1


def test_storescu_repeats_what_is_here_already(gateway: Gateway) -> None:
    study = make_study(kind="ct", instances=2)
    gateway.storescu(study.write(gateway.folder / "sent"), "--repeat", "3")
    assert gateway.wait_catalogued()["instances"] == 2


def test_orthanc_is_the_archive_and_commits_on_a_new_association(tmp_path: Path) -> None:
    port = free_port()
    with (
        Orthanc(tmp_path / "orthanc", ae_title="ARCHIVE", gateway_port=port) as archive,
        Gateway(tmp_path / "gateway", archive_port=archive.port, port=port, processes=1) as gateway,
    ):
        studies = [make_study(kind=kind, accession=f"O-{kind}", instances=3) for kind in ("ct", "mr", "ecg")]
        for study in studies:
            gateway.import_documents(study)
            gateway.send(study)
        for study in studies:
            shown = gateway.wait_state(study.uid, "archived", timeout=60)
            assert shown["entries"][0]["committed"] == 3
        assert archive.sop_instance_uids() == {uid for study in studies for uid in study.sop_instance_uids}


def test_orthanc_is_a_modality_that_sends(tmp_path: Path) -> None:
    gateway_port, modality_port = free_port(), free_port()
    peers = [
        {
            "name": "orthanc",
            "ae_title": "ORTHANC",
            "host": "127.0.0.1",
            "port": modality_port,
            "allow": ["echo", "store"],
        },
        {"name": "monitor", "ae_title": "MONITOR", "allow": ["echo"]},
    ]
    with (
        Gateway(tmp_path / "gateway", port=gateway_port, peers=peers) as gateway,
        Orthanc(
            tmp_path / "orthanc", ae_title="ORTHANC", gateway_port=gateway_port, dicom_port=modality_port
        ) as modality,
    ):
        assert gateway.cli("peers", "echo", "orthanc").status == 0
        study = make_study(kind="ct", instances=4)
        identifiers = [modality.post("/instances", path.read_bytes())["ID"] for path in study.write(tmp_path / "sent")]
        modality.post("/modalities/gateway/echo", b"{}")
        answer = modality.post(
            "/modalities/gateway/store", f'{{"Resources": {identifiers}}}'.replace("'", '"').encode()
        )
        assert answer["FailedInstancesCount"] == 0
        assert gateway.wait_state(study.uid, "held")["instances"] == 4
        assert gateway.study(study.uid)["peer"] == "orthanc"  # type: ignore[index]


def test_a_peer_that_is_not_there_fails_its_echo(gateway: Gateway) -> None:
    echo = gateway.cli("peers", "echo", "ct1")
    assert echo.status == 1
    assert len(echo.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("name", ["ct1", "mr1", "monitor"])
def test_configured_peers_are_listed(gateway: Gateway, name: str) -> None:
    assert name in {peer["name"] for peer in gateway.json("peers", "list")}
