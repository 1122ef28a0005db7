"""The connections of this process that others opened: each on a thread of its own, until it ends or is drained.

Promises that every connection ends, and that each association's end is told to ``Services.closed`` once.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic

from kuva_gateway.network.association import Association
from kuva_gateway.network.incoming import Incoming
from kuva_gateway.network.protocols import Counts, Log, Services
from kuva_gateway.network.timers import Limits, Timers

_LAST_WORDS = 1.0  # seconds for A-ABORT to leave before a connection is cut


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a connection is served under, from its first byte to its last, whatever is agreed with others meanwhile."""

    tls: Sequence[ssl.SSLContext | None]
    """For each listener its TLS context, None for a plain one."""
    services: Services
    timers: Timers
    limits: Limits


class Connections:
    """Everybody who is connected to this process. Those to come are served under what :attr:`terms` is then.

    Parameters
    ----------
    ended
        Told of the number of each connection that is over.
    counts
        Who counts half-open connections and associations; asked and told by each connection's thread.
    """

    def __init__(
        self,
        terms: Terms,
        *,
        counts: Counts,
        log: Log,
        ended: Callable[[int], object] = lambda number: None,
    ) -> None:
        self.terms = terms
        self.counts = counts
        self.log = log
        self._ended = ended
        self._incoming: set[Incoming] = set()
        self._empty = threading.Condition()
        self._draining = False

    def take(self, connection: socket.socket, address: str, listener: int, number: int) -> None:
        """Run a connection, which was counted as half open, on a thread of its own.

        Raises
        ------
        OSError, RuntimeError
            It is gone already, or no thread can be started; the connection is still the caller's.
        """
        one = Incoming(self, self.terms, connection, address, listener, number)
        with self._empty:
            self._incoming.add(one)
            draining = self._draining
        try:
            threading.Thread(target=one.run, name="dicom-association", daemon=True).start()
        except RuntimeError:
            with self._empty:
                self._incoming.discard(one)
            raise RuntimeError("no thread can be started") from None
        if draining:  # the drain looked just before it came
            one.drain()

    def give_way(self, number: int) -> None:
        """Cut a connection that has not become an association: another one needs its place."""
        with self._empty:
            found = next((one for one in self._incoming if one.number == number), None)
        if found is not None:
            found.give_way()

    def associations(self) -> tuple[Association, ...]:
        """The associations that are established now."""
        with self._empty:
            found = tuple(one.association for one in self._incoming)
        return tuple(association for association in found if association is not None and not association.over)

    def drain(self, timeout: float) -> int:
        """Let messages in progress be finished and answered, end everything else, wait ``timeout`` s.

        Returns how many connections had to be cut at the end of that time. What is taken from now on ends at once.
        """
        deadline = monotonic() + timeout
        with self._empty:
            self._draining = True
            everyone = tuple(self._incoming)
        for one in everyone:
            one.drain()
        cut = 0
        if not self._wait_empty(deadline - monotonic()):
            with self._empty:
                everyone = tuple(self._incoming)
            cut = len(everyone)
            for one in everyone:
                one.abort()
            if not self._wait_empty(_LAST_WORDS):
                for one in everyone:
                    one.cut()
                self._wait_empty(self.terms.timers.closing)
        return cut

    def forget(self, one: Incoming) -> None:
        """A connection's thread has ended."""
        self._ended(one.number)
        with self._empty:
            self._incoming.discard(one)
            self._empty.notify_all()

    def _wait_empty(self, seconds: float) -> bool:
        with self._empty:
            return self._empty.wait_for(lambda: not self._incoming, max(0.0, seconds))
