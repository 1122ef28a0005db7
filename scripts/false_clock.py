"""A wall clock that can be set for one process and its children: libfaketime, the monotonic clock left alone."""

from __future__ import annotations

from pathlib import Path

_LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


class FalseClock:
    """What :attr:`environment` is given to has the machine's time until :meth:`set`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0)

    @staticmethod
    def is_there() -> bool:
        """Whether the library is installed."""
        return bool(_LIBRARIES)

    def set(self, hours: float) -> None:
        """So many hours ahead of the machine's time from now on; negative: behind."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{hours * 3600:+.0f}\n", encoding="ascii")
        new.replace(self._file)

    @property
    def environment(self) -> dict[str, str]:
        """For the process's environment."""
        return {
            "LD_PRELOAD": str(_LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
