"""A gateway whose catalog is lost in the middle of its work, and what comes back from images and journal."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.acceptance.gateway import Gateway
from tests.stand_in import StandIn
from tests.studies import Study, make_study
from tests.support import dcmtk_environment, free_port, wait_until

BY = ("--by", "anna", "--reason", "seen on paper")
KEPT = ("state", "instances", "bytes", "peer", "documents", "first_arrival", "last_arrival")


@pytest.mark.slow
def test_a_killed_gateway_without_its_catalog_knows_again_what_was_sent_decided_and_delivered(tmp_path: Path) -> None:
    port = free_port()
    with StandIn("--report-to", f"127.0.0.1:{port}") as archive:
        gateway = Gateway(tmp_path / "gateway", archive_port=archive.port, port=port, processes=1)
        archived, released, rejected, held = (make_study(kind="ct", accession=f"J-{n}") for n in range(4))
        load = make_study(kind="ct", accession="L-1", instances=200)
        with gateway:
            gateway.import_documents(archived)
            for study in (archived, released, rejected):
                gateway.send(study)
            gateway.send(held, calling="MR1")
            for study, decision in ((released, "release"), (rejected, "reject")):
                gateway.wait_state(study.uid, "held")
                assert gateway.quick("studies", decision, study.uid, *BY).status == 0
            for study in (archived, released):
                gateway.wait_state(study.uid, "archived")
            gateway.wait_state(held.uid, "held")
            outbox = gateway.state / "journal" / "00000001.journal"

            def has_the_last_word(study: Study) -> bool:
                lines = [line for line in outbox.read_text("utf-8").splitlines() if study.uid in line]
                return any('"state":"archived"' in line for line in lines)

            wait_until(lambda: all(map(has_the_last_word, (archived, released))), what="the journal's last word")
            before = {one.uid: gateway.study(one.uid) for one in (archived, released, rejected)}
            paths = load.write(tmp_path / "load")
            with subprocess.Popen(gateway.storescu_command(paths), env=dcmtk_environment()) as modality:
                wait_until(lambda: len(list((gateway.spool / "instances").rglob("*"))) > 100, what="some of the load")
                gateway.kill()  # in the middle of receiving, indexing and writing the journal
                modality.wait(60)
        for path in gateway.state.glob("catalog.sqlite*"):
            path.unlink()
        rebuilt = gateway.quick("catalog", "rebuild", "--json")
        assert rebuilt.status == 0, rebuilt.stderr
        assert '"damaged_journal_lines": 0' in rebuilt.stdout
        with gateway:
            for uid, shown in before.items():
                again = gateway.study(uid)
                assert shown is not None
                assert again is not None
                assert {key: again[key] for key in KEPT} == {key: shown[key] for key in KEPT}
            again = gateway.wait_state(held.uid, "held")
            assert again["peer"] == "mr1"
            assert "QUA-03" not in [finding["rule"] for finding in again["findings"]]
            (line,) = [one for one in gateway.json("studies", "trace", rejected.uid) if one["event"] == "rejected"]
            assert (line["by"], line["detail"]["reason"]) == ("anna", "seen on paper")
            gateway.storescu(paths)
            assert gateway.wait_state(load.uid, "held")["instances"] == 200
        assert len(archive.events("stored")) == 2
