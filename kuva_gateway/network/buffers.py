"""Buffers that pass from association to association, so that an idle one holds none.

Promises at most ``keep`` spare buffers; beyond that they are given back to the system, and not merely to the allocator,
which would keep what a crowd once needed. A buffer takes as many pages as were written. Its content is whatever its
last user left there: nobody reads what they did not write.
"""

from __future__ import annotations

import mmap
from collections import deque

BUFFER_SIZE = 262_144
"""Bytes in a buffer: what one read can take from a fast sender, and the longest A-ASSOCIATE PDU."""


class BufferPool:
    """A stack of spare buffers, shared by all threads (deque's ends are atomic)."""

    def __init__(self, keep: int = 16) -> None:
        self._spare: deque[memoryview] = deque(maxlen=keep)

    def take(self) -> memoryview:
        """A writable view of ``BUFFER_SIZE`` bytes."""
        try:
            return self._spare.pop()
        except IndexError:
            return memoryview(mmap.mmap(-1, BUFFER_SIZE))

    def give(self, buffer: memoryview) -> None:
        """Give a buffer back; the giver must hold no slice of it."""
        self._spare.append(buffer)


POOL = BufferPool()
