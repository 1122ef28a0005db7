"""The faults of a soak: each begins, lasts for some seconds and ends, and the gateway has to live with it."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from false_clock import FalseClock
from gateway_process import Archive, Gateway, GaveUpError, free_port

Json = dict[str, Any]
SHIM = Path(__file__).with_name("failing_fsync.c")
LASTS = (3.0, 12.0)  # seconds
BALLOON = 2 << 30  # bytes, kept free above the spool's minimum at the start


class Archives:
    """One archive at one port, that is stopped and started again; what all of them took."""

    def __init__(self, folder: Path, gateway_port: int) -> None:
        self._folder = folder
        self._report = f"127.0.0.1:{gateway_port}"
        self.port = free_port()
        self._all: list[Archive] = []
        self.start()

    def start(self, *options: str) -> None:
        """Start another one."""
        folder = self._folder / f"archive-{len(self._all)}"
        folder.mkdir()
        own = ("--port", str(self.port), "--report-to", self._report)
        self._all.append(Archive(folder, *own, *options))

    def stop(self) -> None:
        """Stop it."""
        self._all[-1].stop()

    @property
    def pid(self) -> int:
        """Of the one that runs."""
        return self._all[-1].process.pid

    def events(self, *names: str) -> list[Json]:
        """What all said, associations told apart."""
        return [
            {**event, "association": (number, event.get("association"))}
            for number, archive in enumerate(self._all)
            for event in archive.events(*names)
        ]

    def taken(self) -> int:
        """How many different images they took."""
        return len({event["sop_instance_uid"] for event in self.events("stored")})


class Faults:
    """What can go wrong with ``gateway``, by name. ``started`` is called after the daemon was started again."""

    def __init__(self, gateway: Gateway, archives: Archives, folder: Path, chance: random.Random) -> None:
        self.gateway = gateway
        self.archives = archives
        self.moments: list[float] = []
        """Seconds since the epoch at which an answer may have been cut off, and until when."""
        self._folder = folder
        self._chance = chance
        self._fsync = folder / "fsync-fails"
        self.clock = FalseClock(folder / "clock") if FalseClock.is_there() else None
        self.all: dict[str, Callable[[], AbstractContextManager[None]]] = {
            "receiver killed": self._receiver_killed,
            "daemon killed": self._daemon_killed,
            "archive away": self._archive_away,
            "archive hangs": self._archive_hangs,
            "archive refuses": lambda: self._archive_with("--status", "A700"),
            "archive slow": lambda: self._archive_with("--delay-store", "0.3"),
            "archive aborts": lambda: self._archive_with("--abort-at", "7"),
            "disk full": self._disk_full,
            "catalog locked": self._catalog_locked,
        }
        if self.clock is not None:
            self.all["clock set"] = self._clock_set
        if shutil.which("gcc"):
            self.all["fsync fails"] = self._fsync_fails

    def environment(self) -> dict[str, str]:
        """For the gateway's process."""
        found = {} if self.clock is None else self.clock.environment
        if "fsync fails" in self.all:
            shim = self._folder / "failing_fsync.so"
            subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", shim, SHIM, "-ldl"], check=True)
            found["LD_PRELOAD"] = ":".join(filter(None, (found.get("LD_PRELOAD"), str(shim))))
            found["KUVA_FAILING_FSYNC"] = str(self._fsync)
        return found

    def minimum_free(self) -> int:
        """For ``spool.minimum_free``, so that a file of the size of a balloon fills the disk."""
        return max(1 << 20, shutil.disk_usage(self._folder).free * 3 // 4)

    def one(self) -> str:
        """Let one come and go; returns its name."""
        name = self._chance.choice(sorted(self.all))
        with self.all[name]():
            time.sleep(self._chance.uniform(*LASTS))
        self.moments.append(time.time())
        return name

    @contextlib.contextmanager
    def _receiver_killed(self) -> Iterator[None]:
        if self.gateway.victims("child"):
            self.gateway.kill("child", self._chance)
        yield

    @contextlib.contextmanager
    def _daemon_killed(self) -> Iterator[None]:
        self.moments.append(time.time())
        self.gateway.kill_main()
        self.gateway.start()
        yield

    @contextlib.contextmanager
    def _archive_away(self) -> Iterator[None]:
        self.moments.append(time.time())
        self.archives.stop()
        yield
        self.archives.start()

    @contextlib.contextmanager
    def _archive_with(self, *options: str) -> Iterator[None]:
        for some in (options, ()):
            self.moments.append(time.time())
            self.archives.stop()
            self.archives.start(*some)
            if some:
                yield

    @contextlib.contextmanager
    def _archive_hangs(self) -> Iterator[None]:
        os.kill(self.archives.pid, signal.SIGSTOP)
        yield
        os.kill(self.archives.pid, signal.SIGCONT)

    @contextlib.contextmanager
    def _disk_full(self) -> Iterator[None]:
        """A file takes what is above the spool's minimum; nothing is written into it."""
        balloon = self._folder / "balloon"
        size = shutil.disk_usage(self._folder).free - self.minimum_at_start + (64 << 20)
        try:
            if size > 0:
                with balloon.open("wb") as file:
                    os.posix_fallocate(file.fileno(), 0, size)
            yield
        finally:
            balloon.unlink(missing_ok=True)

    minimum_at_start = 0

    @contextlib.contextmanager
    def _fsync_fails(self) -> Iterator[None]:
        self._fsync.touch()
        yield
        self._fsync.unlink()

    @contextlib.contextmanager
    def _catalog_locked(self) -> Iterator[None]:
        with contextlib.closing(sqlite3.connect(self.gateway.state / "catalog.sqlite", timeout=30)) as catalog:
            try:
                catalog.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                raise GaveUpError(f"the catalog cannot be locked: {error}") from error
            yield
            catalog.rollback()

    @contextlib.contextmanager
    def _clock_set(self) -> Iterator[None]:
        assert self.clock is not None
        self.clock.set(self._chance.choice((-1, 1)) * self._chance.uniform(0.5, 12))
        yield
