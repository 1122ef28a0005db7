"""The supervisor's watchdog starves while any part of the wired daemon stands still, and at no other time."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import structlog
import yaml
from apscheduler.schedulers.background import BackgroundScheduler

from kuva_gateway import daemon as daemon_module
from kuva_gateway import log, supervision
from kuva_gateway.catalog.indexer import Indexer
from kuva_gateway.config import load
from kuva_gateway.daemon import Daemon
from kuva_gateway.monitoring.health import Pulse
from kuva_gateway.network import listening
from kuva_gateway.network.census import Census
from kuva_gateway.queue.admission import Admission
from kuva_gateway.queue.runner import LaneWorkers
from kuva_gateway.receiving import crew
from tests.support import wait_until

LATER = 400.0
"""Seconds, more than any part is given."""
CONFIGURATION: dict[str, Any] = {
    "environment": "test",
    "listen": {"port": 0, "processes": 1},
    "metrics": {"port": None},
    "settle_after": "100ms",
    "spool": {"minimum_free": "1MiB"},
    "destinations": [{"name": "archive", "ae_title": "ARCHIVE", "host": "127.0.0.1", "port": 9}],
}


class Ice:
    """What it is put on stands still until it melts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._melted = threading.Event()
        self.caught = threading.Event()

    def freeze(self, owner: type, name: str) -> None:
        """Whoever calls this stops there."""
        usual = getattr(owner, name)

        def stop(*arguments: Any, **keywords: Any) -> Any:
            self.caught.set()
            self._melted.wait()
            return usual(*arguments, **keywords)

        self._monkeypatch.setattr(owner, name, stop)

    def melt(self) -> None:
        self._monkeypatch.undo()
        self._melted.set()


class Clock:
    """The clock by which parts are watched."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return monotonic() + self.ahead


class Site:
    """A daemon in this process, its supervisor, and the clock by which it is watched."""

    def __init__(self, daemon: Daemon, heard: socket.socket, clock: Clock) -> None:
        self.daemon = daemon
        self.clock = clock
        self._heard = heard

    def hanging(self) -> list[str]:
        """Who stands still; the indexer, which waits long for work, is given some."""
        self.daemon._indexer.rescan()  # type: ignore[union-attr]
        return [one.partition(" has not")[0] for one in self.daemon._supervision.pulse.hanging()]

    def fed(self) -> bool:
        """Whether the watchdog is fed when it is next looked at, and nothing that was said before."""
        self.said()
        watchdog = self.daemon._supervision._watchdog
        watchdog._fed_at = float("-inf")
        watchdog.look()
        return "WATCHDOG=1" in self.said()

    def said(self) -> list[str]:
        lines: list[str] = []
        try:
            while True:
                lines += self._heard.recv(4096).decode().splitlines()
        except BlockingIOError:
            return lines


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard,
        (tmp_path / "gateway.log").open("w") as lines,
        monkeypatch.context() as patched,
    ):
        heard.bind(str(tmp_path / "notify"))
        heard.setblocking(False)
        patched.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        patched.setenv("WATCHDOG_USEC", "60000000")
        patched.setattr(crew, "WATCH_EVERY", 0.1)
        patched.setattr(daemon_module, "BEAT_EVERY", 0.1)
        patched.setattr(listening, "_ROUND", 0.1)
        clock = Clock()
        patched.setattr(supervision, "Pulse", lambda: Pulse(clock=clock))
        log.configure(form="json", stream=lines)
        path = tmp_path / "kuva-gateway.yaml"
        path.write_text(yaml.safe_dump(CONFIGURATION))
        stop = threading.Event()
        daemon = Daemon(load(path), stop, path)
        waiting = threading.Thread(target=daemon.wait)
        try:
            daemon.start()
            waiting.start()
            yield Site(daemon, heard, clock)
        finally:
            stop.set()
            waiting.join()
            daemon.stop()
            structlog.reset_defaults()


@contextmanager
def frozen(site: Site, part: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A while in which this part, and it alone, stands still."""
    if part == "receiving":
        (pid,) = site.daemon._reception.receivers.pids  # type: ignore[union-attr]
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)
        return
    with monkeypatch.context() as patched:
        ice = Ice(patched)
        try:
            if part == "accepting":
                ice.freeze(Census, "arrive")
                socket.create_connection(("127.0.0.1", site.daemon.ports[0])).close()
            else:
                ice.freeze(*PARTS[part])
                site.daemon._indexer.rescan()  # type: ignore[union-attr]
            assert ice.caught.wait(20)
            yield
        finally:
            ice.melt()


PARTS: dict[str, tuple[type, str]] = {
    "accepting": (Census, "arrive"),
    "receiving": (object, ""),
    "indexing": (Indexer, "_next"),
    "judging": (Admission, "run"),
    "delivering": (LaneWorkers, "tick"),
    "the clock": (BackgroundScheduler, "_process_jobs"),
    "the daemon": (supervision.Supervision, "beat"),
}


@pytest.mark.slow
def test_whichever_part_stands_still_the_watchdog_is_not_fed_until_it_goes_on(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats = site.daemon._supervision.pulse._beats
    wait_until(lambda: len(beats) == len(PARTS), what=f"the first beat of every part beside {beats}")
    assert beats.keys() == PARTS.keys()
    assert site.fed()
    for part in PARTS:
        still = sorted([part, *(("judging", "delivering") if part == "the clock" else ())])
        with frozen(site, part, monkeypatch):
            site.clock.ahead += LATER
            wait_until(lambda: site.hanging() == still, what=f"{still} instead of {site.hanging()} to hang")  # noqa: B023
            assert not site.fed(), part
            assert site.daemon._supervision._watchdog._said.startswith(f"hangs: {still[0]} has not gone round for ")
        wait_until(lambda: not site.hanging(), what=f"{part} to go on")
        assert site.fed(), part
