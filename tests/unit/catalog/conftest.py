"""A hospital that sends into a real spool, over each database, with a clock that the test turns."""

from __future__ import annotations

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
def hospital(open_catalog: OpenCatalog, spool: Spool, clock: Clock) -> Hospital:
    return Hospital(open_catalog(now=clock), spool, clock)
