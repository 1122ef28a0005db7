"""Who is connected, and how many may be: in all, half open, per address and per peer.

A connection is *half open* until its A-ASSOCIATE-RQ was accepted. Promises that who comes is not kept out by others
that say nothing: where there are too many half-open connections, the oldest gives way. All counts are guarded by one
lock, held for nothing but counting.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from enum import Enum

from kuva_gateway.network.timers import Limits


class Room(Enum):
    """What came of asking for room for one more association."""

    JOINED = "joined"
    PEER_FULL = "peer full"
    FULL = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Whether a connection may stay; ``instead_of`` is the number of one that is to be cut for it."""

    admitted: bool
    instead_of: int | None = None


class Census:
    """The counts of one acceptor. Other ``limits`` hold for who comes from then on."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._lock = threading.Lock()
        self._half_open: Counter[str] = Counter()
        self._waiting: dict[int, str] = {}  # number -> address of what is half open, the oldest first
        self._peers: Counter[str] = Counter()

    def arrive(self, address: str, number: int) -> Entry:
        """Count a new connection as half open, unless its address has too many of them."""
        with self._lock:
            if self._half_open[address] >= self.limits.half_open_per_address:
                return Entry(admitted=False)
            oldest = None
            if len(self._waiting) >= self.limits.half_open:
                oldest = next(iter(self._waiting))
                self._forget(oldest)
            self._waiting[number] = address
            self._half_open[address] += 1
            return Entry(admitted=True, instead_of=oldest)

    def depart(self, number: int) -> None:
        """A half-open connection became an association, or went away; one that gave way before is counted no more."""
        with self._lock:
            if number in self._waiting:
                self._forget(number)

    def _forget(self, number: int) -> None:
        address = self._waiting.pop(number)
        self._half_open[address] -= 1
        if not self._half_open[address]:
            del self._half_open[address]

    def join(self, peer: str, limit: int) -> Room:
        """Count an association of ``peer``, unless it has ``limit`` of them or the house is full."""
        with self._lock:
            if self._peers.total() >= self.limits.associations:
                return Room.FULL
            if self._peers[peer] >= limit:
                return Room.PEER_FULL
            self._peers[peer] += 1
            return Room.JOINED

    def leave(self, peer: str) -> None:
        """An association of ``peer`` ended."""
        with self._lock:
            self._peers[peer] -= 1
            if not self._peers[peer]:
                del self._peers[peer]

    @property
    def peers(self) -> dict[str, int]:
        """How many associations each peer has; who has none is left out."""
        with self._lock:
            return dict(self._peers)

    @property
    def associations(self) -> int:
        """How many associations there are."""
        with self._lock:
            return self._peers.total()
