"""A hospital that sends into a real spool, over each database, with a clock that the test turns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kuva_gateway.spool import Spool
from tests.conftest import OpenCatalog
from tests.faults import FaultyFiles
from tests.unit.catalog.making import Clock, Hospital


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def files() -> FaultyFiles:
    return FaultyFiles()


@pytest.fixture
def spool(tmp_path: Path, files: FaultyFiles, clock: Clock) -> Spool:
    return Spool(tmp_path / "spool", minimum_free=0, files=files, clock_ns=clock.ns)


@pytest.fixture
def hospital(open_catalog: OpenCatalog, spool: Spool, clock: Clock) -> Iterator[Hospital]:
    """A hospital; whatever a test does with it, the totals that are kept are those that counting gives."""
    hospital = Hospital(open_catalog(now=clock), spool, clock)
    yield hospital
    if hospital.by_hand:
        return
    kept = "SELECT state, number, instances, bytes FROM totals WHERE what = ? AND number <> 0 ORDER BY state"
    counted = "SELECT state, COUNT(*) AS number, {} FROM {} GROUP BY state ORDER BY state"
    sums = "SUM(instances) AS instances, SUM(bytes) AS bytes"
    assert hospital.rows(kept, "studies") == hospital.rows(counted.format(sums, "studies"))
    assert hospital.rows(kept, "entries") == hospital.rows(counted.format("0 AS instances, 0 AS bytes", "entries"))
    for (destination,) in {(row["destination"],) for row in hospital.rows("SELECT destination FROM entries")}:
        entries = f"entries WHERE destination = '{destination}'"
        assert hospital.rows(kept, f"entries:{destination}") == hospital.rows(
            counted.format("0 AS instances, 0 AS bytes", entries)
        )
