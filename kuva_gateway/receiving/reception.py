"""What the daemon asks of receiving, whichever processes do it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from kuva_gateway import log
from kuva_gateway.config import Configuration
from kuva_gateway.metrics.tally import Tally
from kuva_gateway.metrics.usage import Usage
from kuva_gateway.scp.commitment import CommitmentRequests, OnCommitmentResult
from kuva_gateway.scp.lookup import WaitIndexed
from kuva_gateway.scp.store import OnReceipt
from kuva_gateway.spool import Spool

Passed = Mapping[str, socket.socket]
"""Listening sockets that a supervisor keeps open, by their names."""
ACCEPTING, RECEIVING = "accepting", "receiving"
"""Who goes round: the loop that takes connections, and whoever serves them."""
MOST_BY_DEFAULT = 3
"""Receiving processes that are started at most unless more are asked for; each needs about 50 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What receiving tells the daemon."""

    on_receipt: OnReceipt
    """Told of each instance that is safe, before it is acknowledged. Must not wait for anything."""
    on_commitment_result: OnCommitmentResult
    commitment_requests: CommitmentRequests
    wait_indexed: WaitIndexed
    """The barrier before queries: has the indexer passed what was acknowledged before they came?"""
    on_lost_notices: Callable[[], None]
    """A receiving process has ended: something may stand in ``arrived/`` that nobody was told of."""
    beat: Callable[[str], object] = lambda who: None
    """Called with who goes round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receivers:
    """The processes that receive; the daemon itself counts as one where it receives."""

    wanted: int
    ready: int
    replaced: int
    """How many ended that should not have, and were started anew."""
    pids: tuple[int, ...]
    """Those beside the daemon."""


class Reception(Protocol):
    """Receiving, from bound ports to its end."""

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports on which peers reach the gateway."""

    @property
    def associations(self) -> int:
        """How many associations there are."""

    @property
    def receivers(self) -> Receivers:
        """The processes that receive."""

    @property
    def open_associations(self) -> dict[str, int]:
        """How many associations each peer has, by its configured name; who has none is left out."""

    @property
    def tallies(self) -> list[Tally]:
        """What was counted since the start; see :func:`~kuva_gateway.metrics.tally.together`."""

    @property
    def usage(self) -> Usage:
        """What limited peers have used up."""

    def start(self) -> None:
        """Bind the ports and begin; OSError when a port cannot be had."""

    def in_flight(self, study_uid: str) -> bool:
        """Whether an association that stored into the study is in the middle of a message."""

    def told_until(self, moment: datetime) -> bool:
        """Whether ``on_receipt`` was called for everything that was acknowledged before ``moment``."""

    def keep_out(self, sop_instances: frozenset[str]) -> None:
        """Refuse instances with these UIDs from now on (A771), and no others."""

    def prepare(self, configuration: Configuration) -> Callable[[], None]:
        """Make ready for another configuration, whose listeners are the same; what is returned makes it count.

        It counts for who connects from then on; associations that are there end under their own.

        Raises
        ------
        GatewayError
            It cannot be taken on (a file that cannot be used, a process that does not answer); nothing has changed.
        """

    def drain(self, timeout: float) -> None:
        """Stop listening, finish messages in progress, end everything else within ``timeout`` seconds and a few."""


def reception(configuration: Configuration, spool: Spool, hooks: Hooks, passed: Passed | None = None) -> Reception:
    """Receiving as the configuration wants it: ``listen.processes`` of them, 0 for none but the daemon's own.

    Sockets that were ``passed`` on, by their names (:data:`~kuva_gateway.receiving.services.SOCKETS`), are listened to
    instead of the configured addresses.
    """
    from kuva_gateway.receiving.crew import Crew
    from kuva_gateway.receiving.here import Here

    _tell_unlike(configuration, passed or {})
    count = process_count(configuration)
    if count:
        return Crew(configuration, spool, hooks, count=count, passed=passed)
    return Here(configuration, spool, hooks, passed=passed)


def _tell_unlike(configuration: Configuration, passed: Passed) -> None:
    """Where peers are heard is the supervisor's word when it passed a socket on; say where the file says otherwise."""
    from kuva_gateway.receiving.services import PLAIN, SECURED

    wanted = {PLAIN: configuration.listen.port, SECURED: configuration.tls.port}
    for name, socket_ in passed.items():
        port = socket_.getsockname()[1]
        if wanted.get(name) is None:
            log.get_logger("receiving").warning("a passed socket is not used", name=name, port=port)
        elif wanted[name] != port:
            log.get_logger("receiving").warning(
                "a passed socket has another port than configured", name=name, port=port, configured=wanted[name]
            )


def process_count(configuration: Configuration) -> int:
    """How many receiving processes there are: as configured, else one for each processor, at most three."""
    wanted = configuration.listen.processes
    return min(len(os.sched_getaffinity(0)), MOST_BY_DEFAULT) if wanted is None else wanted
