"""A catalog and a spool filled with accepted studies, and the gateway's own queue at work on them, for benchmarks.

Time is the machine's, or what a clock of the caller's shows.
"""

from __future__ import annotations

import random
import resource
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from kuva_gateway import parts
from kuva_gateway.catalog import entries, studies
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.indexer import Indexer
from kuva_gateway.config.model import Configuration
from kuva_gateway.dicom.uids import new_uid
from kuva_gateway.log import configure, get_logger
from kuva_gateway.queue.alarms import Alarms
from kuva_gateway.queue.attempt import Tools
from kuva_gateway.queue.commitment import Commitments
from kuva_gateway.queue.lane import make_lane
from kuva_gateway.queue.runner import Runner
from kuva_gateway.spool.spool import Spool


def utc_now() -> datetime:
    """This moment."""
    return datetime.now(UTC)


class Queue:
    """The queues of some destinations in a folder of their own, from the first study to the end of the block.

    The first destination is the one that is looked at.
    """

    def __init__(self, folder: Path, configuration: Configuration, *, now: Callable[[], datetime] = utc_now) -> None:
        configure(form="json", level="error")
        self.configuration = configuration
        self._now = now
        self.catalog = Catalog.open(None, folder / "catalog.sqlite", now=now)
        self.spool = Spool(folder / "spool", minimum_free=0, clock_ns=lambda: round(now().timestamp() * 1e9))
        self.destination = configuration.destinations[0].name

    def __enter__(self) -> Queue:
        return self

    def __exit__(self, *_: Any) -> None:
        self.catalog.close()

    def fill(
        self, count: int, encode: Callable[[str, str], bytes], sop_class: str, syntax: str, *, peer: str = "ct1"
    ) -> list[str]:
        """Receive, index and accept so many studies of one instance each; returns the SOP Instance UIDs."""
        indexer = Indexer(self.catalog, self.spool)
        plans = parts.destination_plans(self.configuration)
        uids, made = [], []
        for number in range(count):
            uid, study = new_uid(), new_uid()[:60]
            made.append(uid)
            incoming = self.spool.begin(sop_class, uid, syntax)
            incoming.write(memoryview(encode(uid, study)))
            incoming.commit(peer, 1, number)
            uids.append(study)
        arrivals = list(self.spool.arrivals())
        for start in range(0, len(arrivals), 200):
            indexer.index_batch(arrivals[start : start + 200])
        for study in uids:
            studies.settle(self.catalog, study, 1)
            studies.record_verdict(self.catalog, studies.view(self.catalog, study), True, (), plans)
        return made

    def try_all(self) -> tuple[float, float, int]:
        """Let the workers try every entry once; returns CPU seconds, seconds and attempts."""
        runner = self.runner()
        before, began = _spent(), time.perf_counter()
        runner.start()
        while self._untried():
            time.sleep(0.1)
        runner.stop(10)
        seconds, cpu = time.perf_counter() - began, _spent() - before
        with self.catalog.read() as session:
            return cpu, seconds, int(session.value("SELECT COUNT(*) FROM attempts"))

    def deliver_all(self) -> float:
        """Let the workers send until nothing is left for the first destination; returns seconds."""
        runner = self.runner()
        began = time.perf_counter()
        runner.start()
        while entries.next_due(self.catalog, self.destination) is not None:
            time.sleep(0.01)
        seconds = time.perf_counter() - began
        runner.stop(0.5)
        return seconds

    def _untried(self) -> bool:
        due = entries.next_due(self.catalog, self.destination)
        return due is not None and due <= utc_now() + timedelta(hours=1)

    def runner(self) -> Runner:
        """The workers of all destinations, not started yet."""
        log, rng = get_logger("bench"), random.Random(1)
        alarms = Alarms(log)
        commitments = Commitments(self.catalog, now=self._now, new_uid=new_uid, rng=rng, log=log, alarms=alarms)
        lanes = [
            make_lane(
                self.catalog,
                destination,
                ae_title="KUVAGW",
                tls=None,
                zone=UTC,
                timers=parts.timers(self.configuration),
                limits=parts.limits(self.configuration),
                now=self._now,
                rng=rng,
                log=log,
                alarms=alarms,
            )
            for destination in self.configuration.destinations
        ]
        tools = Tools(
            catalog=self.catalog,
            commitments=commitments,
            open_file=self.spool.open_instance,
            owner="bench",
            lease=timedelta(seconds=60),
            now=self._now,
            rng=rng,
            log=log,
            stopping=threading.Event(),
            alarms=alarms,
        )
        return Runner(lanes, tools)


def _spent() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
