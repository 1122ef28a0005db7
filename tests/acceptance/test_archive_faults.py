"""Whatever the archive does, a study ends up archived or waits with a reason that a person can read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Pair
from tests.acceptance.gateway import Gateway
from tests.stand_in import StandIn
from tests.studies import make_study
from tests.support import free_port, wait_until

pytestmark = pytest.mark.slow

Start = Callable[..., Pair]


def good_study(gateway: Gateway, **changes: Any) -> Any:
    """A study that nothing holds, sent to the gateway."""
    study = make_study(**{"kind": "ct", "instances": 3, **changes})
    gateway.import_documents(study)
    gateway.send(study)
    return study


def entry_of(gateway: Gateway, study: Any) -> dict[str, Any]:
    shown = gateway.study(study.uid)
    assert shown is not None
    entry: dict[str, Any] = shown["entries"][-1]
    return entry


def test_an_archive_that_is_down_burns_no_attempts_and_is_served_when_it_is_back(tmp_path: Path) -> None:
    port = free_port()
    with Gateway(tmp_path / "gateway", archive_port=port) as gateway:
        study = good_study(gateway)
        gateway.wait_state(study.uid, "accepted")
        entry = wait_until(
            lambda: entry if (entry := entry_of(gateway, study))["last_error"] else None, what="a reason for the wait"
        )
        assert entry["state"] in {"queued", "deferred", "sending"}
        assert entry["last_error"]["meaning"]
        wait_until(lambda: gateway.said().count("rest") > 0 or gateway.said().count("reach") > 0, what="a word on it")
        assert entry_of(gateway, study)["attempts"] <= 1
        with StandIn("--report-to", f"127.0.0.1:{gateway.port}", port=port):
            gateway.wait_state(study.uid, "archived")


def test_an_archive_that_rejects_associations_is_tried_again(start_pair: Start) -> None:
    gateway, archive = start_pair("--reject-associations", "--faults", "2")
    study = good_study(gateway)
    gateway.wait_state(study.uid, "archived")
    assert len(archive.events("rejected")) == 2


def test_a_slow_archive_gets_everything_once(start_pair: Start) -> None:
    gateway, archive = start_pair("--delay-store", "1")
    study = good_study(gateway)
    gateway.wait_state(study.uid, "archived")
    assert len(archive.events("stored")) == 3


def test_a_temporary_refusal_is_tried_again_until_it_works(start_pair: Start) -> None:
    gateway, archive = start_pair("--status", "A700", "--every", "2", "--faults", "2")
    study = good_study(gateway, instances=4)
    shown = gateway.wait_state(study.uid, "archived")
    assert shown["entries"][-1]["attempts"] >= 2
    assert len(archive.events("refused")) == 2
    assert not any(event["again"] for event in archive.events("stored")), "what was sent is not sent again"


def test_one_refused_instance_among_many_fails_the_entry_with_its_reason_and_a_person_retries(
    start_pair: Start,
) -> None:
    study = make_study(kind="ct", instances=5)
    bad = study.sop_instance_uids[2]
    gateway, archive = start_pair("--refuse-uid", f"{bad}=A77B", "--faults", "1")
    gateway.import_documents(study)
    gateway.send(study)
    entry = wait_until(
        lambda: (
            entry
            if (entries := (gateway.study(study.uid) or {"entries": []})["entries"])
            and (entry := entries[-1])["state"] == "failed"
            else None
        ),
        timeout=45,
        what="a failed entry",
    )
    assert entry["sent"] == 4, "the others were delivered"
    assert entry["last_error"]["code"].upper().endswith("A77B")
    assert entry["last_error"]["meaning"]
    assert gateway.json("queue", "list", "--state", "failed")[0]["id"] == entry["id"]
    done = gateway.cli("queue", "retry", str(entry["id"]), "--by", "anna")
    assert done.status == 0, done.stderr
    gateway.wait_state(study.uid, "archived")
    assert [event["sop_instance_uid"] for event in archive.events("stored")].count(bad) == 1
    assert len(archive.events("stored")) == 5


def test_an_association_aborted_in_the_middle_is_taken_up_where_it_stopped(start_pair: Start) -> None:
    gateway, archive = start_pair("--abort-at", "3", "--faults", "1")
    study = good_study(gateway, instances=6)
    gateway.wait_state(study.uid, "archived")
    assert len(archive.events("aborted")) == 1
    assert set(archive.digests) == set(study.sop_instance_uids)


@pytest.mark.parametrize(
    "options",
    [
        ("--delay-commitment", "4"),
        ("--commit-twice",),
        ("--commit-same-association",),
        ("--foreign-commitment", "--commit-twice"),
        ("--refuse-commitment", "0213", "--faults", "1"),
    ],
    ids=["late", "twice", "same association", "about strangers", "refused at first"],
)
def test_commitment_comes_in_many_ways(start_pair: Start, options: tuple[str, ...]) -> None:
    gateway, archive = start_pair(*options)
    study = good_study(gateway)
    shown = gateway.wait_state(study.uid, "archived")
    assert shown["entries"][-1]["committed"] == 3
    assert len(archive.events("stored")) == 3, "nothing is sent again because of its commitment"
    expected = 3 if "--foreign-commitment" in options else 1
    archive.wait("commitment_reported", expected)
    after = gateway.study(study.uid)
    assert after is not None
    assert after["state"] == "archived"


def test_an_archive_that_never_commits_is_asked_again_and_nothing_is_resent(start_pair: Start) -> None:
    gateway, archive = start_pair("--never-commit")
    study = good_study(gateway)
    archive.wait("commitment_asked", 3, timeout=45)
    shown = gateway.study(study.uid)
    assert shown is not None
    assert shown["state"] == "accepted"
    assert (shown["entries"][-1]["state"], shown["entries"][-1]["committed"]) == ("sent", 0)
    assert len(archive.events("stored")) == 3


def test_an_instance_the_archive_lost_is_sent_again_and_only_that_one(start_pair: Start) -> None:
    """Failure reason 0112, no such object instance (PS3.3 C.14.1.1): the archive must get it again."""
    study = make_study(kind="ct", instances=3)
    lost = study.sop_instance_uids[1]
    gateway, archive = start_pair("--fail-commitment", f"{lost}=0112", "--faults", "1")
    gateway.import_documents(study)
    gateway.send(study)
    gateway.wait_state(study.uid, "archived")
    assert [event["sop_instance_uid"] for event in archive.events("stored") if event["again"]] == [lost]


def test_a_destination_without_commitment_is_complete_when_everything_was_sent(start_pair: Start) -> None:
    gateway, archive = start_pair("--no-commitment", destination={"storage_commitment": False})
    study = good_study(gateway)
    shown = gateway.wait_state(study.uid, "archived")
    assert shown["entries"][-1]["sent"] == 3
    assert archive.events("commitment_asked") == []


def test_the_archive_may_bring_results_but_not_images(pair: Pair) -> None:
    """A destination's AE is let in for commitment results only (default deny)."""
    from pynetdicom import AE
    from pynetdicom.sop_class import CTImageStorage, StorageCommitmentPushModel

    gateway, _ = pair
    entity = AE(ae_title="ARCHIVE")
    entity.add_requested_context(CTImageStorage)
    entity.add_requested_context(StorageCommitmentPushModel)
    association = entity.associate("127.0.0.1", gateway.port, ae_title="KUVAGW")
    if association.is_established:
        assert [context.abstract_syntax for context in association.accepted_contexts] == [StorageCommitmentPushModel]
        association.release()
    else:
        assert association.is_rejected
