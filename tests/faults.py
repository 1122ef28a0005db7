"""Files that fail when a test says so: the spool's seam for faults.

``FaultyFiles().fail("fsync", errno.EIO)`` fails the next fsync, ``nth=3`` the third from now, ``always=True`` every one
from the nth on. ``call`` runs something instead of failing, before the operation itself: look
at the folders, kill the process.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from kuva_gateway.spool.files import Files

OPERATIONS = frozenset(name for name in vars(Files) if not name.startswith("_"))


@dataclass(slots=True)
class _Plan:
    operation: str
    at: int
    always: bool
    act: Callable[[], None]

    def due(self, count: int) -> bool:
        return count == self.at or (self.always and count > self.at)


class FaultyFiles(Files):
    """Real files, with faults where the test planned them. Threads may share it."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self._plans: list[_Plan] = []
        self._lock = threading.Lock()

    def fail(self, operation: str, number: int, *, nth: int = 1, always: bool = False) -> None:
        """Fail the ``nth`` call of ``operation`` from now with this errno, or every one from then on."""

        def act() -> None:
            raise OSError(number, os.strerror(number))

        self.call(operation, act, nth=nth, always=always)

    def call(self, operation: str, act: Callable[[], None], *, nth: int = 1, always: bool = False) -> None:
        """Run ``act`` before the ``nth`` call of ``operation`` from now."""
        assert operation in OPERATIONS, f"there is no operation {operation}"
        with self._lock:
            self._plans.append(_Plan(operation, self.calls[operation] + nth, always, act))

    def heal(self) -> None:
        """Forget every plan."""
        with self._lock:
            self._plans.clear()

    def _meet(self, operation: str) -> None:
        with self._lock:
            self.calls[operation] += 1
            count = self.calls[operation]
            due = [plan.act for plan in self._plans if plan.operation == operation and plan.due(count)]
        for act in due:
            act()

    def make_directory(self, path: Path) -> None:
        self._meet("make_directory")
        super().make_directory(path)

    def open_new(self, path: Path) -> int:
        self._meet("open_new")
        return super().open_new(path)

    def open_read(self, path: Path) -> BinaryIO:
        self._meet("open_read")
        return super().open_read(path)

    def write(self, descriptor: int, view: memoryview) -> None:
        self._meet("write")
        super().write(descriptor, view)

    def start_writing(self, descriptor: int, offset: int, length: int) -> None:
        self._meet("start_writing")
        super().start_writing(descriptor, offset, length)

    def truncate(self, descriptor: int) -> None:
        self._meet("truncate")
        super().truncate(descriptor)

    def fsync(self, descriptor: int) -> None:
        self._meet("fsync")
        super().fsync(descriptor)

    def fsync_directory(self, path: Path) -> None:
        self._meet("fsync_directory")
        super().fsync_directory(path)

    def sync_file_system(self, path: Path) -> None:
        self._meet("sync_file_system")
        super().sync_file_system(path)

    def open_directory(self, path: Path) -> int:
        self._meet("open_directory")
        return super().open_directory(path)

    def close(self, descriptor: int) -> None:
        try:
            self._meet("close")
        finally:  # close(2) gives the descriptor up whatever it answers
            super().close(descriptor)

    def rename_new(self, source: Path, target: Path) -> None:
        self._meet("rename_new")
        super().rename_new(source, target)

    def link(self, source: Path, target: Path) -> None:
        self._meet("link")
        super().link(source, target)

    def unlink(self, path: Path) -> None:
        self._meet("unlink")
        super().unlink(path)

    def size(self, path: Path) -> int:
        self._meet("size")
        return super().size(path)

    def total_bytes(self, path: Path) -> int:
        self._meet("total_bytes")
        return super().total_bytes(path)

    def written_at(self, path: Path) -> float:
        self._meet("written_at")
        return super().written_at(path)

    def free_bytes(self, path: Path) -> int:
        self._meet("free_bytes")
        return super().free_bytes(path)

    def in_use(self, path: Path) -> bool:
        self._meet("in_use")
        return super().in_use(path)

    def names(self, path: Path) -> Iterator[str]:
        self._meet("names")
        return super().names(path)
