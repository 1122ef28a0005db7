"""The benchmark of sending runs, and its figures are about what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from kuva_gateway.catalog.database import Catalog
from tests.studies import load_script
from tests.support import ROOT, dcmtk, dcmtk_environment

sys.path.append(str(ROOT / "scripts"))
SCRIPT = ROOT / "scripts" / "benchmark_send.py"


def run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        env=dcmtk_environment(),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
def test_both_senders_are_measured_with_one_and_four_associations() -> None:
    dcmtk("storescu")
    said = run("speed", "--count", "4", "--rounds", "1", "--transport", "plain")
    lines = re.findall(r"(8KiB|512KiB) +([14]) +plain +[0-9.]+s +[0-9.]+s +[0-9.]+x", said)
    assert lines == [("8KiB", "1"), ("8KiB", "4"), ("512KiB", "1"), ("512KiB", "4")]


@pytest.mark.slow
def test_attempts_at_an_archive_that_refuses_are_counted() -> None:
    assert re.search(r"^5 attempts refused with A700 in .* ms CPU per attempt", run("refusing", "--due", "5"))


@pytest.mark.slow
def test_finished_entries_are_as_many_as_were_asked_for(tmp_path: Path) -> None:
    benchmark = load_script("benchmark_send")
    with closing(Catalog.open(None, tmp_path / "catalog.sqlite")) as catalog:
        benchmark.add_finished(catalog, 50)
        with catalog.read() as session:
            found = session.rows("SELECT state, COUNT(DISTINCT study_id) AS n FROM entries GROUP BY state")
        assert found == [{"state": "archived", "n": 50}]
        assert benchmark.look(catalog) > 0


@pytest.mark.slow
def test_a_healthy_destination_is_measured_alone_and_beside_others() -> None:
    dcmtk("storescp")
    said = run("isolation", "--studies", "8", "--rounds", "2")
    assert re.search(r"8 studies .* \d+/s alone, \d+/s beside a dead and a stalled one, [0-9.]+ times the time", said)


@pytest.mark.slow
def test_a_week_without_the_archive_is_told_and_drained_in_order() -> None:
    said = run("outage", "--week", "14")
    assert "in order of priority and age: yes; 14 sent, 0 failed, 0 held" in said
    assert re.search(r" 0 attempts burnt; .* with 14 attempts", said)
    assert int(re.search(r"never closer than (\d+) s", said)[1]) >= 60  # type: ignore[index]
