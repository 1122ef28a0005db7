"""The daemon's share of delivery: from a settled study to the archive's commitment, as the configuration wants it.

Keeps what runs: admission, the runner with a lane for each destination, and storage commitment.
"""

from __future__ import annotations

import os
import random
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from time import monotonic
from typing import Any
from zoneinfo import ZoneInfo

from kuva_gateway import parts
from kuva_gateway.catalog import entries, studies
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.reconcile import reconcile
from kuva_gateway.config import Configuration, Destination
from kuva_gateway.decoding.process import Bounds
from kuva_gateway.dicom.uids import new_uid
from kuva_gateway.errors import CatalogUnavailableError
from kuva_gateway.network.shown import Shown
from kuva_gateway.queue.admission import Admission
from kuva_gateway.queue.alarms import Alarms
from kuva_gateway.queue.attempt import Tools
from kuva_gateway.queue.commitment import Commitments
from kuva_gateway.queue.lane import Lane, make_lane
from kuva_gateway.queue.runner import LEASE, Runner
from kuva_gateway.queue.schedule import SHORTEST_TICK, Tick
from kuva_gateway.queue.succession import Succession, Wanted
from kuva_gateway.queue.tried import Tried
from kuva_gateway.spool.spool import Spool

# Seconds.
ADMISSION_EVERY = 1.0
QUEUE_EVERY = 1.0
PATIENCE = 2.0
"""How long a reload waits for what is in hand; what takes longer follows later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arriving:
    """What admission asks of receiving and of the indexer."""

    in_flight: Callable[[str], bool]
    """Whether an association that stored into a study is in the middle of a message."""
    passed: Callable[[datetime], bool]
    """Whether everything that was acknowledged before a moment is in the catalog."""


class Delivering:
    """Made when the catalog is there; what the configuration has changed is followed at once."""

    def __init__(
        self,
        configuration: Configuration,
        catalog: Catalog,
        spool: Spool,
        arriving: Arriving,
        *,
        now: Callable[[], datetime],
        rng: random.Random,
        log: Any,
    ) -> None:
        self._configuration = configuration
        self._catalog = catalog
        self._spool = spool
        self._arriving = arriving
        self._now = now
        self._rng = rng
        self._log = log
        self.alarms = Alarms(log)
        self.tried = Tried()
        self.shown = Shown()
        self._to_follow = False
        self._follow_configuration()
        self._commitments = Commitments(
            catalog,
            now=now,
            new_uid=new_uid,
            rng=rng,
            log=log,
            alarms=self.alarms,
            tried=self.tried,
            resent=lambda destination: self._runner.wake(destination),  # noqa: PLW0108  (it is made below)
        )
        wanted = self._wanted(configuration, changed=False)
        self._lanes = [one.make() for one in wanted.values()]
        self._runner = Runner(self._lanes, self._make_tools())
        self._succession = Succession(self._runner, self._commitments, {name: one.by for name, one in wanted.items()})
        self._admitting = _Admitting(self._make_admission(configuration))
        self._former: list[_Admitting] = []
        self._changing = threading.Lock()
        self._following = threading.Lock()

    def ticks(self) -> Mapping[str, Tick]:
        """What is to be called now and then."""
        settling = min(ADMISSION_EVERY, max(self._configuration.settle_after / 2, SHORTEST_TICK))
        return {
            "admission": Tick(call=self._admit, every=settling),
            "queue": Tick(call=self._runner.tick, every=QUEUE_EVERY),
            "succession": Tick(call=self._follow, every=QUEUE_EVERY),
        }

    def standstill(self) -> float:
        """For how many seconds a worker has neither waited nor got on; to be asked every second or so."""
        return self._runner.standstill()

    def start(self) -> None:
        """Ask about what was not committed, and begin to deliver."""
        self._commitments.start(self._lanes)
        self._runner.start()

    def wake(self) -> None:
        """Something has changed: look at once."""
        self._admit()
        self._runner.wake()

    def prepare(self, configuration: Configuration) -> Callable[[], Sequence[str]]:
        """Make ready for another configuration; what is returned makes it count, and says what is still to come.

        Raises
        ------
        GatewayError
            It cannot be used; nothing has changed.
        """
        admitting, wanted = _Admitting(self._make_admission(configuration)), self._wanted(configuration, changed=True)

        def take_on() -> Sequence[str]:
            with self._following:
                self._configuration = configuration
                with self._changing:
                    self._former.append(self._admitting)
                    self._admitting = admitting
                self._succession.want(wanted)
                self._to_follow = True
            return self._follow(within=PATIENCE)

        return take_on

    def stop(self) -> None:
        """Deliveries finish the instance in hand."""
        self._succession.stop()
        try:
            self._runner.stop(self._configuration.drain_timeout)
        finally:
            self._commitments.stop()

    def on_commitment_result(
        self,
        destination: str,
        transaction_uid: str,
        committed: Sequence[tuple[str, str]],
        failed: Sequence[tuple[str, str, int]],
    ) -> None:
        """An archive reports on an association of its own."""
        self._commitments.on_result(destination, transaction_uid, committed, failed)

    def _admit(self) -> None:
        with self._changing:
            admitting = self._admitting
            admitting.begin()
        admitting.run()

    def _follow(self, within: float = 0.0) -> list[str]:
        """Bring catalog and destinations into line with the configuration; returns what is still to come.

        The catalog once nobody judges or plans by the former one any more, and once again when nobody delivers by it:
        a destination that was taken out gives back entries last.
        """
        with self._following:
            return self._follow_now(within) if self._to_follow else []

    def _follow_now(self, within: float) -> list[str]:
        try:
            leaving = self._succession.step(within)
            until = monotonic() + within
            self._former = [one for one in self._former if not one.ended(max(0.0, until - monotonic()))]
            if self._former:
                return ["verdicts that are being made are by the former rules; they are looked at again"]
            self._follow_configuration()
        except CatalogUnavailableError as error:
            self._log.warning("the configuration is followed when the catalog is back", why=str(error))
            return ["the catalog is away: entries and held studies follow when it is back"]
        self._to_follow = bool(leaving)
        self._runner.wake()
        return [f"destinations.{name}: what is in hand is finished first" for name in leaving]

    def _follow_configuration(self) -> None:
        found = reconcile(self._catalog, parts.destination_plans(self._configuration))
        if found.changed or found.planned or found.orphaned:
            self._log.warning(
                "the destinations have changed",
                entries_changed=found.changed,
                studies_planned=found.planned,
                entries_without_destination=found.orphaned,
            )
        if again := studies.judged_by(self._catalog, parts.judged_by(self._configuration)):
            self._log.info("rules or tables have changed", studies_judged_again=again)

    def _wanted(self, configuration: Configuration, *, changed: bool) -> dict[str, Wanted]:
        """Every destination, how it is made, and what all it depends on.

        One that has changed is tried at once: its rest was the former one's.
        """
        tls = parts.client_tls(configuration)
        keeper_of = parts.make_keeper_of(configuration, self._catalog)
        depends = parts.calling_depends_on(configuration)

        def make(destination: Destination) -> Lane:
            if changed:
                entries.wake(self._catalog, destination.name)
            return make_lane(
                self._catalog,
                destination,
                ae_title=configuration.ae_title,
                tls=tls(destination),
                shown=self.shown,
                zone=ZoneInfo(configuration.timezone),
                timers=parts.timers(configuration),
                limits=parts.limits(configuration),
                now=self._now,
                rng=self._rng,
                log=self._log,
                alarms=self.alarms,
                keeper_of=keeper_of,
                decoding=Bounds.of(configuration),
            )

        return {
            one.name: Wanted(by=depends(one), make=partial(make, one), language=configuration.language)
            for one in configuration.destinations
        }

    def _make_tools(self) -> Tools:
        return Tools(
            catalog=self._catalog,
            commitments=self._commitments,
            open_file=self._spool.open_instance,
            owner=f"{socket.gethostname()}:{os.getpid()}",
            lease=LEASE,
            now=self._now,
            rng=self._rng,
            log=self._log,
            stopping=threading.Event(),
            alarms=self.alarms,
            tried=self.tried,
            language=self._configuration.language,
        )

    def _make_admission(self, configuration: Configuration) -> Admission:
        catalog = self._catalog
        return Admission(
            catalog,
            judge=parts.make_judge(configuration, catalog, self._now),
            amend=parts.make_amender(configuration, catalog, self._now),
            destinations=parts.destination_plans(configuration),
            settle_after=timedelta(seconds=configuration.settle_after),
            settle_at_most=timedelta(seconds=configuration.settle_at_most),
            indexer_passed=self._arriving.passed,
            in_flight=self._arriving.in_flight,
            now=self._now,
            today=parts.make_today(configuration, self._now),
            admitted=self._runner.wake,
            log=self._log,
        )


class _Admitting:
    """Admission by one configuration, and how many of its runs are under way."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._changed = threading.Condition()
        self._runs = 0

    def begin(self) -> None:
        """A run is about to begin: :meth:`run` follows."""
        with self._changed:
            self._runs += 1

    def run(self) -> None:
        try:
            self._admission.run()
        finally:
            with self._changed:
                self._runs -= 1
                self._changed.notify_all()

    def ended(self, within: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: not self._runs, within)
