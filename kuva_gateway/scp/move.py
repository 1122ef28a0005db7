"""C-MOVE (PS3.4 C.4.2): what is asked for goes to a peer that the configuration knows, on associations of ours.

The sub-operations are made on a thread of their own; the association's thread tells the asker how far they are, hears
C-CANCEL and an end of the association, and never leaves the asker without a word for more than some seconds.
Promises that no thread and no connection outlives the request.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from time import monotonic

from kuva_gateway.errors import CatalogUnavailableError
from kuva_gateway.forward.call import Call, judge_break, judge_call
from kuva_gateway.forward.contexts import Pair, split
from kuva_gateway.forward.outcome import Outcome, Scope
from kuva_gateway.forward.outgoing import Sendable
from kuva_gateway.network.association import Association
from kuva_gateway.network.errors import NetworkError
from kuva_gateway.network.opening import Opening
from kuva_gateway.network.records import Response
from kuva_gateway.network.requestor import RequestorAssociation
from kuva_gateway.scp.asked import Asked
from kuva_gateway.scp.suboperations import (
    KINDS_PER_ASSOCIATION,
    PENDING_AT_LEAST_EVERY,
    PENDING_EVERY,
    TornError,
    send,
    sending_contexts,
    ways,
)
from kuva_gateway.spool.fetched import Fetched

LISTEN_EVERY = 0.1
"""Seconds between looks whether the asker cancels or goes away."""
CANCEL_PATIENCE = 5.0
"""Seconds that the sub-operation in hand may take to end after C-CANCEL; then it is broken off."""
BREAKS = 3
"""Associations that may break before the destination is given up."""


def answer_move(association: Association, asked: Asked, call: Call) -> Generator[Response, None, None]:
    """The responses to a C-MOVE-RQ whose sub-operations go to ``call``."""
    move = _Move(asked, call, (association.calling_ae, asked.message_id))
    move.start()
    try:
        yield from _tell(association, asked, move)
    finally:
        move.stop()


def _tell(association: Association, asked: Asked, move: _Move) -> Generator[Response, None, None]:
    said, told, until = monotonic(), 0, 0.0
    while not move.over.wait(LISTEN_EVERY):
        if association.cancelled(asked.message_id):
            if not move.cancelled:
                until = monotonic() + CANCEL_PATIENCE
                move.cancel()
            elif monotonic() > until:
                move.abort("cancelled by who asked for it")
        since, changed = monotonic() - said, asked.counts.done != told
        if (changed and (not told or since >= PENDING_EVERY)) or since >= PENDING_AT_LEAST_EVERY:
            told = asked.counts.done
            yield asked.counts.pending()
            said = monotonic()
    if isinstance(move.error, CatalogUnavailableError):
        asked.counts.give_up("the catalog is away")
    elif move.error is not None:
        raise move.error
    yield asked.counts.final(asked.transfer_syntax, cancelled=move.cancelled and asked.counts.remaining > 0)


class _Move:
    """The sub-operations. Of the counts, only this one's thread writes."""

    def __init__(self, asked: Asked, call: Call, originator: tuple[str, int]) -> None:
        self.over = threading.Event()
        self.cancelled = False
        self.error: Exception | None = None
        self._asked = asked
        self._call = call
        self._originator = originator
        self._pairs: frozenset[Pair] = frozenset()
        self._association: RequestorAssociation | None = None
        self._opening = Opening()
        self._breaks = 0
        self._given_up: Outcome | None = None
        self._aborting = False
        self._thread = threading.Thread(target=self._run, name=f"move to {call.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def cancel(self) -> None:
        """Stop after the sub-operation in hand; a destination that does not answer our call is not waited for."""
        self.cancelled = True
        self._opening.stop()

    def abort(self, why: str) -> None:
        """Stop now, also what is in hand."""
        self._aborting = True
        self.cancel()
        association = self._association
        if association is not None:
            association.abort(why)

    def stop(self) -> None:
        """Return when nothing is under way any more: nobody listens to the counts."""
        if not self.over.is_set():
            self.abort("who asked for it has gone")
        self._thread.join()

    def _run(self) -> None:
        try:
            for page in self._asked.pages():
                for group in split(page, KINDS_PER_ASSOCIATION):
                    pairs = frozenset(group.pairs)
                    for instance in group.instances:
                        if not self._sub_operation(pairs, instance):
                            return
                if self._given_up is not None and not self._asked.counts.lists_more:
                    break
            self._pass_on()
            if not self.cancelled:
                self._asked.counts.give_up("no longer there")
        except Exception as error:
            self.error = error
        finally:
            self._release()
            self.over.set()

    def _pass_on(self) -> None:
        """What is fetched from the archive, as it comes."""
        fetch, counts = self._asked.fetch, self._asked.counts
        if fetch is None:
            return
        for instance in fetch.instances():
            if self.cancelled:
                return
            if instance is None:
                continue
            pair = (instance.sop_class, instance.transfer_syntax)
            pairs = self._pairs | {pair} if len(self._pairs) < KINDS_PER_ASSOCIATION else frozenset({pair})
            if not self._sub_operation(pairs if pair not in self._pairs else self._pairs, instance):
                return
        counts.miss(fetch.missing(), fetch.why)

    def _sub_operation(self, pairs: frozenset[Pair], instance: Sendable) -> bool:
        """Send and count; False: cancelled before it was sent, so it remains."""
        found = None if self.cancelled else self._given_up or self._send(pairs, instance)
        if found is not None:
            self._asked.counts.note(instance.sop_instance, found)
        return found is not None

    def _send(self, pairs: frozenset[Pair], instance: Sendable) -> Outcome | None:
        """One sub-operation, on the association at hand or a new one; None: cancelled before it was sent.

        What was not sent whole when the association ended goes once more, on a new one.
        """
        again = False
        while True:
            try:
                association = self._associated(pairs)
            except NetworkError as error:
                return None if self.cancelled else self._give_up(judge_call(error))
            if self._aborting:
                association.abort()
            try:
                found = self._store(association, instance)
            except NetworkError as error:
                broken = self._broken(judge_break(error))
                if error.sent or again or self._given_up is not None:
                    return broken
                again = True
                continue
            except TornError as torn:
                return self._broken(torn.outcome)
            if found.scope is Scope.DESTINATION and not found.stored:
                return self._give_up(found)
            return found

    def _store(self, association: RequestorAssociation, instance: Sendable) -> Outcome:
        fetch = self._asked.fetch
        open_file = fetch.open_file if fetch is not None and isinstance(instance, Fetched) else self._asked.open_file
        return send(
            association,
            sending_contexts(association),
            instance,
            open_file=open_file,
            priority=self._asked.priority,
            originator=self._originator,
            decoder=self._asked.decoder,
            stopping=lambda: self.cancelled,
        )

    def _associated(self, pairs: frozenset[Pair]) -> RequestorAssociation:
        """The association at hand, unless it has ended (destinations close idle ones) or takes other kinds."""
        association = self._association
        if association is None or association.ended_meanwhile() or not pairs <= self._pairs:
            self._release()
            proposed = dict.fromkeys((one, way) for one, stored in sorted(pairs) for way in self._ways(stored))
            association = self._association = self._call.associate(
                [(one, (way,)) for one, way in proposed], opening=self._opening
            )
            self._pairs = pairs
        return association

    def _ways(self, stored: str) -> tuple[str, ...]:
        return ways(stored, decompress=self._asked.decoder is not None)

    def _broken(self, found: Outcome) -> Outcome:
        self._association = None
        self._breaks += 1
        return self._give_up(found) if self._breaks >= BREAKS else found

    def _give_up(self, found: Outcome) -> Outcome:
        """The destination takes nothing (more): so all that remains has failed."""
        self._given_up = found
        return found

    def _release(self) -> None:
        association, self._association = self._association, None
        if association is not None:
            association.release()
