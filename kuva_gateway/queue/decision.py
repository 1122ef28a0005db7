"""What follows from one attempt to deliver an entry: pure.

Promises that a destination's own trouble never counts against an entry, that a person's matter is not tried again by
itself, and that everything else is tried again by the schedule until it is given up.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from kuva_gateway.forward.deliver import Delivery
from kuva_gateway.forward.outcome import Outcome, Scope
from kuva_gateway.queue.backoff import Schedule


class Next(StrEnum):
    """What becomes of the entry."""

    DELIVERED = "delivered"
    RETURNED = "returned"  # due at once as before, no attempt counted: the destination rests, or the gateway stops
    DEFERRED = "deferred"
    REFUSED = "refused"  # failed: a person decides
    GAVE_UP = "gave_up"  # failed: tried for too long


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What becomes of the entry, when it is due again (deferred ones), and why it was not delivered."""

    next: Next
    due_at: datetime | None = None
    cause: Outcome | None = None
    destination_rests: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a destination's entries are tried: the schedule, and how long after its beginning one is given up."""

    schedule: Schedule
    give_up_after: timedelta


def decide(
    delivery: Delivery, *, attempts: int, since: datetime, now: datetime, patience: Patience, rng: random.Random
) -> Decision:
    """Decide about an entry that is tried for the ``attempts``-th time.

    ``since`` is when it was made, or when a person last had it tried again: from there ``give_up_after`` counts.
    """
    cause = delivery.cause
    if delivery.complete:
        return Decision(next=Next.DELIVERED)
    if cause is not None and cause.scope is Scope.DESTINATION:
        return Decision(next=Next.RETURNED, cause=cause, destination_rests=True)
    if delivery.person is not None:
        return Decision(next=Next.REFUSED, cause=delivery.person)
    if cause is None:
        return Decision(next=Next.RETURNED)
    return later(cause, attempts=attempts, since=since, now=now, patience=patience, rng=rng)


def later(
    cause: Outcome, *, attempts: int, since: datetime, now: datetime, patience: Patience, rng: random.Random
) -> Decision:
    """When to try again because of ``cause``; given up when that would be later than ``give_up_after``."""
    due_at = now + patience.schedule.delay(attempts, rng)
    if due_at > since + patience.give_up_after:
        return Decision(next=Next.GAVE_UP, cause=cause)
    return Decision(next=Next.DEFERRED, due_at=due_at, cause=cause)
