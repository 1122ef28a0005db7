"""What goes on once images are here, wired together: reports to those who asked, notes of our own, retention.

Keeps these parts for the daemon, which starts and stops them as one. Promises that none of it is in an image's way.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from kuva_gateway import parts
from kuva_gateway.catalog import rejections
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.config import Configuration, Peer
from kuva_gateway.dicom.header import Header
from kuva_gateway.errors import DeferredError
from kuva_gateway.metrics.usage import Usage
from kuva_gateway.queue.answering import Answering, Asker
from kuva_gateway.queue.backoff import Schedule
from kuva_gateway.queue.notes import Notes
from kuva_gateway.queue.retention import Retention, Room
from kuva_gateway.queue.schedule import SHORTEST_TICK, Tick
from kuva_gateway.quotas import LOOK_EVERY as QUOTAS_EVERY
from kuva_gateway.quotas import Quotas
from kuva_gateway.spool.fetched import FetchedFiles
from kuva_gateway.spool.receipt import Arrival
from kuva_gateway.spool.spool import Spool

LOOK_EVERY = 1.0  # seconds
RETENTION_EVERY = 30.0  # seconds, or half of keep_for


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """What other parts do for these."""

    keep_out: Callable[[frozenset[str]], None]
    """Refuse instances with these UIDs."""
    remove: Callable[[], None]
    """Wake whoever removes files."""
    indexed: Callable[[datetime], bool]
    """Is everything in the catalog that was acknowledged before?"""
    on_receipt: Callable[[Arrival, Header], None]
    """Told of an instance that is safe in the spool."""
    usage: Usage
    """What limited peers have used up."""


class Aftercare:
    """Made when the catalog is there."""

    def __init__(
        self,
        configuration: Configuration,
        catalog: Catalog,
        spool: Spool,
        hands: Hands,
        *,
        now: Callable[[], datetime],
        rng: random.Random,
        log: Any,
    ) -> None:
        self._configuration = configuration
        self._catalog = catalog
        self._spool = spool
        self._hands = hands
        self._notes = Notes()
        self._quotas = Quotas(catalog, hands.usage)
        self.answering = Answering(
            catalog,
            spool,
            _askers(configuration),
            ae_title=configuration.ae_title,
            indexed=hands.indexed,
            now=now,
            rng=rng,
            log=log,
        )
        self._now = now
        self._log = log
        self._retention = self._make_retention(configuration)

    def prepare(self, configuration: Configuration) -> Callable[[], None]:
        """Make ready for another configuration; what is returned makes it count. GatewayError: it cannot be used."""
        askers, retention = _askers(configuration), self._make_retention(configuration)

        def take_on() -> None:
            self._configuration = configuration
            self.answering.follow(askers)
            self._retention = retention

        return take_on

    def ticks(self) -> Mapping[str, Tick]:
        """What is to be called now and then."""
        retaining = min(RETENTION_EVERY, max(self._configuration.retention.keep_for / 2, SHORTEST_TICK))
        return {
            "reports": Tick(call=self.answering.tick, every=LOOK_EVERY),
            "notes": Tick(call=self._write_notes, every=LOOK_EVERY),
            "retention": Tick(call=self._retain, every=retaining),
            "quotas": Tick(call=lambda: self._quotas.look(self._configuration), every=QUOTAS_EVERY),
        }

    def wake(self) -> None:
        """A command may have changed something: rejections, notes, removals."""
        self.keep_out()
        self._write_notes()
        self._hands.remove()

    def keep_out(self) -> None:
        """Tell receiving which instances rejection notes keep out."""
        self._hands.keep_out(rejections.refused(self._catalog))

    def stop(self) -> None:
        """End the reports that are under way; they go out again later."""
        self.answering.stop(self._configuration.drain_timeout)

    def _write_notes(self) -> None:
        self._notes.write(self._catalog, self._spool, self._hands.on_receipt)

    def _retain(self) -> None:
        """Copies go first: for their room no image is removed that was received here."""
        self._sweep_fetched()
        self._retention.run()

    def _sweep_fetched(self) -> None:
        with contextlib.suppress(OSError, DeferredError):  # the indexer tells of a disk that fails
            FetchedFiles(self._spool, keep_for=self._configuration.query.cache_for).sweep(lacking=self._lacking())

    def _lacking(self) -> int:
        """Bytes that copies owe to everything else: they are the first to go (docs/retrieve.rst)."""
        room = self._room()
        owed = max(2 * self._spool.space.minimum_free, int(self._configuration.retention.low_water * room.total))
        return max(0, owed - room.free)

    def _make_retention(self, configuration: Configuration) -> Retention:
        return Retention(
            self._catalog,
            keep_for=timedelta(seconds=configuration.retention.keep_for),
            low_water=configuration.retention.low_water,
            room=self._room,
            remove=self._hands.remove,
            now=self._now,
            log=self._log,
        )

    def _room(self) -> Room:
        return Room(free=self._spool.free_bytes(), total=self._spool.space.total_bytes())


def _askers(configuration: Configuration) -> dict[str, Asker]:
    """The peers that may ask for storage commitment."""
    return {peer.name: _asker(configuration, peer) for peer in configuration.peers if "commit" in peer.allow}


def _asker(configuration: Configuration, peer: Peer) -> Asker:
    """How a peer that may ask for storage commitment is told."""
    return Asker(
        call=parts.call_peer(configuration, peer),
        when_archived=peer.commit_when == "archived",
        schedule=Schedule.parse(peer.commit_retry),
        give_up_after=timedelta(seconds=peer.commit_give_up_after),
    )
