"""Storage commitment: asking for what was delivered, and what follows from the answers (STC-01).

Keeps one asking thread per destination, and which transactions are awaited at this moment; everything else is in the
catalog. A transaction is written down as due at once together with the delivery, so that a crash between the two
forgets nothing, and before the N-ACTION goes out, so that no result comes for an unknown one. Promises that results may
come late, twice, in parts, on any association, or for instances that nobody asked about; that what is overdue is asked
again under a new transaction UID and never sent again for that alone; and that no worker waits for an archive's answer.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from kuva_gateway.catalog import commitments, entries
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.records import (
    AttemptRecord,
    CommitmentOutcome,
    CommitmentRecord,
    EntryRecord,
    PendingInstance,
)
from kuva_gateway.errors import CatalogUnavailableError, StateError
from kuva_gateway.forward.call import Call
from kuva_gateway.forward.commitment import REFERENCES_PER_TRANSACTION, Question, ask
from kuva_gateway.forward.outcome import Kind, Missing, Outcome, Scope, classify_commitment
from kuva_gateway.forward.references import FailedReference, Reference, Result
from kuva_gateway.queue.alarms import FAILED, Alarms
from kuva_gateway.queue.attempts import COMMITMENT_NOT_ASKED, asked_in_vain, given_up, not_committed
from kuva_gateway.queue.lane import Lane
from kuva_gateway.queue.tried import Tried

ASK_FIRST_WAIT = 10.0  # seconds that a resumed entry waits for what the destination has, before it sends again
QUESTIONS_PER_ASSOCIATION = 100  # where results come on associations of the archive's own
LOOK_EVERY = 5.0  # seconds between looks although nobody woke the asker
NOT_OFFERED = "no-commitment"


class _Asker:
    """The thread that asks one destination."""

    def __init__(self, lane: Lane, run: Callable[[_Asker], None]) -> None:
        self.lane = lane
        self.woken = threading.Event()
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=run, args=(self,), name=f"commitment {lane.name}")


class Commitments:
    """Asks every destination that offers it. ``resent`` is told of a destination that has entries due again."""

    def __init__(
        self,
        catalog: Catalog,
        *,
        now: Callable[[], datetime],
        new_uid: Callable[[], str],
        rng: random.Random,
        log: Any,
        alarms: Alarms,
        tried: Tried | None = None,
        resent: Callable[[str], None] = lambda destination: None,
    ) -> None:
        self._catalog = catalog
        self._lanes: dict[str, Lane] = {}
        self._now = now
        self._new_uid = new_uid
        self._rng = rng
        self._log = log
        self._alarms = alarms
        self._tried = tried or Tried()
        self._resent = resent
        self._lock = threading.Lock()
        self._awaited: set[str] = set()
        self._elsewhere: set[str] = set()  # destinations that report on associations of their own
        self._vain: dict[int, int] = {}  # how often in a row an entry's instances were not committed
        self._stopping = threading.Event()
        self._askers: dict[str, _Asker] = {}

    # -- asking ------------------------------------------------------------------------------------------------------

    def start(self, lanes: Iterable[Lane]) -> None:
        """Begin to ask the destinations that offer commitment."""
        for lane in lanes:
            self.begin(lane)

    def begin(self, lane: Lane) -> None:
        """Begin to ask one destination more, if it offers commitment."""
        self._lanes[lane.name] = lane
        if lane.commitment:
            asker = self._askers[lane.name] = _Asker(lane, self._run)
            asker.thread.start()

    def leave(self, destination: str) -> None:
        """Ask this destination no more."""
        asker = self._askers.get(destination)
        if asker is not None:
            asker.stopping.set()
            asker.woken.set()

    def has_left(self, destination: str, within: float = 0.0) -> bool:
        """Whether nobody asks this destination any more, waiting so many seconds for it."""
        asker = self._askers.get(destination)
        if asker is not None:
            asker.thread.join(within)
            if asker.thread.is_alive():
                return False
            del self._askers[destination]
        self._lanes.pop(destination, None)
        return True

    def wake(self, destination: str | None = None) -> None:
        """Something may be due to be asked (None: anywhere)."""
        for name, asker in list(self._askers.items()):
            if destination in (None, name):
                asker.woken.set()

    def stop(self) -> None:
        """Ask no more; returns when the threads have ended, at most one short wait for results later."""
        self._stopping.set()
        self.wake()
        for asker in list(self._askers.values()):
            asker.thread.join()

    def plan(self, entry: EntryRecord, since: datetime) -> None:
        """Write down that everything of a delivered entry that is not committed is due to be asked about.

        ``since`` is a moment before this one: a transaction that is due when it is made has not been asked yet.
        """
        self._write_down(entry.id, entries.unconfirmed_instances(self._catalog, entry), since)

    def ask_first(self, lane: Lane, entry: EntryRecord, instances: Sequence[PendingInstance]) -> Outcome | None:
        """Ask which of ``instances`` the destination has already, and wait a short while for the answer.

        Without an answer they are sent again: the same bytes once more do no harm, a study that waits for an archive
        which does not answer does. Returns why the destination could not be asked, else None.
        """
        questions = self._write_down(entry.id, instances, self._now() + lane.commitment_overdue)
        call = lane.call_for(entry.study_instance_uid)
        broken = self._ask(lane, call, questions, wait=ASK_FIRST_WAIT)
        for question in questions:
            commitments.close(self._catalog, question.transaction_uid, self._now())
        return broken

    def ask_due(self, lane: Lane) -> int:
        """Ask what is due at one destination; returns how many transactions that were.

        One association for each calling AE title: studies of several register keepers may be due.

        One at a time, unless the destination is known to report on associations of its own: an archive whose report
        meets our next request on the same association may lose both.
        """
        if lane.resting.wait() is not None:
            return 0
        soon = self._now() + timedelta(microseconds=1)
        limit = QUESTIONS_PER_ASSOCIATION if lane.name in self._elsewhere else 1
        due = commitments.overdue(self._catalog, lane.name, soon, limit=limit)
        grouped: dict[str, tuple[Call, list[Question]]] = {}
        for record in due:
            call = lane.call_for(record.study_instance_uid)
            grouped.setdefault(call.calling_ae, (call, []))[1].extend(self._question(lane, record))
        for call, questions in grouped.values():
            if questions:
                self._ask(lane, call, questions, wait=lane.commitment_wait.total_seconds())
        return sum(len(questions) for _, questions in grouped.values())

    def _run(self, asker: _Asker) -> None:
        lane, woken = asker.lane, asker.woken
        while not (self._stopping.is_set() or asker.stopping.is_set()):
            try:
                asked = self.ask_due(lane)
            except CatalogUnavailableError as error:
                self._log.warning("asking for commitment waits for the catalog", destination=lane.name, why=str(error))
                asked = 0
            except Exception:
                self._log.error("asking for commitment failed", destination=lane.name, exc_info=True)
                asked = 0
            if not asked:
                woken.wait(LOOK_EVERY)
                woken.clear()

    def _write_down(self, entry_id: int, instances: Sequence[PendingInstance], due_at: datetime) -> list[Question]:
        questions = []
        for start in range(0, len(instances), REFERENCES_PER_TRANSACTION):
            part = instances[start : start + REFERENCES_PER_TRANSACTION]
            question = Question(
                transaction_uid=self._new_uid(), references=tuple((i.sop_class, i.sop_instance) for i in part)
            )
            commitments.ask(self._catalog, entry_id, question.transaction_uid, [i.instance_id for i in part], due_at)
            questions.append(question)
        return questions

    def _question(self, lane: Lane, record: CommitmentRecord) -> Iterator[Question]:
        """What to ask for a transaction that is due: itself the first time, later a new one in its place."""
        if not record.waiting:
            commitments.close(self._catalog, record.transaction_uid, self._now())
            return
        references = tuple((instance.sop_class, instance.sop_instance) for instance in record.waiting)
        if record.due_at <= record.asked_at:
            yield Question(transaction_uid=record.transaction_uid, references=references)
            return
        if self._gave_up(lane, record):
            return
        self._log.info("commitment is overdue", entry=record.entry_id, transaction=record.transaction_uid)
        yield Question(transaction_uid=self._replace(lane, record), references=references)

    def _replace(self, lane: Lane, record: CommitmentRecord) -> str:
        uid, now = self._new_uid(), self._now()
        ids = [instance.instance_id for instance in record.waiting]
        with self._catalog.write():
            commitments.close(self._catalog, record.transaction_uid, now)
            commitments.ask(self._catalog, record.entry_id, uid, ids, now + lane.commitment_overdue)
        return uid

    def _gave_up(self, lane: Lane, record: CommitmentRecord) -> bool:
        entry, now = entries.find(self._catalog, record.entry_id), self._now()
        if entry is None or now <= entry.tried_since + lane.patience.give_up_after:
            return False
        with self._catalog.write():
            commitments.close(self._catalog, record.transaction_uid, now)
            self._fail(lane.name, entry.id, given_up(record.asked_at, now))
        return True

    def _ask(self, lane: Lane, call: Call, questions: Sequence[Question], *, wait: float) -> Outcome | None:
        uids = {question.transaction_uid for question in questions}
        left = dict.fromkeys(uids)
        with self._lock:
            self._awaited |= uids

        def asked(question: Question, found: Outcome) -> None:
            left.pop(question.transaction_uid, None)
            self._asked(lane, question, found)

        def heard(result: Result) -> None:
            self._take(lane.name, result.transaction_uid, result.committed, result.failed)

        def enough() -> bool:
            with self._lock:
                return self._stopping.is_set() or not self._awaited & uids

        try:
            broken = ask(call, questions, on_asked=asked, on_result=heard, wait=wait, enough=enough)
        finally:
            with self._lock:
                self._awaited -= uids
        if broken is not None:
            self._not_asked(lane, left, broken)
        return broken

    def _asked(self, lane: Lane, question: Question, found: Outcome) -> None:
        """The destination answered an N-ACTION."""
        now, uid = self._now(), question.transaction_uid
        if found.stored:
            commitments.postpone(self._catalog, uid, now + lane.commitment_overdue)
            self._log.info(
                "commitment asked", destination=lane.name, transaction=uid, instances=len(question.references)
            )
            return
        self._in_vain(lane, uid, found, now + self._pause(lane, found))

    def _not_asked(self, lane: Lane, uids: Iterable[str], why: Outcome) -> None:
        """There was no association, or it ended before these were asked: they are asked later."""
        if why.scope is Scope.DESTINATION and why.code != NOT_OFFERED:
            lane.resting.failed(why)
        for uid in uids:
            self._in_vain(lane, uid, why, self._now() + self._pause(lane, why))

    def _in_vain(self, lane: Lane, uid: str, why: Outcome, due_at: datetime) -> None:
        commitments.postpone(self._catalog, uid, due_at)
        self._tried.count(lane.name, COMMITMENT_NOT_ASKED)
        record = commitments.find(self._catalog, uid)
        if record is not None and why.scope is not Scope.DESTINATION:
            entries.record_attempt(self._catalog, record.entry_id, asked_in_vain(record.asked_at, self._now(), why))
        say = self._log.error if why.kind is Kind.PERSON else self._log.warning
        say(
            "commitment not asked",
            destination=lane.name,
            transaction=uid,
            code=why.code,
            why=str(why),
            again_at=due_at.isoformat(),
        )

    def _pause(self, lane: Lane, why: Outcome) -> timedelta:
        if why.kind is Kind.PERSON:
            return lane.commitment_overdue
        return min(lane.patience.schedule.delay(1, self._rng), lane.commitment_overdue)

    # -- answers -----------------------------------------------------------------------------------------------------

    def on_result(
        self,
        destination: str,
        transaction_uid: str,
        committed: Sequence[Reference],
        failed: Sequence[FailedReference],
    ) -> None:
        """Take a result that came on an association of the archive's own.

        Raises
        ------
        CatalogUnavailableError
            It cannot be written now: the archive is to be told 0110, so that it reports again.
        """
        self._elsewhere.add(destination)
        self._take(destination, transaction_uid, committed, failed)

    def _take(
        self,
        destination: str,
        transaction_uid: str,
        committed: Sequence[Reference],
        failed: Sequence[FailedReference],
    ) -> None:
        now = self._now()
        resend_at = now + self._resend_pause(destination, transaction_uid) if failed else None
        with self._catalog.write():
            found = commitments.record_result(
                self._catalog, transaction_uid, destination, committed, failed, now, resend_at=resend_at
            )
            if found.failed:
                self._uncommitted(destination, found, now)
        if not found.known:
            self._log.warning("a commitment result for nobody", destination=destination, transaction=transaction_uid)
            return
        if not found.waiting:
            with self._lock:
                self._awaited.discard(transaction_uid)
        self._log.info(
            "commitment result",
            destination=destination,
            transaction=transaction_uid,
            entry=found.entry_id,
            study=found.study_instance_uid,
            committed=found.committed,
            resend=len(found.resend),
            failed=len(found.failed),
            waiting=len(found.waiting),
            entry_archived=found.entry_archived,
            study_archived=found.study_archived,
        )
        if found.entry_archived and found.entry_id is not None:
            self._vain.pop(found.entry_id, None)
        if found.resend:
            self._resent(destination)
        if found.failed:
            self.wake(destination)

    def _resend_pause(self, destination: str, transaction_uid: str) -> timedelta:
        """How long what the archive does not have waits to be sent again: at first not, then by the retry schedule."""
        record = commitments.find(self._catalog, transaction_uid)
        entry = None if record is None else entries.find(self._catalog, record.entry_id)
        return timedelta() if entry is None else self._by_schedule(destination, entry.attempts - 1)

    def _ask_again_pause(self, destination: str, entry_id: int, *, at_once: bool) -> timedelta:
        """How long to wait before asking again; it grows with each vain answer since the gateway was started."""
        vain = self._vain[entry_id] = self._vain.get(entry_id, 0) + 1
        return self._by_schedule(destination, vain - 1 if at_once else vain)

    def _by_schedule(self, destination: str, times: int) -> timedelta:
        lane = self._lanes.get(destination)
        return timedelta() if lane is None or times < 1 else lane.patience.schedule.delay(times, self._rng)

    def _uncommitted(self, destination: str, found: CommitmentOutcome, now: datetime) -> None:
        """Instances that were not committed for another reason than 0112 (STC-01), whichever revision asked."""
        assert found.entry_id is not None
        entry_id = entries.newest(self._catalog, found.entry_id)
        cures = {instance.instance_id: classify_commitment(instance.reason) for instance in found.failed}
        person = [instance for instance in found.failed if cures[instance.instance_id] is Missing.PERSON]
        at_once = [number for number, cure in cures.items() if cure is Missing.NEW_TRANSACTION]
        later = [number for number, cure in cures.items() if cure is Missing.ASK_LATER]
        for numbers, quick in ((at_once, True), (later, False)):
            if numbers:
                due_at = now + self._ask_again_pause(destination, entry_id, at_once=quick)
                commitments.ask(self._catalog, entry_id, self._new_uid(), numbers, due_at)
        if person:
            codes = {instance.instance_id: f"{instance.reason:04X}" for instance in person}
            entries.mark_failed(self._catalog, entry_id, codes, now)
            self._fail(destination, entry_id, not_committed(now, person[0].reason, len(person)))

    def _fail(self, destination: str, entry_id: int, attempt: AttemptRecord) -> None:
        try:
            entries.fail(self._catalog, entry_id, attempt)
        except StateError as error:
            self._log.info("the entry has moved on", entry=entry_id, why=str(error))
            return
        self._tried.count(destination, attempt.outcome)
        self._alarms.sound(
            FAILED, destination, entry=entry_id, code=attempt.code, why=attempt.meaning, remedy=attempt.remedy
        )
