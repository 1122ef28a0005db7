"""The main job from end to end: real studies from a modality until the archive has committed to every instance."""

from __future__ import annotations

import json
import time
from datetime import date
from pathlib import Path
from typing import Any

from tests.acceptance.conftest import Pair
from tests.acceptance.gateway import Gateway
from tests.studies import HETUS, load_script, make_study
from tests.support import ROOT, wait_until

BOTH = ("request", "examination_entry")
children = load_script("gateway_process").children


def rules(study: dict[str, object]) -> set[str]:
    """The rules of a study's findings that hold it."""
    findings: list[dict[str, str]] = study["findings"]  # type: ignore[assignment]
    return {finding["rule"] for finding in findings if finding["severity"] == "hold"}


def test_ct_mr_and_ecg_go_from_the_modality_to_committed_byte_for_byte(pair: Pair) -> None:
    gateway, archive = pair
    studies = [
        make_study(kind=kind, hetu=hetu, accession=f"A{number}", series=2, instances=2)
        for number, (kind, hetu) in enumerate(zip(("ct", "mr", "ecg"), HETUS, strict=False))
    ]
    sent = []
    for study in studies:
        gateway.import_documents(study, *BOTH)
        sent += gateway.send(study)
    for study in studies:
        shown = gateway.wait_state(study.uid, "archived")
        assert (shown["series"], shown["instances"]) == (2, 4)
        assert shown["peer"] == "ct1"
        assert shown["accession_number"] == study.order.accession
        assert shown["procedure_code"] == study.order.procedure[0]
        assert shown["modalities"] == [study.data_sets[0].Modality]
        assert shown["study_date"] == "2024-03-04"
        (entry,) = shown["entries"]
        assert (entry["state"], entry["sent"], entry["committed"]) == ("archived", 4, 4)
        assert {document["kind"] for document in shown["documents"]} == set(BOTH)
    assert archive.digests == gateway.digests_from_storescu(sent)
    assert all(not event["same_association"] for event in archive.events("commitment_reported"))
    assert gateway.leftovers() == []
    assert gateway.cli("spool", "verify").status == 0


def test_a_study_without_examination_entry_is_held_and_freed_by_dropping_the_document(pair: Pair) -> None:
    gateway, _ = pair
    study = make_study(kind="ct", accession="A7")
    gateway.import_documents(study, "request")
    gateway.send(study)
    held = gateway.wait_state(study.uid, "held")
    assert rules(held) == {"DOC-02"}
    (finding,) = [finding for finding in held["findings"] if finding["rule"] == "DOC-02"]
    assert finding["message"]
    assert finding["remedy"]
    (dropped,) = gateway.drop(study, "examination_entry")
    gateway.wait_state(study.uid, "archived")
    assert not dropped.exists()
    assert any((gateway.state / "documents" / "accepted").rglob("*"))


def test_documents_may_come_before_the_images_or_after_them(pair: Pair) -> None:
    gateway, _ = pair
    study = make_study(kind="mr", accession="A8")
    gateway.send(study)
    assert rules(gateway.wait_state(study.uid, "held")) == {"DOC-01", "DOC-02"}
    gateway.import_documents(study, *BOTH)
    gateway.wait_state(study.uid, "archived")


def test_a_code_that_has_ended_is_held_and_its_replacement_named(pair: Pair) -> None:
    gateway, archive = pair
    study = make_study(kind="ct", code="AA1BD", code_name="Pään laaja TT", study_date=date(2024, 3, 4))
    gateway.import_documents(study, *BOTH)
    gateway.send(study)
    held = gateway.wait_state(study.uid, "held")
    assert rules(held) == {"COD-03"}
    (finding,) = [finding for finding in held["findings"] if finding["rule"] == "COD-03"]
    assert "AA1AD" in finding["message"] + finding["remedy"]
    assert archive.events("stored") == []


def test_the_same_code_was_good_on_the_day_of_an_older_study(pair: Pair) -> None:
    gateway, _ = pair
    study = make_study(kind="ct", code="AA1BD", study_date=date(2021, 12, 31))
    gateway.import_documents(study, *BOTH)
    gateway.send(study)
    gateway.wait_state(study.uid, "archived")


def test_a_person_may_release_a_held_study_or_reject_it(pair: Pair) -> None:
    gateway, archive = pair
    wanted, unwanted = make_study(kind="ct", accession="A1"), make_study(kind="ct", accession="A2", hetu=HETUS[3])
    gateway.send(wanted)
    gateway.send(unwanted)
    gateway.wait_state(wanted.uid, "held")
    gateway.wait_state(unwanted.uid, "held")
    assert gateway.cli("studies", "release", wanted.uid, "--by", "anna").status == 2
    assert gateway.cli("studies", "release", wanted.uid, "--by", "anna", "--reason", "paper request seen").status == 0
    assert gateway.cli("studies", "reject", unwanted.uid, "--by", "anna", "--reason", "phantom").status == 0
    shown = gateway.wait_state(wanted.uid, "archived")
    overridden = [finding["overridden"] for finding in shown["findings"] if finding["severity"] == "hold"]
    assert overridden
    assert {override["by"] for override in overridden} == {"anna"}
    assert gateway.wait_state(unwanted.uid, "rejected")["entries"] == []
    assert gateway.cli("studies", "remove", wanted.uid, "--by", "anna", "--reason", "no").status == 1
    assert gateway.cli("studies", "remove", unwanted.uid, "--by", "anna", "--reason", "kept long enough").status == 0
    kept = len(wanted.sop_instance_uids)
    instances = gateway.state / "spool" / "instances"
    wait_until(lambda: sum(path.is_file() for path in instances.rglob("*")) == kept, what="the removal")
    assert gateway.wait_state(unwanted.uid, "removed")["instances"] == len(unwanted.sop_instance_uids)
    assert set(archive.digests) == set(wanted.sop_instance_uids)
    trace = gateway.json("studies", "trace", wanted.uid)
    assert any(step["by"] == "anna" and "paper request seen" in str(step["detail"]) for step in trace)
    assert [step["at"] for step in trace] == sorted(step["at"] for step in trace)


def test_a_bad_document_is_rejected_with_its_reason_beside_it(pair: Pair) -> None:
    gateway, _ = pair
    bad = gateway.drop_folder / "bad.xml"
    bad.write_text("<ClinicalDocument><id/>")
    rejected = gateway.state / "documents" / "rejected"
    reason = wait_until(lambda: next(rejected.rglob("*.reason"), None), what="a reason file")
    assert reason.read_text().strip()
    assert not bad.exists()
    waiting = gateway.drop_folder / "unfinished.xml.part"
    waiting.write_text("<ClinicalDocument>")
    later = gateway.drop_folder / "bad2.xml"
    later.write_text("no document")
    wait_until(lambda: not later.exists(), what="the second bad document to be taken")
    assert waiting.exists()


def test_a_later_image_reopens_an_archived_study_and_only_the_new_one_is_sent(pair: Pair) -> None:
    gateway, archive = pair
    study = make_study(kind="ct", instances=3)
    gateway.import_documents(study, *BOTH)
    paths = study.write(gateway.folder / "sent")
    gateway.storescu(paths[:2])
    first = gateway.wait_state(study.uid, "archived")
    gateway.storescu(paths[2:])
    wait_until(lambda: (gateway.study(study.uid) or {})["revision"] > first["revision"], what="a new revision")
    shown = gateway.wait_state(study.uid, "archived")
    assert shown["instances"] == 3
    assert len(archive.events("stored")) == 3


def test_the_same_bytes_again_are_no_event(pair: Pair) -> None:
    gateway, archive = pair
    study = make_study(kind="ct", instances=2)
    gateway.import_documents(study, *BOTH)
    gateway.send(study)
    first = gateway.wait_state(study.uid, "archived")
    gateway.send(study)
    gateway.wait_catalogued()
    again = gateway.study(study.uid)
    assert again is not None
    assert (again["state"], again["revision"], again["instances"]) == ("archived", first["revision"], 2)
    assert len(archive.events("stored")) == 2


def test_nothing_that_identifies_a_patient_is_logged(pair: Pair) -> None:
    gateway, _ = pair
    study = make_study(kind="ct")
    gateway.import_documents(study, *BOTH)
    gateway.send(study)
    gateway.wait_state(study.uid, "archived")
    said = gateway.said()
    assert study.uid in said
    assert study.order.hetu not in said
    assert "Esimerkki" not in said


def test_the_log_has_a_line_for_each_association_verdict_and_attempt_that_join_by_their_ids(pair: Pair) -> None:
    gateway, _ = pair
    study = make_study(kind="ct", series=2, instances=2)
    gateway.import_documents(study, *BOTH)
    gateway.send(study)
    shown = gateway.wait_state(study.uid, "archived")
    said = [json.loads(line) for line in gateway.said().splitlines() if line.startswith("{")]

    def lines(event: str) -> list[dict[str, Any]]:
        return [
            one for one in said if one["event"] == event and study.uid in (one.get("study"), *one.get("studies", ()))
        ]

    (association,) = lines("association")
    assert association["association"] > 0
    assert (association["stored"], association["peer"], association["how"]) == (4, "ct1", "released")
    verdicts = lines("verdict")
    assert [(one["revision"], one["passed"], one["instances"]) for one in verdicts[-1:]] == [
        (shown["revision"], True, 4)
    ]
    assert len(verdicts) == len({one["revision"] for one in verdicts}), "one line for each judging"
    (attempt,) = lines("attempt")
    (entry,) = shown["entries"]
    assert (attempt["entry"], attempt["destination"]) == (entry["id"], entry["destination"])
    assert (attempt["number"], attempt["outcome"], attempt["stored"]) == (entry["attempts"], "delivered", 4)
    assert all(one["timestamp"] for one in (association, *verdicts, attempt))


def test_everything_is_there_after_a_stop_and_a_start(pair: Pair) -> None:
    gateway, _ = pair
    study = make_study(kind="ct")
    gateway.send(study)
    gateway.wait_state(study.uid, "held")
    assert gateway.stop() == 0
    assert gateway.study(study.uid) is not None, "listings work with the daemon down"
    gateway.import_documents(study, *BOTH)
    gateway.start()
    gateway.wait_state(study.uid, "archived")


def test_a_second_daemon_on_the_same_state_is_refused(pair: Pair) -> None:
    gateway, _ = pair
    second = gateway.cli("run")
    assert second.status == 1
    assert len(second.stderr.strip().splitlines()[-1]) > 10
    assert gateway.cli("catalog", "rebuild").status == 1
    # None of its processes has decoders of pixels, or what comes with them, in its memory.
    assert gateway.process is not None
    pids = [gateway.process.pid, *children(gateway.process.pid)]
    assert len(pids) == 2
    for pid in pids:
        maps = Path(f"/proc/{pid}/maps").read_text()
        assert "pydantic_core" in maps
        assert not [name for name in ("numpy", "gdcm", "PIL") if f"/{name}/" in maps or f"_{name}" in maps]


def test_the_catalog_can_be_rebuilt_from_the_spool(pair: Pair) -> None:
    gateway, _ = pair
    study = make_study(kind="ct", instances=3)
    gateway.send(study)
    gateway.wait_state(study.uid, "held")
    assert gateway.stop() == 0
    rebuilt = gateway.cli("catalog", "rebuild")
    assert rebuilt.status == 0, rebuilt.stderr
    gateway.start()
    shown = gateway.wait_state(study.uid, "held")
    assert shown["instances"] == 3


def test_files_are_judged_and_received_by_command(tmp_path: Path, pair: Pair) -> None:
    gateway, _ = pair
    study = make_study(kind="ct", instances=2)
    paths = [str(path) for path in study.write(tmp_path / "files")]
    judged = gateway.cli("check", *paths)
    assert judged.status == 1
    assert "DOC-01" in judged.stdout
    gateway.import_documents(study, *BOTH)
    received = gateway.cli("receive", *paths)
    assert received.status == 0, received.stderr
    gateway.wait_state(study.uid, "archived")


def test_the_official_code_list_imports_within_five_seconds(pair: Pair) -> None:
    from tests.support import shared_data

    gateway, _ = pair
    official = shared_data("thl-toimenpideluokitus-119.xls")
    started = time.monotonic()
    done = gateway.cli("codes", "import", str(official))
    seconds = time.monotonic() - started
    assert done.status == 0, done.stderr
    assert seconds < 10, f"{seconds:.1f} s with the program's start on a busy machine"
    shown = gateway.json("codes", "show", "AA1BD")
    assert "AA1AD" in str(shown)


def test_the_starter_codes_are_loaded_into_an_empty_catalog(gateway: Gateway) -> None:
    assert (ROOT / "conf" / "procedure-codes.csv").exists()
    assert "GD1AA" in str(gateway.json("codes", "show", "GD1AA"))


def test_the_doctor_finds_no_fault_in_a_gateway_that_works(pair: Pair) -> None:
    gateway, _ = pair
    assert gateway.process is not None
    done = gateway.cli("doctor", "--json")
    found = {one["check"]: one for one in json.loads(done.stdout)}
    assert done.status == 0, done.stdout
    assert found["daemon"] == {
        "check": "daemon",
        "level": "well",
        "message": f"runs as process {gateway.process.pid}",
        "remedy": "",
    }
    assert [found[name]["level"] for name in ("permissions", "catalog", "ports", "destinations")] == ["well"] * 4
