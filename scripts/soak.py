"""A hospital day's arrivals in minutes, while memory, threads and descriptors of the gateway are watched for leaks.

Several modalities open and close associations all the time. Most store a few small images of a study; some are
aborted half-way, refused, silent for a while, or only say C-ECHO. The stand-in archive takes what is accepted. Loopback
only; bounded in images and minutes; everything is removed at the end. Exit status 1: something grew, or was lost.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gateway_process import PEERS, Archive, Gateway, children, wait
from plain_modality import SUCCESS, BrokenError, Images, PlainModality, RejectedError

SETTLED = 0.34  # the share of the time after which caches have their size and a leak is what still grows
GROWTH_MIB = 24.0  # by which a median may differ between two parts of a run: allocators and SQLite's caches breathe
GROWTH_COUNT = 6  # the same for threads and descriptors: a few associations more are open at one moment than another
PIXELS = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One look at all processes of the gateway together."""

    seconds: float
    memory_mib: float
    """Proportional set size: pages that processes share count once."""
    threads: int
    descriptors: int
    pending: int
    """Arrivals that are not in the catalog."""


@dataclass(slots=True)
class Day:
    """What the modalities did."""

    images: int
    lock: threading.Lock = field(default_factory=threading.Lock)
    acknowledged: set[str] = field(default_factory=set)
    associations: int = 0
    refused: int = 0
    aborted: int = 0
    wrong: list[str] = field(default_factory=list)

    def done(self) -> bool:
        """Whether the day's images have come."""
        return len(self.acknowledged) >= self.images


def look(gateway: Gateway, started: float) -> Sample:
    """Memory, threads, descriptors and arrivals now."""
    assert gateway.process is not None
    memory = threads = descriptors = 0
    for pid in [gateway.process.pid, *children(gateway.process.pid)]:
        with contextlib.suppress(OSError):
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            memory += int(next(line.split()[1] for line in rollup.splitlines() if line.startswith("Pss:")))
            threads += len(list(Path(f"/proc/{pid}/task").iterdir()))
            descriptors += len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return Sample(
        seconds=round(time.monotonic() - started, 1),
        memory_mib=round(memory / 1024, 1),
        threads=threads,
        descriptors=descriptors,
        pending=gateway.pending(),
    )


class Modality(threading.Thread):
    """One modality's day: association after association."""

    def __init__(self, number: int, day: Day, images: Images, port: int, stop: threading.Event, pause: float) -> None:
        super().__init__(daemon=True)
        self._number = number
        self._day = day
        self._images = images
        self._port = port
        self._stop_event = stop
        self._pause = pause
        self._chance = random.Random(number)
        self._title = list(PEERS.values())[number % len(PEERS)]

    def run(self) -> None:
        study = self._number * 1_000_000
        while not self._stop_event.is_set() and not self._day.done():
            study += 1
            try:
                self._association(study)
            except (BrokenError, OSError) as error:
                self._day.wrong.append(f"{type(error).__name__}: {error}")
                return
            self._stop_event.wait(self._chance.expovariate(1 / self._pause) if self._pause else 0.0)

    def _association(self, study: int) -> None:
        """Eight of ten store; the others are what hospital networks bring besides."""
        kind = self._chance.random()
        with self._day.lock:
            self._day.associations += 1
        if kind < 0.05:
            try:
                PlainModality(self._port, calling="STRANGER").close()
                self._day.wrong.append("a stranger was let in")
            except RejectedError:
                self._day.refused += 1
            return
        with contextlib.closing(PlainModality(self._port, calling=self._title)) as modality:
            if kind < 0.10:
                image = self._images.make(study, 0, PIXELS)
                modality.begin(image.uid, image.data, whole=False)
                modality.abort()
                self._day.aborted += 1
                return
            if kind < 0.15:
                self._stop_event.wait(self._chance.random())
            for number in range(1, self._chance.randint(2, 30)):
                image = self._images.make(study, number, PIXELS)
                answer = modality.store(image.uid, image.data)
                if answer.status != SUCCESS:
                    self._day.wrong.append(f"status {answer.status:04X}: {answer.comment}")
                    return
                with self._day.lock:
                    self._day.acknowledged.add(image.uid)
            modality.release()


def growth(samples: Sequence[Sample], name: str) -> tuple[float, float]:
    """The medians of a measure in the second third of the run and in the last one."""
    rest = samples[int(len(samples) * SETTLED) :]
    middle = len(rest) // 2
    values = [float(getattr(sample, name)) for sample in rest]
    return statistics.median(values[:middle] or [0.0]), statistics.median(values[middle:] or [0.0])


def judge(samples: Sequence[Sample]) -> list[str]:
    """What grew more than it may."""
    found = []
    for name, most in (("memory_mib", GROWTH_MIB), ("threads", GROWTH_COUNT), ("descriptors", GROWTH_COUNT)):
        before, after = growth(samples, name)
        if after - before > most:
            found.append(f"{name} grew from {before:g} to {after:g}")
    return found


def missing(gateway: Gateway, day: Day) -> int:
    """Acknowledged images that the catalog does not have."""
    with gateway.catalog() as catalog:
        known = {row[0] for row in catalog.execute("SELECT uid FROM instances")}
    return len(day.acknowledged - known)


def soak(
    folder: Path, *, images: int, minutes: float, modalities: int, every: float, pause: float
) -> dict[str, object]:
    """Run the day; returns what happened, ``problems`` among it."""
    archive = Archive(folder)
    stop = threading.Event()
    day = Day(images=images)
    samples: list[Sample] = []
    try:
        with Gateway(folder / "gateway", archive_port=archive.port) as gateway:
            gateway.start()
            # The process listens before its receiving processes are all there.
            PlainModality(gateway.port, calling="CT1").release()
            started = time.monotonic()
            threads = [Modality(number, day, Images(number), gateway.port, stop, pause) for number in range(modalities)]
            for thread in threads:
                thread.start()
            while time.monotonic() - started < 60 * minutes and any(thread.is_alive() for thread in threads):
                stop.wait(every)
                samples.append(look(gateway, started))
            stop.set()
            for thread in threads:
                thread.join(60)
            wait(lambda: gateway.pending() == 0, "the catalog", timeout=120)
            seconds = time.monotonic() - started
            problems = judge(samples) + day.wrong[:20]
            if lost := missing(gateway, day):
                problems.append(f"{lost} acknowledged images are not in the catalog")
            if gateway.stop() != 0:
                problems.append(f"the gateway did not end well: {gateway.said_last()[-500:]}")
    finally:
        stop.set()
        archive.stop()
    return {
        "images": len(day.acknowledged),
        "associations": day.associations,
        "refused": day.refused,
        "aborted": day.aborted,
        "seconds": round(seconds, 1),
        **{name: growth(samples, name) for name in ("memory_mib", "threads", "descriptors")},
        "problems": problems,
        "samples": [asdict(sample) for sample in samples],
    }


def plot(path: Path, samples: Sequence[dict[str, float]]) -> None:
    """Memory, threads and descriptors over time."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(3, 1, sharex=True, figsize=(8, 7))
    for axis, name in zip(axes, ("memory_mib", "threads", "descriptors"), strict=True):
        axis.plot([sample["seconds"] for sample in samples], [sample[name] for sample in samples])
        axis.set_ylabel(name)
        axis.set_ylim(bottom=0)
    axes[-1].set_xlabel("seconds")
    figure.savefig(path)


def main() -> int:
    """Soak and say what came of it."""
    parser = argparse.ArgumentParser(prog="soak", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=200_000, help="images of the day (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=10.0, help="at most (default: %(default)s)")
    parser.add_argument("--modalities", type=int, default=20, help="at once (default: %(default)s)")
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two looks (default: %(default)s)")
    parser.add_argument("--pause", type=float, default=0.05, help="seconds between associations (default: %(default)s)")
    parser.add_argument("--csv", type=Path, help="write the samples there")
    parser.add_argument("--json", type=Path, help="write everything there")
    parser.add_argument("--plot", type=Path, help="draw the samples there (needs matplotlib)")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="kuva-soak-"))
    try:
        done = soak(
            folder,
            images=options.images,
            minutes=options.minutes,
            modalities=options.modalities,
            every=options.every,
            pause=options.pause,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    samples: list[dict[str, float]] = done["samples"]  # type: ignore[assignment]
    if options.csv:
        with options.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, samples[0].keys())
            writer.writeheader()
            writer.writerows(samples)
    if options.json:
        options.json.write_text(json.dumps(done, indent=1) + "\n")
    if options.plot:
        plot(options.plot, samples)
    print(json.dumps({name: value for name, value in done.items() if name != "samples"}, indent=1))
    return 1 if done["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
