"""Storage commitment as SCP: what peers ask us to commit to is judged, and they are told until they have heard it.

Keeps nothing but who is being told at this moment; requests and reports are in the catalog. Promises that a request is
written down before it is answered, that an instance is committed to only when its file is there in full (or, with
``commit_when: archived``, when every required destination has it), that a peer which cannot be reached delays no other,
and that a report nobody takes is told of in the end.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from kuva_gateway.catalog import commitment_requests as requests
from kuva_gateway.catalog.commitment_requests import Reference, RequestRecord, StoredObject, Taken
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.dicom import statuses
from kuva_gateway.errors import CatalogUnavailableError, DeferredError
from kuva_gateway.forward.call import Call
from kuva_gateway.forward.outcome import Outcome, classify
from kuva_gateway.forward.references import Result
from kuva_gateway.forward.report import report
from kuva_gateway.network.association import Association
from kuva_gateway.queue.backoff import Schedule

SAME_ASSOCIATION = timedelta(seconds=10)
"""How long the association that asked may take to hear the report; then it goes out on one of ours."""
WAIT_FIRST, WAIT_LONGEST = timedelta(seconds=2), timedelta(minutes=5)
"""Pauses between looks whether everything is indexed, or archived: a quarter of the time since the request."""
GLANCE = 0.05  # seconds
REPORTS_PER_ASSOCIATION = 100
NO_ADDRESS = "the peer has no host and port in the configuration"
NO_PEER = "the peer is not in the configuration any more"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """A peer that may ask. ``call`` None: it can be told on its own associations only."""

    call: Call | None
    when_archived: bool
    schedule: Schedule
    give_up_after: timedelta


class Stock(Protocol):
    """The stored files, as :class:`~kuva_gateway.spool.Spool` has them."""

    def holds(self, digest: str, size: int) -> bool:
        """Whether the file is there with so many bytes."""


class Answering:
    """Requests in, reports out."""

    def __init__(
        self,
        catalog: Catalog,
        stock: Stock,
        askers: Mapping[str, Asker],
        *,
        ae_title: str,
        indexed: Callable[[datetime], bool],
        now: Callable[[], datetime],
        rng: random.Random,
        log: Any,
    ) -> None:
        self._catalog = catalog
        self._stock = stock
        self._askers = askers
        self._ae_title = ae_title
        self._indexed = indexed
        self._now = now
        self._rng = rng
        self._log = log
        self._lock = threading.Lock()
        self._telling: dict[str, threading.Thread] = {}
        self._open: dict[str, Association] = {}
        self._stopping = threading.Event()

    def follow(self, askers: Mapping[str, Asker]) -> None:
        """Answer these from now on; what peers that are gone asked for is given up when it is due."""
        self._askers = askers

    # -- from the associations of peers ------------------------------------------------------------------------------

    def take(self, peer: str, transaction_uid: str, references: Sequence[Reference]) -> str:
        """Write a request down; returns ``refused`` (its Transaction UID is in use), ``later`` or ``soon``.

        ``soon``: the association that asked may be told, see :meth:`ready`.

        Raises
        ------
        CatalogUnavailableError
            It cannot be written now: nothing was promised.
        DeferredError
            The peer was taken out of the configuration while its association lasted.
        """
        asker = self._askers.get(peer)
        if asker is None:
            raise DeferredError(NO_PEER)
        taken = requests.take(self._catalog, peer, transaction_uid, references, self._now() + SAME_ASSOCIATION)
        self._log.info(
            "commitment requested",
            peer=peer,
            transaction=transaction_uid,
            instances=len(references),
            taken=taken.value,
        )
        if taken is Taken.IN_USE:
            return "refused"
        return "soon" if taken is Taken.NEW and not asker.when_archived else "later"

    def ready(self, peer: str, transaction_uid: str, seconds: float) -> Result | None:
        """The report, if it can be made within so many seconds; None: not yet, or it went out meanwhile."""
        deadline = self._now() + timedelta(seconds=seconds)
        while (record := requests.find(self._catalog, peer, transaction_uid)) is not None:
            if (made := self._judge(record)) is not None:
                return _result(made)
            if self._now() >= deadline or self._stopping.wait(GLANCE):
                break
        return None

    def told(self, peer: str, transaction_uid: str, status: int | None) -> None:
        """The association that asked answered the report so (None: it was not told); else one of ours tells it."""
        record = requests.find(self._catalog, peer, transaction_uid)
        if record is None:
            return
        if status is not None and (found := classify(status)).stored:
            self._ended(record, found)
            return
        requests.postpone(self._catalog, record.id, self._now())

    # -- the clock ---------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Look after everything that is due, each peer on a thread of its own."""
        for peer in requests.peers_due(self._catalog, self._now()):
            with self._lock:
                if peer in self._telling or self._stopping.is_set():
                    continue
                thread = threading.Thread(target=self._run, args=(peer,), name=f"reports to {peer}", daemon=True)
                self._telling[peer] = thread
            try:
                thread.start()
            except RuntimeError:  # none is to be had: the next tick tries again
                with self._lock:
                    self._telling.pop(peer, None)
                return

    def stop(self, timeout: float) -> None:
        """Tell no more; reports that are on their way are aborted and go out again later."""
        self._stopping.set()
        with self._lock:
            threads, associations = list(self._telling.values()), list(self._open.values())
        for association in associations:
            association.abort("the gateway stops")
        for thread in threads:
            thread.join(timeout)

    def _run(self, peer: str) -> None:
        try:
            self.look_after(peer)
        except CatalogUnavailableError as error:
            self._log.warning("reports wait for the catalog", peer=peer, why=str(error))
        except Exception:
            self._log.error("reporting failed", peer=peer, exc_info=True)
        finally:
            with self._lock:
                self._telling.pop(peer, None)
                self._open.pop(peer, None)

    def look_after(self, peer: str) -> None:
        """Judge what is due for one peer, and tell it what is judged."""
        asker = self._askers.get(peer)
        records = requests.due(self._catalog, self._now(), peer=peer, limit=REPORTS_PER_ASSOCIATION)
        made = []
        for record in records:
            if asker is None:
                self._give_up(record, NO_PEER)
            elif (judged := self._judge(record)) is None:
                requests.postpone(self._catalog, record.id, self._now() + _pause(record, self._now()))
            elif asker.call is None:
                self._give_up(judged, NO_ADDRESS)
            else:
                made.append(judged)
        if asker is not None and asker.call is not None and made:
            self._tell(asker, asker.call, made)

    # -- judging -----------------------------------------------------------------------------------------------------

    def _judge(self, record: RequestRecord) -> RequestRecord | None:
        """The request with its report made; None: it cannot be made yet."""
        if record.judged_at is not None:
            return record
        asker, now = self._askers.get(record.peer), self._now()
        if asker is None or not self._indexed(record.asked_at):
            return None
        found = requests.stored(self._catalog, [uid for _, uid in record.references])
        overdue = now > record.asked_at + asker.give_up_after
        reasons: list[int] = []
        for sop_class, uid in record.references:
            reason = self._reason(sop_class, found.get(uid, ()), asker.when_archived, overdue)
            if reason is None:
                return None
            reasons.append(reason)
        requests.judged(self._catalog, record.id, reasons)
        failed = sum(1 for reason in reasons if reason)
        self._log.info(
            "commitment judged",
            peer=record.peer,
            transaction=record.transaction_uid,
            committed=len(reasons) - failed,
            failed=failed,
        )
        return replace(record, judged_at=now, reasons=tuple(reasons))

    def _reason(self, sop_class: str, found: Sequence[StoredObject], when_archived: bool, overdue: bool) -> int | None:
        """0: we commit; a Failure Reason (PS3.3 C.14.1.1): we do not; None: not yet."""
        here = [one for one in found if not one.gone]
        if not here:
            return statuses.NO_SUCH_INSTANCE
        same = [one for one in here if one.sop_class == sop_class]
        if not same:
            return statuses.CLASS_INSTANCE_CONFLICT
        if not all(one.archived or self._stock.holds(one.digest, one.size) for one in same):
            return statuses.PROCESSING_FAILURE
        if not when_archived or any(one.archived for one in same):
            return statuses.SUCCESS
        if overdue or all(one.lost_cause for one in same):
            return statuses.PROCESSING_FAILURE
        return None

    # -- telling -----------------------------------------------------------------------------------------------------

    def _tell(self, asker: Asker, call: Call, records: Sequence[RequestRecord]) -> None:
        left = {record.transaction_uid: record for record in records}

        def on_told(result: Result, found: Outcome) -> None:
            record = left.pop(result.transaction_uid)
            if found.stored:
                self._ended(record, found)
            else:
                self._again(asker, record, found)

        def on_open(association: Association) -> None:
            with self._lock:
                self._open[call.name] = association
            if self._stopping.is_set():
                association.abort("the gateway stops")

        broken = report(
            call,
            [_result(record) for record in records],
            retrieve_ae_title=self._ae_title,
            on_told=on_told,
            on_open=on_open,
        )
        if broken is not None and not self._stopping.is_set():
            for record in left.values():
                self._again(asker, record, broken)

    def _again(self, asker: Asker, record: RequestRecord, why: Outcome) -> None:
        now, since = self._now(), record.judged_at or record.asked_at
        if now > since + asker.give_up_after:
            self._give_up(record, str(why))
            return
        due_at = now + asker.schedule.delay(record.attempts + 1, self._rng)
        requests.postpone(self._catalog, record.id, due_at, why=str(why))
        self._log.warning(
            "commitment not reported",
            peer=record.peer,
            transaction=record.transaction_uid,
            why=str(why),
            again_at=due_at.isoformat(),
        )

    def _ended(self, record: RequestRecord, found: Outcome) -> None:
        requests.ended(self._catalog, record.id)
        self._log.info("commitment reported", peer=record.peer, transaction=record.transaction_uid, answer=found.code)

    def _give_up(self, record: RequestRecord, why: str) -> None:
        requests.ended(self._catalog, record.id, why=why)
        self._log.error("commitment report given up", peer=record.peer, transaction=record.transaction_uid, why=why)


class WhenThere:
    """Requests to an :class:`Answering` that may not be there yet, because the catalog is away."""

    def __init__(self, find: Callable[[], Answering | None]) -> None:
        self._find = find

    def take(self, peer: str, transaction_uid: str, references: Sequence[Reference]) -> str:
        """See :meth:`Answering.take`."""
        return self._there().take(peer, transaction_uid, references)

    def ready(self, peer: str, transaction_uid: str, seconds: float) -> Result | None:
        """See :meth:`Answering.ready`."""
        return self._there().ready(peer, transaction_uid, seconds)

    def told(self, peer: str, transaction_uid: str, status: int | None) -> None:
        """See :meth:`Answering.told`."""
        self._there().told(peer, transaction_uid, status)

    def _there(self) -> Answering:
        found = self._find()
        if found is None:
            raise CatalogUnavailableError("the catalog is away")
        return found


def _pause(record: RequestRecord, now: datetime) -> timedelta:
    return min(max(WAIT_FIRST, (now - record.asked_at) / 4), WAIT_LONGEST)


def _result(record: RequestRecord) -> Result:
    pairs = list(zip(record.references, record.reasons, strict=True))
    return Result(
        transaction_uid=record.transaction_uid,
        committed=tuple(reference for reference, reason in pairs if not reason),
        failed=tuple((*reference, reason) for reference, reason in pairs if reason),
    )
