"""Refusals in a row at one destination: when nearly everything is refused, it is not the studies that are wrong.

Keeps how many refusals for a person came without anything stored between them, and of which studies. Promises that
after ten over at least three studies the destination counts as refusing everything, until it has stored something; its
entries then wait instead of failing one after the other. Thread-safe.
"""

from __future__ import annotations

import threading

from kuva_gateway.forward.outcome import Kind, Outcome, Scope

REFUSALS = 10
STUDIES = 3
REFUSES_ALL = "refuses-all"


class Streak:
    """The refusals in a row of one destination; ``tripped``: it was refusing everything before a restart."""

    def __init__(self, *, tripped: bool = False) -> None:
        self._lock = threading.Lock()
        self._refusals = REFUSALS if tripped else 0
        self._studies: set[str] = {str(number) for number in range(STUDIES)} if tripped else set()

    def refused(self, study: str) -> bool:
        """One more refusal, of an instance of ``study``; True: the destination counts as refusing everything."""
        with self._lock:
            self._refusals += 1
            if len(self._studies) < STUDIES:
                self._studies.add(study)
            return self._refusals >= REFUSALS and len(self._studies) >= STUDIES

    def stored(self) -> None:
        """Something was stored there."""
        with self._lock:
            self._refusals = 0
            self._studies.clear()


def refuses_all(last: Outcome) -> Outcome:
    """The destination's outcome after so many refusals in a row, the ``last`` one among them."""
    return Outcome(
        kind=Kind.PERSON,
        scope=Scope.DESTINATION,
        code=REFUSES_ALL,
        meaning=f"{REFUSALS} refusals in a row over {STUDIES} studies",
        comment=f"the last one: {last}",
    )
