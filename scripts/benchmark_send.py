"""How fast the gateway sends, beside DCMTK's storescu, and what its queue costs.

``speed``: the same files to the same storescp, in alternating rounds, medians with the sender's CPU seconds.
``memory``: the peak of a process that sends one 2 GiB object. ``refusing``: CPU per attempt of entries that are due at
an archive which answers A700 to everything. ``finished``: what a look for due entries costs beside a million finished
ones. ``isolation``: the rate to a destination beside a dead and a stalled one. ``outage``: a simulated week without the
archive. Loopback only; what is made is removed.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from receive_benchmark.processes import NODELAY, child, environment, free_port, program  # noqa: E402

from kuva_gateway.catalog import entries  # noqa: E402
from kuva_gateway.catalog.database import Catalog  # noqa: E402
from kuva_gateway.catalog.records import PendingInstance  # noqa: E402
from kuva_gateway.config.model import Configuration  # noqa: E402
from kuva_gateway.dicom import part10  # noqa: E402
from kuva_gateway.dicom.uids import new_uid  # noqa: E402
from kuva_gateway.forward.call import Call  # noqa: E402
from kuva_gateway.forward.deliver import deliver  # noqa: E402

CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"
SIZES = {"8KiB": 8 * 1024, "512KiB": 512 * 1024}
PDU = "131072"


def utc_now() -> datetime:
    """This moment."""
    return datetime.now(UTC)


def element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
    """One element in explicit little endian."""
    head = group.to_bytes(2, "little") + number.to_bytes(2, "little") + vr
    if vr in (b"OW", b"OB"):
        return head + b"\0\0" + len(value).to_bytes(4, "little") + value
    return head + len(value).to_bytes(2, "little") + value


def text(value: str) -> bytes:
    """Padded to an even length."""
    return value.encode() + b"\0" * (len(value) % 2)


def data_set(uid: str, study: str, pixels: bytes) -> bytes:
    """A CT image, as small as one may be beside its pixels."""
    return b"".join(
        (
            element(0x0008, 0x0016, b"UI", text(CT)),
            element(0x0008, 0x0018, b"UI", text(uid)),
            element(0x0008, 0x0060, b"CS", b"CT"),
            element(0x0010, 0x0020, b"LO", b"TEST"),
            element(0x0020, 0x000D, b"UI", text(study)),
            element(0x0020, 0x000E, b"UI", text(study + ".1")),
            element(0x7FE0, 0x0010, b"OW", pixels),
        )
    )


def make_images(folder: Path, count: int, size: int) -> list[PendingInstance]:
    """So many stored files, and what the catalog would say of them; their names stand where digests do."""
    made, pixels, study = [], random.Random(size).randbytes(size), new_uid()[:60]
    for number in range(count):
        uid = new_uid()
        content = part10.preamble_and_meta(CT, uid, EXPLICIT) + data_set(uid, study, pixels)
        (folder / f"{size}-{number}").write_bytes(content)
        made.append(
            PendingInstance(
                instance_id=number,
                sop_class=CT,
                sop_instance=uid,
                transfer_syntax=EXPLICIT,
                digest=f"{size}-{number}",
                size=len(content),
            )
        )
    return made


def call_to(port: int, tls: ssl.SSLContext | None = None) -> Call:
    """How the receiver is called."""
    return Call(name="archive", host="localhost", port=port, called_ae="ARCHIVE", calling_ae="KUVAGW", tls=tls)


def send_ours(folder: Path, images: Sequence[PendingInstance], port: int, hands: int, tls: Any) -> None:
    """Deliver all of it, as so many workers of one gateway would."""
    incomplete: list[object] = []

    def work(part: Sequence[PendingInstance]) -> None:
        done = deliver(
            call_to(port, tls), part, open_file=lambda name: (folder / name).open("rb"), on_answer=lambda i, o: None
        )
        if not done.complete:
            incomplete.append(done.cause)

    threads = [threading.Thread(target=work, args=(images[number::hands],)) for number in range(hands)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if incomplete:
        raise SystemExit(f"not everything was delivered: {incomplete[0]}")


def send_theirs(folder: Path, images: Sequence[PendingInstance], port: int, hands: int, tls: Any) -> None:
    """The same with as many storescu."""
    options = ["+tla", "-ic"] if tls else []
    command = [program("storescu"), "--quiet", *options, "-R", "-aec", "ARCHIVE", "-pdu", PDU, "localhost", str(port)]
    senders = [
        subprocess.Popen([*command, *(str(folder / one.digest) for one in images[number::hands])],
                         env=environment(**NODELAY))
        for number in range(hands)
    ]  # fmt: skip
    if sum(abs(sender.wait()) for sender in senders):
        raise SystemExit("storescu failed")


def spent() -> float:
    """CPU seconds of ourselves and of every child that was waited for."""
    return sum(
        one.ru_utime + one.ru_stime for one in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost and its key."""
    made = folder / "certificate.pem", folder / "key.pem"
    command = [program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
               "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
               "-out", str(made[0]), "-keyout", str(made[1])]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return made


def speed(folder: Path, options: argparse.Namespace) -> None:
    """Both senders, in turn, for each size, number of associations and transport."""
    pem, key = certificate(folder)
    context = ssl.create_default_context(cafile=str(pem))
    print(f"{options.count} images to storescp --ignore, medians of {options.rounds} rounds")
    print(
        f"{'images':>8} {'assoc':>5} {'line':>5}  {'ours':>8} {'storescu':>8} {'times':>6} {'of one':>7}"
        "  CPU s: ours, storescu"
    )
    for name, size in SIZES.items():
        images = make_images(folder, options.count, size)
        for transport in options.transport:
            secure = ["+tls", str(key), str(pem), "-ic"] if transport == "tls" else []
            port = free_port()
            command = [program("storescp"), "--quiet", "--fork", *secure, "-aet", "ARCHIVE", "--ignore", "-pdu", PDU]
            with child([*command, str(port)], log=folder / "log", port=port, env=environment(**NODELAY)):
                alone = 0.0
                for hands in (1, 4):
                    tls = context if secure else None
                    theirs = compare(name, hands, transport, options.rounds, alone, [
                        lambda h=hands, t=tls, p=port: send_ours(folder, images, p, h, t),  # noqa: B023
                        lambda h=hands, t=tls, p=port: send_theirs(folder, images, p, h, t),  # noqa: B023
                    ])  # fmt: skip
                    alone = alone or theirs
        for one in images:
            (folder / one.digest).unlink()


def compare(
    name: str, hands: int, transport: str, rounds: int, alone: float, runs: Sequence[Callable[[], None]]
) -> float:
    """Run both in turn, and print a line; returns storescu's seconds. ``alone``: those of one storescu (0: these)."""
    seconds: list[list[float]] = [[], []]
    cpu: list[list[float]] = [[], []]
    for number in range(rounds):
        for which in ((0, 1), (1, 0))[number % 2]:
            before, began = spent(), time.perf_counter()
            runs[which]()
            seconds[which].append(time.perf_counter() - began)
            cpu[which].append(spent() - before)
    ours, theirs = map(statistics.median, seconds)
    used = ", ".join(f"{statistics.median(one):.2f}" for one in cpu)
    ratios = f"{theirs / ours:5.2f}x {(alone or theirs) / ours:6.2f}x"
    print(f"{name:>8} {hands:>5} {transport:>5}  {ours:7.2f}s {theirs:7.2f}s {ratios}  {used}", flush=True)
    return theirs


def memory(folder: Path, options: argparse.Namespace) -> None:
    """The peak resident size of a process that sends 2 GiB."""
    if options.child is not None:
        size, port = 2**31 - 2**20, options.child
        (one,) = make_images(folder, 1, 2)
        path = folder / one.digest
        head = path.read_bytes()[: -2 - 4] + size.to_bytes(4, "little")
        path.write_bytes(head)
        os.truncate(path, len(head) + size)
        before = peak()
        send_ours(folder, [one], port, 1, None)
        print(
            f"2 GiB sent with a peak of {peak() / 2**20:.0f} MiB, {(peak() - before) / 2**20:.1f} MiB above the start"
        )
        return
    port = free_port()
    command = [program("storescp"), "--quiet", "--single-process", "-aet", "ARCHIVE", "--ignore", "-pdu", PDU]
    with child([*command, str(port)], log=folder / "log", port=port, env=environment(**NODELAY)):
        subprocess.run([sys.executable, __file__, "memory", "--child", str(port)], check=True)


def peak() -> int:
    """The process's largest resident size so far, in bytes."""
    (line,) = [one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def refusing(folder: Path, options: argparse.Namespace) -> None:
    """CPU per attempt, the whole queue at work: claim, association, C-STORE, record."""
    from send_queue import Queue

    port = free_port()
    command = [sys.executable, str(ROOT / "scripts" / "refusing_archive.py"), str(port), "A700"]
    with Queue(folder, configuration(folder, port)) as queue:
        queue.fill(options.due, lambda uid, study: data_set(uid, study, b"\0" * 64), CT, EXPLICIT)
        with child(command, log=folder / "log", port=port, env=environment(**NODELAY)):
            cpu, seconds, attempts = queue.try_all()
    print(f"{attempts} attempts refused with A700 in {seconds:.1f} s: {cpu / attempts * 1000:.2f} ms CPU per attempt")


def configuration(folder: Path, port: int) -> Configuration:
    """One destination that is tried again much later."""
    archive = {"name": "archive", "ae_title": "ARCHIVE", "host": "127.0.0.1", "port": port, "retry": "9x6h",
               "storage_commitment": False, "workers": 4}  # fmt: skip
    return Configuration.model_validate({"environment": "test", "state_directory": folder, "destinations": [archive]})


def finished(folder: Path, options: argparse.Namespace) -> None:
    """One look of a worker, beside no and beside very many finished entries."""
    for count in (0, options.entries):
        with closing(Catalog.open(None, folder / f"{count}.sqlite")) as catalog:
            add_finished(catalog, count)
            print(f"{count:>9} finished entries: {look(catalog) * 1e6:6.0f} us for a look for due entries")


def add_finished(catalog: Catalog, count: int) -> None:
    """Archived studies with an archived entry each."""
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
    filled = {
        "studies": ({"id": "i", "uid": "'2.25.' || i", "state": "'archived'", "revision": "1"}),
        "entries": ({"id": "i", "study_id": "i", "destination": "'archive'", "revision": "1", "state": "'archived'"}),
    }
    if not count:
        return
    with catalog.write() as session:
        for table, given in filled.items():
            columns = {}
            for column in session.rows(f"PRAGMA table_info({table})"):
                if column["name"] in given:
                    columns[column["name"]] = given[column["name"]]
                elif column["notnull"]:
                    columns[column["name"]] = "0" if column["type"] in ("INTEGER", "BIGINT", "SMALLINT") else "''"
            session.execute(
                f"INSERT INTO {table} ({', '.join(columns)}) {numbers} SELECT {', '.join(columns.values())} FROM n"
            )


def look(catalog: Catalog) -> float:
    """Seconds that a claim in vain and the question when the next entry is due take, the median of many."""
    taken = []
    for _ in range(300):
        began = time.perf_counter()
        entries.claim(catalog, "archive", utc_now(), timedelta(seconds=30), "bench")
        entries.next_due(catalog, "archive")
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def isolation(folder: Path, options: argparse.Namespace) -> None:
    """A healthy destination alone, and beside a dead and a stalled one."""
    import send_bad_days

    pixels = random.Random(1).randbytes(SIZES["8KiB"])
    send_bad_days.isolation(folder, options, lambda uid, study: data_set(uid, study, pixels))


def outage(folder: Path, options: argparse.Namespace) -> None:
    """A week without the archive."""
    import send_bad_days

    send_bad_days.outage(folder, options, lambda uid, study: data_set(uid, study, b"\0" * 64))


PARTS = {
    "speed": speed,
    "memory": memory,
    "refusing": refusing,
    "finished": finished,
    "isolation": isolation,
    "outage": outage,
}


def main() -> int:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "part", nargs="*", choices=[[], *PARTS], default=list(PARTS), help="what to measure (default: all)"
    )
    parser.add_argument("--count", type=int, default=1000, help="images in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--transport", nargs="+", choices=["plain", "tls"], default=["plain", "tls"])
    parser.add_argument("--due", type=int, default=10_000, help="entries that are due at the archive that refuses")
    parser.add_argument("--entries", type=int, default=1_000_000, help="finished entries")
    parser.add_argument("--studies", type=int, default=400, help="studies in each round of isolation")
    parser.add_argument("--week", type=int, default=672, help="studies in the week of the outage: one each 15 minutes")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.part) - set(PARTS):
        parser.error(f"there is no {unknown.pop()}")
    for part in options.part or list(PARTS):
        with tempfile.TemporaryDirectory(prefix="benchmark-send-", dir=ROOT) as name:
            PARTS[part](Path(name), options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
