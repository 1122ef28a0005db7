"""Two gateways' queues on one catalog: no entry is sent by both, and what a dead one held the other one ends."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.indexer import Indexer
from kuva_gateway.spool.spool import Spool
from tests.conftest import OpenCatalog
from tests.kills.step_archive import StepArchive
from tests.support import wait_until
from tests.unit.catalog.making import Clock, Hospital
from tests.unit.queue.line import Line, destination
from tests.unit.queue.test_resting import Lines

pytestmark = pytest.mark.slow

LEASE = timedelta(seconds=1)
STUDIES, INSTANCES = 12, 4


def deliver(url: str | None, path: Path, folder: Path, port: int, title: str, together: Any) -> None:
    """Deliver what is due from the moment at which both are ready, until killed."""
    catalog, spool = Catalog.open(url, path, busy_timeout=30), Spool(folder, minimum_free=0)
    line = Line(folder=folder, catalog=catalog, spool=spool, indexer=Indexer(catalog, spool), log=Lines())
    together.wait(60)
    # Nobody listens for reports on associations of the archive's own: what was not heard is asked again.
    here = destination(port, calling_ae_title=title, workers=2, commitment_overdue="2s")
    line.start(here, lease=LEASE, owner=title)
    threading.Event().wait()


@contextmanager
def delivering(url: str | None, path: Path, folder: Path, archive: StepArchive) -> Iterator[dict[str, BaseProcess]]:
    """Two processes at work on one catalog and one spool."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    made = {
        title: context.Process(target=deliver, args=(url, path, folder, archive.port, title, barrier))
        for title in ("ONE", "TWO")
    }
    try:
        for process in made.values():
            process.start()
        yield made
    finally:
        for process in made.values():
            process.kill()
            process.join(30)


def test_no_entry_is_taken_twice_and_nothing_is_lost_with_the_one_that_dies(
    open_catalog: OpenCatalog, catalog_url: str | None, tmp_path: Path
) -> None:
    hospital = Hospital(open_catalog(), Spool(tmp_path / "spool", minimum_free=0), Clock())
    processes: dict[str, BaseProcess] = {}

    def kill() -> None:
        processes["ONE"].kill()
        processes["ONE"].join(30)

    archive = StepArchive(kill)
    archive.arm("stored", INSTANCES * 2 + 2, caller="ONE")
    # Whoever is quicker must not leave the other one nothing to die of.
    archive.hold_back("stored", INSTANCES * 3, caller="TWO")
    path = tmp_path / "catalog.sqlite3"
    for number in range(STUDIES):
        hospital.accept(f"1.2.{number}", instances=INSTANCES)
    try:
        with delivering(catalog_url, path, tmp_path / "spool", archive) as processes:
            assert archive.died.wait(60), "the first one died in the middle of a study"
            wait_until(
                lambda: hospital.column("SELECT DISTINCT state FROM entries") == ["archived"],
                timeout=60,
                what="everything archived",
            )
    finally:
        archive.close()
    assert {uid: len(copies) for uid, copies in archive.received.items()} == {
        f"1.2.{study}.1.{instance}": 1 for study in range(STUDIES) for instance in range(1, INSTANCES + 1)
    }
    assert archive.callers["ONE"] > 2
    assert archive.callers["TWO"] > 2
    left = hospital.column("SELECT detail FROM history WHERE event = 'lease_expired'")
    assert 1 <= len(left) <= 2, "one for each worker of the one that died, at most"
    assert all("ONE" in detail for detail in left)
    claims = hospital.column("SELECT attempts FROM entries")
    assert sum(claims) == STUDIES + len(left)
