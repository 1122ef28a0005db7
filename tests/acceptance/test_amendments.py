"""Studies that are put right after they came: by a link, an ADT message, a mapping, and a person's hand."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from tests.acceptance.gateway import Gateway, configuration
from tests.stand_in import StandIn
from tests.studies import HETUS, make_study
from tests.support import dcmtk, dcmtk_environment, free_port, wait_until

pytestmark = pytest.mark.slow

BOTH = ("request", "examination_entry")
TEMPORARY_ROOT = "1.2.246.10.99999984.22.2026"


class Hospital:
    """One gateway with a mapping for ct1, its archive, and what the archive got."""

    def __init__(self, gateway: Gateway, archive: StandIn, kept: Path) -> None:
        self.gateway, self.archive, self.kept = gateway, archive, kept

    def arrived(self, study: Any) -> list[Dataset]:
        """The study's images as the archive has them."""
        found = [dcmread(path) for path in self.kept.iterdir()]
        return sorted((one for one in found if one.StudyInstanceUID == study.uid), key=lambda one: one.SOPInstanceUID)

    def found(self, asker: str, patient_id: str) -> set[str]:
        """Study Instance UIDs that ``asker`` finds for a patient id."""
        keys = ["-k", "0008,0052=STUDY", "-k", f"PatientID={patient_id}", "-k", "StudyInstanceUID"]
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(
                [
                    *(dcmtk("findscu"), "-S", "-X", "-od", folder, "-aet", asker, "-aec", "KUVAGW", *keys),
                    *("127.0.0.1", str(self.gateway.port)),
                ],
                env=dcmtk_environment(),
                check=True,
                timeout=60,
                capture_output=True,
            )
            return {dcmread(path, force=True).StudyInstanceUID for path in Path(folder).iterdir()}

    def spooled(self) -> dict[Path, str]:
        """Every stored file and its digest: none may ever change."""
        files = (path for path in (self.gateway.spool / "instances").rglob("*") if path.is_file())
        return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    def assert_pixels(self, study: Any) -> None:
        sent = {one.SOPInstanceUID: one.PixelData for one in study.data_sets}
        assert {one.SOPInstanceUID: one.PixelData for one in self.arrived(study)} == sent


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    folder = tmp_path_factory.mktemp("amendments")
    kept = folder / "archive"
    kept.mkdir()
    (folder / "ct1.csv").write_text("local;code;description\nTHX;GD1AD;Thoraxin TT\n", encoding="utf-8")
    port = free_port()
    with ExitStack() as stack:
        archive = stack.enter_context(StandIn("--report-to", f"127.0.0.1:{port}", "--folder", str(kept)))
        gateway = Gateway(folder / "gateway", archive_port=archive.port, port=port)
        value = configuration(port, archive.port, adt={"scan_every": "200ms"})
        value["peers"][0] |= {"code_mapping": str(folder / "ct1.csv"), "issuer_of_patient_id": "1.2.246.21"}
        value["peers"] += [
            {"name": "pacs", "ae_title": "PACS", "allow": ["find"], "as_received": True},
            {"name": "viewer", "ae_title": "VIEWER", "allow": ["find"]},
        ]
        gateway.configure(value)
        yield Hospital(stack.enter_context(gateway), archive, kept)


def temporary(study: Any, patient_id: str) -> None:
    for data_set in study.data_sets:
        data_set.PatientID, data_set.IssuerOfPatientID = patient_id, TEMPORARY_ROOT
        data_set.IssuerOfPatientIDQualifiersSequence[0].UniversalEntityID = TEMPORARY_ROOT


def rules(study: dict[str, Any]) -> set[str]:
    return {finding["rule"] for finding in study["findings"] if finding["severity"] == "hold"}


def test_a_study_with_a_temporary_id_goes_on_by_itself_once_the_id_is_linked(hospital: Hospital) -> None:
    gateway, study = hospital.gateway, make_study(kind="ct", instances=2, accession="T1", hetu=HETUS[0])
    temporary(study, "TEMP-4711")
    gateway.import_documents(study, *BOTH)
    gateway.send(study)
    held = gateway.wait_state(study.uid, "held")
    assert "PID-05" in rules(held)
    before = hospital.spooled()
    ids = gateway.folder / "ids.txt"
    ids.write_text(f"temp-4711\n{HETUS[0]}\n")
    done = gateway.quick("patients", "link", f"@{ids}", "--by", "anna", "--reason", "seen")
    assert (done.status, done.stdout.strip()) == (0, "linked: 1 studies amended, 0 delivered before")
    shown = gateway.wait_state(study.uid, "archived")
    assert shown["patient_id"] == HETUS[0]
    assert [(one["by"], one["origin"]) for one in shown["amendments"]] == [("anna", "link")]
    arrived = hospital.arrived(study)
    assert len(arrived) == 2
    for one in arrived:
        assert (one.PatientID, one.IssuerOfPatientID) == (HETUS[0], "1.2.246.21")
        assert one.IssuerOfPatientIDQualifiersSequence[0].UniversalEntityID == "1.2.246.21"
        (original,) = one.OriginalAttributesSequence
        assert original.ReasonForTheAttributeModification == "CORRECT"
        assert original.ModifiedAttributesSequence[0].PatientID == "TEMP-4711"
    hospital.assert_pixels(study)
    assert hospital.spooled() == before
    assert gateway.quick("spool", "verify").status == 0
    late = ("--set", f"AccessionNumber=@{ids}", "--by", "anna", "--reason", "late")
    ids.write_text("X1")
    refused = gateway.quick("studies", "amend", study.uid, *late)
    assert refused.status == 1
    assert "withdraw it first" in refused.stderr
    later = make_study(kind="mr", accession="T2", hetu=HETUS[0])
    temporary(later, "TEMP-4711")
    gateway.import_documents(later, *BOTH)
    gateway.send(later, calling="MR1")
    gateway.wait_state(later.uid, "archived")
    assert {one.PatientID for one in hospital.arrived(later)} == {HETUS[0]}
    both = {study.uid, later.uid}
    assert (hospital.found("VIEWER", HETUS[0]), hospital.found("PACS", "TEMP-4711")) == (both, both)
    assert (hospital.found("VIEWER", "TEMP-4711"), hospital.found("PACS", HETUS[0])) == (set(), set())
    assert HETUS[0] not in gateway.said()


def test_an_adt_message_does_the_same_and_a_bad_one_is_put_aside(hospital: Hospital) -> None:
    gateway, study = hospital.gateway, make_study(kind="ct", accession="T3", hetu=HETUS[1])
    temporary(study, "TEMP-1")
    gateway.import_documents(study, *BOTH)
    gateway.send(study)
    gateway.wait_state(study.uid, "held")
    incoming = gateway.state / "adt" / "incoming"
    (incoming / "bad.hl7").write_bytes(b"PID|1")
    good = (
        "MSH|^~\\&|RIS|HUS|GW|HUS|20261123||ADT^A40^ADT_A39|1|P|2.5||||||UNICODE UTF-8\r"
        f"PID|1||{HETUS[1]}^^^VRK&1.2.246.21&ISO||Mäkelä^Åke\r"
        f"MRG|TEMP-1^^^HUS&{TEMPORARY_ROOT}&ISO\r"
    )
    (incoming / "good.part").write_text(good, encoding="utf-8")
    (incoming / "good.part").rename(incoming / "good.hl7")
    gateway.wait_state(study.uid, "archived")
    (one,) = hospital.arrived(study)
    assert (one.PatientID, str(one.PatientName)) == (HETUS[1], "Mäkelä^Åke")
    hospital.assert_pixels(study)
    reason = gateway.state / "adt" / "rejected" / "bad.hl7.reason"
    wait_until(reason.exists, what="the reason beside the bad message")
    assert "does not begin with an MSH segment" in reason.read_text()
    assert not list(incoming.iterdir())


def test_a_local_code_and_an_absent_issuer_are_the_configurations_to_mend(hospital: Hospital) -> None:
    gateway, study = hospital.gateway, make_study(kind="ct", accession="T4", hetu=HETUS[2])
    for data_set in study.data_sets:
        del data_set.IssuerOfPatientID, data_set.IssuerOfPatientIDQualifiersSequence
        data_set.StudyDescription = "thx native"
        del data_set.ProcedureCodeSequence
    gateway.import_documents(study, *BOTH, code="GD1AD")
    gateway.send(study)
    shown = gateway.wait_state(study.uid, "archived")
    assert shown["procedure_code"] == "GD1AD"
    assert sorted(one["origin"] for one in shown["amendments"]) == ["issuer", "mapping"]
    (one,) = hospital.arrived(study)
    assert (one.StudyDescription, one.ProcedureCodeSequence[0].CodeValue) == ("GD1AD Thoraxin TT", "GD1AD")
    assert one.IssuerOfPatientID == "1.2.246.21"
    kinds = [item.ReasonForTheAttributeModification for item in one.OriginalAttributesSequence]
    assert kinds == ["COERCE", "COERCE"]
    told = [step for step in gateway.json("studies", "trace", study.uid) if step["event"] == "amended"]
    assert any("thx -> GD1AD" in step["detail"]["reason"] for step in told)


def test_a_person_amends_a_held_study_and_it_goes(hospital: Hospital) -> None:
    gateway, study = hospital.gateway, make_study(kind="ct", accession="WRONG", hetu=HETUS[3])
    gateway.send(study)
    gateway.wait_state(study.uid, "held")
    gateway.import_documents(study, *BOTH, accession="RIGHT")
    number = gateway.folder / "number.txt"
    number.write_text("RIGHT\n")
    by = ("--by", "anna", "--reason", "typed wrongly")
    for wrong in ("AccessionNumber=RIGHT", "Rows=-", "AccessionNumber"):
        assert gateway.quick("studies", "amend", study.uid, "--set", wrong, *by).status in (1, 2)
    done = gateway.quick("studies", "amend", study.uid, "--set", f"0008,0050=@{number}", *by)
    assert done.status == 0, done.stderr
    shown = gateway.wait_state(study.uid, "archived")
    assert shown["accession_number"] == "RIGHT"
    assert {one.AccessionNumber for one in hospital.arrived(study)} == {"RIGHT"}
