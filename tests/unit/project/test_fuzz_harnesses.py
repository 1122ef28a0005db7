"""The fuzzing harnesses of ``scripts/fuzz``, without an engine: each keeps its contract, and can break it."""

from __future__ import annotations

import random
from types import ModuleType
from typing import Any

import pytest

from tests.studies import load_script

HARNESSES: dict[str, Any] = load_script("fuzz/parsers").HARNESSES
BOUNDS: ModuleType = load_script("fuzz/harness")
MUTATIONS = 2
"""Of each seed; a campaign makes millions (docs/fuzzing.rst)."""


def mutated(chance: random.Random, seed: bytes, words: tuple[bytes, ...]) -> bytes:
    """The seed with some bytes or words of its format put in or over others."""
    data = bytearray(seed)
    for _ in range(chance.randrange(1, 4)):
        place = chance.randrange(len(data) + 1)
        word = chance.choice((*words, chance.randbytes(1), chance.randbytes(2)))
        data[place : place + len(word) * chance.randrange(2)] = word
    return bytes(data)


@pytest.mark.filterwarnings("ignore")  # as in the daemon: libraries quote what they read
@pytest.mark.parametrize("name", sorted(HARNESSES))
def test_each_parser_keeps_its_contract_on_what_its_corpus_begins_with(name: str) -> None:
    harness, chance = HARNESSES[name], random.Random(name)
    for seed in harness.seeds():
        harness.check(seed)
        for _ in range(MUTATIONS):
            data = mutated(chance, seed, harness.words)
            try:
                harness.check(data)
            except BaseException as error:
                error.add_note(f"input: {data.hex()}")
                raise


def test_an_input_that_takes_too_long_or_too_much_is_a_finding() -> None:
    def grow(data: bytes) -> None:
        assert len(bytearray(b"x") * (BOUNDS.BYTES + (64 << 20)))

    with pytest.raises(BOUNDS.OutOfBoundsError, match="MiB"):
        BOUNDS.within_bounds(grow, b"", seconds=1000)
    with pytest.raises(BOUNDS.OutOfBoundsError, match=" s$"):
        BOUNDS.within_bounds(lambda data: None, b"", seconds=-1)
    BOUNDS.within_bounds(lambda data: None, b"", seconds=1000)
