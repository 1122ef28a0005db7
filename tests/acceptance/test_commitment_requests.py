"""Modalities that ask the gateway for storage commitment, and may delete what they have once it has said yes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from tests.acceptance.gateway import Gateway
from tests.acceptance.orthanc import Orthanc
from tests.stand_in import StandIn
from tests.studies import make_study
from tests.support import free_port, wait_until


class Modality:
    """A pynetdicom AE that stores, asks, and hears reports on either association."""

    def __init__(self, gateway_port: int) -> None:
        self.gateway_port, self.port = gateway_port, free_port()
        self.heard: list[tuple[str, int, int, str]] = []
        self.told = threading.Event()

    def take(self, event: Any) -> tuple[int, None]:
        data = event.event_information
        where = "its own" if event.assoc.is_requestor else "a new one"
        counts = len(data.get("ReferencedSOPSequence", [])), len(data.get("FailedSOPSequence", []))
        self.heard.append((where, *counts, str(data.TransactionUID)))
        self.told.set()
        return 0x0000, None

    def store_and_ask(self, paths: list[Path], uid: str, *, stay: bool) -> None:
        ae = AE("CT1")
        ae.add_requested_context(CTImageStorage)
        ae.add_requested_context(StorageCommitmentPushModel)
        handlers = [(evt.EVT_N_EVENT_REPORT, self.take)]
        association = ae.associate("127.0.0.1", self.gateway_port, ae_title="KUVAGW", evt_handlers=handlers)
        assert association.is_established
        request = Dataset()
        request.TransactionUID, request.ReferencedSOPSequence = uid, []
        for path in paths:
            data = dcmread(path)
            assert association.send_c_store(data).Status == 0x0000
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = data.SOPClassUID, data.SOPInstanceUID
            request.ReferencedSOPSequence.append(item)
        status, _ = association.send_n_action(
            request, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        assert status.Status == 0x0000
        if stay:
            assert self.told.wait(20)
        association.release()

    @contextmanager
    def listening(self) -> Iterator[None]:
        ae = AE("CT1")
        ae.add_supported_context(StorageCommitmentPushModel, scu_role=False, scp_role=True)
        server = ae.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, self.take)]
        )
        try:
            yield
        finally:
            server.shutdown()
            ae.shutdown()


def peers(port: int, **changes: Any) -> list[dict[str, Any]]:
    ct1 = {"name": "ct1", "ae_title": "CT1", "host": "127.0.0.1", "port": port, "allow": ["echo", "store", "commit"]}
    monitor = {"name": "monitor", "ae_title": "MONITOR", "allow": ["echo"]}
    return [{**ct1, "commit_retry": "1000x300ms", **changes}, monitor]


@pytest.mark.slow
def test_a_modality_is_told_on_its_own_association_on_a_new_one_and_after_a_crash(tmp_path: Path) -> None:
    port = free_port()
    modality = Modality(port)
    gateway = Gateway(tmp_path / "gateway", port=port, peers=peers(modality.port), processes=1)
    studies = [make_study(kind="ct", instances=2, accession=f"C-{number}") for number in range(3)]
    sent = [study.write(tmp_path / f"sent-{number}") for number, study in enumerate(studies)]
    with gateway:
        modality.store_and_ask(sent[0], "2.25.1", stay=True)
        with modality.listening():
            modality.store_and_ask(sent[1], "2.25.2", stay=False)
            wait_until(lambda: len(modality.heard) == 2)
        modality.store_and_ask(sent[2], "2.25.3", stay=False)
        gateway.kill()
        with modality.listening():
            gateway.start()
            wait_until(lambda: len(modality.heard) == 3)
            wait_until(lambda: not gateway.json("peers", "commitments", "--waiting"))
        assert modality.heard == [
            ("its own", 2, 0, "2.25.1"),
            ("a new one", 2, 0, "2.25.2"),
            ("a new one", 2, 0, "2.25.3"),
        ]
        shown = gateway.json("peers", "commitments", "--peer", "ct1")
        assert [(row["transaction_uid"], row["state"], row["instances"]) for row in shown] == [
            ("2.25.3", "reported", 2),
            ("2.25.2", "reported", 2),
            ("2.25.1", "reported", 2),
        ]


@pytest.mark.slow
def test_a_modality_with_commit_when_archived_is_told_when_the_archive_has_committed(tmp_path: Path) -> None:
    port = free_port()
    modality = Modality(port)
    with (
        StandIn("--report-to", f"127.0.0.1:{port}") as archive,
        modality.listening(),
        Gateway(
            tmp_path / "gateway",
            port=port,
            archive_port=archive.port,
            peers=peers(modality.port, commit_when="archived"),
        ) as gateway,
    ):
        study = make_study(kind="ct", instances=2)
        modality.store_and_ask(study.write(tmp_path / "sent"), "2.25.1", stay=False)
        gateway.wait_state(study.uid, "held")
        assert modality.heard == []
        gateway.import_documents(study)
        gateway.wait_state(study.uid, "archived")
        wait_until(lambda: modality.heard == [("a new one", 2, 0, "2.25.1")])


@pytest.mark.slow
def test_orthanc_is_a_modality_that_asks_for_commitment(tmp_path: Path) -> None:
    gateway_port, modality_port = free_port(), free_port()
    with (
        Gateway(tmp_path / "gateway", port=gateway_port, peers=peers(modality_port, ae_title="ORTHANC")) as gateway,
        Orthanc(
            tmp_path / "orthanc", ae_title="ORTHANC", gateway_port=gateway_port, dicom_port=modality_port
        ) as modality,
    ):
        study = make_study(kind="ct", instances=3)
        ids = [modality.post("/instances", path.read_bytes())["ID"] for path in study.write(tmp_path / "sent")]
        body = json.dumps({"Resources": ids[:2], "StorageCommitment": True}).encode()
        asked = modality.post("/modalities/gateway/store", body)["StorageCommitmentTransactionUID"]

        def report(uid: str) -> dict[str, Any] | None:
            found: dict[str, Any] = modality.get(f"/storage-commitment/{uid}")
            return None if found["Status"] == "Pending" else found

        first = wait_until(lambda: report(asked), timeout=30)
        assert (first["Status"], len(first["Success"]), first["Failures"]) == ("Success", 2, [])
        body = json.dumps({"DicomInstances": [["1.2.840.10008.5.1.4.1.1.2", "9.9.9"]]}).encode()
        asked = modality.post("/modalities/gateway/storage-commitment", body)["ID"]
        second = wait_until(lambda: report(asked), timeout=30)
        assert second["Status"] == "Failure"
        assert [one["SOPInstanceUID"] for one in second["Failures"]] == ["9.9.9"]
        assert gateway.wait_catalogued()["instances"] == 2
