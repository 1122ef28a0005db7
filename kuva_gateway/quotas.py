"""How much of each limited peer the archive does not have yet, told to those who receive (``limits.quota``)."""

from __future__ import annotations

from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.figures import unarchived_bytes
from kuva_gateway.config import Configuration
from kuva_gateway.metrics.usage import Usage

LOOK_EVERY = 10.0
"""Seconds. What comes between two looks is counted where it is received."""


class Quotas:
    """Looks into the catalog for the peers that have a quota; without any it does nothing.

    What was stored since the look before the last one is counted beside what the catalog says, so that what the indexer
    has still in hand is in it: for some seconds that can be more than there is, and is never less.
    """

    def __init__(self, catalog: Catalog, usage: Usage) -> None:
        self._catalog = catalog
        self._usage = usage
        self._stored: dict[str, int] = {}

    def look(self, configuration: Configuration) -> None:
        """Tell what waits for the archive now; CatalogUnavailableError: what was told last stays, and grows."""
        limited = [peer.name for peer in configuration.peers if peer.limits.quota is not None]
        if not limited:
            return
        stored = {}
        for peer in limited:
            with self._usage.of(peer) as meters:
                stored[peer] = meters.stored
        waiting = unarchived_bytes(self._catalog)
        for peer in limited:
            with self._usage.of(peer) as meters:
                meters.look(waiting.get(peer, 0), self._stored.get(peer, 0))
        self._stored = stored
