"""Receiving in the daemon's own process."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from kuva_gateway import log, parts
from kuva_gateway.config import Configuration
from kuva_gateway.metrics.tally import Tally
from kuva_gateway.metrics.usage import Usage
from kuva_gateway.network.acceptor import Acceptor
from kuva_gateway.receiving.reception import ACCEPTING, Hooks, Passed, Receivers
from kuva_gateway.receiving.services import listeners
from kuva_gateway.receiving.serving import Serving
from kuva_gateway.spool import Spool


class Here:
    """A :class:`~kuva_gateway.receiving.reception.Reception` without processes of its own."""

    def __init__(
        self, configuration: Configuration, spool: Spool, hooks: Hooks, *, passed: Passed | None = None
    ) -> None:
        self._audit = parts.audit_writer(configuration, log.get_logger("audit"))
        self._tally = Tally()
        self._usage = Usage()
        self._serving = Serving(
            configuration,
            spool,
            on_receipt=hooks.on_receipt,
            on_commitment_result=hooks.on_commitment_result,
            commitment_requests=hooks.commitment_requests,
            wait_indexed=hooks.wait_indexed,
            audit=self._audit,
            tally=self._tally,
            usage=self._usage,
        )
        terms = self._serving.terms
        self._acceptor = Acceptor(
            listeners(configuration, passed),
            terms.services,
            timers=terms.timers,
            limits=terms.limits,
            log=log.limited(log.get_logger("network")),
            beat=partial(hooks.beat, ACCEPTING),
        )

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports on which peers reach the gateway."""
        return self._acceptor.ports

    @property
    def associations(self) -> int:
        """How many associations there are."""
        return self._acceptor.census.associations

    @property
    def receivers(self) -> Receivers:
        """One: this process."""
        return Receivers(wanted=1, ready=int(bool(self.ports)), replaced=0, pids=())

    @property
    def open_associations(self) -> dict[str, int]:
        """How many associations each peer has."""
        return self._acceptor.census.peers

    @property
    def tallies(self) -> list[Tally]:
        """What was counted."""
        return [self._tally]

    @property
    def usage(self) -> Usage:
        """What limited peers have used up."""
        return self._usage

    def start(self) -> None:
        """Bind the ports and begin."""
        self._acceptor.start()

    def in_flight(self, study_uid: str) -> bool:
        """Whether an association that stored into the study is in the middle of a message."""
        return self._serving.in_flight(study_uid)

    def told_until(self, moment: datetime) -> bool:
        """Always: ``on_receipt`` is called on the association's thread, before the acknowledgement."""
        return True

    def keep_out(self, sop_instances: frozenset[str]) -> None:
        """Refuse instances with these UIDs from now on (A771), and no others."""
        self._serving.keep_out(sop_instances)

    def prepare(self, configuration: Configuration) -> Callable[[], None]:
        """See :class:`~kuva_gateway.receiving.reception.Reception`."""
        terms = self._serving.make(configuration)

        def take_on() -> None:
            self._serving.take_on(configuration, terms)
            self._acceptor.serve_under(terms)

        return take_on

    def drain(self, timeout: float) -> None:
        """Stop listening, finish messages in progress, end everything else."""
        self._acceptor.drain(timeout)
        self._audit.close()
        self._serving.close()
