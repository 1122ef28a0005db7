"""Small bar charts as SVG: a bar for each hour, a sentence for who does not see them, no script and no own style."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

HEIGHT, STEP, WIDTH = 40, 10, 8
"""Of the picture, from bar to bar, and of a bar, in its own units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One hour: where it stands, how high it is, and what it says (``13:00: 5``)."""

    x: int
    y: int
    height: int
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """``title``, the sum, and in ``says`` the whole in one sentence."""

    title: str
    number: int
    says: str
    bars: tuple[Bar, ...]

    @property
    def width(self) -> int:
        """Of the picture."""
        return STEP * len(self.bars)


def plot(title: str, numbers: Sequence[int], hours: Sequence[str], most: str) -> Plot:
    """``hours`` name the hours; ``most`` has ``{number}`` and ``{hour}``. An hour with anything in it shows."""
    top = max(numbers, default=0)
    bars = []
    for place, (number, hour) in enumerate(zip(numbers, hours, strict=True)):
        height = max(2, round(HEIGHT * number / top)) if number else 0
        bars.append(Bar(x=STEP * place, y=HEIGHT - height, height=height, says=f"{hour}: {number}"))
    says = f"{title}: {sum(numbers)}"
    if top:
        says += "; " + most.format(number=top, hour=hours[list(numbers).index(top)])
    return Plot(title=title, number=sum(numbers), says=says, bars=tuple(bars))
