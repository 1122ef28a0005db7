"""Delivery of instances to one destination over C-STORE, each as :mod:`.outgoing` has it: as stored, or amended.

Promises: every instance is sent at most once per call, in the transfer syntax in which it is stored if the destination
accepts that (:mod:`.otherwise` has what becomes of the others); ``on_answer`` is
called once for each instance that has an outcome, in the order of sending, before the next one is sent; nothing but the
outcome's scope is affected by a failure (instance: the others go on; SOP class, study, destination: what belongs to it
is not sent). Retries nothing and never sleeps.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kuva_gateway.decoding.process import Decoder
from kuva_gateway.forward import outcome
from kuva_gateway.forward.call import Call, judge_call
from kuva_gateway.forward.contexts import Group, Pair, split
from kuva_gateway.forward.otherwise import OnConverted, Otherwise
from kuva_gateway.forward.outcome import Kind, Outcome, Scope
from kuva_gateway.forward.outgoing import OpenFile, Sendable
from kuva_gateway.forward.store import Source, store
from kuva_gateway.network import errors
from kuva_gateway.network.records import AcceptedContext
from kuva_gateway.network.requestor import RequestorAssociation

OnAnswer = Callable[[Sendable, Outcome], None]


@dataclass(slots=True, kw_only=True)
class Delivery:
    """What became of one attempt. ``ended`` is why it stopped before its end, None if everything was tried."""

    stored: int = 0
    failures: list[tuple[Sendable, Outcome]] = field(default_factory=list)
    unknown: list[Sendable] = field(default_factory=list)
    ended: Outcome | None = None
    stopped: bool = False

    @property
    def complete(self) -> bool:
        """Everything that was to be sent is stored."""
        return not (self.failures or self.unknown or self.ended or self.stopped)

    @property
    def person(self) -> Outcome | None:
        """The first outcome that waits for a person and is not the destination's."""
        judged = [found for _, found in self.failures] + ([self.ended] if self.ended else [])
        return next((o for o in judged if o.kind is Kind.PERSON and o.scope is not Scope.DESTINATION), None)

    @property
    def cause(self) -> Outcome | None:
        """The one outcome that says best why the attempt is not complete; None when it is."""
        if self.ended is not None and self.ended.scope is Scope.DESTINATION:
            return self.ended
        return self.person or self.ended or next((found for _, found in self.failures), None)


def deliver(
    call: Call,
    instances: Sequence[Sendable],
    *,
    open_file: OpenFile,
    on_answer: OnAnswer,
    priority: int = 0,
    stopping: Callable[[], bool] = lambda: False,
    on_associated: Callable[[RequestorAssociation], None] = lambda association: None,
    on_converted: OnConverted = lambda how: None,
    decoder: Decoder | None = None,
) -> Delivery:
    """Send ``instances`` in as few associations as their kinds need.

    ``priority`` is the C-STORE's own (0 medium, 1 high, 2 low). When ``stopping`` turns true, the instance in hand is
    finished and the rest is left (``Delivery.stopped``). ``open_file`` may raise DamageError or FileNotFoundError: that
    instance is then for a person (QUA-01); after any other OSError it is tried again. What ``on_answer`` raises ends
    the delivery and passes through. ``on_associated`` is given each association, so that another thread may abort it.
    What the destination does not accept as it is stored goes in another uncompressed syntax at the end, and compressed
    images so if there is a ``decoder``; decoding ends when ``stopping`` turns true. ``on_converted`` is told of each
    instance that was not accepted as it is stored and went otherwise, or could not.
    """
    source = Source(open_file=open_file, decoder=decoder, stopping=stopping)
    classes: dict[str, Outcome] = {}
    attempt = _Attempt(
        call=call,
        source=source,
        otherwise=Otherwise(
            call=call,
            source=source,
            priority=priority,
            on_associated=on_associated,
            classes=classes,
            on_converted=on_converted,
        ),
        classes=classes,
        on_converted=on_converted,
        on_answer=on_answer,
        priority=priority,
        stopping=stopping,
        on_associated=on_associated,
    )
    for group in split(instances):
        if attempt.over:
            break
        attempt.send_group(group)
    attempt.otherwise.send(lambda: attempt.over, attempt.note)
    return attempt.delivery


@dataclass(slots=True, kw_only=True)
class _Attempt:
    call: Call
    source: Source
    otherwise: Otherwise
    on_answer: OnAnswer
    priority: int
    stopping: Callable[[], bool]
    on_associated: Callable[[RequestorAssociation], None]
    on_converted: OnConverted
    classes: dict[str, Outcome]  # SOP classes that are not to be sent, and why
    delivery: Delivery = field(default_factory=Delivery)

    @property
    def over(self) -> bool:
        if self.delivery.ended is None and self.stopping():
            self.delivery.stopped = True
        return self.delivery.ended is not None or self.delivery.stopped

    def send_group(self, group: Group[Sendable]) -> None:
        """Send one association's worth; a further association where a damaged file has cost us the first."""
        waiting = deque(group.instances)
        while waiting and not self.over:
            try:
                association = self.call.associate([(abstract, (transfer,)) for abstract, transfer in group.pairs])
            except errors.NetworkError as error:
                self.delivery.ended = judge_call(error)
                return
            with association:
                self.on_associated(association)
                accepted = {(c.abstract_syntax, c.transfer_syntax): c for c in association.contexts.values() if c.scu}
                while waiting and association.open and not self.over:
                    self._send(association, accepted, waiting.popleft())

    def _send(
        self, association: RequestorAssociation, accepted: dict[Pair, AcceptedContext], instance: Sendable
    ) -> None:
        context = accepted.get((instance.sop_class, instance.transfer_syntax))
        if instance.sop_class in self.classes:
            found = self.classes[instance.sop_class]
        elif context is None and self.otherwise.takes(instance):
            return
        elif context is None:
            found = outcome.context_rejected(instance.sop_class, instance.transfer_syntax)
        else:
            found = self._store(association, context, instance)
        self.note(instance, self.call.judgements.apply(found))

    def _store(self, association: RequestorAssociation, context: AcceptedContext, instance: Sendable) -> Outcome:
        return store(
            self.source,
            instance,
            lambda data: association.store(
                context,
                sop_class=instance.sop_class,
                sop_instance=instance.sop_instance,
                data=data,
                priority=self.priority,
            ),
        )

    def note(self, instance: Sendable, found: Outcome) -> None:
        """What became of one instance, and what that means for the others."""
        if found.stored:
            self.delivery.stored += 1
        elif found.kind is Kind.UNKNOWN:
            self.delivery.unknown.append(instance)
        else:
            self.delivery.failures.append((instance, found))
        if found.code in (outcome.NOT_ACCEPTED, outcome.NOT_REENCODED):
            self.on_converted("not_possible")
        if found.scope is Scope.SOP_CLASS:
            self.classes[instance.sop_class] = found
        elif found.scope in (Scope.STUDY, Scope.DESTINATION):
            self.delivery.ended = found
        self.on_answer(instance, found)
