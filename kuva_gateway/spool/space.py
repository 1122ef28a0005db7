"""How much room is left, asked seldom: once a second, or after every 64 MiB written.

Promises that at most 64 MiB per spool are taken below the minimum before somebody notices.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kuva_gateway.errors import NoSpaceError
from kuva_gateway.spool.errors import translate
from kuva_gateway.spool.files import Files

MEASURE_EVERY = 1.0
"""Seconds for which a measurement is believed."""

MEASURE_AFTER = 64 << 20
"""Bytes written after which the room is measured again, however fast they came."""


class Space:
    """The free space of the spool's file system. Threads may share it; a lost count only moves a measurement."""

    def __init__(self, root: Path, files: Files, *, minimum_free: int, monotonic: Callable[[], float]) -> None:
        self._root = root
        self._files = files
        self.minimum_free = minimum_free
        """Bytes that are to stay free."""
        self._monotonic = monotonic
        self._free = 0
        self._written = 0
        self._measured_at: float | None = None

    def require(self, count: int = 0, *, times: int = 1) -> None:
        """Make sure that ``count`` bytes more may be written.

        Raises
        ------
        NoSpaceError
            Less than ``spool.minimum_free`` is left, or less than so many ``times`` that for what matters less.
        """
        self._written += count
        if self._stale():
            self.measure()
        if self._free - self._written < self.minimum_free * times:
            raise NoSpaceError("less than spool.minimum_free is left in the spool", code="minimum_free")

    def _stale(self) -> bool:
        if self._measured_at is None or self._written >= MEASURE_AFTER:
            return True
        return self._monotonic() - self._measured_at >= MEASURE_EVERY

    def total_bytes(self) -> int:
        """Bytes of the whole file system."""
        try:
            return self._files.total_bytes(self._root)
        except OSError as error:
            raise translate(error, "measuring the file system") from error

    def measure(self) -> int:
        """Free bytes at this moment."""
        try:
            self._free = self._files.free_bytes(self._root)
        except OSError as error:
            raise translate(error, "measuring free space") from error
        self._written = 0
        self._measured_at = self._monotonic()
        return self._free
