"""The stand-in archive takes studies, commits to them on a new association, and misbehaves as told."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance, Verification

from tests.stand_in import StandIn, data_set_digest
from tests.studies import make_study, new_uid

Report = tuple[int, Dataset]


@contextmanager
def requester(reports: queue.Queue[Report]) -> Iterator[int]:
    """Somebody who takes storage commitment results on a port of their own."""

    def take(event: evt.Event) -> tuple[int, None]:
        reports.put((event.request.EventTypeID, event.event_information))
        return 0x0000, None

    entity = AE(ae_title="KUVAGW")
    entity.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, take)])
    assert server is not None
    try:
        yield server.server_address[1]
    finally:
        entity.shutdown()


@contextmanager
def association(port: int, study: Any, reports: queue.Queue[Report] | None = None) -> Iterator[Any]:
    entity = AE(ae_title="KUVAGW")
    entity.add_requested_context(study.data_sets[0].SOPClassUID, ExplicitVRLittleEndian)
    entity.add_requested_context(StorageCommitmentPushModel)
    entity.add_requested_context(Verification)

    def take(event: evt.Event) -> tuple[int, None]:
        assert reports is not None
        reports.put((event.request.EventTypeID, event.event_information))
        return 0x0000, None

    opened = entity.associate("127.0.0.1", port, ae_title="ARCHIVE", evt_handlers=[(evt.EVT_N_EVENT_REPORT, take)])
    assert opened.is_established
    try:
        yield opened
    finally:
        opened.release()


def ask(opened: Any, study: Any, *extra: str) -> str:
    request = Dataset()
    request.TransactionUID = transaction = new_uid()
    items = []
    for uid in (*study.sop_instance_uids, *extra):
        item = Dataset()
        item.ReferencedSOPClassUID = study.data_sets[0].SOPClassUID
        item.ReferencedSOPInstanceUID = uid
        items.append(item)
    request.ReferencedSOPSequence = items
    status, _ = opened.send_n_action(request, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance)
    assert status.Status == 0x0000
    return transaction


def test_stores_with_digest_and_commits_on_a_new_association(tmp_path: Path) -> None:
    study = make_study(kind="ct", instances=2)
    files = study.write(tmp_path)
    reports: queue.Queue[Report] = queue.Queue()
    with (
        requester(reports) as port,
        StandIn("--report-to", f"127.0.0.1:{port}", "--folder", str(tmp_path / "kept")) as archive,
    ):
        with association(archive.port, study) as opened:
            assert opened.send_c_echo().Status == 0x0000
            for path in files:
                assert opened.send_c_store(path).Status == 0x0000
            transaction = ask(opened, study, "1.2.3")
        kind, report = reports.get(timeout=20)
        assert kind == 2
        assert report.TransactionUID == transaction
        assert {item.ReferencedSOPInstanceUID for item in report.ReferencedSOPSequence} == set(study.sop_instance_uids)
        assert [(item.ReferencedSOPInstanceUID, item.FailureReason) for item in report.FailedSOPSequence] == [
            ("1.2.3", 0x0112)
        ]
        archive.wait("commitment_reported")
        assert archive.events("commitment_reported")[0]["same_association"] is False
        assert set(archive.digests.values()) == {data_set_digest(path) for path in (tmp_path / "kept").iterdir()}
        assert archive.stop() == 0


def test_reports_on_the_same_association_twice_and_with_strangers(tmp_path: Path) -> None:
    study = make_study(kind="mr")
    reports: queue.Queue[Report] = queue.Queue()
    with (
        StandIn("--commit-same-association", "--commit-twice", "--foreign-commitment") as archive,
        association(archive.port, study, reports) as opened,
    ):
        opened.send_c_store(study.data_sets[0])
        transaction = ask(opened, study)
        received = [reports.get(timeout=20)[1] for _ in range(3)]
        archive.wait("commitment_reported", 3)
    assert received[0].TransactionUID != transaction
    assert [report.TransactionUID for report in received[1:]] == [transaction, transaction]
    assert all(len(report.ReferencedSOPSequence) == 2 for report in received)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--status", "A700", "--every", "2"], [0x0000, 0xA700, 0x0000]),
        (["--status", "A700", "--faults", "1"], [0xA700, 0x0000, 0x0000]),
        (["--refuse-uid", "{second}=A778"], [0x0000, 0xA778, 0x0000]),
    ],
)
def test_refuses_what_it_was_told_to(options: list[str], expected: list[int]) -> None:
    study = make_study(kind="ct", instances=3)
    filled = [option.format(second=study.sop_instance_uids[1]) for option in options]
    with StandIn(*filled) as archive, association(archive.port, study) as opened:
        answers = [opened.send_c_store(data_set).Status for data_set in study.data_sets]
    assert answers == expected


def test_rejects_associations_as_often_as_told() -> None:
    with StandIn("--reject-associations", "--faults", "1") as archive:
        entity = AE(ae_title="KUVAGW")
        entity.add_requested_context(Verification)
        assert entity.associate("127.0.0.1", archive.port, ae_title="ARCHIVE").is_rejected
        second = entity.associate("127.0.0.1", archive.port, ae_title="ARCHIVE")
        assert second.is_established
        second.release()
