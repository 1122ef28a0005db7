"""Measures what receiving costs with millions of instances in the catalog, against an empty catalog.

Two gateways run side by side, one of them on a filled catalog (``scripts/fill-catalog``). storescu sends the same new
images to each in alternating rounds: first in new studies, then in studies that are there already (on the filled
catalog archived ones, years old). A round ends when everything is catalogued. Processor time is that of all processes
of a gateway. Loopback only; everything is removed at the end, and the given catalog is copied, not written.

Examples::

    scripts/measure-large-catalog --catalog /tmp/large/catalog.sqlite
    scripts/measure-large-catalog --studies 100000 --rounds 3
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import platform
import random
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import fill_catalog
from pydicom.filewriter import dcmwrite
from receive_benchmark.processes import cpu_seconds, free_port, listens, wait_for
from studymaker import Order, make_study

ENVIRONMENT = {**os.environ, "TCP_NODELAY": "1"}
PATIENCE = 900.0  # seconds
VARIANTS = ("new studies", "old studies")
CONFIG = """\
environment: test
state_directory: ./var
listen: {{host: 127.0.0.1, port: {port}}}
settle_after: 1h
settle_at_most: 2h
spool: {{minimum_free: 64MiB}}
metrics: {{port: null}}
log: {{format: json, level: warning}}
peers:
  - {{name: bench, ae_title: BENCH, allow: [echo, store], limits: {{associations: 50}}}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round: seconds until everything was catalogued, and processor seconds of the gateway."""

    seconds: float
    cpu: float


@dataclass(slots=True, kw_only=True)
class Gateway:
    """A running gateway and what it was measured at."""

    name: str
    port: int
    pid: int
    state: Path
    rounds: dict[str, list[Round]] = field(default_factory=dict)
    largest_log: int = 0
    """Bytes of the write-ahead log."""

    def done(self) -> bool:
        """Has a name left ``arrived/`` for each instance? It does only after the transaction that catalogued it."""
        with contextlib.suppress(FileNotFoundError):
            self.largest_log = max(self.largest_log, (self.state / "catalog.sqlite-wal").stat().st_size)
        return not any((self.state / "spool" / "arrived").iterdir())

    def settled(self) -> bool:
        """Is nothing left to be judged? The code list that a first start brings opens every held study's question."""
        with contextlib.closing(sqlite3.connect(self.state / "catalog.sqlite")) as connection:
            return not connection.execute(
                "SELECT EXISTS (SELECT 1 FROM studies WHERE judge = 1 AND state IN ('settled', 'held', 'accepted'))"
            ).fetchone()[0]


@contextlib.contextmanager
def running(name: str, folder: Path, catalog: Path | None) -> Iterator[Gateway]:
    """A gateway from listening to its end; ``catalog`` is moved into its state directory."""
    state = folder / name / "var"
    state.mkdir(mode=0o700, parents=True)
    if catalog is not None:
        catalog.rename(state / "catalog.sqlite")
    port = free_port()
    config = folder / name / "kuva-gateway.yaml"
    config.write_text(CONFIG.format(port=port))
    with (folder / name / "log").open("wb") as log:
        command = [sys.executable, "-m", "kuva_gateway", "run", "--config", str(config)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_for(lambda: process.poll() is not None or listens(port), f"the gateway {name}", patience=PATIENCE)
        if process.poll() is not None:
            raise SystemExit((folder / name / "log").read_text(errors="replace")[-2000:])
        gateway = Gateway(name=name, port=port, pid=process.pid, state=state)
        wait_for(gateway.settled, f"the gateway {name} to judge what is open", pause=1.0, patience=PATIENCE)
        yield gateway
    finally:
        process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


# -- images ------------------------------------------------------------------------------------------------------------


def new_uid() -> str:
    """A UID of random bits that is 44 characters long, so that one can stand in another's place."""
    return f"2.25.{10**38 + random.getrandbits(127)}"


def make_files(folder: Path, studies: Sequence[str], each: int, pixel_bytes: int) -> list[Path]:
    """Write ``each`` CT images into every one of ``studies``: encoded once per study, then given UIDs of their own."""
    folder.mkdir(parents=True)
    paths = []
    for place, study_uid in enumerate(studies):
        order = Order(kind="ct", accession=f"L{place:05d}", study_uid=study_uid, pixel_bytes=pixel_bytes)
        study = make_study(order, uid=new_uid)
        buffer = io.BytesIO()
        dcmwrite(buffer, study.data_sets[0], enforce_file_format=True)
        pattern, marker = buffer.getvalue(), study.sop_instance_uids[0].encode()
        for number in range(each):
            paths.append(folder / f"{place:04d}-{number:04d}.dcm")
            paths[-1].write_bytes(pattern.replace(marker, new_uid().encode()))
    return paths


def old_studies(catalog: Path, count: int) -> list[str]:
    """UIDs of archived studies from all the years of a filled catalog."""
    with contextlib.closing(sqlite3.connect(catalog)) as connection:
        last = connection.execute("SELECT MAX(id) FROM studies").fetchone()[0]
        found: dict[str, None] = {}
        while len(found) < count:
            wanted = random.randrange(1, last + 1)
            row = connection.execute(
                "SELECT uid FROM studies WHERE id = ? AND state = 'archived'", (wanted,)
            ).fetchone()
            if row:
                found[row[0]] = None
    return list(found)


# -- measuring ---------------------------------------------------------------------------------------------------------


def send(gateway: Gateway, files: Sequence[Path], associations: int) -> Round:
    """Send ``files`` over so many associations at once, until all are catalogued."""
    before, started = cpu_seconds(gateway.pid), time.perf_counter()
    senders = [
        subprocess.Popen(
            ["storescu", "-R", "-aet", "BENCH", "-aec", "KUVAGW", "-pdu", "131072", "127.0.0.1", str(gateway.port),
             *map(str, files[number::associations])],
            env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )
        for number in range(associations)
    ]  # fmt: skip
    for sender in senders:
        _, errors = sender.communicate(timeout=PATIENCE)
        if sender.returncode != 0:
            raise SystemExit(f"storescu to {gateway.name}: {errors.decode(errors='replace')[-500:]}")
    wait_for(gateway.done, "the catalog", pause=0.005, patience=PATIENCE)
    return Round(seconds=time.perf_counter() - started, cpu=cpu_seconds(gateway.pid) - before)


def measure(gateways: Sequence[Gateway], folder: Path, old: Sequence[str], options: argparse.Namespace) -> None:
    """All rounds; the first of each variant warms up and is not kept."""
    for variant in VARIANTS:
        if variant == "old studies":
            known = make_files(folder / "known", old, 1, options.pixel_bytes)
            for gateway in gateways[:1]:
                send(gateway, known, 1)
            shutil.rmtree(folder / "known")
        for number in range(options.rounds + 1):
            studies = [new_uid() for _ in range(options.round_studies)] if variant == "new studies" else old
            if variant == "old studies":
                studies = random.sample(old, options.round_studies)
            files = make_files(folder / "files", studies, options.count // options.round_studies, options.pixel_bytes)
            for gateway in gateways if number % 2 else gateways[::-1]:
                os.sync()
                one = send(gateway, files, options.associations)
                if number:
                    gateway.rounds.setdefault(variant, []).append(one)
                print(f"{variant}, {gateway.name:>6}: {one.seconds:6.2f} s, {one.cpu:5.2f} CPU s"
                      f"{'' if number else ' (warming up)'}", file=sys.stderr)  # fmt: skip
            shutil.rmtree(folder / "files")


def table(gateways: Sequence[Gateway], instances: int, options: argparse.Namespace) -> str:
    """Medians per instance, and the filled catalog's against the empty one's."""
    empty, filled = gateways
    count = options.count // options.round_studies * options.round_studies
    kind = f"{count} CT images of {options.pixel_bytes} bytes of pixels in {options.round_studies} studies a round"
    machine = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {os.cpu_count()} CPUs"
    lines = [
        f"{kind}, {options.rounds} alternating rounds, {options.associations} association(s)",
        f"filled: {instances:,} instances; {machine}, load {os.getloadavg()[0]:.1f}",
        "",
        f"{'':>12} {'CPU us per instance':>32} {'wall us per instance':>32}",
        f"{'':>12} {'empty':>10} {'filled':>10} {'ratio':>10} {'empty':>10} {'filled':>10} {'ratio':>10}",
    ]
    for variant in VARIANTS:
        cells = []
        for of in (lambda one: one.cpu, lambda one: one.seconds):
            medians = [statistics.median(map(of, gateway.rounds[variant])) / count for gateway in (empty, filled)]
            cells += [f"{1e6 * medians[0]:10.0f}", f"{1e6 * medians[1]:10.0f}", f"{medians[1] / medians[0]:10.3f}"]
        lines.append(f"{variant:>12} {' '.join(cells)}")
    lines.append("")
    logs = ", ".join(f"{gateway.name} {gateway.largest_log / 2**20:.1f} MiB" for gateway in gateways)
    lines.append(f"largest write-ahead log: {logs}")
    return "\n".join(lines)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="measure-large-catalog", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--catalog", type=Path, help="a filled SQLite catalog (default: one is filled)")
    parser.add_argument("--studies", type=int, default=1_000_000, help="of a catalog to be filled (%(default)s)")
    parser.add_argument("--count", type=int, default=2000, help="images a round (%(default)s)")
    parser.add_argument("--round-studies", type=int, default=40, help="studies that they belong to (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count, of each variant (%(default)s)")
    parser.add_argument("--pixel-bytes", type=int, default=8192, help="(%(default)s)")
    parser.add_argument("--associations", type=int, default=1, help="senders at once (%(default)s)")
    parser.add_argument("--folder", type=Path, default=None, help="where to work (default: the temporary folder)")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Measure, and print the table."""
    options = parse(arguments)
    if shutil.which("storescu") is None:
        print("storescu is not installed (Debian: dcmtk)", file=sys.stderr)
        return 2
    folder = Path(tempfile.mkdtemp(prefix="kuva-large-", dir=options.folder))
    try:
        catalog = folder / "catalog.sqlite"
        if options.catalog is None:
            fill_catalog.main(["--path", str(catalog), "--studies", str(options.studies)])
        else:
            shutil.copyfile(options.catalog, catalog)
        with contextlib.closing(sqlite3.connect(catalog)) as connection:
            instances = connection.execute("SELECT COUNT(*) FROM instances").fetchone()[0]
        old = old_studies(catalog, 5 * options.round_studies)
        with running("empty", folder, None) as empty, running("filled", folder, catalog) as filled:
            measure([empty, filled], folder, old, options)
            print(table([empty, filled], instances, options))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
