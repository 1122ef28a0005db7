"""What the hostile peers talk to: the real gateway, and a plain pynetdicom AE, each as a process of its own.

Both are given the same short time for everything, so that what one of them never notices is seen in seconds.
"""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme
import yaml

from tests.acceptance.gateway import configuration
from tests.holes.raw import CALLED, Peer
from tests.support import ROOT, free_port, wait_until

TIME = 0.8
"""Seconds: every deadline of a receiver, but the gateway's for an association that is idle."""
CROWDED = str(ROOT / "tests" / "holes" / "crowded.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """A running receiver; ``kept`` are the folders of what it acknowledged, ``passing`` of what is still coming."""

    name: str
    port: int
    tls_port: int
    tls: ssl.SSLContext
    pid: int
    folder: Path
    kept: tuple[Path, ...]
    passing: Path
    log: Path

    @property
    def is_gateway(self) -> bool:
        """Whether it is the one that must pass."""
        return self.name == "gateway"

    @property
    def patience(self) -> float:
        """Seconds to wait for what the one must do and the other never will."""
        return 25.0 if self.is_gateway else 3.0

    def files(self) -> list[Path]:
        """What it keeps of what it acknowledged."""
        return [path for folder in self.kept for path in folder.rglob("*") if path.is_file()]

    def leftovers(self) -> list[Path]:
        """What lies about of transfers that did not come to their end."""
        return [path for path in self.passing.rglob("*") if path.is_file()]

    def descriptors(self) -> int:
        """How many descriptors its process holds."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A certificate for localhost with its key in one file, and the context of a client that trusts it."""

    pem: Path
    client: ssl.SSLContext

    @classmethod
    def make(cls, folder: Path) -> Identity:
        """A new one."""
        authority = trustme.CA()
        pem = folder / "server.pem"
        authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(pem)
        client = ssl.create_default_context()
        authority.configure_trust(client)
        return cls(pem=pem, client=client)


@contextmanager
def gateway(
    folder: Path,
    identity: Identity,
    *,
    crowded: bool = False,
    answers: bool = True,
    seconds: float = TIME,
    processes: int | None = None,
) -> Iterator[Receiver]:
    """The gateway: its daemon, ended with SIGTERM."""
    port, tls_port = free_port(), free_port()
    value = configuration(
        port,
        None,
        tls={"port": tls_port, "certificate": str(identity.pem), "key": str(identity.pem)},
        timers={
            **dict.fromkeys(("handshake", "associate", "message", "send_stall", "response"), f"{seconds * 1000:.0f}ms"),
            "idle": "1m",
        },
        listen={"host": "127.0.0.1", "port": port, "processes": processes},
    )
    for peer in value["peers"]:
        peer["limits"] = {"associations": 150}
    path = folder / "kuva-gateway.yaml"
    path.write_text(yaml.safe_dump(value), encoding="utf-8")
    spool = folder / "var" / "spool"
    command = ["-m", "kuva_gateway", "run", "--config", str(path)]
    with _running(folder, command, crowded=crowded, answers=answers, port=port) as (process, log):
        yield Receiver(
            name="gateway",
            port=port,
            tls_port=tls_port,
            tls=identity.client,
            pid=process.pid,
            folder=folder,
            kept=(spool / "arrived", spool / "instances"),
            passing=spool / "incoming",
            log=log,
        )
        process.terminate()
        assert process.wait(timeout=30) == 0, log.read_text()[-3000:]


@contextmanager
def plain(
    folder: Path,
    identity: Identity,
    *,
    crowded: bool = False,
    answers: bool = True,
    seconds: float = TIME,
    chunked: bool = False,
) -> Iterator[Receiver]:
    """A plain pynetdicom AE; its threads may hang for ever, so that only SIGKILL ends it for sure."""
    port, tls_port = free_port(), free_port()
    kept, passing = folder / "kept" / "here", folder / "tmp"
    kept.mkdir(parents=True)
    passing.mkdir()
    script = str(ROOT / "tests" / "holes" / "plain_ae.py")
    command = [script, CALLED, str(kept), str(seconds), str(port), str(tls_port), str(identity.pem)]
    command += ["--chunked"] if chunked else []
    temporary = {"TMPDIR": str(passing)}
    with _running(folder, command, crowded=crowded, answers=answers, port=port, environment=temporary) as (
        process,
        log,
    ):
        yield Receiver(
            name="pynetdicom",
            port=port,
            tls_port=tls_port,
            tls=identity.client,
            pid=process.pid,
            folder=folder,
            kept=(kept,),
            passing=passing,
            log=log,
        )


@contextmanager
def _running(
    folder: Path,
    command: Sequence[str],
    *,
    crowded: bool,
    answers: bool,
    port: int,
    environment: dict[str, str] | None = None,
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    path = folder / "receiver.log"
    before = [CROWDED] if crowded else []
    with path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *before, *command],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: _is_there(process, port, path, answers), timeout=30, what="an answer to C-ECHO")
        yield process, path
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _is_there(process: subprocess.Popen[bytes], port: int, log: Path, answers: bool) -> bool:
    assert process.poll() is None, f"it ended: {log.read_text()[-3000:]}"
    try:
        with Peer(port) as peer:
            if answers:
                peer.open().echo()
    except (OSError, AssertionError):  # nobody there yet, or one whose first steps take longer than its timers
        return False
    return True
