"""The time that one phase of an association may take, however its bytes trickle in."""

from __future__ import annotations

from math import inf
from time import monotonic

from kuva_gateway.network.errors import TimedOut


class Allowance:
    """An absolute deadline that moves only with work done.

    It starts ``seconds`` from now. Every byte earned moves it by ``1 / rate`` seconds, but never further than
    ``seconds`` from the present: whoever keeps up with ``rate`` bytes per second has as long as it takes, whoever does
    not is cut off at most ``seconds`` after falling behind, whatever credit was earned before.
    """

    __slots__ = ("_deadline", "_rate", "_seconds", "phase")

    def __init__(self, phase: str, seconds: float, rate: float = inf) -> None:
        self.phase = phase
        self._seconds = seconds
        self._rate = rate
        self._deadline = monotonic() + seconds

    def earn(self, count: int) -> None:
        """``count`` bytes that matter have passed."""
        self._deadline = min(monotonic() + self._seconds, self._deadline + count / self._rate)

    def pause(self, seconds: float) -> None:
        """So long we waited for ourselves, not for the other side."""
        self._deadline += seconds

    def remaining(self) -> float:
        """Seconds left, always more than 0.

        Raises
        ------
        TimedOut
            Nothing is left.
        """
        left = self._deadline - monotonic()
        if left <= 0:
            raise TimedOut(self.phase)
        return left
