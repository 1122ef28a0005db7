"""What the trials in a container share: claims and what was found of them, units, figures, the journal, callers.

Nothing here sleeps for a while: every step waits for what it needs, and fails when that does not come.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from systemd_container import Caller, Container, Done

SERVICE, SOCKET = "kuva-gateway.service", "kuva-gateway.socket"
RUNNING = (SOCKET, SERVICE)
PROGRAM = "/opt/kuva-gateway/bin/kuva-gateway"
STATE = "/var/lib/kuva-gateway"
CONFIGURATION = "/etc/kuva-gateway/kuva-gateway.yaml"
PATIENCE = 60.0  # seconds


class Steps:
    """The steps of a trial; each says what it found. ``failed`` counts the claims that did not hold."""

    def __init__(self, box: Container) -> None:
        self.box = box
        self.failed = 0

    def check(self, what: str, good: bool, found: object = "") -> None:
        """One line for one claim."""
        self.failed += not good
        print(f"{'ok  ' if good else 'FAIL'} {what}{f': {found}' if found != '' else ''}", flush=True)

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """One line with the seconds that it took."""
        begun = time.monotonic()
        yield
        print(f"     {time.monotonic() - begun:6.1f} s  {what}", flush=True)

    def wait(self, reached: Callable[[], object], seconds: float = PATIENCE) -> float | None:
        """Seconds until it came true, None if it did not."""
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            if reached():
                return round(time.monotonic() - begun, 1)
            time.sleep(0.2)
        return None

    def show(self, key: str, unit: str = SERVICE) -> str:
        """A property of a unit."""
        return self.box.run("systemctl", "show", "-P", key, unit).stdout.strip()

    def active(self) -> bool:
        """Whether the socket and the gateway are."""
        return self.box.run("systemctl", "is-active", *RUNNING).stdout.split() == ["active", "active"]

    def gateway(self, *words: str) -> Done:
        """One of the gateway's commands, as its own account."""
        return self.box.run("runuser", "-u", "kuva-gateway", "--", PROGRAM, *words)

    def json(self, *words: str) -> Any:
        """What such a command prints; None when it fails."""
        done = self.gateway(*words, "--json")
        return json.loads(done.stdout) if done.returncode == 0 else None

    def instances(self) -> int:
        """How many the catalog has when everything that came is in it; -1: it cannot be asked."""
        found: dict[str, Any] = {}

        def catalogued() -> bool:
            found.update(self.json("stats") or {})
            return found.get("arrivals_pending") == 0

        return -1 if self.wait(catalogued) is None else int(found["instances"])

    def journal(self, *matches: str) -> list[dict[str, Any]]:
        """Lines of the gateway's journal since the container was booted."""
        done = self.box.run("journalctl", "-b", "-u", SERVICE, "-o", "json", *matches)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def events(self, *matches: str) -> set[str]:
        """What happened, of the lines that match."""
        return {one["KUVA_EVENT"] for one in self.journal(*matches) if "KUVA_EVENT" in one}

    @contextmanager
    def echoes(self, calling: str, before: int = 10, after: int = 10) -> Iterator[dict[str, int]]:
        """A C-ECHO every 100 ms, some before what is done within and some after it; what came of them, at the end."""
        found: dict[str, int] = {}
        with self.box.calling("echoes", calling) as caller:
            caller.hear(before)
            yield found
            caller.hear(after)
            found.update(caller.result())

    @contextmanager
    def load(self, calling: str, images: int = 50) -> Iterator[Caller]:
        """Images until nobody takes them; within, so many have been acknowledged."""
        with self.box.calling("store", calling) as caller:
            caller.hear(images)
            yield caller
