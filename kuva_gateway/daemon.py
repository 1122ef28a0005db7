"""The daemon: the one place where the parts are wired together, read from top to bottom.

Start: lock, spool, catalog, indexer, ports, queue, drop folder. Stop: no new associations; what is being received is
finished and acknowledged; deliveries finish the instance in hand; what was acknowledged is indexed.
Promises that one state directory has one daemon, and that receiving goes on while the catalog is away.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Any

from kuva_gateway import __version__, log, parts, systemd
from kuva_gateway.aftercare import Aftercare, Hands
from kuva_gateway.auditing import Auditing
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.indexer import Indexer
from kuva_gateway.catalog.waiting import shift
from kuva_gateway.clock import ClockWatch, SteadyClock
from kuva_gateway.config import Configuration
from kuva_gateway.control import ControlServer
from kuva_gateway.delivering import Arriving, Delivering
from kuva_gateway.dicom.header import Header
from kuva_gateway.drop_folders import drop_folder_ticks
from kuva_gateway.errors import CatalogUnavailableError, DeferredError
from kuva_gateway.intake.codes import load_starter_codes
from kuva_gateway.intake.providers import load_shipped_providers
from kuva_gateway.journaling import Journaling
from kuva_gateway.lock import StateLock
from kuva_gateway.monitoring.monitoring import Monitoring, Watched
from kuva_gateway.queue.answering import WhenThere
from kuva_gateway.queue.schedule import Tick, Wakeups
from kuva_gateway.receiving import Hooks, Passed, Reception, reception
from kuva_gateway.reloading import Reloading
from kuva_gateway.signals import hear_signals
from kuva_gateway.spool.fetched import FetchedFiles
from kuva_gateway.spool.receipt import Arrival
from kuva_gateway.spool.trial import try_out
from kuva_gateway.supervision import Supervision

# Seconds.
ASK_AGAIN = 0.05
SWEEP_EVERY = 10.0
BEAT_EVERY = 1.0
LEFT_BEHIND = 15.0
"""Without a write for so long, a file in ``incoming/`` that nobody holds was left there by a disk that failed."""
CATALOG_PAUSES = (1.0, 2.0, 5.0, 10.0)


def run(configuration: Configuration, path: Path) -> int:
    """Run until SIGTERM or SIGINT; returns the exit status.

    Raises
    ------
    BusyError
        Another daemon has this state directory.
    ConfigurationError, RefusedError
        It cannot run with this configuration or this catalog.
    """
    os.umask(0o077)
    faulthandler.enable()  # where every thread was, when the supervisor aborts a daemon that stands still
    log.configure(form=configuration.log.format, level=configuration.log.level)
    parts.check_configuration(configuration, path)
    stop = threading.Event()
    daemon = Daemon(configuration, stop, path.absolute(), systemd.passed_sockets())
    hear_signals(stop, daemon.reloading.ask)
    try:
        daemon.start()
        daemon.wait()
    finally:
        daemon.stop()
    return 0


class Daemon:
    """All parts of one running gateway, as the file at ``path`` says. ``stop`` asks it to end while it still starts."""

    def __init__(
        self, configuration: Configuration, stop: threading.Event, path: Path, passed: Passed | None = None
    ) -> None:
        self.configuration = configuration
        self._stop = stop
        self._passed = passed
        self._log = log.get_logger("daemon")
        self._rng = random.Random()
        self._undo: list[tuple[str, Callable[[], object]]] = []
        self._catalog: Catalog | None = None
        self._indexer: Indexer | None = None
        self._delivering: Delivering | None = None
        self._aftercare: Aftercare | None = None
        self._reception: Reception | None = None
        self._supervision = Supervision(self._log)
        self._monitoring: Monitoring | None = None
        self._wakeups: Wakeups | None = None
        self._clock_watch: ClockWatch | None = None
        self._now = SteadyClock()
        self._parts_changing = threading.Lock()
        self.reloading = Reloading(
            configuration, path, self._take_on, stopping=stop, log=self._log, around=self._supervision.reloading
        )

    # -- start ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start every part. When the catalog is away, receiving starts without it and the rest follows."""
        configuration = self.configuration
        state = configuration.state_directory
        parts.make_state_directory(state)
        lock = StateLock(state / "lock")
        lock.acquire()
        self._undo.append(("lock", lock.release))
        self._start_audit()
        for notice in (*parts.notices(configuration),):
            self._log.warning("configuration", notice=notice)
        self.spool = parts.open_spool(configuration)
        self.spool.sweep()
        FetchedFiles(self.spool, keep_for=configuration.query.cache_for).sweep(starting=True)
        try_out(self.spool)
        self._start_monitoring()
        there = self._try_with_catalog(self._start_indexer)
        self._start_receiving()
        self.reloading.start()
        self._undo.append(("reload", self.reloading.stop))
        self._start_control()
        if not there:
            self._supervision.ready()
        if not (self._keep_trying(there, self._start_indexer) and self._keep_trying(False, self._start_queue)):
            return
        self._supervision.ready()
        self._log.info("started", version=__version__, ae_title=configuration.ae_title, ports=self.ports)

    def _start_audit(self) -> None:
        """The trail tells of the start, now, and of the stop, at the very end."""
        auditing = self._auditing = Auditing(self.configuration, log.get_logger("audit"))
        auditing.start()
        self._undo.append(("audit trail", auditing.stop))

    def _start_monitoring(self) -> None:
        """Figures come before everything that may take long: they say what is missing."""
        watched = Watched(
            spool=self.spool,
            reception=lambda: self._reception,
            indexer=lambda: self._indexer,
            catalog=lambda: self._catalog,
            delivering=lambda: self._delivering,
            collector=lambda: self._auditing.collector,
            stopping=self._stop.is_set,
            clock_steps=lambda: 0 if self._clock_watch is None else self._clock_watch.steps,
        )
        self._supervision.start(watched, self.configuration.ae_title)
        pulse = self._supervision.pulse
        monitoring = Monitoring(self.configuration, watched, pulse, log=log.get_logger("metrics"))
        self._monitoring = monitoring
        self._undo.append(("metrics", monitoring.stop))
        monitoring.start()

    def wait(self) -> None:
        """Wait until the daemon is asked to stop."""
        while not self._stop.wait(BEAT_EVERY):
            self._supervision.beat("the daemon")

    @property
    def metrics_port(self) -> int | None:
        """The port with figures for monitoring; None: none is open."""
        return None if self._monitoring is None else self._monitoring.port

    @property
    def ports(self) -> list[int]:
        """The ports on which peers reach the gateway."""
        return [] if self._reception is None else list(self._reception.ports)

    def _try_with_catalog(self, start: Callable[[], None]) -> bool:
        try:
            with self._parts_changing if self._indexer is not None else contextlib.nullcontext():
                start()
        except CatalogUnavailableError as error:
            self._log.error("the catalog is away; receiving goes on without it", why=str(error))
            return False
        return True

    def _keep_trying(self, done: bool, start: Callable[[], None]) -> bool:
        """Try until it is done; False when the daemon is asked to stop before."""
        pauses = [0.0, *CATALOG_PAUSES]
        while not done:
            if self._stop.wait(pauses[0]):
                return False
            pauses = pauses[1:] or pauses
            done = self._try_with_catalog(start)
        return True

    def _start_indexer(self) -> None:
        if self._catalog is None:
            self._catalog = parts.open_catalog(self.configuration, create=True, update=True, now=self._now)
            self._undo.append(("catalog", self._catalog.close))
            self._journaling = Journaling(self.configuration, self._catalog, self._undo, stopping=self._stop.is_set)
        load_starter_codes(self._catalog)
        load_shipped_providers(self._catalog)
        indexer = Indexer(
            self._catalog,
            self.spool,
            on_rejections=self._keep_out,
            on_indexed=lambda studies: self._log.debug("indexed", studies=sorted(studies)),
            on_problem=lambda rule, text: self._log.error("index", rule=rule, why=text),
            beat=self._supervision.indexing,
        )
        self._indexer = indexer
        self._follow_indexing()  # after it is there: a reload in this moment is followed by one of both
        indexer.start()
        self._undo.append(("indexer", indexer.stop))
        self._undo.append(("index what was acknowledged", lambda: indexer.drain(self.configuration.drain_timeout)))

    def _start_receiving(self) -> None:
        hooks = Hooks(
            on_receipt=self._on_receipt,
            on_commitment_result=self._on_commitment_result,
            commitment_requests=WhenThere(lambda: None if self._aftercare is None else self._aftercare.answering),
            wait_indexed=self._wait_indexed,
            on_lost_notices=self._on_lost_notices,
            beat=self._supervision.beat,
        )
        receiving = reception(self.configuration, self.spool, hooks, self._passed)
        self._reception = receiving
        self._undo.append(("ports", lambda: receiving.drain(self.configuration.drain_timeout)))
        receiving.start()

    def _start_queue(self) -> None:
        assert self._catalog is not None
        assert self._reception is not None
        catalog, queue_log = self._catalog, log.get_logger("queue")
        arriving = Arriving(in_flight=self._reception.in_flight, passed=self._indexer_passed)
        delivering = Delivering(
            self.configuration, catalog, self.spool, arriving, now=self._now, rng=self._rng, log=queue_log
        )
        aftercare = self._aftercare = self._make_aftercare(catalog, queue_log)
        aftercare.keep_out()
        self._undo.append(("aftercare", aftercare.stop))
        self._delivering = delivering
        wakeups = self._wakeups = Wakeups(
            self._ticks(catalog, delivering, aftercare), log=queue_log, went_round=self._supervision.went_round
        )
        watch = self._clock_watch = self._make_clock_watch(catalog, wakeups)
        watch.start()  # before anything is claimed by a clock that was set back
        self._undo.append(("clock watch", watch.stop))
        self._undo.append(("delivery", delivering.stop))
        delivering.start()
        self._supervision.beat("the clock")
        wakeups.start()
        self._undo.append(("clock", wakeups.stop))

    def _ticks(self, catalog: Catalog, delivering: Delivering, aftercare: Aftercare) -> Mapping[str, Tick]:
        """Everything that is called now and then."""
        return {
            **delivering.ticks(),
            **aftercare.ticks(),
            **self._auditing.ticks(catalog),
            **self._journaling.ticks(),
            **drop_folder_ticks(self.configuration, catalog, now=self._now),
            "sweep": Tick(call=self._sweep, every=SWEEP_EVERY),
        }

    def _make_clock_watch(self, catalog: Catalog, wakeups: Wakeups) -> ClockWatch:
        return ClockWatch(
            self._now,
            self.configuration.state_directory / "clock",
            shift=lambda step: shift(catalog, step),
            stepped=wakeups.begin_again,
            log=log.get_logger("clock"),
        )

    def _make_aftercare(self, catalog: Catalog, queue_log: Any) -> Aftercare:
        assert self._reception is not None
        assert self._indexer is not None
        hands = Hands(
            keep_out=self._reception.keep_out,
            remove=self._indexer.remove,
            indexed=self._indexer_passed,
            on_receipt=self._on_receipt,
            usage=self._reception.usage,
        )
        return Aftercare(self.configuration, catalog, self.spool, hands, now=self._now, rng=self._rng, log=queue_log)

    def _start_control(self) -> None:
        control = ControlServer(
            self.configuration.state_directory / "control.sock",
            {
                "wake": self._wake,
                "arrivals": self._rescan,
                "live": self._live,
                "reload": lambda request: self.reloading.reload().as_plain(),
            },
            apart=frozenset({"reload"}),
        )
        control.start()
        self._undo.append(("control socket", control.stop))

    # -- what parts tell each other --------------------------------------------------------------------------------

    def _on_receipt(self, arrival: Arrival, header: Header) -> None:
        """An image is safe. Without an indexer (the catalog is away) it stays in ``arrived/`` and is found there."""
        if self._indexer is not None:
            self._indexer.notify(arrival, header)

    def _sweep(self) -> None:
        with contextlib.suppress(OSError):  # the indexer tells of a disk that fails
            self.spool.sweep(untouched=LEFT_BEHIND)

    def _on_lost_notices(self) -> None:
        if self._indexer is not None:
            self._indexer.rescan()

    def _indexer_passed(self, moment: datetime) -> bool:
        """Whether everything that was acknowledged before ``moment`` is in the catalog."""
        if self._reception is None or self._indexer is None:
            return False
        return self._reception.told_until(moment) and self._indexer.passed(moment)

    def _wait_indexed(self, moment: datetime, seconds: float) -> bool:
        """The same, waiting for it; a process that is being replaced is asked again."""
        reception, indexer = self._reception, self._indexer
        if reception is None or indexer is None:
            return False
        deadline = monotonic() + seconds
        while not reception.told_until(moment):
            if monotonic() >= deadline or self._stop.wait(ASK_AGAIN):
                return False
        return indexer.wait_passed(max(0.0, deadline - monotonic()), moment)

    def _on_commitment_result(
        self,
        destination: str,
        transaction_uid: str,
        committed: Sequence[tuple[str, str]],
        failed: Sequence[tuple[str, str, int]],
    ) -> None:
        if self._delivering is None:
            raise CatalogUnavailableError("the catalog is away")
        self._delivering.on_commitment_result(destination, transaction_uid, committed, failed)

    def _keep_out(self) -> None:
        """Rejection notes have come; those that came before the queue was there are looked at when it starts."""
        if self._aftercare is not None:
            self._aftercare.keep_out()

    def _wake(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if self._aftercare is not None:
            self._aftercare.wake()
        if self._delivering is not None:
            self._delivering.wake()
        return {"done": True}

    def _rescan(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        self._on_lost_notices()
        return {"done": True}

    def _live(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        return {
            "version": __version__,
            "pid": os.getpid(),
            "associations": self._reception.associations if self._reception is not None else 0,
            "arrivals_pending": self._indexer.pending if self._indexer is not None else None,
            "not_ready": self._monitoring.why_not_ready() if self._monitoring is not None else "",
        }

    # -- another configuration -------------------------------------------------------------------------------------

    def _take_on(self, configuration: Configuration) -> list[str]:
        """Make every part ready for ``configuration``; when all are, let it count; returns what is still to come."""
        with self._parts_changing:
            if self._reception is None:
                raise DeferredError("the gateway is starting: try again")
            changing = (self._reception, self._auditing, self._aftercare, self._delivering, self._monitoring)
            follow = [part.prepare(configuration) for part in changing if part is not None]
            log.configure(form=configuration.log.format, level=configuration.log.level)
            self.configuration = configuration
            self.spool.space.minimum_free = configuration.spool.minimum_free
            self._follow_indexing()
            to_come = [line for take_on in follow for line in take_on() or ()]
            if self._wakeups is not None:
                assert self._catalog is not None
                assert self._delivering is not None
                assert self._aftercare is not None
                self._wakeups.renew(self._ticks(self._catalog, self._delivering, self._aftercare))
            return to_come

    def _follow_indexing(self) -> None:
        own = self.configuration
        if self._indexer is not None:
            self._indexer.follow(duplicates=own.duplicates, rejecters=parts.rejecters(own))

    # -- stop ----------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop every part that was started, the last one first; one that fails stops no other."""
        if not self._undo:
            return
        self._supervision.stopping()
        self._end_ports_first()
        while self._undo:
            name, undo = self._undo.pop()
            try:
                undo()
            except Exception:
                self._log.exception("could not be stopped", what=name)
        self._log.info("stopped")

    def _end_ports_first(self) -> None:
        """Peers are told first: what they send from now on must find another way. Then nothing changes any more."""
        order = {"control socket": 1, "reload": 2, "ports": 3}
        self._undo.sort(key=lambda part: order.get(part[0], 0))
