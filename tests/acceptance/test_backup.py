"""A gateway that is backed up while modalities send, lost with its disk, and made again from the backup."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.gateway import Gateway, configuration
from tests.stand_in import StandIn
from tests.studies import make_study
from tests.support import dcmtk_environment, free_port, wait_until

BY = ("--by", "anna", "--reason", "seen on paper")
KEPT = ("state", "revision", "instances", "bytes", "peer", "findings", "documents", "first_arrival", "last_arrival")


def acknowledged(gateway: Gateway) -> set[str]:
    """The SHA-256 of every file that the gateway has said is safe."""
    folders = (gateway.spool / "instances", gateway.spool / "arrived")
    return {path.name[-64:] for folder in folders for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_backup_under_load_brings_back_every_image_and_decision_and_nothing_goes_twice(tmp_path: Path) -> None:
    port, away = free_port(), free_port()
    report = ("--report-to", f"127.0.0.1:{port}")
    with StandIn(*report) as archive:
        gateway = Gateway(tmp_path / "gateway", port=port)
        value = configuration(port, archive.port, processes=1)
        (first,) = value["destinations"]
        value["destinations"] = [
            first,
            {**first, "name": "second-archive", "ae_title": "SECOND", "port": away, "required": False},
        ]
        gateway.configure(value)
        archived, released, rejected = (make_study(kind="ct", accession=f"B-{n}") for n in range(3))
        load = make_study(kind="ct", accession="L-1", instances=150).write(tmp_path / "load")
        with gateway:
            gateway.import_documents(archived)
            for one in (archived, released, rejected):
                gateway.send(one)
            for study, decision in ((released, "release"), (rejected, "reject")):
                gateway.wait_state(study.uid, "held")
                assert gateway.quick("studies", decision, study.uid, *BY).status == 0
            for study in (archived, released):
                gateway.wait_state(study.uid, "archived")
            gateway.storescu(load[:50])
            safe = acknowledged(gateway)
            with subprocess.Popen(gateway.storescu_command(load[50:]), env=dcmtk_environment()) as modality:
                done = gateway.cli("backup", str(tmp_path / "backup"), "--json")
                assert modality.wait(60) == 0
            assert done.status == 0, done.stderr
            before = {study.uid: gateway.study(study.uid) for study in (archived, released, rejected)}
            with StandIn(*report, port=away, ae_title="SECOND") as second:
                second.wait("stored", 2)
                # It goes between the backup and the loss; what the archives have is not sent to them again.
                wait_until(
                    lambda: {one["state"] for one in gateway.json("queue", "list")} == {"archived"},
                    what="the delivery to the second archive",
                )
                gateway.kill()
                shutil.rmtree(gateway.state)
                restored = gateway.cli("restore", str(tmp_path / "backup"))
                assert restored.status == 0, restored.stderr
                assert "2 instances will be asked about" in restored.stdout
                assert safe <= acknowledged(gateway)
                assert gateway.quick("spool", "verify").status == 0
                gateway.start()
                for uid, shown in before.items():
                    again = gateway.study(uid)
                    assert shown is not None
                    assert again is not None
                    assert {key: again[key] for key in KEPT} == {key: shown[key] for key in KEPT}
                wait_until(
                    lambda: {one["state"] for one in gateway.json("queue", "list")} == {"archived"},
                    what="the answers of the second archive",
                )
                assert len(second.events("stored")) == 2
                assert gateway.stop() == 0
        assert len(archive.events("stored")) == 2
