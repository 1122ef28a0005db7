"""An operator's own judgements of a destination's answers, instead of the tables' (``statuses`` in the configuration).

Promises that the most exact pattern decides (``A770`` over ``A77x`` over ``Axxx``), that a judgement without a scope
keeps the table's, and that only what the other side said can be judged: whether an answer came at all cannot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from kuva_gateway.config.delivery import parse_judgement
from kuva_gateway.forward.outcome import Kind, Outcome, Scope


@dataclass(frozen=True, slots=True)
class Judgements:
    """Judgements by status or pattern; empty: the tables decide."""

    _by_pattern: tuple[tuple[str, Kind, Scope | None], ...] = ()

    @classmethod
    def parse(cls, statuses: Mapping[str, str]) -> Judgements:
        """Read what the configuration has, such as ``{"A77x": "person study"}``; raises ValueError."""
        read = []
        for pattern, text in statuses.items():
            kind, scope = parse_judgement(text)
            read.append((pattern, Kind(kind), Scope(scope) if scope else None))
        return cls(tuple(sorted(read, key=lambda one: one[0].count("x"))))

    def apply(self, found: Outcome) -> Outcome:
        """``found`` as this destination's answers are to be judged."""
        for pattern, kind, scope in self._by_pattern:
            if _matches(pattern, found.code):
                stored = kind in (Kind.DELIVERED, Kind.WARNING)
                return replace(found, kind=kind, scope=Scope.INSTANCE if stored else scope or found.scope)
        return found


def _matches(pattern: str, code: str) -> bool:
    digits = pattern.rstrip("x")
    if len(digits) == len(pattern):
        return code == pattern
    return len(code) == len(pattern) and code.startswith(digits) and code[len(digits) :].isalnum()
