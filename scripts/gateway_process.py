"""The real gateway and the stand-in archive as processes that a campaign may kill, and where to find their children.

Keeps one folder with the configuration, the state directory and the logs. Only processes started here are ever ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 60.0
PEERS = {"ct1": "CT1", "mr1": "MR1", "us1": "US1", "xa1": "XA1"}
"""Configured names and AE titles of the modalities that may store."""

Json = dict[str, Any]


class GaveUpError(Exception):
    """Something did not come true in time, or a process ended by itself."""


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait(condition: Callable[[], bool], what: str, *, timeout: float = PATIENCE, pause: float = 0.01) -> None:
    """Poll until ``condition`` holds; raises GaveUpError after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise GaveUpError(f"waited {timeout:.0f} s for {what}")
        time.sleep(pause)


def listens(port: int) -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def children(pid: int) -> list[int]:
    """The processes that ``pid`` started and that live: its receiving children, where it has any."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # the thread ended meanwhile
            found += [int(word) for word in path.read_text().split()]
    return sorted(found)


def configuration(port: int, archive_port: int | None, **changes: Any) -> Json:
    """A configuration in which what waits for minutes in real life waits for parts of a second."""
    destination = {
        "name": "national-archive",
        "ae_title": "ARCHIVE",
        "host": "127.0.0.1",
        "port": archive_port,
        "commitment_wait": "100ms",
        "commitment_overdue": "3s",
        "retry": "100000x300ms",
        "rest_for": "300ms",
        "rest_at_most": "1s",
    }
    return {
        "environment": "test",
        "state_directory": "./var",
        "listen": {"host": "127.0.0.1", "port": port},
        "settle_after": "300ms",
        "settle_at_most": "1m",
        "drain_timeout": "5s",
        "spool": {"minimum_free": "1MiB"},
        "metrics": {"port": None},
        "rules": {"DOC-01": "off", "DOC-02": "off"},
        "log": {"format": "json", "level": "info"},
        "peers": [
            {"name": name, "ae_title": title, "allow": ["echo", "store"], "limits": {"associations": 50}}
            for name, title in PEERS.items()
        ],
        "destinations": [] if archive_port is None else [destination],
        **changes,
    }


class Archive:
    """A running ``stand_in_archive.py`` whose events are lines of a file."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._log = folder / "archive.jsonl"
        self.errors = folder / "archive.log"
        command = [sys.executable, str(ROOT / "scripts" / "stand_in_archive.py"), "--port", "0", *options]
        with self._log.open("wb") as out, self.errors.open("wb") as errors:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=errors)
        self._seen: list[Json] = []
        self._offset = 0
        try:
            wait(lambda: bool(self.events("listening")), "the archive to listen")
        except BaseException:
            self.stop()
            raise
        self.port: int = self.events("listening")[0]["port"]

    def events(self, *names: str) -> list[Json]:
        """What it said so far under these names, in order."""
        with self._log.open("rb") as log:
            log.seek(self._offset)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self._offset += len(line)
                self._seen.append(json.loads(line))
        return [event for event in self._seen if event["event"] in names]

    def stop(self) -> None:
        """End it as systemd would."""
        end(self.process)


class Gateway:
    """One gateway: its folder, its configuration and, while it lives, its process."""

    def __init__(
        self,
        folder: Path,
        *,
        archive_port: int | None,
        port: int | None = None,
        processes: int | None = None,
        **changes: Any,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = port if port is not None else free_port()
        self.config = folder / "kuva-gateway.yaml"
        self.state = folder / "var"
        self.spool = self.state / "spool"
        self.log = folder / "gateway.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.environment: dict[str, str] = {}
        value = configuration(self.port, archive_port, **changes)
        if processes is not None:
            value["listen"]["processes"] = processes
        self.config.write_text(yaml.safe_dump(value, sort_keys=False), encoding="utf-8")

    # -- the process -----------------------------------------------------------------------------------------------

    def spawn(self) -> None:
        """Start the process and do not wait."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kuva_gateway", "run", "--config", str(self.config)],
                cwd=ROOT,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait_listening(self) -> float:
        """Wait until it accepts connections; returns the seconds that it took from now."""
        started = time.monotonic()
        wait(self._is_there, "the gateway to listen")
        return time.monotonic() - started

    def _is_there(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            raise GaveUpError(f"the gateway ended by itself:\n{self.said_last()}")
        return listens(self.port)

    def start(self) -> float:
        """Start and wait; returns the seconds that it took."""
        self.spawn()
        return self.wait_listening()

    def victims(self, kind: str) -> list[int]:
        """The processes of one kind: ``main``, ``child`` or ``any``."""
        assert self.process is not None
        main, others = [self.process.pid], children(self.process.pid)
        return {"main": main, "child": others, "any": main + others}[kind]

    def kill(self, kind: str, chance: random.Random) -> str:
        """``kill -9`` one process of this kind; ``main`` takes its children with it at the latest here.

        Returns
        -------
        ``main`` or ``child``: what was killed.
        """
        assert self.process is not None
        victims = self.victims(kind)
        if not victims:
            raise GaveUpError("the gateway has no receiving process of its own")
        victim = chance.choice(victims)
        if victim != self.process.pid:
            os.kill(victim, signal.SIGKILL)
            return "child"
        self.kill_main()
        return "main"

    def kill_main(self) -> None:
        """``kill -9`` the main process; its children must not outlive it for long."""
        if self.process is None:
            return
        orphans = children(self.process.pid)
        self.process.kill()
        self.process.wait()
        self.process = None
        wait(lambda: not any(Path(f"/proc/{pid}").exists() for pid in orphans), "receiving processes to end")

    def stop(self) -> int:
        """Ask it to stop, as systemd does; returns its exit status."""
        assert self.process is not None
        status = end(self.process)
        self.process = None
        return status

    def said_last(self) -> str:
        """The end of its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-3000:] if self.log.exists() else ""

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one command of the command line."""
        return subprocess.run(
            [sys.executable, "-m", "kuva_gateway", *arguments, "--config", str(self.config)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    # -- its catalog -----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def catalog(self) -> Iterator[sqlite3.Connection]:
        """The embedded catalog, for reading."""
        connection = sqlite3.connect(self.state / "catalog.sqlite", timeout=30)
        try:
            connection.execute("PRAGMA query_only = ON")
            yield connection
        finally:
            connection.close()

    def pending(self) -> int:
        """Acknowledged images that are not in the catalog yet."""
        return sum(1 for _ in (self.spool / "arrived").iterdir())

    def wait_settled(self, timeout: float) -> None:
        """Wait until everything is catalogued and every study archived; GaveUpError after ``timeout`` seconds."""

        def settled() -> bool:
            if self.pending():
                return False
            with self.catalog() as catalog:
                left = catalog.execute("SELECT COUNT(*) FROM studies WHERE state <> 'archived'").fetchone()[0]
            return not left

        wait(settled, "every study to be archived", timeout=timeout, pause=0.5)

    def __enter__(self) -> Gateway:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill_main()


def end(process: subprocess.Popen[bytes]) -> int:
    """SIGTERM, and SIGKILL where that does not help; returns the exit status."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return process.returncode
