"""What the daemon asks of receiving, whichever processes do it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from kuva_gateway.config import Configuration
from kuva_gateway.metrics.tally import Tally
from kuva_gateway.scp.commitment import CommitmentRequests, OnCommitmentResult
from kuva_gateway.scp.lookup import WaitIndexed
from kuva_gateway.scp.store import OnReceipt
from kuva_gateway.spool import Spool

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


def reception(configuration: Configuration, spool: Spool, hooks: Hooks) -> Reception:
    """Receiving as the configuration wants it: ``listen.processes`` of them, 0 for none but the daemon's own."""
    from kuva_gateway.receiving.crew import Crew
    from kuva_gateway.receiving.here import Here

    count = process_count(configuration)
    return Crew(configuration, spool, hooks, count=count) if count else Here(configuration, spool, hooks)


def process_count(configuration: Configuration) -> int:
    """How many receiving processes there are: as configured, else one for each processor, at most three."""
    wanted = configuration.listen.processes
    return min(len(os.sched_getaffinity(0)), MOST_BY_DEFAULT) if wanted is None else wanted
