"""Measures C-MOVE and C-GET of one study: the gateway beside DCMTK's dcmqrscp and Orthanc, in alternating rounds.

Everybody is given the same images first, each by its own C-STORE. A C-MOVE goes to DCMTK's storescp, asked for by
movescu; a C-GET is asked for by getscu, which writes the files. The time runs from the start of the asker to its end;
every image must have come. With ``--ignore`` the receiving side takes the images and writes no files, so that less of
the time is its own; that all has come is then the final response's word. ``got-orthanc`` and ``fetched-dcmqrscp`` are
the gateway in front of an archive that has the images (``query.upstream``): fetched by C-GET and by C-MOVE, nothing of
it kept from one round to the next. DCMTK's tools run with TCP_NODELAY=1 unless ``--nagle`` is given. Loopback only;
everything is removed at the end.

Examples::

    scripts/benchmark-retrieve
    scripts/benchmark-retrieve --count 1000 --pixel-bytes 524288 --rounds 5
    scripts/benchmark-retrieve --count 100 --archive gateway orthanc got-orthanc dcmqrscp fetched-dcmqrscp
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydicom import dcmread
from receive_benchmark.processes import NODELAY, Stopped, child, cpu_seconds, environment, free_port, program, wait_for
from studymaker import load_files

ROOT = Path(__file__).resolve().parent.parent
VIEWER = "VIEWER"
FETCH = "KUVAFETCH"
PDU = "131072"
PATIENCE = 900.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """Who is asked: its name, AE title, port and process."""

    name: str
    ae_title: str
    port: int
    pid: int
    behind: Archive | None = None
    """Where the images are, if not here."""
    copies: Path | None = None
    """What came from there before, removed before each retrieval."""


@contextlib.contextmanager
def gateway(
    folder: Path, viewer: int, env: dict[str, str], behind: Archive | None = None, port: int = 0, by_move: bool = False
) -> Iterator[Archive]:
    """The daemon with its default settings, in front of an archive if there is one ``behind``."""
    port, title = port or free_port(), "KUVAGW"
    config = folder / "kuva-gateway.yaml"
    peer = {
        "name": "viewer",
        "ae_title": VIEWER,
        "host": "127.0.0.1",
        "port": viewer,
        "allow": ["store", "move", "get"],
    }
    peers: list[dict[str, object]] = [peer]
    query: dict[str, object] = {}
    if behind is not None:
        address = {"host": "127.0.0.1", "port": behind.port}
        peers.append({"name": "archive", "ae_title": behind.ae_title, "allow": [], **address})
        query = {"upstream": "archive", "fetch_ae_title": FETCH if by_move else None}
    settings = {
        "environment": "test",
        "listen": {"port": port},
        "settle_after": "1h",
        "spool": {"minimum_free": "64MiB"},
        "metrics": {"port": None},
        "log": {"format": "json", "level": "warning"},
        "peers": peers,
        "query": query,
    }
    config.write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "kuva_gateway", "run", "--config", str(config)]
    with child(command, log=folder / "log", port=port, env=env, cwd=ROOT) as process:
        name = "gateway" if behind is None else f"{'fetched' if by_move else 'got'}-{behind.name}"
        copies = folder / "var" / "spool" / "fetched"
        yield Archive(name=name, ae_title=title, port=port, pid=process.pid, behind=behind, copies=copies)


@contextlib.contextmanager
def dcmqrscp(folder: Path, viewer: int, env: dict[str, str], fetch: int | None = None) -> Iterator[Archive]:
    """DCMTK's small archive, which keeps and sends files as they came."""
    port, title, out = free_port(), "DCMQRSCP", folder / "out"
    out.mkdir()
    config = folder / "dcmqrscp.cfg"
    config.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = {PDU}\nMaxAssociations = 64\n"
        f"HostTable BEGIN\nviewer = ({VIEWER}, 127.0.0.1, {viewer})\n"
        f"fetch = ({FETCH}, 127.0.0.1, {fetch or viewer})\nHostTable END\n"
        "VendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\n{title} {out} RW (500, 1gb) ANY\nAETable END\n"
    )
    command = [program("dcmqrscp"), "--quiet", "-c", str(config), "--fork", "-dhl", "-pdu", PDU, "+B"]
    with child(command, log=folder / "log", port=port, env=env) as process:
        yield Archive(name="dcmqrscp", ae_title=title, port=port, pid=process.pid)


@contextlib.contextmanager
def orthanc(folder: Path, viewer: int, env: dict[str, str]) -> Iterator[Archive]:
    """Orthanc with its SQLite index and its default settings, a larger PDU aside."""
    port, title = free_port(), "ORTHANC"
    settings = {
        "StorageDirectory": str(folder / "out"), "IndexDirectory": str(folder / "out"), "Plugins": [],
        "DicomAet": title, "DicomPort": port, "HttpPort": free_port(), "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False, "MaximumPduLength": int(PDU), "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowMove": True, "DicomModalities": {"viewer": [VIEWER, "127.0.0.1", viewer]},
    }  # fmt: skip
    config = folder / "orthanc.json"
    config.write_text(json.dumps(settings))
    with child([program("Orthanc"), str(config)], log=folder / "log", port=port, env=env) as process:
        yield Archive(name="orthanc", ae_title=title, port=port, pid=process.pid)


@contextlib.contextmanager
def got(folder: Path, viewer: int, env: dict[str, str]) -> Iterator[Archive]:
    """The gateway in front of Orthanc, from which it fetches by C-GET."""
    (folder / "behind").mkdir()
    with orthanc(folder / "behind", viewer, env) as behind, gateway(folder, viewer, env, behind) as archive:
        yield archive


@contextlib.contextmanager
def fetched(folder: Path, viewer: int, env: dict[str, str]) -> Iterator[Archive]:
    """The gateway in front of dcmqrscp, from which it fetches by C-MOVE."""
    (folder / "behind").mkdir()
    port = free_port()
    with (
        dcmqrscp(folder / "behind", viewer, env, port) as behind,
        gateway(folder, viewer, env, behind, port, by_move=True) as archive,
    ):
        yield archive


ARCHIVES: dict[str, Callable[[Path, int, dict[str, str]], contextlib.AbstractContextManager[Archive]]] = {
    "gateway": gateway,
    "dcmqrscp": dcmqrscp,
    "orthanc": orthanc,
    "got-orthanc": got,
    "fetched-dcmqrscp": fetched,
}
BY_DEFAULT = ("gateway", "dcmqrscp", "orthanc")


def run(command: list[str], env: dict[str, str], folder: Path) -> str:
    """Run a tool of DCMTK that must succeed; what it said."""
    done = subprocess.run(
        command, env=env, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False
    )
    if done.returncode != 0:
        raise Stopped(f"{Path(command[0]).name} ended with {done.returncode}: {done.stderr.decode()[-500:]}")
    return (done.stdout + done.stderr).decode(errors="replace")


def put(archive: Archive, paths: list[Path], env: dict[str, str], folder: Path) -> None:
    """Store the images, where they are to be."""
    archive = archive.behind or archive
    run(
        [program("storescu"), "-R", "-pdu", PDU, "-aet", VIEWER, "-aec", archive.ae_title, "127.0.0.1",
         str(archive.port), *map(str, paths)],
        env, folder,
    )  # fmt: skip


def retrieve(
    archive: Archive, how: str, study: str, count: int, received: Path, env: dict[str, str], *, ignore: bool
) -> dict[str, float]:
    """One retrieval: seconds, and processor seconds of the archive."""
    for path in archive.copies.iterdir() if archive.copies is not None else ():
        if path.is_file():
            path.unlink()
    before, started = cpu_seconds(archive.pid), time.perf_counter()
    more = ["-aem", VIEWER] if how == "C-MOVE" else ["--ignore"] if ignore else ["-od", str(received), "+B"]
    said = run(
        [program("movescu" if how == "C-MOVE" else "getscu"), "-S", "-pdu", PDU, "-aet", VIEWER,
         "-aec", archive.ae_title, *more, "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}",
         *(["-v"] if ignore else []), "127.0.0.1", str(archive.port)],
        env, received,
    )  # fmt: skip
    if ignore:
        if "Response (Success)" not in said:
            raise Stopped(f"{archive.name} did not send everything by {how}")
    else:
        wait_for(
            lambda: len(list(received.iterdir())) >= count, f"{count} images by {how} from {archive.name}", patience=60
        )
    seconds = time.perf_counter() - started
    for path in received.iterdir():
        path.unlink()
    return {"seconds": seconds, "cpu": cpu_seconds(archive.pid) - before}


def measure(options: argparse.Namespace, folder: Path) -> dict[tuple[str, str], list[dict[str, float]]]:
    """All rounds; the first of each warms up and is not kept."""
    env = environment(**({} if options.nagle else NODELAY))
    load_files(folder / "images", count=options.count, pixel_bytes=options.pixel_bytes, studies=1)
    paths = sorted((folder / "images").iterdir())
    study = str(dcmread(paths[0], stop_before_pixels=True).StudyInstanceUID)
    received, viewer = folder / "received", free_port()
    received.mkdir()
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    with contextlib.ExitStack() as stack:
        storescp = [program("storescp"), "--quiet", "-aet", VIEWER, "-od", str(received), "+B", "+xa", "-pdu", PDU]
        storescp += ["--ignore"] if options.ignore else []
        stack.enter_context(child([*storescp, str(viewer)], log=folder / "storescp.log", port=viewer, env=env))
        archives = []
        for name in options.archive:
            (folder / name).mkdir()
            archives.append(stack.enter_context(ARCHIVES[name](folder / name, viewer, env)))
            put(archives[-1], paths, env, folder)
        for number in range(options.rounds + 1):
            for how in ("C-MOVE", "C-GET"):
                for archive in archives[number % len(archives) :] + archives[: number % len(archives)]:
                    one = retrieve(archive, how, study, len(paths), received, env, ignore=options.ignore)
                    print(f"{how} {archive.name:>16}: {one['seconds']:6.2f} s, CPU {one['cpu']:5.2f} s"
                          f"{'' if number else ' (warming up)'}", file=sys.stderr)  # fmt: skip
                    if number:
                        found.setdefault((how, archive.name), []).append(one)
    return found


def table(found: dict[tuple[str, str], list[dict[str, float]]], options: argparse.Namespace) -> str:
    """Medians, and how many times as fast as each peer the gateway is."""
    lines = [f"{options.count} CT images of {options.pixel_bytes} bytes of pixels, {options.rounds} rounds", ""]
    for (how, name), rounds in sorted(found.items()):
        seconds, cpu = (statistics.median(one[key] for one in rounds) for key in ("seconds", "cpu"))
        own = statistics.median(one["seconds"] for one in found.get((how, "gateway"), rounds))
        lines.append(
            f"{how:7} {name:>16} {seconds:7.2f} s  {len(rounds)} rounds  CPU {cpu:6.2f} s  {seconds / own:5.2f} x"
        )
    return "\n".join(lines)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="benchmark-retrieve", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=1000, help="images (%(default)s)")
    parser.add_argument("--pixel-bytes", type=int, default=512 * 1024, help="of each (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="that count (%(default)s)")
    parser.add_argument("--archive", nargs="+", choices=list(ARCHIVES), default=list(BY_DEFAULT), help="who is asked")
    parser.add_argument("--nagle", action="store_true", help="leave Nagle's algorithm on in DCMTK's tools")
    parser.add_argument("--ignore", action="store_true", help="let the receiving side write no files")
    parser.add_argument("--folder", type=Path, default=None, help="where to work (default: the temporary folder)")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Measure, and print the table."""
    options = parse(arguments)
    folder = Path(tempfile.mkdtemp(prefix="kuva-retrieve-", dir=options.folder))
    try:
        print(table(measure(options, folder), options))
    except Stopped as error:
        print(f"benchmark-retrieve: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
