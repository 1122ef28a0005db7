"""One attempt to deliver one claimed entry, from its first look at the ledger to the row that records it.

Promises: what the ledger has as sent or committed is not sent again; what may have been sent without a trace (the
gateway died before the marks were written, or the archive took everything and did not answer) is asked about before it
is sent again, by storage commitment or else by C-FIND, where the destination offers one of them; whatever happens ends
in exactly one of delivered, deferred and failed, or, when the catalog is away for good, in a lease that runs out.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, BinaryIO

from kuva_gateway.catalog import doubts, entries, noted
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.records import EntryRecord, PendingInstance
from kuva_gateway.decoding.process import Decoder
from kuva_gateway.errors import CatalogUnavailableError, StateError
from kuva_gateway.forward.deliver import Delivery, deliver
from kuva_gateway.forward.outcome import NOT_ACCEPTED, NOT_REENCODED, OURS, Kind, Outcome, Scope
from kuva_gateway.forward.outgoing import Sendable
from kuva_gateway.forward.presence import CannotAskError, instances_there
from kuva_gateway.forward.remedies import remedy
from kuva_gateway.network.commands import PRIORITY_HIGH, PRIORITY_MEDIUM
from kuva_gateway.network.requestor import RequestorAssociation
from kuva_gateway.queue.alarms import FAILED, Alarms
from kuva_gateway.queue.attempts import at_delivery
from kuva_gateway.queue.commitment import Commitments
from kuva_gateway.queue.decision import Decision, Next, decide, later
from kuva_gateway.queue.lane import Lane
from kuva_gateway.queue.marks import WITHIN, Marks
from kuva_gateway.queue.streak import refuses_all
from kuva_gateway.queue.tried import Tried
from kuva_gateway.validation.findings import Language
from kuva_gateway.validation.refused import RULE, Refused, place, refused_syntaxes

LEDGER_DIFFERS = Outcome(
    kind=Kind.TEMPORARY, scope=Scope.STUDY, code="ledger", meaning="the ledger has instances that cannot be sent now"
)
SERIES_ASKED = 50
"""Series of a study that a destination is asked about; what is pending in others goes once more."""
NO_LONGER_OURS = "the entry's lease is no longer this attempt's"
CATALOG_PAUSE = 1.0  # seconds between tries to write down what became of an attempt while the catalog is away


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What every attempt uses. ``open_file`` opens a stored file by its digest; ``stopping`` ends the daemon's work."""

    catalog: Catalog
    commitments: Commitments
    open_file: Callable[[str], BinaryIO]
    owner: str
    lease: timedelta
    now: Callable[[], datetime]
    rng: random.Random
    log: Any
    stopping: threading.Event
    alarms: Alarms
    tried: Tried = field(default_factory=Tried)
    language: Language = "en"


@dataclass(slots=True)
class Attempt:
    """The attempt in hand of one worker; :meth:`tick` may be called by any thread."""

    tools: Tools
    lane: Lane
    entry: EntryRecord
    marks: Marks = field(init=False)
    warnings: int = 0
    stored: int = 0
    _association: RequestorAssociation | None = None
    _refuses_all: Outcome | None = None
    _steps: int = 0
    _lost: threading.Event = field(default_factory=threading.Event)
    _renewed_at: datetime = field(init=False)

    def __post_init__(self) -> None:
        # Who cannot be asked what it has got before a crash must never have more than the ledger and what is in hand.
        self.marks = Marks(self._write_marks, within=WITHIN if self.lane.commitment else 0.0)
        self._renewed_at = self.tools.now()

    def run(self) -> Decision:
        """Deliver what is pending and write down what became of it.

        A fault of our own, whatever it is, is an attempt that failed: the entry is tried again by the schedule.
        """
        started = self.tools.now()
        try:
            return self._deliver(started)
        except CatalogUnavailableError:
            raise
        except Exception as error:
            self.tools.log.error("an attempt failed in the gateway itself", entry=self.entry.id, exc_info=True)
            delivery = Delivery(stored=self.stored, ended=_fault(error))
            decision = self._later(_fault(error))
            self._persist(lambda: self._record(started, delivery, decision))
            self._react(delivery, decision, started)
            return decision

    def _deliver(self, started: datetime) -> Decision:
        pending = self._pending()
        if pending is None:
            return self._leave()
        delivery = Delivery()
        if pending:
            delivery = self._send(pending)
        decision = self._decide(delivery)
        if not self._persist(lambda: self._record(started, delivery, decision)) and decision.next is Next.DELIVERED:
            # The ledger wants more than this attempt was given: look again later instead of at every lease's end.
            decision = self._later(LEDGER_DIFFERS)
            self._persist(lambda: self._record(started, delivery, decision))
        self._react(delivery, decision, started)
        return decision

    def _send(self, pending: Sequence[PendingInstance]) -> Delivery:
        decoder = None if self.lane.decoding is None else Decoder(self.lane.decoding)
        try:
            return deliver(
                self.lane.call_for(self.entry.study_instance_uid),
                pending,
                open_file=self.tools.open_file,
                on_answer=self._note,
                priority=PRIORITY_HIGH if self.entry.priority > 0 else PRIORITY_MEDIUM,
                stopping=self._over,
                on_associated=self._associated,
                on_converted=partial(self.tools.tried.convert, self.lane.name),
                decoder=decoder,
            )
        finally:
            if decoder is not None:
                decoder.close()

    def tick(self) -> None:
        """Write marks that are due and keep the lease; what fails is tried at the next tick."""
        self.marks.flush_if_due()
        now = self.tools.now()
        if now - self._renewed_at < self.tools.lease / 3:
            return
        self._renewed_at = now
        if not entries.renew(self.tools.catalog, self.entry.id, self.entry.owner, now + self.tools.lease):
            self._lost.set()

    @property
    def progress(self) -> tuple[int, int]:
        """Another value whenever it gets on: what was answered or waited for, and bytes written on the association."""
        association = self._association
        return self._steps, 0 if association is None else association.sent

    def abort(self) -> None:
        """End what is under way at once; for a daemon whose time to stop is over."""
        self._lost.set()
        if self._association is not None:
            self._association.abort("the gateway stops")

    def _associated(self, association: RequestorAssociation) -> None:
        self._association = association

    def _pending(self) -> list[PendingInstance] | None:
        """What is to be sent; after a crash only what the destination says it lacks, None when it cannot be asked."""
        pending = entries.pending_instances(self.tools.catalog, self.entry)
        in_doubt = [one for one in pending if one.in_doubt or self.entry.resumed]
        if not self.lane.commitment:
            return self._lacking(pending, in_doubt)
        if in_doubt:
            broken = self.tools.commitments.ask_first(self.lane, self.entry, pending)
            if self.lane.resting.wait() is not None and broken is not None:
                return None
            pending = entries.pending_instances(self.tools.catalog, self.entry)
        return pending

    def _lacking(self, pending: list[PendingInstance], in_doubt: Sequence[PendingInstance]) -> list[PendingInstance]:
        """Without what the destination has of what is in doubt, by C-FIND; what it cannot say goes once more."""
        if not in_doubt:
            return pending
        catalog, entry = self.tools.catalog, self.entry
        series = doubts.series_of(catalog, [one.instance_id for one in in_doubt])
        asked = list(dict.fromkeys(series.values()))[:SERIES_ASKED]
        try:
            there = instances_there(self.lane.call_for(entry.study_instance_uid), entry.study_instance_uid, asked)
        except CannotAskError as error:
            self.tools.log.info("the destination cannot be asked what it has", entry=entry.id, why=str(error))
            return pending
        found = {one.instance_id for one in in_doubt if one.sop_instance in there}
        if found:
            entries.mark_sent(catalog, entry.id, found, self.tools.now())
        self.tools.log.info("asked what the destination has", entry=entry.id, in_doubt=len(in_doubt), there=len(found))
        return [one for one in pending if one.instance_id not in found]

    def _leave(self) -> Decision:
        """Let the lease run out, so that whoever takes the entry up knows that it was left in the middle."""
        entries.renew(self.tools.catalog, self.entry.id, self.entry.owner, self.tools.now())
        return Decision(next=Next.RETURNED)

    def _over(self) -> bool:
        if self.tools.stopping.is_set() or self._lost.is_set() or self._refuses_all is not None:
            return True
        return self.lane.window is not None and self.lane.window.wait(self.tools.now()) is not None

    def _note(self, instance: Sendable, found: Outcome) -> None:
        self._steps += 1
        self.warnings += found.kind is Kind.WARNING
        self.stored += found.stored
        self._count(found)
        # Unknown counts as sent where commitment will tell: 0112 makes it pending again, nothing is sent twice blindly.
        if found.stored or (found.kind is Kind.UNKNOWN and self.lane.commitment):
            try:
                self.marks.add(instance.instance_id)
            except CatalogUnavailableError as error:
                self.tools.log.warning("sent marks wait for the catalog", entry=self.entry.id, why=str(error))
        elif found.kind is Kind.UNKNOWN:
            self._persist(lambda: doubts.doubt(self.tools.catalog, self.entry, instance.instance_id))

    def _count(self, found: Outcome) -> None:
        """Refusals in a row are the destination's matter; what is wrong with our own file is no refusal."""
        refused = found.kind is Kind.PERSON and found.scope is not Scope.DESTINATION and found.code not in OURS
        if found.stored:
            self.lane.streak.stored()
        elif refused and self.lane.streak.refused(self.entry.study_instance_uid):
            self._refuses_all = refuses_all(found)

    def _write_marks(self, ids: Sequence[int]) -> None:
        entries.mark_sent(self.tools.catalog, self.entry.id, ids, self.tools.now())

    def _decide(self, delivery: Delivery) -> Decision:
        """A stop of our own is no failure of the entry's, whatever it broke."""
        if self._refuses_all is not None:
            return Decision(next=Next.RETURNED, cause=self._refuses_all, destination_rests=True)
        decision = decide(
            delivery,
            attempts=max(self.entry.attempts, 1),
            since=self.entry.tried_since,
            now=self.tools.now(),
            patience=self.lane.patience,
            rng=self.tools.rng,
        )
        if self._over() and decision.next in (Next.DEFERRED, Next.GAVE_UP):
            return Decision(next=Next.RETURNED, cause=decision.cause)
        return decision

    def _later(self, cause: Outcome) -> Decision:
        return later(
            cause,
            attempts=max(self.entry.attempts, 1),
            since=self.entry.tried_since,
            now=self.tools.now(),
            patience=self.lane.patience,
            rng=self.tools.rng,
        )

    def _record(self, started: datetime, delivery: Delivery, decision: Decision) -> None:
        """Marks, then state and attempt in one transaction, if the lease is still this attempt's."""
        catalog, entry, now = self.tools.catalog, self.entry, self.tools.now()
        self.marks.flush()
        attempt = at_delivery(started, now, delivery, decision, warnings=self.warnings)
        with catalog.write():
            found = entries.find(catalog, entry.id)
            if found is None or (found.state, found.owner) != ("sending", entry.owner):
                raise StateError(NO_LONGER_OURS)
            if decision.next is Next.DELIVERED:
                noted.note(catalog, entry.id, RULE, place(entry.destination), ())
                if not entries.delivered(catalog, entry.id, attempt):
                    self._sound("refused", "the destination refused instances before or meanwhile", "")
                if self.lane.commitment:
                    self.tools.commitments.plan(entry, started)
            elif decision.next is Next.DEFERRED:
                assert decision.due_at is not None
                entries.defer(catalog, entry.id, decision.due_at, attempt)
            elif decision.next is Next.RETURNED:
                entries.defer(catalog, entry.id, self._due_again(decision, now), None)
            else:
                entries.mark_failed(catalog, entry.id, _persons(delivery), now)
                refused = refused_syntaxes(entry.destination, _not_accepted(delivery), self.tools.language)
                noted.note(catalog, entry.id, RULE, place(entry.destination), refused)
                entries.fail(catalog, entry.id, attempt, gave_up=decision.next is Next.GAVE_UP)

    def _due_again(self, decision: Decision, now: datetime) -> datetime:
        """An entry keeps its place in the line, unless it may itself be what the destination does not like."""
        suspect = decision.destination_rests and self._association is not None
        return now if suspect else min(self.entry.tried_since, now)

    def _sound(self, code: str, why: str, remedy: str) -> None:
        self.tools.alarms.sound(
            FAILED,
            self.lane.name,
            entry=self.entry.id,
            study=self.entry.study_instance_uid,
            code=code,
            why=why,
            remedy=remedy,
        )

    def _persist(self, write: Callable[[], None]) -> bool:
        """Write, however long the catalog is away (a stopping daemon leaves it to the lease); False: it refused."""
        while True:
            self._steps += 1
            try:
                write()
                return True
            except CatalogUnavailableError as error:
                self.tools.log.warning("the attempt waits for the catalog", entry=self.entry.id, why=str(error))
                if self.tools.stopping.wait(CATALOG_PAUSE):
                    return True
            except StateError as error:
                self.tools.log.warning("the entry is not as it was left", entry=self.entry.id, why=str(error))
                return False

    def _react(self, delivery: Delivery, decision: Decision, started: datetime) -> None:
        """Tell the destination's rest, the commitment asker and the log."""
        if delivery.stored:
            self.lane.resting.delivered()
        if decision.destination_rests and decision.cause is not None:
            self.lane.resting.failed(decision.cause)
        if decision.next is Next.DELIVERED and self.lane.commitment:
            self.tools.commitments.wake(self.lane.name)
        self.tools.tried.count(self.lane.name, decision.next.value)
        cause, gave_up = decision.cause, decision.next is Next.GAVE_UP
        if cause is not None and decision.next in (Next.REFUSED, Next.GAVE_UP):
            self._sound(cause.code, str(cause), remedy(cause, gave_up=gave_up))
        self.tools.log.info(
            "attempt",
            entry=self.entry.id,
            study=self.entry.study_instance_uid,
            destination=self.lane.name,
            number=self.entry.attempts,
            outcome=decision.next.value,
            stored=delivery.stored,
            failed=len(delivery.failures),
            unknown=len(delivery.unknown),
            code=cause.code if cause else "",
            why=str(cause) if cause else "",
            next_attempt_at=decision.due_at.isoformat() if decision.due_at else None,
            seconds=round((self.tools.now() - started).total_seconds(), 3),
        )


def _fault(error: Exception) -> Outcome:
    """What nobody foresaw; the error's own words may hold anything, so only its type is told."""
    return Outcome(
        kind=Kind.TEMPORARY,
        scope=Scope.STUDY,
        code="fault",
        meaning="a fault of the gateway itself",
        comment=type(error).__name__,
    )


def _persons(delivery: Delivery) -> dict[int, str]:
    """Instances that wait for a person, with their codes."""
    return {
        instance.instance_id: found.code
        for instance, found in delivery.failures
        if found.kind is Kind.PERSON and found.scope is not Scope.DESTINATION
    }


def _not_accepted(delivery: Delivery) -> list[Refused]:
    """Each instance whose presentation context the destination did not accept, and that cannot go in another one."""
    return [
        Refused(
            sop_class=one.sop_class,
            syntax=one.transfer_syntax,
            why=found.comment if found.code == NOT_REENCODED else "",
        )
        for one, found in delivery.failures
        if found.code in (NOT_ACCEPTED, NOT_REENCODED)
    ]
