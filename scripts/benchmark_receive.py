"""A first look at the speed of receiving: the gateway beside DCMTK's storescp and Orthanc, in one run.

storescu sends the same files (TCP_NODELAY=1) to each receiver in turn, in alternating rounds, from one association or
several at once. The gateway's time ends when everything it acknowledged is catalogued as well; it makes every file
durable before it answers, which storescp never does. Loopback only; everything is removed at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from studymaker import load_files

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = {**os.environ, "TCP_NODELAY": "1"}
PATIENCE = 120.0
CONFIG = """\
environment: test
state_directory: ./var
listen: {{host: 127.0.0.1, port: {port}}}
settle_after: 1h
settle_at_most: 2h
spool: {{minimum_free: 64MiB}}
log: {{format: json, level: warning}}
peers:
  - {{name: bench, ae_title: BENCH, allow: [echo, store], limits: {{associations: 50}}}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Somebody who takes images: where, as whom, how to know that the work is done, and who spends the CPU time."""

    name: str
    port: int
    ae_title: str
    pid: int
    finish: Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One round: wall seconds until done, and CPU seconds of the receiver."""

    seconds: float
    cpu: float


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its threads, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait(condition: Callable[[], bool], what: str, pause: float = 0.01) -> None:
    """Poll until ``condition`` holds, two minutes at most."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"gave up waiting for {what}")
        time.sleep(pause)


def listens(port: int) -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def child(command: Sequence[str], folder: Path, name: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A receiver's process, from listening to its end."""
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=ENVIRONMENT
        )
    try:
        wait(lambda: process.poll() is not None or listens(port), f"{name} to listen")
        if process.poll() is not None:
            raise SystemExit(f"{name} ended: {(folder / f'{name}.log').read_text(errors='replace')[-2000:]}")
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def sbin(name: str) -> str:
    """The path of a program, also where only root looks."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin") or name


# -- the three receivers -----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def storescp(folder: Path) -> Iterator[Receiver]:
    """DCMTK's storescp: writes files, neither durable nor catalogued."""
    port, out = free_port(), folder / "storescp"
    out.mkdir()
    command = [sbin("storescp"), "--fork", "-aet", "STORESCP", "-od", str(out), "+xa", "-pdu", "131072", str(port)]
    with child(command, folder, "storescp-log", port) as process:
        # Its CPU time is that of children that have ended: it forks for each association.
        yield Receiver(name="storescp", port=port, ae_title="STORESCP", pid=process.pid, finish=lambda count: None)


@contextlib.contextmanager
def orthanc(folder: Path) -> Iterator[Receiver]:
    """Orthanc with its SQLite index and its default settings; done when it counts every instance."""
    port, http, home = free_port(), free_port(), folder / "orthanc"
    home.mkdir()
    settings = {
        "StorageDirectory": str(home), "IndexDirectory": str(home), "Plugins": [], "DicomAet": "ORTHANC",
        "DicomPort": port, "HttpPort": http, "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
        "DicomAlwaysAllowStore": True, "OverwriteInstances": False,
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(settings))

    def counted() -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{http}/statistics", timeout=10) as answer:
                return int(json.loads(answer.read())["CountInstances"])
        except urllib.error.URLError:
            return -1

    with child([sbin("Orthanc"), str(folder / "orthanc.json")], folder, "orthanc-log", port) as process:
        wait(lambda: counted() >= 0, "Orthanc's REST interface")
        yield Receiver(
            name="Orthanc",
            port=port,
            ae_title="ORTHANC",
            pid=process.pid,
            finish=lambda count: wait(lambda: counted() >= count, "Orthanc's index"),
        )


@contextlib.contextmanager
def gateway(folder: Path) -> Iterator[Receiver]:
    """The gateway: every file durable before its answer; done when all of it is catalogued."""
    port, home = free_port(), folder / "gateway"
    home.mkdir()
    config = home / "kuva-gateway.yaml"
    config.write_text(CONFIG.format(port=port))
    arrived = home / "var" / "spool" / "arrived"
    command = [sys.executable, "-m", "kuva_gateway", "run", "--config", str(config)]

    def all_indexed(count: int) -> None:
        # A name leaves arrived/ only after the transaction that catalogued it.
        wait(lambda: not any(arrived.iterdir()), "the gateway's catalog", pause=0.005)

    with child(command, folder, "gateway-log", port) as process:
        yield Receiver(name="gateway", port=port, ae_title="KUVAGW", pid=process.pid, finish=all_indexed)
        figures = subprocess.run(
            [sys.executable, "-m", "kuva_gateway", "stats", "--json", "--config", str(config)],
            capture_output=True, check=True, timeout=60,
        )  # fmt: skip
        print(f"the gateway's catalog at the end: {json.loads(figures.stdout)['instances']} instances", file=sys.stderr)


# -- measuring ---------------------------------------------------------------------------------------------------------


def one_round(receiver: Receiver, files: Sequence[Path], associations: int, count_before: int) -> Measured:
    """Send ``files`` over ``associations`` senders at once; the time runs until the receiver is done."""
    before, started = cpu_seconds(receiver.pid), time.perf_counter()
    senders = [
        subprocess.Popen(
            [sbin("storescu"), "-R", "-aet", "BENCH", "-aec", receiver.ae_title, "-pdu", "131072", "127.0.0.1",
             str(receiver.port), *map(str, files[number::associations])],
            env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )
        for number in range(associations)
    ]  # fmt: skip
    for sender in senders:
        _, errors = sender.communicate(timeout=PATIENCE)
        if sender.returncode != 0:
            raise SystemExit(f"storescu to {receiver.name}: {errors.decode(errors='replace')[-500:]}")
    receiver.finish(count_before + len(files))
    return Measured(seconds=time.perf_counter() - started, cpu=cpu_seconds(receiver.pid) - before)


def measure(folder: Path, options: argparse.Namespace) -> dict[tuple[str, int, int], list[Measured]]:
    """Alternate rounds over all receivers; each round has fresh instances, so that nobody sees a duplicate."""
    results: dict[tuple[str, int, int], list[Measured]] = {}
    with contextlib.ExitStack() as stack:
        receivers = [stack.enter_context(start(folder)) for start in (storescp, orthanc, gateway)]
        sent = 0
        for size in options.sizes:
            for associations in options.associations:
                for number in range(options.rounds):
                    files_folder = folder / "files"
                    load_files(files_folder, count=options.count, pixel_bytes=size, studies=options.studies)
                    files = sorted(files_folder.iterdir())
                    for path in files:
                        path.read_bytes()
                    # The order turns with each round: nobody is always the first after the files were written.
                    turn = number % len(receivers)
                    for receiver in (*receivers[turn:], *receivers[:turn]):
                        os.sync()
                        measured = one_round(receiver, files, associations, sent)
                        results.setdefault((receiver.name, size, associations), []).append(measured)
                        print(f"{receiver.name:>9} {size >> 10:>4} KiB {associations} assoc: {measured.seconds:6.2f} s",
                              file=sys.stderr)  # fmt: skip
                    sent += len(files)
                    shutil.rmtree(files_folder)
                    shutil.rmtree(folder / "storescp", ignore_errors=True)
                    (folder / "storescp").mkdir()
    return results


def table(results: dict[tuple[str, int, int], list[Measured]], options: argparse.Namespace) -> str:
    """Medians, and how many times as fast as the other the gateway is (above 1: the gateway is faster)."""
    heads = ("pixel data", "assoc", "receiver", "median s", "range s", "CPU s", "gateway is")
    lines = ["{:>10} {:>5} {:>9} {:>9} {:>13} {:>6} {:>11}".format(*heads)]
    for size in options.sizes:
        for associations in options.associations:
            medians = {}
            for name in ("storescp", "Orthanc", "gateway"):
                rounds = results[name, size, associations]
                medians[name] = statistics.median(one.seconds for one in rounds)
            for name, median in medians.items():
                rounds = results[name, size, associations]
                seconds = [one.seconds for one in rounds]
                cpu = "" if name == "storescp" else f"{statistics.median(one.cpu for one in rounds):.2f}"
                ratio = "" if name == "gateway" else f"{median / medians['gateway']:.2f} x"
                lines.append(
                    f"{size >> 10:>6} KiB {associations:>5} {name:>9} {median:>9.2f} "
                    f"{min(seconds):>5.2f} - {max(seconds):>5.2f} {cpu:>6} {ratio:>11}"
                )
    return "\n".join(lines)


def conditions(folder: Path, options: argparse.Namespace) -> str:
    """What the figures were measured on and how."""

    def first_line(*command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
        return (done.stdout or done.stderr).strip().partition("\n")[0]

    file_system = first_line("findmnt", "-n", "-o", "FSTYPE", "-T", str(folder))
    return "\n".join(
        [
            f"{options.count} CT images of {options.studies} studies a round, {options.rounds} alternating rounds",
            f"sender: {first_line(sbin('storescu'), '--version')}; TCP_NODELAY=1, PDU 131072",
            f"Orthanc: {first_line(sbin('Orthanc'), '--version')}, its defaults; storescp --fork +xa",
            f"gateway: durable before each answer, timed until catalogued; Python {platform.python_version()}",
            f"loopback, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, {platform.release()}, {file_system}",
        ]
    )


def main() -> int:
    """Measure and print the table and the conditions."""
    parser = argparse.ArgumentParser(prog="benchmark-receive", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=1000, help="images a round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds per receiver (default: %(default)s)")
    parser.add_argument("--studies", type=int, default=4, help="studies that a round's images belong to")
    parser.add_argument("--sizes", type=int, nargs="+", default=[512 * 1024, 8 * 1024], help="bytes of pixel data")
    parser.add_argument("--associations", type=int, nargs="+", default=[1, 4], help="senders at once")
    parser.add_argument("--folder", type=Path, default=None, help="where to work (default: the temporary folder)")
    options = parser.parse_args()
    for name in ("storescu", "storescp", "Orthanc"):
        if not shutil.which(sbin(name)):
            print(f"{name} is not installed (Debian: dcmtk, orthanc)", file=sys.stderr)
            return 2
    folder = Path(tempfile.mkdtemp(prefix="kuva-benchmark-", dir=options.folder))
    try:
        told = conditions(folder, options)
        results = measure(folder, options)
        print(f"{told}\n\n{table(results, options)}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
