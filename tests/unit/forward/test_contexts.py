"""How instances are divided among associations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from kuva_gateway.forward.contexts import CONTEXTS_PER_ASSOCIATION, split


@dataclass(frozen=True)
class Waiting:
    sop_class: str
    transfer_syntax: str
    number: int = 0


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 12)), max_size=400))
def test_every_instance_travels_once_in_a_context_of_its_own_syntax(kinds: list[tuple[int, int]]) -> None:
    waiting = [Waiting(f"1.2.{c}", f"1.3.{s}", n) for n, (c, s) in enumerate(kinds)]
    groups = split(waiting)
    assert sorted(w.number for g in groups for w in g.instances) == list(range(len(waiting)))
    for group in groups:
        assert 1 <= len(group.pairs) <= CONTEXTS_PER_ASSOCIATION
        assert {(w.sop_class, w.transfer_syntax) for w in group.instances} == set(group.pairs)
        assert [w.number for w in group.instances] == sorted(w.number for w in group.instances)
    pairs = [pair for group in groups for pair in group.pairs]
    assert len(pairs) == len(set(pairs))


def _kinds(count: int) -> Sequence[Waiting]:
    return [Waiting("1.2.3", f"1.2.{n}", n) for n in range(count)]


def test_one_association_is_enough_for_128_kinds() -> None:
    assert [len(group.pairs) for group in split(_kinds(128))] == [128]


def test_the_129th_kind_takes_a_second_association() -> None:
    assert [len(group.pairs) for group in split(_kinds(129))] == [128, 1]


def test_nothing_waiting_needs_no_association() -> None:
    assert split([]) == ()
