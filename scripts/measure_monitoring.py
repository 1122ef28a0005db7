"""Measures what metrics and logs cost: CPU time for each received instance, with them and without.

Two real daemons run beside each other and take the same images in turn, in pairs whose order alternates. One answers
on its metrics port, is asked for its figures once a second while it receives (fifteen times as often as Prometheus
does by default), and logs at level info into a file; the other has no metrics port and logs errors only. What is
counted in memory for each image is counted by both: nothing switches that off. A round ends when everything is
catalogued; CPU time is that of all processes of the gateway (proc(5), hundredths of a second: send enough).

Examples::

    scripts/measure-monitoring
    nice -n -15 scripts/measure-monitoring --count 2000 --each
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from receive_benchmark.gateway import Variant
from receive_benchmark.images import make_images
from receive_benchmark.processes import cpu_seconds, free_port
from receive_benchmark.receivers import Receiver, Setting
from receive_benchmark.senders import prepare
from receive_benchmark.workloads import KIB, Case, Workload

SCRAPE_EVERY = 1.0
WITHOUT: dict[str, Any] = {"metrics.port": None, "log.format": "json", "log.level": "error"}


@contextmanager
def scraped(port: int) -> Iterator[list[int]]:
    """Ask for figures every second meanwhile; the sizes of the answers."""
    over, sizes = threading.Event(), []

    def scrape() -> None:
        while True:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
                sizes.append(len(answer.read()))
            if over.wait(SCRAPE_EVERY):
                return

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield sizes
    finally:
        over.set()
        thread.join()


def spent(receiver: Receiver, send: Callable[[int], None], count: int) -> float:
    """CPU seconds of the receiver until what is sent is catalogued."""
    before = cpu_seconds(receiver.pid)
    send(receiver.port)
    receiver.finish(count)
    return cpu_seconds(receiver.pid) - before


def measure(folder: Path, workload: Workload, pairs: int) -> list[tuple[float, float]]:
    """CPU seconds of each pair: with, without. The first pair, in which both find their pace, is left out."""
    port = free_port()
    variants = {
        True: Variant(name="with", changes={"metrics.port": port, "log.format": "json", "log.level": "info"}),
        False: Variant(name="without", changes=WITHOUT),
    }
    case = Case(workload=workload.name, associations=4, sender="bare" if workload.each else "nodelay")
    found: list[tuple[float, float]] = []
    with ExitStack() as stack:
        running = {}
        for kind, variant in variants.items():
            (own := folder / variant.name).mkdir()
            setting = Setting(folder=own, associations=4, tls=False, certificate=folder, key=folder)
            running[kind] = stack.enter_context(variant.start(setting))
        for number in range(pairs + 1):
            images = make_images(folder / "images", workload)
            send, took = prepare(case, images.paths, each=workload.each), {}
            for kind in (True, False) if number % 2 else (False, True):
                with ExitStack() as around:
                    if kind:
                        around.enter_context(scraped(port))
                    took[kind] = spent(running[kind], send, len(images.paths))
            shutil.rmtree(folder / "images")
            if number:
                found.append((took[True], took[False]))
                print(f"pair {number}: {took[True]:.2f} s with, {took[False]:.2f} s without", file=sys.stderr)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print one object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--count", type=int, default=2000, help="images in each round (2000)")
    parser.add_argument("--size", type=int, default=8, help="KiB of pixels of each (8)")
    parser.add_argument("--each", action="store_true", help="an association for each image, and so a line of the log")
    parser.add_argument("--folder", type=Path, help="where to work (a temporary folder)")
    options = parser.parse_args(arguments)
    workload = Workload(name="monitoring", count=options.count, pixel_bytes=options.size * KIB, each=options.each)
    with tempfile.TemporaryDirectory(prefix="measure-monitoring-", dir=options.folder) as folder:
        pairs = measure(Path(folder), workload, options.pairs)
    each = [1e6 * (with_ - without) / options.count for with_, without in pairs]
    ratios = [with_ / without for with_, without in pairs if without]
    result = {
        "images": workload.title(),
        "pairs": len(pairs),
        "microseconds_with": round(statistics.median(1e6 * one / options.count for one, _ in pairs)),
        "microseconds_without": round(statistics.median(1e6 * one / options.count for _, one in pairs)),
        "difference_microseconds": round(statistics.median(each)),
        "ratio": round(statistics.median(ratios), 3),
    }
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
