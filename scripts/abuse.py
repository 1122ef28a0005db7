"""Abuses a gateway while a modality works with it, and tells what the modality felt and what is left of it afterwards.

A real gateway with its default limits listens plain and with TLS. A modality associates again and again, stores
an image and takes the time. Beside it, one after the other: connections that say a byte now and then, from one
address and from many, on both ports; thousands of connections a second; what scanners say; and a peer that is let in
and then breaks every rule. Loopback only, bounded in time and number; everything ends by itself.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import select
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import generated
from gateway_process import Gateway, GaveUpError, children, free_port, wait
from plain_modality import Images, PlainModality

AT_MOST = 1.0
"""Seconds that an association with its C-STORE may take."""
GROWN = 1.15
"""How many times the memory may be what it was, once all is quiet."""
SLOW, RATE = 500, 2000
QUIET = 20.0  # seconds for what was abused to come to rest
_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


@dataclass(slots=True)
class Felt:
    """What the modality felt: seconds until it was let in and until its image was safe, and what failed."""

    admitted: list[float] = field(default_factory=list)
    store: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One kind of abuse and what came of it; seconds, and MiB of all processes of the gateway together."""

    abuse: str
    attempts: int
    exchanges: int
    failed: int
    admitted_worst: float
    store_worst: float
    store_99: float
    memory_before: float
    memory_most: float
    memory_after: float
    descriptors: int
    threads: int

    @property
    def faults(self) -> list[str]:
        """What is not as it should be."""
        found = []
        if self.failed or not self.exchanges:
            found.append(f"{self.failed} of {self.exchanges + self.failed} exchanges of the modality failed")
        if max(self.admitted_worst, self.store_worst) > AT_MOST:
            found.append(f"the modality waited {max(self.admitted_worst, self.store_worst):.2f} s")
        if self.memory_after > GROWN * self.memory_before + 8:
            found.append(f"memory grew from {self.memory_before:.0f} to {self.memory_after:.0f} MiB")
        if self.descriptors > 4 or self.threads > 4:
            found.append(f"{self.descriptors} descriptors and {self.threads} threads more are left")
        return found


class Victim:
    """The gateway, measured from outside."""

    def __init__(self, gateway: Gateway, tls_port: int) -> None:
        self.gateway, self.tls_port = gateway, tls_port
        assert gateway.process is not None
        self.pid = gateway.process.pid

    def memory(self) -> float:
        """Resident MiB of all its processes."""
        return sum(self._each(self._resident)) / 2**20

    def descriptors(self) -> int:
        """Open descriptors of all."""
        return int(sum(self._each(lambda pid: len(os.listdir(f"/proc/{pid}/fd")))))

    def threads(self) -> int:
        """Threads of all."""
        return int(sum(self._each(lambda pid: len(os.listdir(f"/proc/{pid}/task")))))

    def _each(self, measure: Callable[[int], float]) -> Iterator[float]:
        for pid in [self.pid, *children(self.pid)]:
            with contextlib.suppress(OSError):
                yield measure(pid)

    @staticmethod
    def _resident(pid: int) -> float:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Modality:
    """Associates, stores and leaves, until it is told to stop."""

    def __init__(self, port: int) -> None:
        self.felt = Felt()
        self._port, self._images, self._number = port, Images(int(time.time())), 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Modality:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._number += 1
            image = self._images.make(1, self._number, 64 << 10)
            began = time.perf_counter()
            try:
                with PlainModality(self._port, calling="CT1", called="KUVAGW", timeout=10) as association:
                    self.felt.admitted.append(time.perf_counter() - began)
                    status = association.store(image.uid, image.data).status
                    self.felt.store.append(time.perf_counter() - began)
                    if status != 0:
                        self.felt.failed.append(f"{status:04X}")
            except Exception as error:
                self.felt.failed.append(type(error).__name__)
            self._stop.wait(0.05)


Abuse = Callable[[Victim, float], int]
"""Abuses for so many seconds; returns how often."""


def nothing(victim: Victim, seconds: float) -> int:
    """To compare with."""
    time.sleep(seconds)
    return 0


def connected(port: int, source: str) -> socket.socket | None:
    """A connection from an address of loopback; None when it does not come about."""
    made = socket.socket()
    made.settimeout(2)
    # It ends with a reset: thousands of ports that the kernel keeps for a minute would be in the way of others here.
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    try:
        made.bind((source, 0))
        made.connect(("127.0.0.1", port))
    except OSError:
        made.close()
        return None
    return made


def slow(port_of: Callable[[Victim], int], sources: Sequence[str], text: bytes) -> Abuse:
    """Connections that say a byte a second, and come back when they are closed."""

    def abuse(victim: Victim, seconds: float) -> int:
        port, until, made = port_of(victim), time.monotonic() + seconds, 0
        open_: list[tuple[socket.socket, int]] = []
        turn = 0
        while time.monotonic() < until:
            while len(open_) < SLOW and time.monotonic() < until:
                connection = connected(port, sources[turn % len(sources)])
                turn += 1
                made += 1
                if connection is not None:
                    open_.append((connection, 0))
                if made % SLOW == 0:
                    break
            left = []
            for connection, said in open_:
                with contextlib.suppress(OSError):
                    if select.select([connection], [], [], 0)[0] and not connection.recv(64):
                        connection.close()
                        continue
                    connection.send(text[said : said + 1])
                    left.append((connection, (said + 1) % len(text)))
                    continue
                connection.close()
            open_ = left
            time.sleep(1.0)
        for connection, _ in open_:
            connection.close()
        return made

    return abuse


def flood(victim: Victim, seconds: float) -> int:
    """Connections at :data:`RATE` a second that are closed at once, every other one with a word before."""
    began, made = time.monotonic(), 0
    while (passed := time.monotonic() - began) < seconds:
        if made > passed * RATE:
            time.sleep(0.002)
            continue
        connection = connected(victim.gateway.port, "127.0.0.9")
        made += 1
        if connection is not None:
            if made % 2:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_WR)
            connection.close()
    return made


def scan(victim: Victim, seconds: float) -> int:
    """What scanners say: nothing, HTTP, SSH, TLS to the plain port and DICOM to the other one, noise, half requests."""
    chance, until, made = random.Random(7), time.monotonic() + seconds, 0
    request = b"\x01\x00\x00\x00\x00\xcd\x00\x01\x00\x00" + b"ANY".ljust(16) + b"NMAP".ljust(16) + bytes(32)
    said = [
        b"",
        b"GET / HTTP/1.0\r\n\r\n",
        b"SSH-2.0-x\r\n",
        _HELLO,
        request,
        request[:30],
        b"\x01\x00\xff\xff\xff\xff",
    ]
    while time.monotonic() < until:
        port = chance.choice((victim.gateway.port, victim.tls_port))
        connection = connected(port, f"127.0.{chance.randrange(10, 20)}.1")
        made += 1
        if connection is None:
            continue
        with contextlib.suppress(OSError), connection:
            connection.sendall(chance.choice([*said, chance.randbytes(chance.randrange(1, 2000))]))
            if chance.random() < 0.5:
                connection.settimeout(0.05)
                connection.recv(100)
    return made


def insider(victim: Victim, seconds: float) -> int:
    """A peer that is let in and breaks every rule: lengths, endless fragments, deep nesting, endless commands."""
    chance, until, made = random.Random(8), time.monotonic() + seconds, 0
    nested = b"\x08\x00\x15\x11SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 5000
    while time.monotonic() < until:
        made += 1
        with (
            contextlib.suppress(Exception),
            contextlib.closing(PlainModality(victim.gateway.port, calling="MR1", called="KUVAGW", timeout=2)) as peer,
        ):
            raw = peer._socket
            kind = chance.randrange(6)
            if kind == 0:  # a PDU of 4 GiB
                raw.sendall(b"\x04\x00\xff\xff\xff\xff" + bytes(1000))
            elif kind == 1:  # a command that never ends
                piece = struct.pack(">BBIIBB", 4, 0, 16390, 16386, 1, 1) + bytes(16384)
                for _ in range(200):
                    raw.sendall(piece)
            elif kind == 2:  # nothing but empty fragments
                raw.sendall(struct.pack(">BBIIBB", 4, 0, 6, 2, 1, 1) * 5000)
            elif kind == 3:  # sequences inside sequences
                peer.store(f"1.2.3.{made}", nested)
            elif kind == 4:  # half an image, and silence
                peer.begin(f"1.2.3.{made}", chance.randbytes(300_000), whole=False)
                raw.settimeout(0.2)
                raw.recv(1)
            else:  # a PDV that is longer than its PDU
                raw.sendall(struct.pack(">BBIIBB", 4, 0, 10, 4000, 1, 3) + bytes(4))
    return made


def abuses() -> dict[str, Abuse]:
    """Every kind, by its name in the table."""
    one, many = ["127.0.0.9"], [f"127.7.{number // 250}.{number % 250 + 1}" for number in range(SLOW)]
    request = b"\x01\x00\x00\x00\x00\xcd\x00\x01\x00\x00" + bytes(190)

    def plain(victim: Victim) -> int:
        return victim.gateway.port

    def secured(victim: Victim) -> int:
        return victim.tls_port

    return {
        "nothing, to compare with": nothing,
        f"{SLOW} slow connections from one address": slow(plain, one, request),
        f"{SLOW} slow connections from as many addresses": slow(plain, many, request),
        f"{SLOW} slow TLS handshakes from one address": slow(secured, one, _HELLO + bytes(500)),
        f"{SLOW} slow TLS handshakes from as many addresses": slow(secured, many, _HELLO + bytes(500)),
        f"{RATE} connections a second": flood,
        "scanners on both ports": scan,
        "a peer that breaks every rule": insider,
    }


def measure(victim: Victim, name: str, abuse: Abuse, seconds: float) -> Row:
    """Abuse the gateway once and see what came of it."""
    memory, descriptors, threads = victim.memory(), victim.descriptors(), victim.threads()
    most, done = [memory], threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            most.append(victim.memory())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    with Modality(victim.gateway.port) as modality:
        attempts = abuse(victim, seconds)
    done.set()
    watcher.join()
    with contextlib.suppress(GaveUpError):
        wait(
            lambda: victim.descriptors() <= descriptors + 4 and victim.threads() <= threads + 4,
            "it to come to rest", timeout=QUIET, pause=0.2,
        )  # fmt: skip
    felt = modality.felt
    times = sorted(felt.store) or [0.0]
    return Row(
        abuse=name,
        attempts=attempts,
        exchanges=len(felt.store),
        failed=len(felt.failed),
        admitted_worst=round(max(felt.admitted, default=0.0), 3),
        store_worst=round(times[-1], 3),
        store_99=round(times[int(0.99 * (len(times) - 1))], 3),
        memory_before=round(memory, 1),
        memory_most=round(max(most), 1),
        memory_after=round(victim.memory(), 1),
        descriptors=victim.descriptors() - descriptors,
        threads=victim.threads() - threads,
    )


def table(rows: Sequence[Row]) -> str:
    """The rows for docs/abuse.rst."""
    head = ("beside it", "attempts", "exchanges", "failed", "C-STORE 99 %", "worst", "MiB before", "most", "after")
    body = [
        (
            row.abuse, f"{row.attempts:,}", str(row.exchanges), str(row.failed), f"{row.store_99 * 1000:.0f} ms",
            f"{max(row.admitted_worst, row.store_worst) * 1000:.0f} ms", f"{row.memory_before:.0f}",
            f"{row.memory_most:.0f}", f"{row.memory_after:.0f}",
        )
        for row in rows
    ]  # fmt: skip
    return generated.table(head, body)


@contextlib.contextmanager
def victim(folder: Path) -> Iterator[Victim]:
    """A gateway as it comes, on two ports."""
    tls_port = free_port()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-keyout", "key.pem", "-out", "certificate.pem"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    tls = {"port": tls_port, "certificate": str(folder / "certificate.pem"), "key": str(folder / "key.pem")}
    with Gateway(folder, archive_port=None, tls=tls, log={"format": "json", "level": "warning"}) as gateway:
        gateway.start()
        yield Victim(gateway, tls_port)
        gateway.stop()


def run(seconds: float, only: Sequence[str] = ()) -> list[Row]:
    """Every abuse for so many seconds, or those whose names have one of ``only`` in them."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="kuva-abuse-") as folder, victim(Path(folder)) as found:
        measure(found, "first steps", nothing, min(seconds, 3.0))  # what is imported once is no growth
        for name, abuse in abuses().items():
            if only and not any(word in name for word in only):
                continue
            row = measure(found, name, abuse, seconds)
            print(f"{row}\n  {'; '.join(row.faults) or 'good'}", file=sys.stderr)
            rows.append(row)
    return rows


def main() -> int:
    """Exit status 1 when the modality felt it, or something is left of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="of each kind (default: 20)")
    parser.add_argument("--only", nargs="+", default=(), metavar="WORD", help="kinds with a word in their name")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures here")
    options = parser.parse_args()
    rows = run(options.seconds, options.only)
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")
    print(table(rows))
    return int(any(row.faults for row in rows))


if __name__ == "__main__":
    sys.exit(main())
