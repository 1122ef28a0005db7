"""An operator's judgements of a destination's answers, and what a person is told to do."""

from __future__ import annotations

import pytest

from kuva_gateway.forward.judgements import Judgements
from kuva_gateway.forward.outcome import (
    Kind,
    Outcome,
    Scope,
    association_lost,
    association_rejected,
    classify,
    context_rejected,
    no_answer,
    no_connection,
    not_read_now,
    tls_failed,
    unreadable,
)
from kuva_gateway.forward.remedies import remedy
from kuva_gateway.queue.streak import refuses_all

OWN = Judgements.parse(
    {
        "A7xx": "temporary destination",
        "A77x": "person",
        "A770": "delivered",
        "0110": "person study",
        "context": "temporary",
    }
)


@pytest.mark.parametrize(
    ("found", "kind", "scope"),
    [
        (classify(0xA700), Kind.TEMPORARY, Scope.DESTINATION),
        (classify(0xA77A), Kind.PERSON, Scope.STUDY),
        (classify(0xA770), Kind.DELIVERED, Scope.INSTANCE),
        (classify(0x0110), Kind.PERSON, Scope.STUDY),
        (context_rejected("1.2", "1.2"), Kind.TEMPORARY, Scope.INSTANCE),
        (classify(0xC000), Kind.PERSON, Scope.INSTANCE),
        (classify(0), Kind.DELIVERED, Scope.INSTANCE),
        (no_answer("x"), Kind.UNKNOWN, Scope.STUDY),
    ],
    ids=str,
)
def test_the_most_exact_judgement_decides_and_the_table_where_there_is_none(
    found: Outcome, kind: Kind, scope: Scope
) -> None:
    judged = OWN.apply(found)
    assert (judged.kind, judged.scope) == (kind, scope)
    assert (judged.code, judged.meaning, judged.comment) == (found.code, found.meaning, found.comment)


def test_what_is_stored_concerns_that_instance_alone() -> None:
    assert Judgements.parse({"A77A": "delivered study"}).apply(classify(0xA77A)).scope is Scope.INSTANCE


EVERY_CAUSE = [
    *(classify(status) for status in range(0x10000)),
    association_lost(""),
    association_rejected(1, 1, 3, ""),
    context_rejected("1.2", "1.2"),
    no_answer(""),
    no_connection(""),
    not_read_now(""),
    tls_failed(""),
    unreadable(""),
    refuses_all(classify(0xC000)),
]


def test_whatever_is_not_stored_says_what_to_do() -> None:
    for found in EVERY_CAUSE:
        for gave_up in (False, True):
            assert bool(remedy(found, gave_up=gave_up)) is not found.stored, found
    assert "retry" in remedy(classify(0xA700), gave_up=True)
    assert "by itself" in remedy(classify(0xA700))
