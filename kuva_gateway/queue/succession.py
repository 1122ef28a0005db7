"""Destinations that come, go and change while the gateway delivers.

Keeps, for each destination, by what it is delivered to now and by what it is to be. Promises that a destination of
which nothing changed notices nothing; that one which changed or went finishes the instances in hand before its
successor begins, so that neither its workers nor its hours are doubled; and that a catalog that is away only delays it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic

from kuva_gateway.queue.commitment import Commitments
from kuva_gateway.queue.lane import Lane
from kuva_gateway.queue.runner import Runner
from kuva_gateway.validation.findings import Language


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A destination as it is to be. ``by`` is all that it depends on, as text; ``make`` may ask the catalog."""

    by: str
    make: Callable[[], Lane]
    language: Language


class Succession:
    """Lets destinations follow each other in a runner and in what asks for storage commitment."""

    def __init__(self, runner: Runner, commitments: Commitments, present: Mapping[str, str]) -> None:
        self._runner = runner
        self._commitments = commitments
        self._present = dict(present)
        self._wanted: dict[str, Wanted] | None = None
        self._turn = threading.Lock()
        self._stopped = False

    def want(self, destinations: Mapping[str, Wanted]) -> None:
        """These, and no others, are to be delivered to; :meth:`step` brings it about."""
        self._wanted = dict(destinations)

    def step(self, within: float = 0.0) -> list[str]:
        """Do what can be done now, waiting so many seconds for what is in hand; returns who is still to follow.

        Raises
        ------
        CatalogUnavailableError
            The rest follows with the next step.
        """
        wanted = self._wanted
        if wanted is None:
            return []
        with self._turn:
            if self._stopped:
                return []
            changing = [name for name, by in self._present.items() if name not in wanted or wanted[name].by != by]
            for name in changing:
                self._runner.leave(name)
                self._commitments.leave(name)
            until = monotonic() + within
            for name in changing:
                if all(
                    part.has_left(name, max(0.0, until - monotonic())) for part in (self._runner, self._commitments)
                ):
                    del self._present[name]
            for name, one in wanted.items():
                if name not in self._present:
                    self._begin(name, one)
            return [name for name, by in self._present.items() if name not in wanted or wanted[name].by != by]

    def stop(self) -> None:
        """Let nobody follow any more."""
        with self._turn:
            self._stopped = True

    def _begin(self, name: str, one: Wanted) -> None:
        lane = one.make()
        self._commitments.begin(lane)
        self._runner.begin(lane, language=one.language)
        self._present[name] = one.by
