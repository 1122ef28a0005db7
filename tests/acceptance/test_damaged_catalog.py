"""The catalog's file is damaged while the gateway runs: receiving goes on, and nothing is missing after a rebuild."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.gateway import Gateway
from tests.studies import make_study
from tests.support import wait_until

PAGE = 4096  # bytes

pytestmark = pytest.mark.slow


def test_a_catalog_that_is_damaged_while_running_costs_no_image_and_is_made_again(tmp_path: Path) -> None:
    with Gateway(tmp_path / "gateway", processes=1) as gateway:
        before, after = (make_study(kind="ct", accession=name, instances=3) for name in ("C-1", "C-2"))
        gateway.send(before)
        gateway.wait_state(before.uid, "held")
        file = gateway.state / "catalog.sqlite"
        with file.open("r+b") as pages:
            pages.seek(3 * PAGE)
            pages.write(b"\xa5" * (file.stat().st_size - 4 * PAGE))
        gateway.storescu(after.write(tmp_path / "after"))
        wait_until(lambda: "SQLITE_CORRUPT" in gateway.said(), timeout=60, what="the damage in the log")
        kept = list(gateway.spool.glob("instances/*/*"))
        assert len(kept) + len(gateway.waiting()) >= 6, "what was acknowledged is here, catalogued or not"
        for words in (("stats",), ("studies", "list")):
            done = gateway.quick(*words)
            assert done.status == 1
            assert "not fit for use" in done.stderr
        assert gateway.stop() == 0
        rebuilt = gateway.cli("catalog", "rebuild")
        assert rebuilt.status == 0, rebuilt.stderr
        gateway.start()
        for study in (before, after):
            assert gateway.wait_state(study.uid, "held")["instances"] == 3
        assert gateway.waiting() == []
        assert gateway.cli("spool", "verify").status == 0
