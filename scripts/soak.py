"""24 hours' worth of arrivals in minutes, and whether anything leaks: memory, threads, descriptors, waiting arrivals.

Sends a day of a large hospital (200,000 images in 2,000 studies from 20 peers, over thousands of associations of which
not all are well-behaved) to a real gateway that delivers to nobody, samples its processes every second, and compares
the level of the last quarter with that of the second (the first is warm-up). Exit status 1: something grows. Loopback
only.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from gateway_process import Gateway, GaveUpError, children, wait
from soak_day import IMAGES_PER_STUDY, Arrivals

from kuva_gateway.catalog.database import KEPT

PEERS = 20
EVERY = 1.0  # seconds between samples
WARM_UP, SETTLING = 30.0, 3.0  # seconds at most, and seconds at rest afterwards
MEMORY_SLACK = 16 << 20  # bytes by which the level may grow: pools, the allocator's own arenas
MEMORY_PER_IMAGE = 40  # bytes an image may cost for ever: SQLite's page cache on its way to its bound
THREAD_SLACK, DESCRIPTOR_SLACK = 2, 4
CATALOG_DESCRIPTORS = 3 * KEPT  # a connection has the database, its write-ahead log and that one's index


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One look at the gateway's processes, the receiving ones included."""

    seconds: float
    stored: int
    resident: int
    """Bytes of all processes together."""
    threads: int
    descriptors: int
    """All but the catalog's."""
    catalog: int
    """Descriptors of the catalog's files: its pool of connections grows with those who ask at once, to a bound."""
    pending: int
    """Acknowledged images that are not catalogued yet."""


def look(gateway: Gateway, seconds: float, stored: int) -> Sample:
    """Sample now."""
    assert gateway.process is not None
    pids = [gateway.process.pid, *children(gateway.process.pid)]
    resident = threads = descriptors = catalog = 0
    for pid in pids:
        process = Path(f"/proc/{pid}")
        resident += int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        threads += len(list((process / "task").iterdir()))
        opened = targets(process / "fd")
        of_catalog = sum("/catalog.sqlite" in target for target in opened)
        catalog += of_catalog
        descriptors += len(opened) - of_catalog
    return Sample(
        seconds=round(seconds, 1),
        stored=stored,
        resident=resident,
        threads=threads,
        descriptors=descriptors,
        catalog=catalog,
        pending=gateway.pending(),
    )


def targets(folder: Path) -> list[str]:
    """What a process's descriptors lead to; one that was closed in between is none."""
    found = []
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(folder / name))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Soaked:
    """The samples under load, and one of the gateway at rest before and after the day."""

    before: Sample
    under_load: Sequence[Sample]
    after: Sample
    associations: dict[str, int]
    failed: dict[str, int]
    catalogued: int

    @property
    def leaks(self) -> list[str]:
        """What grew: a sentence for each."""
        found = []
        quarter = max(1, len(self.under_load) // 4)
        early, late = self.under_load[quarter : 2 * quarter] or self.under_load, self.under_load[-quarter:]
        images = late[-1].stored - early[0].stored
        grown = level(late, "resident") - level(early, "resident")
        if grown > MEMORY_SLACK + MEMORY_PER_IMAGE * images:
            found.append(f"resident memory grew by {grown / 2**20:.1f} MiB over {images} images")
        for name, slack in (("threads", THREAD_SLACK), ("descriptors", DESCRIPTOR_SLACK)):
            grown = getattr(self.after, name) - getattr(self.before, name)
            if grown > slack:
                found.append(f"{grown:.0f} {name} more at rest after the day than before it")
        if self.after.catalog > CATALOG_DESCRIPTORS:
            found.append(f"{self.after.catalog} descriptors of the catalog's at rest")
        if self.after.pending:
            found.append(f"{self.after.pending} images wait for the catalog after the day")
        if self.catalogued != self.after.stored:
            found.append(f"{self.after.stored} images were acknowledged, {self.catalogued} are catalogued")
        found += [f"{count} answers {status}" for status, count in self.failed.items()]
        return found

    def report(self) -> str:
        """Start, end and slope of each figure."""
        first, last = self.under_load[0], self.under_load[-1]
        lines = [
            f"{last.stored} images in {last.seconds:.0f} s ({last.stored / last.seconds:.0f}/s), associations: "
            + ", ".join(f"{count} {kind}" for kind, count in sorted(self.associations.items())),
            f"{'':>12} {'at rest':>9} {'begin':>9} {'most':>9} {'end':>9} {'at rest':>9}   per 100,000 images",
        ]
        for name, unit in (("resident", 2**20), ("threads", 1), ("descriptors", 1), ("catalog", 1), ("pending", 1)):
            values = [getattr(sample, name) / unit for sample in (self.before, first, last, self.after)]
            most = max(getattr(sample, name) for sample in self.under_load) / unit
            begin, end = values[1:3]
            per = slope(self.under_load, name) / unit * 100_000
            lines.append(
                f"{name:>12} {values[0]:>9.1f} {begin:>9.1f} {most:>9.1f} {end:>9.1f} {values[3]:>9.1f}   {per:+.2f}"
                + (" MiB" if unit > 1 else "")
            )
        return "\n".join(lines)


def level(samples: Sequence[Sample], name: str) -> float:
    """The median of a figure."""
    return statistics.median(getattr(sample, name) for sample in samples)


def slope(samples: Sequence[Sample], name: str) -> float:
    """Growth per image, by least squares over all samples but those of the first quarter (warm-up)."""
    steady = samples[len(samples) // 4 :]
    images = [float(sample.stored) for sample in steady]
    if len(set(images)) < 2:
        return 0.0
    return statistics.linear_regression(images, [float(getattr(sample, name)) for sample in steady]).slope


def soak(folder: Path, *, studies: int, minutes: float, workers: int, seed: int, **changes: Any) -> Soaked:
    """Live through a day, at most ``minutes`` of it.

    Raises
    ------
    GaveUpError
        A sender failed, or the gateway did not come to its end.
    """
    titles = [f"PEER{number:02d}" for number in range(1, PEERS + 1)]
    peers = [
        {"name": title.lower(), "ae_title": title, "allow": ["echo", "store"], "limits": {"associations": 100}}
        for title in titles
    ]
    changes = {"peers": peers, "limits": {"half_open_per_address": 64}, "log": {"level": "warning"}, **changes}
    with Gateway(folder / "gateway", archive_port=None, **changes) as gateway:
        gateway.start()
        arrivals = Arrivals(gateway.port, titles, studies=studies, workers=workers, seed=seed)
        warmed = warm_up(gateway, titles, workers)
        before = look(gateway, 0.0, 0)
        samples = watch(gateway, arrivals, minutes * 60)
        wait(lambda: not gateway.pending(), "an empty arrived/")
        rested(gateway, before)
        after = look(gateway, samples[-1].seconds, arrivals.day.stored)
        if arrivals.errors:
            raise GaveUpError(f"a sender failed: {arrivals.errors[0]}")
        with gateway.catalog() as catalog:
            (catalogued,) = catalog.execute("SELECT COUNT(*) FROM instances").fetchone()
        if gateway.stop() != 0:
            raise GaveUpError("the gateway did not stop with status 0")
    return Soaked(
        before=before,
        under_load=samples,
        after=after,
        associations=dict(arrivals.day.associations),
        failed=dict(arrivals.day.failed),
        catalogued=catalogued - warmed,
    )


def warm_up(gateway: Gateway, titles: list[str], workers: int) -> int:
    """Send a little first: what a process opens once is no leak. Returns how many images that were."""
    arrivals = Arrivals(gateway.port, titles, studies=workers, workers=workers, seed=0)
    watch(gateway, arrivals, WARM_UP)
    wait(lambda: not gateway.pending(), "an empty arrived/")
    time.sleep(SETTLING)
    return arrivals.day.stored


def watch(gateway: Gateway, arrivals: Arrivals, seconds: float) -> list[Sample]:
    """Let the day pass, and sample it."""
    samples: list[Sample] = []
    started = time.monotonic()
    arrivals.start()
    try:
        while arrivals.going and (passed := time.monotonic() - started) < seconds:
            samples.append(look(gateway, passed, arrivals.day.stored))
            time.sleep(EVERY)
        samples.append(look(gateway, time.monotonic() - started, arrivals.day.stored))
    finally:
        arrivals.stop()
    return samples


def rested(gateway: Gateway, before: Sample, patience: float = 30.0) -> None:
    """Wait until what belongs to associations is given back, or patience is over: then it shows as a leak."""

    def back() -> bool:
        now = look(gateway, 0.0, 0)
        return now.threads <= before.threads and now.descriptors <= before.descriptors

    deadline = time.monotonic() + patience
    while not back() and time.monotonic() < deadline:
        time.sleep(0.5)


def write_csv(samples: Sequence[Sample], path: Path) -> None:
    """One line a sample."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Sample)])
        writer.writeheader()
        writer.writerows(asdict(sample) for sample in samples)


def plot(samples: Sequence[Sample], path: Path) -> None:
    """Memory, threads and descriptors over the day."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(4, 1, sharex=True, figsize=(8, 9))
    for axis, (name, unit, label) in zip(
        axes,
        (("resident", 2**20, "resident MiB"), ("threads", 1, "threads"), ("descriptors", 1, "descriptors"),
         ("pending", 1, "arrivals pending")),
        strict=True,
    ):  # fmt: skip
        axis.plot([sample.stored for sample in samples], [getattr(sample, name) / unit for sample in samples])
        axis.set_ylabel(label)
        axis.set_ylim(bottom=0)
    axes[-1].set_xlabel("images stored")
    figure.tight_layout()
    figure.savefig(path, dpi=100)


def main() -> int:
    """Soak and report."""
    parser = argparse.ArgumentParser(prog="soak", description=(__doc__ or "").splitlines()[0])
    studies = f"of {IMAGES_PER_STUDY} images (default: %(default)s)"
    parser.add_argument("--studies", type=int, default=2000, help=studies)
    parser.add_argument("--minutes", type=float, default=60.0, help="stop then (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=8, help="associations that send at once (default: %(default)s)")
    parser.add_argument("--processes", type=int, default=None, help="listen.processes of the gateway")
    parser.add_argument("--seed", type=int, default=1, help="which day it is (default: %(default)s)")
    parser.add_argument("--folder", type=Path, default=None, help="where to work (default: the temporary folder)")
    parser.add_argument("--csv", type=Path, default=None, metavar="FILE", help="write every sample here")
    parser.add_argument("--plot", type=Path, default=None, metavar="FILE", help="draw the samples (needs matplotlib)")
    parser.add_argument("--faults", action="store_true", help="half of the top rate for --minutes, faults at random")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="kuva-soak-", dir=options.folder))
    if options.faults:
        return main_with_faults(folder, options)
    try:
        soaked = soak(
            folder,
            studies=options.studies,
            minutes=options.minutes,
            workers=options.workers,
            seed=options.seed,
            processes=options.processes,
        )
    except GaveUpError as error:
        print(f"gave up (everything is left in {folder}): {error}", file=sys.stderr)
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    if options.csv is not None:
        write_csv(soaked.under_load, options.csv)
    if options.plot is not None:
        plot(soaked.under_load, options.plot)
    print(soaked.report())
    for leak in soaked.leaks:
        print(f"leak: {leak}", file=sys.stderr)
    return 1 if soaked.leaks else 0


def main_with_faults(folder: Path, options: argparse.Namespace) -> int:
    """The same with faults."""
    import soak_with_faults

    try:
        endured = soak_with_faults.endure(folder, minutes=options.minutes, seed=options.seed)
    except GaveUpError as error:
        print(f"gave up (everything is left in {folder}): {error}", file=sys.stderr)
        return 1
    if options.csv is not None:
        write_csv(endured.samples, options.csv)
    if options.plot is not None:
        soak_with_faults.plot(endured, options.plot)
    print(endured.report())
    for leak in endured.leaks:
        print(f"wrong: {leak}", file=sys.stderr)
    if not endured.leaks:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if endured.leaks else 0


if __name__ == "__main__":
    sys.exit(main())
