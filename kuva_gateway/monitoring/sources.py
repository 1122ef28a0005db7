"""Where figures come from: the parts of a running gateway, each of which may not be there yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kuva_gateway.audit.collector import Collector
from kuva_gateway.config.peer import PeerLimits
from kuva_gateway.delivering import Delivering
from kuva_gateway.metrics.tally import together
from kuva_gateway.monitoring.catalog_view import Seen
from kuva_gateway.network.revocation import RevocationList
from kuva_gateway.receiving.reception import Reception
from kuva_gateway.spool import Spool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What is asked for figures."""

    peers: tuple[str, ...]
    limited: Mapping[str, PeerLimits]
    """The limits of the peers whose instances have any, by name."""
    destinations: tuple[str, ...]
    upstream: str | None
    """``query.upstream``: the name of the archive that queries are also put to."""
    spool: Spool
    reception: Callable[[], Reception | None]
    waiting: Callable[[], tuple[int, datetime | None]]
    """How many arrivals wait for the catalog, and since when the oldest."""
    catalog: Callable[[], Seen]
    delivering: Callable[[], Delivering | None]
    collector: Collector | None
    certificates: Callable[[], Mapping[str, datetime]]
    """Configuration key -> when that certificate expires; raises TlsFilesError."""
    revocation_lists: Callable[[], Mapping[str, RevocationList]]
    """Configuration key -> the list of withdrawn certificates that expires first; raises TlsFilesError."""
    records: Mapping[str, Path]
    """Folders of what only grows."""
    clock_steps: Callable[[], int]
    why_not_ready: Callable[[], str]
    """"" when peers can send."""

    def expiring(self) -> dict[str, datetime]:
        """Configuration key -> when that certificate expires: the gateway's files, and what others showed last.

        Raises
        ------
        TlsFilesError
            A file cannot be read or understood.
        """
        found = dict(self.certificates())
        reception, delivering = self.reception(), self.delivering()
        counted = {} if reception is None else together(reception.tallies)
        for name, counts in counted.items():
            if counts.certificate_expires and name in self.peers:
                found[f"peers.{name}"] = datetime.fromtimestamp(counts.certificate_expires, UTC)
        for name, until in ({} if delivering is None else delivering.shown.expiries()).items():
            if name in self.destinations:
                found[f"destinations.{name}"] = until
        return found
