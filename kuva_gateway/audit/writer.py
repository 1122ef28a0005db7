"""What happens on many threads, written to the trail by one: nobody waits for the disk because of the trail.

Promises memory bounds (what does not fit is counted and told), that a failing disk is said once and tried again, and
that :meth:`AuditWriter.close` writes what is waiting.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from kuva_gateway.audit.events import Node, alert
from kuva_gateway.audit.message import Message, Source, to_xml
from kuva_gateway.audit.trail import Trail
from kuva_gateway.audit.trouble import Trouble
from kuva_gateway.errors import DamageError

MOST_WAITING = 10_000
"""Messages, some KiB each, that wait for a disk; those beyond are counted."""
_GROUP = 200
_GATHER = 0.5
"""Seconds that the first message waits for others, to share the lock and the sync: 1.3 ms of processor time saved for
each of many associations with one image."""
_AGAIN = 5.0  # seconds until a disk that failed is tried again


def trail_trouble(log: Any) -> Trouble:
    """What is said when the trail cannot be written, and when it can again."""
    return Trouble(
        lambda why: log.error("the audit trail cannot be written", why=why),
        lambda: log.info("the audit trail is written again"),
    )


class AuditWriter:
    """Appends messages to the trail on a thread of its own, which begins with the first."""

    def __init__(self, trail: Trail, us: Node, source: Source, *, log: Any, most_waiting: int = MOST_WAITING) -> None:
        self.us = us
        self._trail = trail
        self._source = source
        self._log = log
        self._trouble = trail_trouble(log)
        self._most = most_waiting
        self._waiting: deque[Message] = deque()
        self._lost = 0
        self._changed = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None

    def add(self, make: Callable[[Node, datetime], Message]) -> None:
        """Let a message, made for the gateway and this moment, be written soon."""
        message = make(self.us, datetime.now(UTC))
        with self._changed:
            if len(self._waiting) >= self._most:
                self._lost += 1
                return
            self._waiting.append(message)
            wakes = len(self._waiting) in (1, _GROUP)
            if self._thread is None and not self._closing:
                thread = threading.Thread(target=self._run, name="audit", daemon=True)
                with contextlib.suppress(RuntimeError):  # none is to be had now: the next message tries again
                    thread.start()
                    self._thread = thread
            if wakes:
                self._changed.notify()

    def close(self, seconds: float = 10.0) -> None:
        """Write what is waiting, within so many seconds; what comes later is not written."""
        with self._changed:
            self._closing = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join(seconds)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                self._changed.wait_for(lambda: len(self._waiting) >= _GROUP or self._closing, _GATHER)
                if not self._waiting:
                    return
                group = [self._waiting.popleft() for _ in range(min(_GROUP, len(self._waiting)))]
                lost, self._lost = self._lost, 0
            if lost:
                group.append(alert(self.us, datetime.now(UTC), what=f"{lost} audit messages could not be kept"))
            self._write(group)

    def _write(self, group: list[Message]) -> None:
        """Write, again and again until it is done or the writer is closed."""
        lines = [(message.at, to_xml(message, self._source)) for message in group]
        while True:
            try:
                self._trail.append(lines)
            except (OSError, DamageError) as error:
                self._trouble.met(error)
            else:
                self._trouble.passed()
                return
            deadline = monotonic() + _AGAIN
            with self._changed:
                while not self._closing and (left := deadline - monotonic()) > 0:
                    self._changed.wait(left)
                if self._closing:
                    self._lost += len(group)
                    self._log.error("audit messages were not kept", messages=len(group))
                    return


class Quiet:
    """Who was refused again and again is told of once a minute, with how often: a port scan does not fill the disk."""

    EVERY = 60.0
    MOST = 4096

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._told: dict[tuple[str, ...], tuple[float, int]] = {}

    def times(self, key: tuple[str, ...]) -> int:
        """How often ``key`` has come since it was told of, if it is to be told now; else 0."""
        now = self._clock()
        with self._lock:
            at, since = self._told.get(key, (float("-inf"), 0))
            if now - at < self.EVERY:
                self._told[key] = (at, since + 1)
                return 0
            if key not in self._told and len(self._told) >= self.MOST:
                self._forget(now)
            self._told[key] = (now, 0)
            return since + 1

    def _forget(self, now: float) -> None:
        recent = {key: value for key, value in self._told.items() if now - value[0] < self.EVERY}
        self._told = recent if len(recent) < self.MOST else {}
