"""The path from spool to archive, put together for tests: spool, indexer, catalog, admission, runner, commitments."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import generate_uid

from kuva_gateway.catalog import entries, studies
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.indexer import Indexer
from kuva_gateway.catalog.records import FindingRecord, StudyView
from kuva_gateway.config import Configuration, Destination, Peer
from kuva_gateway.decoding.process import Bounds
from kuva_gateway.dicom import syntaxes, uids
from kuva_gateway.network.timers import Limits, Timers
from kuva_gateway.parts import destination_plans
from kuva_gateway.queue.admission import Admission
from kuva_gateway.queue.alarms import Alarms
from kuva_gateway.queue.attempt import Tools
from kuva_gateway.queue.commitment import Commitments
from kuva_gateway.queue.lane import Lane, make_lane
from kuva_gateway.queue.runner import Runner
from kuva_gateway.queue.schedule import Tick, Wakeups
from kuva_gateway.spool.spool import Spool
from tests.support import wait_until
from tests.unit.catalog.making import Clock
from tests.unit.forward.instances import CT
from tests.unit.queue.test_resting import Lines


@dataclass(frozen=True)
class Verdict:
    """What the tests' judge says."""

    passed: bool
    findings: Sequence[FindingRecord] = ()
    look_again_on: date | None = None
    content_classes: Sequence[str] = ()


@dataclass
class Sent:
    """One study in the spool: what the archive should get."""

    uid: str
    instances: list[str]


@dataclass
class Line:
    """Everything between the spool and the archives, and what a test wants to know of it."""

    folder: Path
    catalog: Catalog
    spool: Spool
    indexer: Indexer
    log: Lines
    rng: random.Random = field(default_factory=lambda: random.Random(7))
    runner: Runner | None = None
    commitments: Commitments | None = None
    admission: Admission | None = None
    wakeups: Wakeups | None = None
    alarms: Alarms | None = None
    judged: list[str] = field(default_factory=list)
    verdict: Verdict = Verdict(True)
    flying: set[str] = field(default_factory=set)
    lanes: list[Any] = field(default_factory=list)
    peers: tuple[Peer, ...] = ()
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    keepers: dict[str, str] = field(default_factory=dict)
    """Register keepers by study."""
    decoding: Bounds | None = None

    # -- putting studies in --------------------------------------------------------------------------------------

    def receive(
        self,
        count: int = 3,
        *,
        uid: str | None = None,
        sop_class: str = CT,
        syntax: str = syntaxes.EXPLICIT_LITTLE,
        size: int = 2000,
        peer: str = "ct1",
        **attributes: Any,
    ) -> Sent:
        """Put a study (or more of one) in the spool and index it."""
        uid = uid or str(generate_uid(None))
        made = []
        for number in range(count):
            data_set = Dataset()
            data_set.SOPClassUID, data_set.SOPInstanceUID = sop_class, str(generate_uid(None))
            data_set.StudyDate, data_set.Modality = "20240304", "CT"
            data_set.PatientID, data_set.AccessionNumber = "010190-999W", "ACC1"
            data_set.StudyInstanceUID, data_set.SeriesInstanceUID = uid, f"{uid[:60]}.1"
            data_set.InstanceNumber = str(number)
            data_set.PixelData = bytes([number % 256]) * size
            data_set["PixelData"].VR = "OW"
            for name, value in attributes.items():
                setattr(data_set, name, value)
            stream = DicomBytesIO()
            stream.is_implicit_VR, stream.is_little_endian = syntaxes.is_implicit(syntax), True
            write_dataset(stream, data_set)
            incoming = self.spool.begin(sop_class, str(data_set.SOPInstanceUID), syntax)
            incoming.write(memoryview(stream.getvalue()))
            self.indexer.notify(incoming.commit(peer, 1, number), None)
            made.append(str(data_set.SOPInstanceUID))
        assert self.indexer.wait_passed(20, self.now() + timedelta(seconds=1))
        return Sent(uid, made)

    def accept(self) -> None:
        """Settle and judge what is there, as the schedule would."""
        assert self.admission is not None
        self.admission.run()

    # -- looking -------------------------------------------------------------------------------------------------

    def study(self, uid: str) -> str:
        """The study's state."""
        found = studies.find(self.catalog, uid)
        assert found is not None
        return found.state

    def entry(self, uid: str, destination: str = "archive") -> dict[str, Any]:
        """The newest entry of a study at a destination."""
        found = [e for e in entries.listing(self.catalog, destination=destination) if e["study_instance_uid"] == uid]
        return found[-1] if found else {"state": "none"}

    def wait_for(self, uid: str, state: str, destination: str = "archive", timeout: float = 20) -> dict[str, Any]:
        """Wait until the study's entry is in ``state``."""

        def reached() -> dict[str, Any] | None:
            entry = self.entry(uid, destination)
            return entry if entry["state"] == state else None

        found = wait_until(reached, timeout=timeout, what=f"entry {state}")
        assert found is not None
        return found

    # -- running -------------------------------------------------------------------------------------------------

    def start(self, *destinations: Destination, **options: Any) -> None:
        """Begin to deliver; as after a restart when it ran before."""
        self.build(*destinations, **options)
        assert self.runner is not None
        assert self.commitments is not None
        self.commitments.start(self.lanes)
        self.runner.start()
        self.wakeups = Wakeups({"runner": Tick(call=self.runner.tick, every=0.2)}, log=self.log)
        self.wakeups.start()

    def build(
        self,
        *destinations: Destination,
        lease: timedelta = timedelta(seconds=30),
        owner: str = "one",
        timers: Timers | None = None,
    ) -> Tools:
        """Put the parts together without starting them."""
        alarms = self.alarms = Alarms(self.log)
        self.lanes = [self.lane(destination, timers=timers) for destination in destinations]

        def wake(name: str) -> None:
            runner.wake(name)

        commitments = Commitments(
            self.catalog,
            now=self.now,
            new_uid=uids.new_uid,
            rng=self.rng,
            log=self.log,
            alarms=alarms,
            resent=wake,
        )
        tools = Tools(
            catalog=self.catalog,
            commitments=commitments,
            open_file=self.spool.open_instance,
            owner=owner,
            lease=lease,
            now=self.now,
            rng=self.rng,
            log=self.log,
            stopping=threading.Event(),
            alarms=alarms,
        )
        runner = Runner(self.lanes, tools)
        self.runner, self.commitments = runner, commitments
        self.admission = Admission(
            self.catalog,
            judge=self._judge,
            amend=lambda view: (),
            destinations=destination_plans(
                Configuration(environment="test", destinations=destinations, peers=self.peers)
            ),
            settle_after=timedelta(),
            settle_at_most=timedelta(hours=2),
            indexer_passed=self.indexer.passed,
            in_flight=lambda uid: uid in self.flying,
            now=self.now,
            today=lambda: self.now().date(),
            admitted=runner.wake,
            log=self.log,
        )
        return tools

    def lane(self, destination: Destination, *, timers: Timers | None = None) -> Lane:
        """The lane of a destination."""
        assert self.alarms is not None
        return make_lane(
            self.catalog,
            destination,
            ae_title="KUVAGW",
            tls=None,
            zone=UTC,
            timers=timers or Timers(response=15),
            limits=Limits(),
            now=self.now,
            rng=self.rng,
            log=self.log,
            alarms=self.alarms,
            keeper_of=lambda study: self.keepers.get(study, ""),
            decoding=self.decoding,
        )

    def stop(self, timeout: float | None = None) -> None:
        """End the threads, as the daemon does."""
        if self.runner is not None:
            self.runner.stop(timeout)
        if self.commitments is not None:
            self.commitments.stop()
        if self.wakeups is not None:
            self.wakeups.stop()
        self.runner = self.commitments = self.wakeups = None

    def _judge(self, view: StudyView) -> Verdict:
        self.judged.append(view.study.study_instance_uid)
        return self.verdict


def utc_now() -> datetime:
    """The clock."""
    return datetime.now(UTC)


def destination(port: int, **changes: Any) -> Destination:
    """A destination on this machine that is tried often, as the configuration would give it."""
    return Destination.model_validate(
        {
            "name": "archive",
            "ae_title": "ARCHIVE",
            "host": "127.0.0.1",
            "port": port,
            "retry": "3x200ms,5x1s",
            "rest_for": "200ms",
            "rest_at_most": "1s",
            "commitment_wait": "2s",
            **changes,
        }
    )


@contextmanager
def line(folder: Path, clock: Clock | None = None) -> Iterator[Line]:
    """An empty line in ``folder``; everything is stopped and closed when the block ends.

    With a ``clock``, time is what it shows, and nothing happens by itself.
    """
    catalog = Catalog.open(None, folder / "catalog.sqlite", now=clock or utc_now)
    spool = Spool(folder / "spool", minimum_free=0, clock_ns=clock.ns if clock else time.time_ns)
    indexer = Indexer(catalog, spool)
    indexer.start()
    made = Line(folder=folder, catalog=catalog, spool=spool, indexer=indexer, log=Lines(), now=clock or utc_now)
    try:
        yield made
    finally:
        made.stop(5)
        indexer.stop()
        catalog.close()
