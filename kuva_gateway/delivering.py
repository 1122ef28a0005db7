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
from typing import Any
from zoneinfo import ZoneInfo

from kuva_gateway import parts
from kuva_gateway.catalog import studies
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.reconcile import reconcile
from kuva_gateway.config import Configuration, Destination
from kuva_gateway.dicom.uids import new_uid
from kuva_gateway.queue.admission import Admission
from kuva_gateway.queue.alarms import Alarms
from kuva_gateway.queue.attempt import Tools
from kuva_gateway.queue.commitment import Commitments
from kuva_gateway.queue.lane import Lane, make_lane
from kuva_gateway.queue.runner import LEASE, Runner
from kuva_gateway.queue.schedule import SHORTEST_TICK, Tick
from kuva_gateway.queue.tried import Tried
from kuva_gateway.spool.spool import Spool

# Seconds.
ADMISSION_EVERY = 1.0
QUEUE_EVERY = 1.0


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
        self._now = now
        self._rng = rng
        self._log = log
        self.alarms = Alarms(log)
        self.tried = Tried()
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
        self._lanes = self._make_lanes()
        self._runner = Runner(self._lanes, self._make_tools(spool))
        self._admission = self._make_admission(arriving)

    def ticks(self) -> Mapping[str, Tick]:
        """What is to be called now and then."""
        settling = min(ADMISSION_EVERY, max(self._configuration.settle_after / 2, SHORTEST_TICK))
        return {
            "admission": Tick(call=self._admission.run, every=settling),
            "queue": Tick(call=self._runner.tick, every=QUEUE_EVERY),
        }

    def start(self) -> None:
        """Ask about what was not committed, and begin to deliver."""
        self._commitments.start(self._lanes)
        self._runner.start()

    def wake(self) -> None:
        """Something has changed: look at once."""
        self._admission.run()
        self._runner.wake()

    def stop(self) -> None:
        """Deliveries finish the instance in hand."""
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

    def _make_lanes(self) -> list[Lane]:
        tls = parts.client_tls(self._configuration)
        keeper_of = parts.make_keeper_of(self._configuration, self._catalog)

        def make(destination: Destination) -> Lane:
            return make_lane(
                self._catalog,
                destination,
                ae_title=self._configuration.ae_title,
                tls=tls,
                zone=ZoneInfo(self._configuration.timezone),
                timers=parts.timers(self._configuration),
                limits=parts.limits(self._configuration),
                now=self._now,
                rng=self._rng,
                log=self._log,
                alarms=self.alarms,
                keeper_of=keeper_of,
            )

        return [make(destination) for destination in self._configuration.destinations]

    def _make_tools(self, spool: Spool) -> Tools:
        return Tools(
            catalog=self._catalog,
            commitments=self._commitments,
            open_file=spool.open_instance,
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

    def _make_admission(self, arriving: Arriving) -> Admission:
        configuration, catalog = self._configuration, self._catalog
        return Admission(
            catalog,
            judge=parts.make_judge(configuration, catalog, self._now),
            amend=parts.make_amender(configuration, catalog, self._now),
            destinations=parts.destination_plans(configuration),
            settle_after=timedelta(seconds=configuration.settle_after),
            settle_at_most=timedelta(seconds=configuration.settle_at_most),
            indexer_passed=arriving.passed,
            in_flight=arriving.in_flight,
            now=self._now,
            today=parts.make_today(configuration, self._now),
            admitted=self._runner.wake,
            log=self._log,
        )
