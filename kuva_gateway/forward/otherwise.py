"""What a destination did not accept in the transfer syntax in which it is stored, sent in another one.

It goes after everything else, on an association of its own, so that nothing changes for what is accepted as it is.
Keeps that association while it is used. Decoding may take minutes, in which a destination gives up one that says
nothing: each instance is made ready first, then a fresh association is opened if the last one has been idle.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Final, Literal

from kuva_gateway.decoding.image import DECODABLE
from kuva_gateway.errors import DeferredError
from kuva_gateway.forward import outcome
from kuva_gateway.forward.call import Call, judge_call
from kuva_gateway.forward.contexts import CONTEXTS_PER_ASSOCIATION, Group, Pair, others, split
from kuva_gateway.forward.outcome import Outcome
from kuva_gateway.forward.outgoing import Sendable
from kuva_gateway.forward.store import Source, store
from kuva_gateway.network import errors
from kuva_gateway.network.records import AcceptedContext, StoreAnswer
from kuva_gateway.network.requestor import RequestorAssociation
from kuva_gateway.network.sending import Part

FRESH: Final = 5.0
"""Seconds for which an association is used again without having been used."""
_WAYS: Final = 2
"""Transfer syntaxes that are proposed for each kind of instance at most."""


Conversion = Literal["reencoded", "decompressed", "not_possible"]
"""How an instance went that is not accepted as it is stored: in another uncompressed syntax, decoded, or not at all."""
OnConverted = Callable[[Conversion], None]


@dataclass(slots=True, kw_only=True)
class Otherwise:
    """The second try of one delivery."""

    call: Call
    source: Source
    priority: int
    on_associated: Callable[[RequestorAssociation], None]
    classes: Mapping[str, Outcome]
    """SOP classes that are not to be sent, and why; others add to it."""
    on_converted: OnConverted = lambda how: None
    """Called for each instance that was stored in another syntax than its own."""
    _refused: list[Sendable] = field(default_factory=list)
    _pairs: tuple[Pair, ...] = ()
    _association: RequestorAssociation | None = None
    _used_at: float = 0.0
    _accepted: dict[Pair, AcceptedContext] | None = None
    _failed: Outcome | None = None

    def takes(self, instance: Sendable) -> bool:
        """Remember an instance that was not accepted as it is stored; False when there is no other way for it."""
        if not self._ways(instance.transfer_syntax):
            return False
        self._refused.append(instance)
        return True

    def send(self, over: Callable[[], bool], note: Callable[[Sendable, Outcome], None]) -> None:
        """Send what was remembered, in its order, until ``over()``; ``note`` is told each one's outcome."""
        for group in split(self._refused, CONTEXTS_PER_ASSOCIATION // _WAYS):
            try:
                self._send_group(group, over, note)
            finally:
                self._release()

    def _ways(self, stored: str) -> tuple[str, ...]:
        return others(stored, decompress=self.source.decoder is not None)

    def _send_group(
        self, group: Group[Sendable], over: Callable[[], bool], note: Callable[[Sendable, Outcome], None]
    ) -> None:
        ways = {(abstract, way): None for abstract, stored in group.pairs for way in self._ways(stored)}
        self._pairs, self._accepted = tuple(ways), None
        waiting = deque(group.instances)
        while waiting and not over():
            instance = waiting.popleft()
            found = self.call.judgements.apply(self._store(instance))
            if found.stored:
                self.on_converted("decompressed" if instance.transfer_syntax in DECODABLE else "reencoded")
            note(instance, found)

    def _store(self, instance: Sendable) -> Outcome:
        self._failed = None
        if instance.sop_class in self.classes:
            return self.classes[instance.sop_class]
        try:
            accepted = self._contexts(self._current()) if self._accepted is None else self._accepted
        except errors.NetworkError as error:
            return judge_call(error)
        self._accepted = accepted
        ways = self._ways(instance.transfer_syntax)
        into = next((way for way in ways if (instance.sop_class, way) in accepted), "")
        if not into:
            return outcome.context_rejected(instance.sop_class, instance.transfer_syntax)
        found = store(self.source, instance, lambda data: self._send(instance, into, data), into)
        return self._failed or found

    def _send(self, instance: Sendable, into: str, data: Sequence[Part]) -> StoreAnswer:
        """C-STORE, on an association that the destination has not had time to forget."""
        try:
            association = self._current()
        except errors.NetworkError as error:
            self._failed = judge_call(error)
            raise
        try:
            return association.store(
                self._contexts(association)[instance.sop_class, into],
                sop_class=instance.sop_class,
                sop_instance=instance.sop_instance,
                data=data,
                priority=self.priority,
            )
        except KeyError:
            raise DeferredError("the destination accepts other contexts than a moment before") from None
        finally:
            self._used_at = monotonic()

    def _current(self) -> RequestorAssociation:
        association = self._association
        if association is None or not association.open or monotonic() - self._used_at > FRESH:
            self._release()
            proposed = [(abstract, (way,)) for abstract, way in self._pairs]
            association = self._association = self.call.associate(proposed)
            self._used_at = monotonic()
            self.on_associated(association)
        return association

    @staticmethod
    def _contexts(association: RequestorAssociation) -> dict[Pair, AcceptedContext]:
        return {(one.abstract_syntax, one.transfer_syntax): one for one in association.contexts.values() if one.scu}

    def _release(self) -> None:
        association, self._association = self._association, None
        if association is not None:
            association.release()
