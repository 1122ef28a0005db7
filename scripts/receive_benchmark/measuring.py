"""One round: a receiver started afresh, warmed up, timed, proved to hold the same bytes, ended and swept away."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from . import senders
from .conditions import now
from .images import Images, equal_data_sets
from .processes import Stopped, cpu_seconds
from .receivers import Receiver, Setting, Start
from .workloads import Case, Workload

SETTLE_QUIET, SETTLE_AT_MOST = 0.3, 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one round of one receiver gave.

    ``seconds`` runs from the first sender's start until the receiver is done, ``acknowledged`` until the last sender
    had its last answer. CPU seconds are those of all processes of each side. ``equal`` counts the instances that the
    receiver holds with the very bytes that were sent; ``fsyncs`` and ``catalogued`` are None where nobody counts.
    ``failure`` says what went wrong; then the figures say nothing.
    """

    workload: str
    associations: int
    sender: str
    transport: str
    receiver: str
    number: int
    instances: int
    bytes: int
    load: float
    at: str
    seconds: float = 0.0
    acknowledged: float = 0.0
    receiver_cpu: float = 0.0
    sender_cpu: float = 0.0
    equal: int = 0
    fsyncs: int | None = None
    catalogued: int | None = None
    failure: str = ""

    @property
    def case(self) -> Case:
        """The case that it belongs to."""
        return Case(
            workload=self.workload, associations=self.associations, sender=self.sender, transport=self.transport
        )

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What all rounds share: the folder to work in, the warm-up images, the certificate and the shim."""

    folder: Path
    warm_up: Images
    certificate: Path
    key: Path
    shim: Path | None

    def round(self, *, name: str, start: Start, case: Case, workload: Workload, images: Images, number: int) -> Round:
        """Measure ``name`` once; what went wrong is told by the round."""
        folder = self.folder / "receiver"
        folder.mkdir()
        for path in images.paths:
            path.read_bytes()  # the sender reads from memory, not from the disk
        setting = Setting(
            folder=folder,
            associations=case.associations,
            tls=case.transport == "tls",
            certificate=self.certificate,
            key=self.key,
            shim=self.shim,
        )
        template = Round(
            workload=case.workload, associations=case.associations, sender=case.sender, transport=case.transport,
            receiver=name, number=number, instances=len(images.paths), bytes=images.size,
            load=round(os.getloadavg()[0], 2), at=now(),
        )  # fmt: skip
        try:
            with start(setting) as receiver:
                self._warm_up(receiver, case)
                return replace(template, **self._timed(receiver, case, images, each=workload.each))
        except Stopped as stopped:
            log = folder / "log"
            said = log.read_text(errors="replace")[-1000:] if log.exists() else ""
            return replace(template, failure=f"{stopped}\n{said}".strip())
        finally:
            shutil.rmtree(folder)
            settle(self.folder)

    def _warm_up(self, receiver: Receiver, case: Case) -> None:
        plain = Case(workload="warm-up", associations=min(2, case.associations), transport=case.transport)
        senders.prepare(plain, self.warm_up.paths, each=False)(receiver.port)
        receiver.finish(len(self.warm_up.paths))

    def _timed(self, receiver: Receiver, case: Case, images: Images, *, each: bool) -> dict[str, Any]:
        """The timed part, and then the proofs; the fields of a round that come from measuring."""
        warm, send = len(self.warm_up.paths), senders.prepare(case, images.paths, each=each)
        fsyncs = receiver.fsyncs() if receiver.fsyncs else 0
        os.sync()
        cpu, sender_cpu, started = cpu_seconds(receiver.pid), senders.cpu_seconds(), time.perf_counter()
        send(receiver.port)
        acknowledged = time.perf_counter() - started
        receiver.finish(warm + len(images.paths))
        seconds = time.perf_counter() - started
        return {
            "seconds": round(seconds, 4),
            "acknowledged": round(acknowledged, 4),
            "sender_cpu": round(senders.cpu_seconds() - sender_cpu, 2),
            "receiver_cpu": round(cpu_seconds(receiver.pid) - cpu, 2),
            "fsyncs": receiver.fsyncs() - fsyncs if receiver.fsyncs else None,
            "catalogued": receiver.catalogued() - warm if receiver.catalogued else None,
            "equal": equal_data_sets(images.digests, receiver.held()),
        }


def settle(folder: Path, *, sleep: Callable[[float], None] = time.sleep) -> None:
    """Write everything back and let the disk come to rest, three seconds at most.

    Where files are discarded on removal, the discards go on after the removal and would be paid by the next round.
    """
    os.sync()
    deadline, quiet_since, before = time.monotonic() + SETTLE_AT_MOST, time.monotonic(), _disk_counters(folder)
    while time.monotonic() < deadline and time.monotonic() - quiet_since < SETTLE_QUIET:
        sleep(0.05)
        if (now := _disk_counters(folder)) != before:
            before, quiet_since = now, time.monotonic()


def _disk_counters(folder: Path) -> str:
    device = os.stat(folder).st_dev
    try:
        return Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat").read_text()
    except OSError:
        return str(time.monotonic())  # unknown: the whole time is waited
