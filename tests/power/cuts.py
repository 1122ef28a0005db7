"""Power cuts under load: while the gateway receives, its disk is copied at random moments; then it starts on each copy.

Rounds: in each a new disk, one gateway, a few cuts. What was acknowledged is written down before each copy begins, so
that everything on that list must be in the copy. Then the gateway is killed, and each copy is mounted at the very place
where the disk was, so that the configuration stays the same; the gateway recovers on it, and what it has is compared.
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.power.disk import LAZY, Disk, Shelf
from tests.power.modalities import Hesitant, Neighbour, OrderedRecord, gateway_process, kill_senders, plain_modality
from tests.power.promises import Verdict, judge

PER_ROUND = 7
"""Cuts of one disk: a later one has more to recover and to compare."""
BETWEEN = 0.4  # seconds between two cuts at most
RECOVERY = 60.0  # seconds in which a gateway must have recovered
BELATED = 10.0  # seconds for what senders still have in hand when the last cut is done


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a campaign goes."""

    file_system: str
    cuts: int
    seed: int
    senders: int = 6
    pause: float = 0.002
    """Seconds that a sender waits between two images on average."""
    hesitant: bool = False
    """One sender instead, whose images the disk has written out before they end; the cut follows the answer."""
    breakage: str = ""
    """A build that is broken on purpose (:mod:`tests.power.broken`)."""
    until_loss: bool = False
    """Whether to end with the first cut that lost something."""
    at_most: float = 7200.0
    """Seconds after which no further round is begun."""


@dataclass(slots=True, kw_only=True)
class Campaign:
    """What happened."""

    file_system: str
    seed: int
    verdicts: list[Verdict] = field(default_factory=list)
    acknowledged: int = 0
    """By all gateways together, with what came after the last cut."""
    seconds: float = 0.0

    def total(self, what: str) -> int:
        """A count of the verdicts, over all cuts."""
        return sum(getattr(verdict, what) for verdict in self.verdicts)

    @property
    def broke_its_promise(self) -> bool:
        """Whether something that was acknowledged is lost or damaged."""
        return bool(self.total("lost") or self.total("damaged"))

    @property
    def wrong(self) -> list[str]:
        """Sentences about everything that is wrong, with the number of the cut."""
        return [f"cut {n}: {sentence}" for n, verdict in enumerate(self.verdicts, 1) for sentence in verdict.wrong]

    @property
    def summary(self) -> dict[str, object]:
        """The figures, as one flat object."""
        recovered = sorted(verdict.mount_seconds + verdict.start_seconds for verdict in self.verdicts) or [0.0]
        counts = ("lost", "damaged", "wrong_receipts", "not_promised", "set_aside")
        return {
            "file_system": self.file_system,
            "seed": self.seed,
            "cuts": len(self.verdicts),
            "acknowledged": self.acknowledged,
            "promised": self.total("acknowledged"),
            **{name: self.total(name) for name in counts},
            "recovered_seconds_median": round(statistics.median(recovered), 2),
            "recovered_seconds_longest": round(recovered[-1], 2),
            "seconds": round(self.seconds, 1),
            "wrong": self.wrong,
        }

    @property
    def line(self) -> str:
        """One line for people."""
        figures = self.summary
        return (
            f"{self.file_system}: {figures['cuts']} cuts, {self.acknowledged} instances acknowledged "
            f"({figures['promised']} before cuts, each cut counted), {figures['lost']} lost, "
            f"{figures['damaged']} damaged, {figures['wrong_receipts']} wrong receipts; "
            f"{figures['not_promised']} kept without having been acknowledged, {figures['set_aside']} set aside; "
            f"recovered in {figures['recovered_seconds_median']} s (longest {figures['recovered_seconds_longest']} s), "
            f"{figures['seconds']} s in all, seed {self.seed}"
        )


class CutGateway(gateway_process.Gateway):  # type: ignore[misc, name-defined]
    """A gateway whose state directory is a mounted disk, whole or broken on purpose."""

    def __init__(self, folder: Path, breakage: str) -> None:
        changes = {}
        if breakage:  # in one process, which is the one that is broken
            port = gateway_process.free_port()
            changes = {"port": port, "listen": {"host": "127.0.0.1", "port": port, "processes": 0}}
        super().__init__(folder, archive_port=None, **changes)
        self._breakage = breakage
        self.state.mkdir(exist_ok=True)

    def spawn(self) -> None:
        """Start the process and do not wait."""
        if not self._breakage:
            super().spawn()
            return
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.power.broken", self._breakage, "run", "--config", str(self.config)],
                cwd=gateway_process.ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def whole(self) -> None:
        """From the next start on it is the gateway as it is meant to be: what recovers is never broken."""
        self._breakage = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A copy, and how many answers had come when it was begun."""

    copy: Disk
    acknowledged: int


class Run:
    """One campaign, on a shelf."""

    def __init__(self, shelf: Shelf, options: Options) -> None:
        self._shelf = shelf
        self._options = options
        self._chance = random.Random(options.seed)
        self._campaign = Campaign(file_system=options.file_system, seed=options.seed)
        self._nap = threading.Event()

    def go(self) -> Campaign:
        """Cut, recover and compare until there were enough cuts.

        Raises
        ------
        GaveUpError
            A gateway does not start, or the senders fail.
        CannotCutError
            This machine has not what it takes.
        """
        began = time.monotonic()
        number = 0
        while len(self._campaign.verdicts) < self._options.cuts and time.monotonic() - began < self._options.at_most:
            self._round(number)
            number += 1
            self._campaign.seconds = time.monotonic() - began
            if self._options.until_loss and self._campaign.broke_its_promise:
                break
        return self._campaign

    def _round(self, number: int) -> None:
        """One disk, its cuts and what becomes of each.

        Three kinds of disk take turns: one that writes nothing which it is not asked for, the same with a neighbour
        who asks for everything now and then (so that what the gateway did is safe up to a moment of its own), and one
        as it comes.
        """
        options = self._options
        gateway = CutGateway(self._shelf.folder / f"gateway-{number}", options.breakage)
        disk = self._shelf.disk(f"disk-{number}", options.file_system)
        alone = options.hesitant or options.breakage not in ("", "unsettled")
        lazy = LAZY[options.file_system] if alone or number % 3 < 2 else ""
        neighbour = Neighbour(gateway.state, self._chance) if not alone and number % 3 == 1 else nullcontext()
        record = OrderedRecord()
        started_ns = time.time_ns()
        with disk.mounted(gateway.state, lazy), gateway, neighbour:
            gateway.start()
            cuts = self._cut_hesitant(gateway, disk, record) if options.hesitant else self._cut(gateway, disk, record)
        self._campaign.acknowledged += record.acknowledged
        gateway.whole()
        disk.remove()
        for cut in cuts:
            if not (options.until_loss and self._campaign.broke_its_promise):
                self._campaign.verdicts.append(self._recover(gateway, cut, record, started_ns))
            cut.copy.remove()

    def _left(self) -> int:
        """How many cuts this round takes."""
        return min(PER_ROUND, self._options.cuts - len(self._campaign.verdicts))

    # -- cutting ---------------------------------------------------------------------------------------------------

    def _cut(self, gateway: Any, disk: Disk, record: OrderedRecord) -> list[Cut]:
        with self._load(gateway, record) as senders:
            cuts = []
            for number in range(self._left()):
                self._nap.wait(self._chance.uniform(0.0, BETWEEN))
                cuts.append(self._copy(disk, record, number))
                if senders.failures:
                    raise gateway_process.GaveUpError(f"a sender failed: {senders.failures[0]}")
        return cuts

    @contextmanager
    def _load(self, gateway: Any, record: OrderedRecord) -> Iterator[Any]:
        options = self._options
        seed = self._chance.randrange(10**9)
        senders = kill_senders.Senders(gateway.port, record, seed=seed, count=options.senders, pause=options.pause)
        senders.start()
        try:
            gateway_process.wait(lambda: record.acknowledged > options.senders, "the first images")
            yield senders
        finally:
            senders.finish(BELATED)

    def _cut_hesitant(self, gateway: Any, disk: Disk, record: OrderedRecord) -> list[Cut]:
        modality = Hesitant(gateway.port, record, seed=self._chance.randrange(10**9), point=gateway.state)
        cuts = []
        for number in range(self._left()):
            modality.send()
            cuts.append(self._copy(disk, record, number))
        return cuts

    def _copy(self, disk: Disk, record: OrderedRecord, number: int) -> Cut:
        """The cut. The order matters: first what was acknowledged, then the copy."""
        acknowledged = len(record.order)
        return Cut(copy=disk.cut(disk.image.with_suffix(f".{number}")), acknowledged=acknowledged)

    # -- recovering ------------------------------------------------------------------------------------------------

    def _recover(self, gateway: Any, cut: Cut, record: OrderedRecord, started_ns: int) -> Verdict:
        verdict = Verdict()
        began = time.monotonic()
        with cut.copy.mounted(gateway.state):
            verdict.mount_seconds = time.monotonic() - began
            began = time.monotonic()
            with gateway:
                gateway.start()
                with plain_modality.PlainModality(gateway.port, calling=gateway_process.PEERS["ct1"]):
                    pass
                try:
                    gateway_process.wait(lambda: not gateway.pending(), "an empty arrived/", timeout=RECOVERY)
                except gateway_process.GaveUpError as error:
                    verdict.say(f"{error}; the gateway said: {gateway.said_last()}")
                verdict.start_seconds = time.monotonic() - began
            judge(gateway, record.as_known(cut.acknowledged), started_ns, verdict)
        return verdict
