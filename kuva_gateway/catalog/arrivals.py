"""Arrivals that the indexer knows of and has not indexed: a bounded queue of notices, and what only a listing finds.

Notices beyond ``capacity`` are dropped, because their files stand in ``arrived/`` in the order in which they came: the
backlog remembers since when, and a listing finds them again. Not thread-safe: the indexer's lock is around it.
"""

from __future__ import annotations

import itertools
from collections import deque
from typing import NamedTuple

from kuva_gateway.dicom.header import Header
from kuva_gateway.spool.receipt import Arrival


class Notice(NamedTuple):
    """An arrival, with its header unless that has to be read from the file."""

    arrival: Arrival
    header: Header | None


class Arrivals:
    """What waits to be indexed."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._waiting: deque[Notice] = deque()
        self._in_hand: list[Notice] = []
        self._backlog_since: int | None = None
        self._listing_since: int | None = None
        self._dropped = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._in_hand) + self._dropped

    @property
    def waiting(self) -> int:
        """Notices that are ready to be taken."""
        return len(self._waiting)

    def add(self, notice: Notice) -> None:
        """Remember the notice, or that there is a backlog from its time on."""
        if self._backlog_since is not None or len(self._waiting) >= self._capacity:
            self._dropped += 1
            self.expect_backlog(notice.arrival.receipt.time_ns)
        else:
            self._waiting.append(notice)

    def expect_backlog(self, since_ns: int = 0) -> None:
        """There are files in ``arrived/`` that no notice tells of."""
        self._backlog_since = since_ns if self._backlog_since is None else min(self._backlog_since, since_ns)

    @property
    def backlog(self) -> bool:
        """Must ``arrived/`` be listed?"""
        return self._backlog_since is not None

    @property
    def behind(self) -> bool:
        """Is there, or may there be, something that only a listing finds?"""
        return self._backlog_since is not None or self._listing_since is not None

    @property
    def oldest_ns(self) -> int | None:
        """When the oldest notice was received, in nanoseconds since 1970; None without any."""
        known = (*self._in_hand, *(itertools.islice(self._waiting, 1)))
        return min((notice.arrival.receipt.time_ns for notice in known), default=None)

    @property
    def idle(self) -> bool:
        """Is nothing known that is not indexed?"""
        return not self._waiting and not self._in_hand and self._backlog_since is None and self._listing_since is None

    def take(self, limit: int) -> list[Notice]:
        """The oldest notices, which are in hand from now on."""
        self._in_hand = [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]
        return self._in_hand

    def done(self) -> None:
        """What was in hand is indexed."""
        self._in_hand = []

    def put_back(self) -> None:
        """What was in hand is not indexed and comes first again."""
        self._waiting.extendleft(reversed(self._in_hand))
        self._in_hand = []

    def leave_to_listing(self, left: int) -> None:
        """So many in hand are not indexed; a listing finds them, so that what cannot be read delays no other."""
        self._dropped += left
        self.expect_backlog(min(notice.arrival.receipt.time_ns for notice in self._in_hand))
        self._in_hand = []

    def begin_listing(self) -> None:
        """A listing begins; what is dropped from now on may be too late for it."""
        self._listing_since, self._backlog_since = self._backlog_since, None
        self._dropped = 0

    def end_listing(self, *, complete: bool, left: int = 0) -> None:
        """The listing has been indexed to its end, or must be done again, with at least ``left`` to be found."""
        self._dropped += left
        since, self._listing_since = self._listing_since, None
        if not complete and since is not None:
            self.expect_backlog(since)

    def passed(self, until_ns: int) -> bool:
        """Is nothing waiting that was received before this?"""
        marks = [since for since in (self._backlog_since, self._listing_since) if since is not None]
        marks += [notice.arrival.receipt.time_ns for notice in self._in_hand]
        marks += [notice.arrival.receipt.time_ns for notice in self._waiting]
        return all(mark >= until_ns for mark in marks)
