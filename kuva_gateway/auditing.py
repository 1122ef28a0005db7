"""The daemon's share of the audit trail: start and stop, what the catalog tells of, delivery to the collector."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from kuva_gateway import parts
from kuva_gateway.audit import events
from kuva_gateway.audit.collector import Collector
from kuva_gateway.audit.trouble import Trouble
from kuva_gateway.audit.writer import trail_trouble
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.config import Configuration
from kuva_gateway.errors import DamageError, DeferredError
from kuva_gateway.queue.schedule import Tick

TELL_EVERY = 5.0  # seconds
THIN_EVERY = 60.0


class Auditing:
    """Made before anything else starts, stopped after everything else."""

    def __init__(self, configuration: Configuration, log: Any) -> None:
        self._configuration = configuration
        self._log = log
        self._writer = parts.audit_writer(configuration, log)
        self._collector = parts.audit_collector(configuration, log)
        self._trouble = trail_trouble(log)
        self._full = Trouble(
            lambda why: log.error("the audit trail is above its limits", why=why),
            lambda: log.info("the audit trail is within its limits again"),
        )

    def prepare(self, configuration: Configuration) -> Callable[[], None]:
        """Make ready for another configuration; what is returned makes it count. GatewayError: it cannot be used.

        Whoever reports (``audit.source``, ``audit.site``) stays the same until a restart.
        """
        own = configuration.audit.collector
        same = own == self._configuration.audit.collector and (own is None or own.transport != "tls")
        collector = self._collector if same else parts.audit_collector(configuration, self._log)

        def take_on() -> None:
            self._configuration = configuration
            former, self._collector = self._collector, collector
            if former is not None and former is not collector:
                former.close()

        return take_on

    def start(self) -> None:
        """The gateway has started."""
        self._writer.add(partial(events.application, starts=True, process=os.getpid()))

    def ticks(self, catalog: Catalog) -> Mapping[str, Tick]:
        """What is to be called now and then; the collector's absence delays nothing else."""
        ticks = {
            "audit": Tick(call=lambda: self._tell(catalog), every=TELL_EVERY),
            "audit limits": Tick(call=self._thin, every=THIN_EVERY),
        }
        if self._collector is not None:
            ticks["audit collector"] = Tick(call=self._collector.deliver, every=TELL_EVERY)
        return ticks

    @property
    def collector(self) -> Collector | None:
        """Who the trail is delivered to; None: nobody."""
        return self._collector

    def stop(self) -> None:
        """The gateway stops: the last message; what the collector does not get now it gets after the next start."""
        self._writer.add(partial(events.application, starts=False, process=os.getpid()))
        self._writer.close()
        if self._collector is not None:
            if not self._collector.away:
                self._collector.deliver()
            self._collector.close()

    @property
    def over_limit(self) -> bool:
        """The trail is above its limits, and the collector has not got what would have to go."""
        return self._full.lasts

    def _thin(self) -> None:
        collector = self._collector
        try:
            done = parts.thin_audit(self._configuration, None if collector is None else collector.delivered)
        except (OSError, DamageError) as error:
            self._full.met(error)
            return
        if done.files:
            self._log.info("audit files were removed", files=done.files, bytes=done.bytes)
        if done.waits:
            self._full.met(DeferredError("the collector has not got what would have to go"))
        else:
            self._full.passed()

    def _tell(self, catalog: Catalog) -> None:
        try:
            parts.tell_audit(self._configuration, catalog)
        except (OSError, DamageError) as error:
            self._trouble.met(error)
        else:
            self._trouble.passed()
