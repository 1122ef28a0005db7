"""Things that happen at the same time, or that contradict each other."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from pynetdicom.dsutils import encode

from tests.acceptance.conftest import Pair
from tests.acceptance.gateway import Gateway
from tests.acceptance.sender import modality
from tests.studies import HETUS, make_study
from tests.support import dcmtk_environment, wait_until

pytestmark = pytest.mark.slow


def test_the_same_study_from_two_associations_at_once_is_one_study(start_pair: Callable[..., Pair]) -> None:
    gateway, archive = start_pair(processes=2)
    study = make_study(kind="ct", series=2, instances=40)
    gateway.import_documents(study)
    paths = study.write(gateway.folder / "sent")
    # The halves overlap by twenty images: the same bytes from two peers at the same moment.
    senders = [
        subprocess.Popen(
            gateway.storescu_command(part, calling=calling),
            env=dcmtk_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for part, calling in ((paths[:50], "CT1"), (paths[30:], "MR1"))
    ]
    assert [sender.wait(timeout=60) for sender in senders] == [0, 0]
    shown = gateway.wait_state(study.uid, "archived")
    assert (shown["series"], shown["instances"]) == (2, 80)
    assert set(archive.digests) == set(study.sop_instance_uids)
    assert not any(event["again"] for event in archive.events("stored"))


@pytest.mark.parametrize(("policy", "delivered"), [("newest", 1), ("first", 0)])
def test_of_two_objects_under_one_uid_the_policy_says_which_is_delivered(
    start_pair: Callable[..., Pair], policy: str, delivered: int
) -> None:
    gateway, archive = start_pair(duplicates=policy, settle_after="3s")
    study = make_study(kind="ct")
    gateway.import_documents(study)
    digests = []
    with modality(gateway.port) as sender:
        for series in ("first", "second"):
            study.data_sets[0].SeriesDescription = series
            encoded = encode(study.data_sets[0], is_implicit_vr=False, is_little_endian=True)
            assert encoded is not None
            digests.append(hashlib.sha256(encoded).hexdigest())
            assert sender.store(study.data_sets[0]).status == 0x0000
    shown = gateway.wait_state(study.uid, "archived")
    assert shown["instances"] == 1
    assert [finding["severity"] for finding in shown["findings"] if finding["rule"] == "DUP-01"] == ["warning"]
    assert archive.digests == {study.sop_instance_uids[0]: digests[delivered]}
    assert gateway.cli("spool", "verify").status == 0


def test_other_bytes_under_a_delivered_uid_are_held_and_never_sent(pair: Pair) -> None:
    gateway, archive = pair
    study = make_study(kind="ct")
    gateway.import_documents(study)
    gateway.send(study)
    gateway.wait_state(study.uid, "archived")
    study.data_sets[0].SeriesDescription = "another object under the same UID"
    with modality(gateway.port) as sender:
        assert sender.store(study.data_sets[0]).status == 0x0000
    shown = gateway.wait_state(study.uid, "held")
    assert "DUP-01" in {finding["rule"] for finding in shown["findings"] if finding["severity"] == "hold"}
    assert len(archive.events("stored")) == 1


def test_one_study_uid_with_two_patients_is_held(gateway: Gateway) -> None:
    first = make_study(kind="ct", hetu=HETUS[0])
    second = make_study(kind="ct", hetu=HETUS[1], study_uid=first.uid)
    gateway.send(first)
    gateway.storescu(second.write(gateway.folder / "second"))
    gateway.wait_catalogued()
    shown = wait_until(
        lambda: (
            study
            if (study := gateway.study(first.uid)) and study["state"] == "held" and study["instances"] == 2
            else None
        ),
        what="a verdict on both",
    )
    assert {"PID-07", "UID-02"} & {finding["rule"] for finding in shown["findings"]}


def test_one_peer_cannot_take_more_associations_than_its_limit(tmp_path: Path) -> None:
    peers = [
        {"name": "ct1", "ae_title": "CT1", "allow": ["echo", "store"], "limits": {"associations": 2}},
        {"name": "monitor", "ae_title": "MONITOR", "allow": ["echo"]},
    ]
    with (
        Gateway(tmp_path / "gateway", peers=peers, processes=2) as gateway,
        modality(gateway.port) as first,
        modality(gateway.port) as second,
    ):
        with pytest.raises(AssertionError, match="did not accept"), modality(gateway.port):
            pass
        data_sets = make_study(kind="ct", instances=2).data_sets
        assert first.store(data_sets[0]).status == 0x0000
        assert second.store(data_sets[1]).status == 0x0000
