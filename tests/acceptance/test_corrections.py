"""Studies that are taken back, and images that others reject."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread

from kuva_gateway.dicom.header import Header
from kuva_gateway.dicom.key_objects import KEY_OBJECT_SELECTION, Reference, write_note
from kuva_gateway.dicom.part10 import preamble_and_meta
from tests.acceptance.gateway import Gateway
from tests.stand_in import StandIn
from tests.studies import make_study
from tests.support import free_port, wait_until

EXPLICIT = "1.2.840.10008.1.2.1"
PEERS = [
    {"name": "ct1", "ae_title": "CT1", "allow": ["echo", "store"]},
    {"name": "pacs", "ae_title": "PACS", "allow": ["echo", "store", "reject"], "forward_rejections": True},
    {"name": "monitor", "ae_title": "MONITOR", "allow": ["echo"]},
]


def note_file(folder: Path, image: Path, code: str) -> Path:
    """A rejection note on one image, as a PACS would make it."""
    read = dcmread(image, stop_before_pixels=True)
    reference = Reference(
        study=read.StudyInstanceUID,
        series=read.SeriesInstanceUID,
        sop_class=read.SOPClassUID,
        sop_instance=read.SOPInstanceUID,
    )
    header = Header(
        study_instance_uid=read.StudyInstanceUID,
        patient_id=read.PatientID,
        issuer_of_patient_id=read.get("IssuerOfPatientID", ""),
        issuer_universal_id="1.2.246.21",
        issuer_universal_type="ISO",
        patient_name=str(read.PatientName),
        birth_date=read.PatientBirthDate,
        sex=read.PatientSex,
        accession_number=read.AccessionNumber,
        study_date=read.StudyDate,
        study_description=read.StudyDescription,
    )
    at = datetime(2026, 11, 22, 12, tzinfo=UTC)
    data = write_note(header, [reference], code=code, uid="2.25.991", series_uid="2.25.992", at=at, device={})
    path = folder / "note.dcm"
    path.write_bytes(preamble_and_meta(KEY_OBJECT_SELECTION, "2.25.991", EXPLICIT) + data)
    return path


@pytest.mark.slow
def test_a_note_of_a_pacs_is_forwarded_and_a_withdrawn_study_s_archive_is_told_even_after_a_crash(
    tmp_path: Path,
) -> None:
    port = free_port()
    with StandIn("--report-to", f"127.0.0.1:{port}") as archive:
        gateway = Gateway(tmp_path / "gateway", archive_port=archive.port, port=port, peers=PEERS, processes=1)
        with gateway:
            rejected, withdrawn = make_study(kind="ct", instances=2), make_study(kind="ct", accession="W-1")
            for study in (rejected, withdrawn):
                gateway.import_documents(study)
            images = rejected.write(tmp_path / "rejected")
            gateway.storescu(images)
            gateway.storescu(withdrawn.write(tmp_path / "withdrawn"))
            for study in (rejected, withdrawn):
                gateway.wait_state(study.uid, "archived")

            note = note_file(tmp_path, images[0], "113037")
            gateway.storescu([note], calling="PACS")
            wait_until(lambda: "2.25.991" in archive.digests, what="the note at the archive")
            shown = gateway.wait_state(rejected.uid, "archived")
            assert "IOC-01" in [finding["rule"] for finding in shown["findings"]]
            again = gateway.storescu([images[0]], check=False)
            assert again.returncode == 0xA7  # DCMTK ends with the first byte of the status, A771
            gateway.storescu([images[1]])

            done = gateway.json(
                "studies", "withdraw", withdrawn.uid, "--why", "worklist", "--by", "anna", "--reason", "wrong patient"
            )
            gateway.kill()
            assert (done["instances"], done["destinations"]) == (1, ["national-archive"])
            gateway.start()
            wait_until(lambda: done["note"] in archive.digests, what="our note at the archive")
            assert gateway.study(withdrawn.uid)["state"] == "withdrawn"  # type: ignore[index]
            wait_until(lambda: gateway.study(withdrawn.uid)["entries"][-1]["state"] == "archived")  # type: ignore[index]
            story = gateway.json("studies", "trace", withdrawn.uid)
            assert [line["by"] for line in story if line["event"] == "withdrawn"] == ["anna"]
            refused = gateway.cli(
                "studies", "withdraw", withdrawn.uid, "--why", "quality", "--by", "a", "--reason", "b"
            )
            assert refused.status == 1
            again = gateway.storescu([tmp_path / "withdrawn"], "+sd", "+r", check=False)
            assert again.returncode == 0xA7


@pytest.mark.slow
def test_files_go_when_the_archive_has_them_and_come_again_without_being_sent(tmp_path: Path) -> None:
    port = free_port()
    with (
        StandIn("--report-to", f"127.0.0.1:{port}") as archive,
        Gateway(
            tmp_path / "gateway", archive_port=archive.port, port=port, retention={"keep_for": "1s", "low_water": "0%"}
        ) as gateway,
    ):
        study = make_study(kind="ct", instances=3)
        gateway.import_documents(study)
        sent = gateway.send(study)
        held = make_study(kind="ct", accession="H-1")
        gateway.send(held)
        gateway.wait_state(study.uid, "archived")
        instances = gateway.spool / "instances"
        wait_until(lambda: len([path for path in instances.rglob("*") if path.is_file()]) == 1, what="removed files")
        shown = gateway.study(study.uid)
        assert shown is not None
        assert (shown["state"], shown["instances"]) == ("archived", 3)
        assert gateway.json("spool", "verify") == {"verified": 1, "damaged": []}
        events = [line["event"] for line in gateway.json("studies", "trace", study.uid)]
        assert events.index("retention") < events.index("files_removed")
        stored = len(archive.events("stored"))
        gateway.storescu(sent)
        gateway.wait_catalogued()
        wait_until(lambda: len([path for path in instances.rglob("*") if path.is_file()]) == 1, what="removed again")
        assert len(archive.events("stored")) == stored
        assert gateway.wait_state(study.uid, "archived")["revision"] == 1
        assert gateway.wait_state(held.uid, "held")["instances"] == 1


@pytest.mark.slow
def test_a_gateway_that_is_killed_while_files_go_loses_nothing_that_must_stay(tmp_path: Path) -> None:
    port = free_port()
    with (
        StandIn("--report-to", f"127.0.0.1:{port}") as archive,
        Gateway(
            tmp_path / "gateway",
            archive_port=archive.port,
            port=port,
            retention={"keep_for": "200ms", "low_water": "0%"},
        ) as gateway,
    ):
        held = make_study(kind="ct", accession="H-1", instances=5)
        gateway.send(held)
        gateway.wait_state(held.uid, "held")
        for number, pause in enumerate((0.0, 0.2)):
            study = make_study(kind="ct", accession=f"K-{number}", instances=30)
            gateway.import_documents(study)
            gateway.send(study)
            gateway.wait_state(study.uid, "archived")
            threading.Event().wait(pause)  # somewhere in the choosing, moving, removing and marking
            gateway.kill()
            gateway.start()
        instances, removing = gateway.spool / "instances", gateway.spool / "removing"
        wait_until(lambda: sum(path.is_file() for path in instances.rglob("*")) == 5, what="only what is held stays")
        wait_until(lambda: not list(removing.iterdir()), what="an empty removing/")
        wait_until(lambda: gateway.quick("spool", "verify").status == 0, what="the rows of what has gone")
        assert gateway.json("spool", "verify") == {"verified": 5, "damaged": []}
        assert gateway.wait_state(held.uid, "held")["instances"] == 5
        assert gateway.waiting() == []
