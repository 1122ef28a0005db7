"""What becomes of an entry after an attempt."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from kuva_gateway.forward.deliver import Delivery
from kuva_gateway.forward.outcome import (
    Outcome,
    association_lost,
    association_rejected,
    classify,
    no_answer,
    no_connection,
    tls_failed,
)
from kuva_gateway.queue.backoff import Schedule
from kuva_gateway.queue.decision import Decision, Next, Patience, decide
from tests.unit.forward.instances import CT, Stored

NOW = datetime(2024, 3, 4, 12, tzinfo=UTC)
PATIENCE = Patience(schedule=Schedule.parse("5x1m,12x5m,48x1h"), give_up_after=timedelta(days=30))
ONE = Stored(
    instance_id=1, sop_class=CT, sop_instance="1.2", transfer_syntax="1.2", digest="", size=1, data_set_digest=""
)


def after(delivery: Delivery, *, attempts: int = 1, age: timedelta = timedelta()) -> Decision:
    return decide(delivery, attempts=attempts, since=NOW - age, now=NOW, patience=PATIENCE, rng=random.Random(1))


def failed(outcome: Outcome) -> Delivery:
    return Delivery(stored=3, failures=[(ONE, outcome)])


def test_everything_stored_is_delivered() -> None:
    assert after(Delivery(stored=3)).next is Next.DELIVERED


def test_nothing_left_to_send_is_delivered() -> None:
    assert after(Delivery()).next is Next.DELIVERED


@pytest.mark.parametrize(
    "ended",
    [
        no_connection(""),
        tls_failed(""),
        association_rejected(1, 1, 7, ""),
        association_rejected(2, 3, 2, ""),
        classify(0x0124),
    ],
    ids=str,
)
def test_the_destinations_trouble_costs_no_attempt(ended: Outcome) -> None:
    decision = after(Delivery(ended=ended), attempts=4, age=timedelta(days=99))
    assert decision.next is Next.RETURNED
    assert decision.destination_rests
    assert decision.cause == ended


@pytest.mark.parametrize("status", [0xA700, 0xA77A, 0x0110, 0x1234])
def test_what_passes_is_tried_again_by_the_schedule(status: int) -> None:
    decision = after(failed(classify(status)), attempts=6)
    assert decision.next is Next.DEFERRED
    assert decision.due_at is not None
    assert timedelta(minutes=4) < decision.due_at - NOW < timedelta(minutes=6)


@pytest.mark.parametrize("outcome", [association_lost(""), no_answer("")], ids=str)
def test_a_broken_association_is_tried_again_by_the_schedule(outcome: Outcome) -> None:
    assert after(Delivery(ended=outcome)).next is Next.DEFERRED


@pytest.mark.parametrize("status", [0xA771, 0xA778, 0xA77B, 0xA900, 0xC000, 0x0122])
def test_what_a_person_must_cure_is_not_tried_again(status: int) -> None:
    decision = after(failed(classify(status, "look here")))
    assert decision.next is Next.REFUSED
    assert decision.cause is not None
    assert decision.cause.comment == "look here"


def test_one_for_a_person_decides_over_one_that_passes() -> None:
    delivery = Delivery(failures=[(ONE, classify(0x0110)), (ONE, classify(0xC000))])
    assert after(delivery).next is Next.REFUSED


def test_an_entry_that_was_tried_for_too_long_is_given_up_with_its_last_cause() -> None:
    decision = after(failed(classify(0x0110)), attempts=500, age=timedelta(days=30))
    assert decision.next is Next.GAVE_UP
    assert decision.cause is not None
    assert decision.cause.code == "0110"


def test_stopping_costs_no_attempt_and_does_not_rest_the_destination() -> None:
    decision = after(Delivery(stored=1, stopped=True))
    assert decision.next is Next.RETURNED
    assert not decision.destination_rests
