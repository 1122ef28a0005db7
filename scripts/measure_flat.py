"""Measures that receiving stays flat: memory with a large object and many associations, and what idle ones cost.

Two measurements with the real daemon, over loopback only. *Memory*: 100 associations are open, one of them sends an
object of 2 GiB that is made while it is sent; the largest resident memory of all processes of the gateway is sampled
(PSS: pages that several share are counted once). The object that is kept must have the digest of what was sent.
*Idle*: one association sends 1,000 objects of 8 KiB beside none, 100 and 500 that do nothing, in alternating rounds;
processor time is that of all processes of the receiver, until everything is catalogued. The same with 50 idle
associations against a pynetdicom AE that only writes the bytes. Everything is removed at the end.

Examples::

    scripts/measure-flat
    scripts/measure-flat --only idle --rounds 9
    scripts/measure-flat --only memory --size 4GiB --json flat.json
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from flat_sender import Modality, Sent, image
from gateway_process import Gateway, free_port, listens, wait
from receive_benchmark.processes import cpu_seconds, descendants

MIB = 1 << 20
GOAL, FLOOR = 180, 250  # MiB
IDLE_GOAL, IDLE_FLOOR = 1.02, 1.1
SMALL = 8192
SAMPLE_EVERY = 0.05  # seconds
PLAIN_IDLE = 50
SIZES = {"MiB": MIB, "GiB": 1 << 30}
PLAIN_AE = Path(__file__).resolve().parent / "receive_benchmark" / "pynetdicom_ae.py"


def new_uid() -> str:
    """A UID that nobody has."""
    return f"2.25.{uuid4().int}"


def proportional_bytes(pid: int) -> int:
    """The process's share of resident memory (PSS); 0 when it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


class Sampler:
    """Watches the memory of a process tree on a thread of its own; ``peak`` is the largest sum, in bytes."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.start, self.peak, self.samples = self.sample(), 0, 0

    def sample(self) -> int:
        """The sum at this moment."""
        return sum(proportional_bytes(pid) for pid in (self._pid, *descendants(self._pid)))

    def _run(self) -> None:
        while not self._over.is_set():
            self.peak = max(self.peak, self.sample())
            self.samples += 1
            self._over.wait(SAMPLE_EVERY)

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def gateway(folder: Path, associations: int) -> Gateway:
    """A gateway that takes that many associations of one peer."""
    peer = {"name": "us1", "ae_title": "US1", "allow": ["echo", "store"], "limits": {"associations": associations}}
    return Gateway(
        folder,
        archive_port=None,
        peers=[peer],
        limits={"associations": associations},
        settle_after="1h",
        settle_at_most="2h",
        log={"format": "json", "level": "warning"},
    )


@contextlib.contextmanager
def idle(port: int, count: int) -> Iterator[None]:
    """That many associations which do nothing; released at the end."""
    with ExitStack() as stack:
        everyone = [stack.enter_context(Modality(port, calling="US1")) for _ in range(count)]
        yield
        for one in everyone:
            one.release()


# -- memory ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes of all processes of the gateway together."""

    size: int
    associations: int
    each: list[int]
    """Of each process at the end, the daemon's first."""
    alone: int
    idle: int
    peak: int
    samples: int
    seconds: float
    equal: bool
    """Whether the file that is kept ends with the very bytes that were sent."""


def measure_memory(folder: Path, *, size: int, associations: int) -> Memory:
    """Send one object of ``size`` bytes with ``associations`` open, and look at the memory meanwhile."""
    with gateway(folder, associations + 10) as receiver:
        receiver.start()
        assert receiver.process is not None
        pid = receiver.process.pid
        with Modality(receiver.port, calling="US1") as first:  # everything that is loaded late is loaded
            first.store(uid := new_uid(), image(uid, new_uid(), SMALL))
            first.release()
        wait(lambda: receiver.pending() == 0, "the first object in the catalog")
        sampler = Sampler(pid)
        with idle(receiver.port, associations - 1), Modality(receiver.port, calling="US1") as modality:
            before = sampler.sample()
            started = time.perf_counter()
            with sampler:
                sent = modality.store(uid := new_uid(), image(uid, new_uid(), size))
                wait(lambda: receiver.pending() == 0, "the object in the catalog")
            seconds = time.perf_counter() - started
            each = [proportional_bytes(one) for one in (pid, *descendants(pid))]
            modality.release()
        equal = keeps(receiver.spool / "instances", sent)
        if receiver.stop() != 0:
            raise SystemExit(f"the gateway did not end well:\n{receiver.said_last()}")
    return Memory(
        size=sent.size,
        associations=associations,
        each=each,
        alone=sampler.start,
        idle=before,
        peak=sampler.peak,
        samples=sampler.samples,
        seconds=round(seconds, 2),
        equal=equal,
    )


def keeps(instances: Path, sent: Sent) -> bool:
    """Whether exactly one file ends with the data set that was sent, and is named after what it holds."""
    files = [path for path in instances.rglob("*") if path.is_file() and path.stat().st_size > sent.size]
    if len(files) != 1:
        return False
    whole, data_set = hashlib.sha256(), hashlib.sha256()
    with files[0].open("rb") as stream:
        head = stream.read(files[0].stat().st_size - sent.size)
        whole.update(head)
        while block := stream.read(MIB):
            whole.update(block)
            data_set.update(block)
    return data_set.hexdigest() == sent.digest and whole.hexdigest() == files[0].name


# -- idle associations -------------------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class Sender:
    """What one sender cost beside ``idle`` associations: CPU seconds of the receiver and wall seconds, each round."""

    receiver: str
    idle: int
    instances: int
    cpu: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def microseconds(self) -> float:
        """The median of CPU time per instance."""
        return 1e6 * statistics.median(self.cpu) / self.instances


def measure_idle(
    port: int, pid: int, senders: Sequence[Sender], done: Callable[[], bool], rounds: int
) -> Sequence[Sender]:
    """Alternating rounds of one sender beside as many idle associations as each of ``senders`` says."""
    for number in range(rounds + 1):
        for sender in senders if number % 2 else senders[::-1]:
            os.sync()
            with idle(port, sender.idle):
                cpu, seconds = _send(port, pid, sender.instances, done)
            if number:
                sender.cpu.append(round(cpu, 3))
                sender.seconds.append(round(seconds, 3))
            warm_up = "" if number else " (warming up)"
            print(
                f"{sender.receiver}, {sender.idle:>3} idle: {cpu:5.2f} CPU s, {seconds:6.2f} s{warm_up}",
                file=sys.stderr,
            )
    return senders


def _send(port: int, pid: int, count: int, done: Callable[[], bool]) -> tuple[float, float]:
    """CPU seconds and wall seconds until what one association sent is catalogued."""
    study = new_uid()
    objects = [(uid, list(image(uid, study, SMALL))) for uid in (new_uid() for _ in range(count))]
    with Modality(port, calling="US1") as modality:
        cpu, started = cpu_seconds(pid), time.perf_counter()
        for uid, pieces in objects:
            modality.store(uid, pieces)
        wait(done, "everything in the catalog")
        used, seconds = cpu_seconds(pid) - cpu, time.perf_counter() - started
        modality.release()
    return used, seconds


def idle_beside_gateway(folder: Path, options: argparse.Namespace) -> list[Sender]:
    """Idle associations of the gateway."""
    senders = [Sender(receiver="gateway", idle=count, instances=options.instances) for count in (0, *options.idle)]
    with gateway(folder, max(options.idle) + 10) as receiver:
        receiver.start()
        assert receiver.process is not None
        measure_idle(receiver.port, receiver.process.pid, senders, lambda: receiver.pending() == 0, options.rounds)
        if receiver.stop() != 0:
            raise SystemExit(f"the gateway did not end well:\n{receiver.said_last()}")
    return senders


def idle_beside_pynetdicom(folder: Path, options: argparse.Namespace) -> list[Sender]:
    """Idle associations of a pynetdicom AE that only writes the bytes; it is so slow that a few instances tell."""
    instances = max(1, options.instances // 5)
    senders = [Sender(receiver="pynetdicom", idle=count, instances=instances) for count in (0, PLAIN_IDLE)]
    folder.mkdir()
    port = free_port()
    process = subprocess.Popen([sys.executable, str(PLAIN_AE), str(port), "KUVAGW", str(folder)])
    try:
        wait(lambda: listens(port), "pynetdicom to listen")
        measure_idle(port, process.pid, senders, lambda: True, min(3, options.rounds))
    finally:
        process.kill()
        process.wait()
    return senders


# -- the report ----------------------------------------------------------------------------------------------------


def verdict(value: float, goal: float, floor: float) -> str:
    """Where a figure stands; small is good."""
    return "goal reached" if value <= goal else "floor holds" if value <= floor else "FLOOR BROKEN"


def memory_table(memory: Memory) -> str:
    """What memory was used, for people."""
    each = " + ".join(f"{one / MIB:.0f}" for one in memory.each)
    judged = f"{verdict(memory.peak / MIB, GOAL, FLOOR)} (goal {GOAL}, floor {FLOOR})"
    head = f"An object of {memory.size / (1 << 30):.2f} GiB with {memory.associations} associations open"
    return "\n".join(
        (
            f"{head} ({memory.seconds:.0f} s, {memory.samples} samples of PSS)",
            f"  started            {memory.alone / MIB:7.0f} MiB",
            f"  associations open  {memory.idle / MIB:7.0f} MiB",
            f"  largest            {memory.peak / MIB:7.0f} MiB   {judged}",
            f"  its processes      {each} MiB",
            f"  bytes kept are {'those that were sent' if memory.equal else 'NOT THOSE THAT WERE SENT'}",
        )
    )


def idle_table(senders: Sequence[Sender], options: argparse.Namespace) -> str:
    """What idle associations cost, for people."""
    rounds = f"medians of {options.rounds} alternating rounds"
    lines = [
        f"One sender of {options.instances} x {SMALL // 1024} KiB beside idle associations, {rounds}",
        f"  {'receiver':<12} {'idle':>5} {'CPU us/instance':>16} {'ratio':>7} {'wall s':>8} {'ratio':>7}",
    ]
    for sender in senders:
        base = next(one for one in senders if one.receiver == sender.receiver and one.idle == 0)
        ratio = sender.microseconds / base.microseconds
        wall, base_wall = statistics.median(sender.seconds), statistics.median(base.seconds)
        judged = verdict(ratio, IDLE_GOAL, IDLE_FLOOR) if sender.idle and sender.receiver == "gateway" else ""
        lines.append(
            f"  {sender.receiver:<12} {sender.idle:>5} {sender.microseconds:>16.0f} {ratio:>7.2f} {wall:>8.2f}"
            f" {wall / base_wall:>7.2f}   {judged}".rstrip()
        )
    return "\n".join(lines)


def size(text: str) -> int:
    """Bytes of ``2GiB`` or ``300MiB``, even."""
    number, unit = text[:-3], text[-3:]
    if unit not in SIZES or not number.isdigit():
        raise argparse.ArgumentTypeError("expected a size such as 2GiB or 300MiB")
    return int(number) * SIZES[unit]


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="measure-flat", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=["memory", "idle"], help="one of the two measurements")
    parser.add_argument("--size", type=size, default=2 << 30, help="of the large object (2GiB)")
    parser.add_argument("--associations", type=int, default=100, help="open with the large object (%(default)s)")
    parser.add_argument("--idle", type=int, nargs="+", default=[100, 500], help="idle associations (100 500)")
    parser.add_argument("--instances", type=int, default=1000, help="small objects a round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (%(default)s)")
    parser.add_argument("--folder", type=Path, default=None, help="where to work (default: the temporary folder)")
    parser.add_argument("--json", type=Path, default=None, help="a file for the figures")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the tables; 1 when a floor is broken or bytes differ."""
    options = parse(arguments)
    folder = Path(tempfile.mkdtemp(prefix="kuva-flat-", dir=options.folder))
    found: dict[str, Any] = {"python": platform.python_version(), "cpus": os.cpu_count(), "load": os.getloadavg()[0]}
    good = True
    try:
        if options.only != "idle":
            memory = measure_memory(folder / "memory", size=options.size, associations=options.associations)
            found["memory"] = asdict(memory)
            good = memory.equal and memory.peak <= FLOOR * MIB
            print(memory_table(memory), end="\n\n", flush=True)
        if options.only != "memory":
            senders = idle_beside_gateway(folder / "idle", options)
            good = good and all(one.microseconds <= IDLE_FLOOR * senders[0].microseconds for one in senders)
            senders += idle_beside_pynetdicom(folder / "pynetdicom", options)
            found["idle"] = [asdict(sender) for sender in senders]
            print(idle_table(senders, options))
    finally:
        shutil.rmtree(folder)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
