"""The catalog's figures for those who ask often: read at most every few seconds, and never waited for long.

One thread reads, when somebody asks and the last figures are old. Promises that asking takes a second or two at most
even while the catalog is locked or away, and that reading takes no more than a twentieth of the time, however large the
catalog is.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

from kuva_gateway.catalog.figures import CatalogFigures
from kuva_gateway.errors import CatalogUnavailableError

FRESH = 5.0
"""Seconds for which figures are good."""
SHARE = 20
"""Figures are good for so many times as long as it took to read them."""
PATIENCE = 1.5
"""Seconds that who asks waits for new figures; then the last ones must do."""
TOO_OLD = 300.0
"""Seconds after which figures mislead more than they tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is known of the catalog."""

    up: bool
    figures: CatalogFigures | None = None
    age: float = 0.0
    """Seconds."""


class CatalogView:
    """Keeps the last figures. ``read`` raises CatalogUnavailableError when there are none."""

    def __init__(
        self,
        read: Callable[[], CatalogFigures],
        *,
        log: Any,
        clock: Callable[[], float] = monotonic,
        patience: float = PATIENCE,
    ) -> None:
        self._read = read
        self._log = log
        self._clock = clock
        self._patience = patience
        self._changed = threading.Condition()
        self._wanted = False
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._figures: CatalogFigures | None = None
        self._read_at = 0.0
        self._good_until = float("-inf")
        self._up = False

    def look(self) -> Seen:
        """The newest figures to be had soon."""
        with self._changed:
            if self._clock() >= self._good_until and not self._stopping:
                self._wanted = True
                self._start()
                self._changed.notify_all()
            late = not self._changed.wait_for(lambda: not self._wanted, self._patience)
            age = self._clock() - self._read_at
            if self._figures is None or age > TOO_OLD:
                return Seen(up=self._up and not late)
            return Seen(up=self._up and not late, figures=self._figures, age=age)

    def stop(self, timeout: float = 5.0) -> None:
        """Read no more; a statement that hangs is left to the end of the process."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(timeout)

    def _start(self) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="metrics-catalog", daemon=True)
            with contextlib.suppress(RuntimeError):  # none is to be had now: who asks next tries again
                thread.start()
                self._thread = thread

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted or self._stopping)
                if self._stopping:
                    self._wanted = False
                    self._changed.notify_all()
                    return
            began = self._clock()
            found = self._try()
            with self._changed:
                ended = self._clock()
                self._up = found is not None
                if found is not None:
                    self._figures, self._read_at = found, began
                self._good_until = ended + max(FRESH, SHARE * (ended - began))
                self._wanted = False
                self._changed.notify_all()

    def _try(self) -> CatalogFigures | None:
        try:
            return self._read()
        except CatalogUnavailableError:
            return None
        except Exception as error:
            self._log.error("the catalog's figures cannot be read", error=type(error).__name__, exc_info=True)
            return None
