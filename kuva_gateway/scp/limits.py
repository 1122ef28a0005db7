"""How much one peer may send: slowed down where that is enough, refused where it is not (``peers[].limits``).

A rate is an allowance that fills up evenly, up to that of a whole minute or hour. Who has used it up waits before the
next instance, while TCP holds the sender back, and is refused only where the wait would be so long that a modality
would take the gateway for dead. Promises that the limits hold for all receiving processes together, and that a peer
without limits costs nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from kuva_gateway.config.peer import PeerLimits
from kuva_gateway.dicom import statuses
from kuva_gateway.errors import DeferredError
from kuva_gateway.metrics.usage import Meters, Usage
from kuva_gateway.network.records import Response
from kuva_gateway.scp.refusal import refuse

LONGEST: Final = 10.0
"""Seconds that an instance is made to wait at most; modalities give up after 30 to 60."""

_MINUTE, _HOUR = 60_000_000_000, 3_600_000_000_000  # nanoseconds


class TooLargeError(DeferredError):
    """A data set is longer than its peer may send."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Over:
    """A limit that is reached: its name, and nanoseconds until the peer may go on (None: no wait helps)."""

    limit: str
    wait: int | None


class Limiter:
    """The limits of the peers that have any; ``peers`` by their configured names."""

    def __init__(
        self,
        peers: Mapping[str, PeerLimits],
        usage: Usage,
        *,
        longest: float = LONGEST,
        clock: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._limits = {name: limits for name, limits in peers.items() if limits.of_instances}
        self._usage = usage
        self._longest = int(min(longest, LONGEST) * 1e9)
        self._clock = clock
        self._sleep = sleep

    def begin(self, peer: str) -> Response | None:
        """Before an instance is received: wait until the peer may send it, or say why not."""
        limits = self._limits.get(peer)
        if limits is None:
            return None
        with self._usage.of(peer) as meters:
            now = self._clock()
            over = _over(meters, limits, now)
            wait = 0 if over is None else over.wait
            if over is not None and (wait is None or wait > self._longest):
                meters.refuse(over.limit)
                return _say_no(over.limit, limits)
            if limits.instances_per_minute is not None:
                meters.instances_until = _taken(meters.instances_until, now, _MINUTE, limits.instances_per_minute, 1)
            meters.slow(wait or 0)
        if wait:
            self._sleep(wait / 1e9)
        return None

    def largest(self, peer: str) -> int | None:
        """Bytes that one data set of the peer may have."""
        limits = self._limits.get(peer)
        return None if limits is None else limits.object_size

    def too_large(self, peer: str) -> Response:
        """Count a data set that is longer; what is answered to it."""
        with self._usage.of(peer) as meters:
            meters.refuse("object_size")
        return _say_no("object_size", self._limits[peer])

    def received(self, peer: str, size: int, *, stored: bool) -> None:
        """Bytes of a data set came, whatever became of them."""
        limits = self._limits.get(peer)
        if limits is None:
            return
        with self._usage.of(peer) as meters:
            if limits.bytes_per_hour is not None:
                meters.bytes_until = _taken(meters.bytes_until, self._clock(), _HOUR, limits.bytes_per_hour, size)
            if stored:
                meters.store(size)


def _over(meters: Meters, limits: PeerLimits, now: int) -> _Over | None:
    """The limit that keeps the next instance out for longest."""
    if limits.quota is not None and meters.waiting >= limits.quota:
        return _Over(limit="quota", wait=None)
    found = None
    if limits.instances_per_minute is not None:
        one = _MINUTE // limits.instances_per_minute
        wait = meters.instances_until + one - now - _MINUTE
        if wait > 0:
            found = _Over(limit="instances_per_minute", wait=wait)
    if limits.bytes_per_hour is not None:
        wait = meters.bytes_until - now - _HOUR
        if wait > 0 and (found is None or wait > (found.wait or 0)):
            found = _Over(limit="bytes_per_hour", wait=wait)
    return found


def _taken(until: int, now: int, period: int, allowance: int, amount: int) -> int:
    """When an allowance for each ``period`` is whole again, once ``amount`` of it was taken."""
    return max(until, now) + amount * period // allowance


def _say_no(limit: str, limits: PeerLimits) -> Response:
    if limit == "object_size":
        return refuse(statuses.NOT_AUTHORISED, "larger than this peer may send (limits.object_size)")
    if limit == "quota":
        return refuse(statuses.OVER_LIMIT, "too much of this peer is not archived yet (limits.quota)")
    if limit == "bytes_per_hour":
        return refuse(statuses.OVER_LIMIT, "more bytes an hour than this peer may send: later")
    return refuse(statuses.OVER_LIMIT, "more images a minute than this peer may send: later")
