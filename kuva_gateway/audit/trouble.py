"""A trouble that lasts is said when it begins and when it is over, and not each time that somebody meets it."""

from __future__ import annotations

from collections.abc import Callable


class Trouble:
    """Met by one thread at a time. ``begins`` is told why, in a log's words; ``is_over`` that it has passed."""

    def __init__(self, begins: Callable[[str], object], is_over: Callable[[], object]) -> None:
        self.lasts = False
        self._begins = begins
        self._is_over = is_over

    def met(self, error: Exception) -> None:
        """It did not go well."""
        if not self.lasts:
            self.lasts = True
            words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            self._begins(words or type(error).__name__)

    def passed(self) -> None:
        """It went well."""
        if self.lasts:
            self.lasts = False
            self._is_over()
