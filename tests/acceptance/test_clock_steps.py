"""The clock is set by hours and by a year while studies wait: none is lost, sent twice, given up or late."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.gateway import Gateway
from tests.stand_in import StandIn
from tests.studies import HETUS, load_script, make_study
from tests.support import free_port, skip_or_fail, wait_until

FalseClock = load_script("false_clock").FalseClock
BOTH = ("request", "examination_entry")


@pytest.mark.timeout(180)
def test_a_clock_that_is_set_costs_nothing(tmp_path: Path) -> None:
    if not FalseClock.is_there():
        skip_or_fail("libfaketime is not installed")
    clock = FalseClock(tmp_path / "clock")
    sent, port = 0, free_port()
    with StandIn("--report-to", f"127.0.0.1:{port}") as archive:
        gateway = Gateway(tmp_path / "gateway", archive_port=archive.port, port=port, settle_after="2s", processes=2)
        gateway.environment = clock.environment
        with gateway:
            for number, hours in enumerate((-5, 3, 10_000, 0)):
                study = make_study(kind="ct", hetu=HETUS[number], accession=f"A{number}", series=1, instances=3)
                gateway.import_documents(study, *BOTH)
                gateway.send(study)
                sent += 3
                clock.set(hours)  # while it settles
                wait_until(lambda n=number: gateway.said().count("the clock was set") == n + 1, timeout=20)  # type: ignore[misc]
                shown = gateway.wait_state(study.uid, "archived", timeout=30)
                assert [entry["state"] for entry in shown["entries"]] == ["archived"]
            clock.set(-7)
            wait_until(lambda: gateway.said().count("the clock was set") == 5, timeout=20)
            assert gateway.stop() == 0
            clock.set(-9)
            gateway.start()
            wait_until(lambda: '"while_stopped": true' in gateway.said(), timeout=20)
        assert len(archive.events("stored")) == sent
