"""The daemon's share of monitoring: the port with its pages, and what they are made of.

Started before the ports for peers, stopped with the last parts, so that it can say what is missing meanwhile.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from kuva_gateway import parts
from kuva_gateway.audit.collector import Collector
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.figures import CatalogFigures, figures
from kuva_gateway.catalog.indexer import Indexer
from kuva_gateway.config import Configuration
from kuva_gateway.delivering import Delivering
from kuva_gateway.errors import CatalogUnavailableError, GatewayError
from kuva_gateway.metrics.endpoint import Endpoint, Page
from kuva_gateway.monitoring.alerts import raised
from kuva_gateway.monitoring.catalog_view import FRESH, CatalogView
from kuva_gateway.monitoring.health import Pulse
from kuva_gateway.monitoring.situation import Situation
from kuva_gateway.monitoring.sources import Sources
from kuva_gateway.monitoring.telling import Telling
from kuva_gateway.network.revocation import RevocationList
from kuva_gateway.receiving.reception import Reception
from kuva_gateway.spool import Spool

if TYPE_CHECKING:
    from kuva_gateway.monitoring.exposition import Exposition

LOOK_EVERY = 60.0
"""Seconds between looks for alerts."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What of the daemon is looked at; a part that is not there yet is None."""

    spool: Spool
    reception: Callable[[], Reception | None]
    indexer: Callable[[], Indexer | None]
    catalog: Callable[[], Catalog | None]
    delivering: Callable[[], Delivering | None]
    collector: Callable[[], Collector | None]
    stopping: Callable[[], bool]
    clock_steps: Callable[[], int]


class Monitoring:
    """``pulse`` is told by what must go round."""

    def __init__(self, configuration: Configuration, watched: Watched, pulse: Pulse, *, log: Any) -> None:
        self._configuration = configuration
        self._watched = watched
        self._pulse = pulse
        self._log = log
        self._overdue_after = parts.overdue_after(configuration)
        self._view = CatalogView(self._read, log=log)
        self._listed: tuple[float, tuple[int, datetime | None]] = (float("-inf"), (0, None))
        self.sources = Sources(
            **_of_configuration(configuration),
            spool=watched.spool,
            reception=watched.reception,
            waiting=self._waiting,
            catalog=self._view.look,
            delivering=watched.delivering,
            collector=watched.collector(),
            why_not_ready=self.why_not_ready,
            records={name: configuration.state_directory / name for name in ("journal", "audit")},
            clock_steps=watched.clock_steps,
        )
        self._exposition: Exposition | None = None
        self._endpoint = self._make_endpoint()
        self._stopped = threading.Event()
        self._alerting = threading.Thread(target=self._tell, name="alerts", daemon=True)

    @property
    def port(self) -> int | None:
        """The port that answers; None: none does."""
        return None if self._endpoint is None else self._endpoint.port

    def prepare(self, configuration: Configuration) -> Callable[[], None]:
        """Make ready for another configuration (the port is the same); what is returned makes it count."""

        def take_on() -> None:
            self._configuration = configuration
            self._overdue_after = parts.overdue_after(configuration)
            self.sources = replace(
                self.sources, **_of_configuration(configuration), collector=self._watched.collector()
            )
            if self._exposition is not None:
                self._exposition.follow(self.sources)

        return take_on

    def start(self) -> None:
        """Open the port, if there is to be one, and look for alerts."""
        if self._endpoint is not None:
            self._endpoint.start()
        self._alerting.start()

    def stop(self) -> None:
        """Close the port; no thread is left unless the database hangs."""
        self._stopped.set()
        if self._alerting.ident is not None:
            self._alerting.join()
        if self._endpoint is not None:
            self._endpoint.stop()
        self._view.stop()

    def why_not_ready(self) -> str:
        """Why peers cannot send, in one line; "" when they can."""
        if self._watched.stopping():
            return "the gateway stops"
        reception = self._watched.reception()
        if reception is None or not reception.ports:
            return "the ports are not open yet"
        if not reception.receivers.ready:
            return "no receiving process is ready"
        if self._watched.delivering() is None:
            return "the catalog is not there yet, or is being migrated"
        return ""

    # -- pages -------------------------------------------------------------------------------------------------------

    def _make_endpoint(self) -> Endpoint | None:
        where = self._configuration.metrics
        if where.port is None:
            return None
        # Only a gateway that is asked for figures pays for the library.
        from kuva_gateway.monitoring.exposition import CONTENT_TYPE, Exposition

        exposition = self._exposition = Exposition(self.sources, log=self._log)
        return Endpoint(
            where.host,
            where.port,
            {
                "/metrics": lambda: Page(body=exposition.render(), content_type=CONTENT_TYPE),
                "/healthz": self._healthz,
                "/readyz": self._readyz,
            },
            log=self._log,
        )

    def _healthz(self) -> Page:
        hanging = [] if self._watched.stopping() else self._pulse.hanging()
        return Page(body="; ".join(hanging) + "\n", status=503) if hanging else Page(body="alive\n")

    def _readyz(self) -> Page:
        why = self.why_not_ready()
        return Page(body=f"{why}\n", status=503) if why else Page(body="ready\n")

    # -- alerts ------------------------------------------------------------------------------------------------------

    def situation(self) -> Situation:
        """How things stand."""
        seen, collector, spool = self._view.look(), self._watched.collector(), self._watched.spool
        free = total = None
        count, since, backlog = 0, None, 0
        expiring: dict[str, datetime] = {}
        lists: dict[str, RevocationList] = {}
        with contextlib.suppress(OSError, GatewayError):
            free, total = spool.free_bytes(), spool.space.total_bytes()
        with contextlib.suppress(OSError, GatewayError):
            count, since = self._waiting()
        with contextlib.suppress(OSError, GatewayError):
            expiring = self.sources.expiring()
        with contextlib.suppress(OSError, GatewayError):
            lists = dict(self.sources.revocation_lists())
        with contextlib.suppress(OSError, GatewayError):
            backlog = 0 if collector is None else collector.waiting
        return Situation(
            at=datetime.now(UTC),
            not_ready=self.why_not_ready(),
            catalog=seen.figures if seen.up else None,
            waiting=count,
            waiting_since=since,
            free=free,
            total=total,
            minimum_free=spool.space.minimum_free,
            certificates=expiring,
            revocation_lists=lists,
            audit_backlog=backlog + (0 if seen.figures is None else seen.figures.untold),
        )

    def _tell(self) -> None:
        file = self._configuration.state_directory / "alerts.json"
        telling = Telling(lambda: self._configuration, file, now=lambda: datetime.now(UTC), log=self._log)
        while not self._stopped.wait(LOOK_EVERY):
            if self._watched.stopping() or self._configuration.alerts.command is None:
                continue
            try:
                telling.look(raised(self._configuration, self.situation()))
            except Exception as error:
                self._log.error("looking for alerts failed", error=type(error).__name__, exc_info=True)

    # -- what the daemon's parts know --------------------------------------------------------------------------------

    def _read(self) -> CatalogFigures:
        catalog = self._watched.catalog()
        if catalog is None or self._watched.delivering() is None:
            raise CatalogUnavailableError("the catalog is not there yet")
        return figures(catalog, self._overdue_after)

    def _waiting(self) -> tuple[int, datetime | None]:
        """From the indexer; while it does not know them all, from a listing every few seconds."""
        indexer = self._watched.indexer()
        if indexer is not None and not indexer.backlog:
            return indexer.pending, indexer.waiting_since
        read_at, found = self._listed
        if monotonic() - read_at > FRESH:
            found = self._watched.spool.waiting()
            self._listed = (monotonic(), found)
        return found


def _of_configuration(configuration: Configuration) -> dict[str, Any]:
    """What the configuration alone says of the sources."""
    return {
        "peers": tuple(peer.name for peer in configuration.peers),
        "limited": {peer.name: peer.limits for peer in configuration.peers if peer.limits.of_instances},
        "destinations": tuple(one.name for one in configuration.destinations),
        "upstream": configuration.query.upstream,
        "certificates": as_it_is_now(lambda: parts.certificates(configuration)),
        "revocation_lists": as_it_is_now(lambda: parts.revocation_lists(configuration)),
    }


def as_it_is_now(read: Callable[[], T]) -> Callable[[], T]:
    """What ``read`` gives now, or the fault that it meets, each time.

    A file that was replaced counts after a reload: until then what is told is about the one that is in use.
    """
    try:
        found = read()
    except GatewayError as error:
        fault = error
    else:
        return lambda: found

    def meet() -> T:
        raise fault

    return meet
