"""How the supervisor is told how the daemon is: ready, reloading, alive, stopping, and in one line what it is at.

Keeps who must go round. Promises that the watchdog is fed only while receiving, indexing and the queue make progress;
a catalog that is away is no standstill, whoever waits for it goes round.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from kuva_gateway import systemd
from kuva_gateway.monitoring.health import Pulse
from kuva_gateway.monitoring.monitoring import Watched

SLOW = 300.0
"""Seconds that one round of what works with the catalog may take: a slow disk, a database that fails over."""
STANDSTILL = 3600.0
"""Seconds for which a delivery may write and hear nothing: its waits on network and decoders are shorter."""
DELIVERING = "delivering"
_TICKS = {"admission": "judging", "queue": DELIVERING}
"""Ticks that must go round, and what they are called."""


class Supervision:
    """Made before anything starts."""

    def __init__(self, log: Any) -> None:
        self.pulse = Pulse()
        self._log = log
        self._ready = False
        self._watched: Watched | None = None
        self._name = ""
        self._watchdog = systemd.Watchdog(
            self.pulse.hanging, self.status, log=lambda why: log.error("the watchdog is not fed", why=why)
        )

    def start(self, watched: Watched, name: str) -> None:
        """Begin to tell, of the gateway called ``name``."""
        self._watched, self._name = watched, name
        self._watchdog.start()

    def beat(self, who: str) -> None:
        """Part of receiving goes round."""
        self.pulse.beat(who)

    def indexing(self) -> None:
        """The indexer goes round."""
        self.pulse.beat("indexing", patience=SLOW)

    def went_round(self, tick: str) -> None:
        """A tick went round, and so did what calls it."""
        self.pulse.beat("the clock")
        if tick in _TICKS and not (_TICKS[tick] == DELIVERING and self._delivery_stands_still()):
            self.pulse.beat(_TICKS[tick], patience=SLOW)

    def _delivery_stands_still(self) -> bool:
        delivering = None if self._watched is None else self._watched.delivering()
        return delivering is not None and delivering.standstill() > STANDSTILL

    def ready(self) -> None:
        """Ports are open and the catalog is migrated, or away."""
        self._ready = True
        systemd.notify("READY=1", f"STATUS={self.status()}")

    @contextlib.contextmanager
    def reloading(self) -> Iterator[None]:
        """While the configuration is read again."""
        if self._ready:
            systemd.reloading()
        try:
            yield
        finally:
            if self._ready:
                systemd.notify("READY=1")

    def stopping(self) -> None:
        """From now on nothing must go round."""
        self._watchdog.stop()
        systemd.notify("STOPPING=1", "STATUS=stopping: what is being received is finished")

    def status(self) -> str:
        """How it is, in one line."""
        if self._watched is None:
            return "starting"
        reception, indexer = self._watched.reception(), self._watched.indexer()
        if reception is None or not reception.ports:
            return "starting"
        words = [f"receiving as {self._name}, {_count(reception.associations, 'association')}"]
        if indexer is None:
            words.append("the catalog is away: images are taken, nothing is delivered")
        else:
            if indexer.pending:
                words.append(f"{_count(indexer.pending, 'image')} to index")
            if self._watched.delivering() is None:
                words.append("the catalog is away: nothing is delivered")
        missing = reception.receivers.wanted - reception.receivers.ready
        if missing > 0:
            words.append(f"{_count(missing, 'receiving process', 'es')} not ready")
        return "; ".join(words)


def _count(number: int, what: str, plural: str = "s") -> str:
    return f"{number} {what}{'' if number == 1 else plural}"
