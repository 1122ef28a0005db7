"""What one receiving process serves associations with: for each configuration that it has had, terms of their own.

Keeps the dispatchers that associations still use. Promises that an association ends under the terms under which it
came in, and that what is asked of the process (what it has in hand, what it is to keep out) concerns all of them.
"""

from __future__ import annotations

import threading
import weakref

from kuva_gateway import parts
from kuva_gateway.audit.writer import AuditWriter
from kuva_gateway.config import Configuration
from kuva_gateway.metrics.tally import Tally
from kuva_gateway.metrics.usage import Usage
from kuva_gateway.network import Terms
from kuva_gateway.receiving.services import listeners, make_lookup, make_services
from kuva_gateway.scp.commitment import CommitmentRequests, OnCommitmentResult
from kuva_gateway.scp.dispatch import Dispatcher
from kuva_gateway.scp.lookup import WaitIndexed
from kuva_gateway.scp.store import OnReceipt
from kuva_gateway.spool import Spool


class Serving:
    """Made with the first configuration; :meth:`make` and :meth:`take_on` bring in the next one."""

    def __init__(
        self,
        configuration: Configuration,
        spool: Spool,
        *,
        on_receipt: OnReceipt,
        on_commitment_result: OnCommitmentResult,
        commitment_requests: CommitmentRequests,
        wait_indexed: WaitIndexed,
        audit: AuditWriter,
        tally: Tally,
        usage: Usage,
    ) -> None:
        self._spool = spool
        self._on_receipt = on_receipt
        self._on_commitment_result = on_commitment_result
        self._commitment_requests = commitment_requests
        self._audit = audit
        self._tally = tally
        self._usage = usage
        self._lookup = make_lookup(configuration, wait_indexed)
        self._lock = threading.Lock()
        self._dispatchers: list[weakref.ref[Dispatcher]] = []
        self._kept_out: frozenset[str] = frozenset()
        self.terms = self.make(configuration)
        self.take_on(configuration, self.terms)

    def make(self, configuration: Configuration) -> Terms:
        """The terms that a configuration means; nobody is served under them yet.

        Raises
        ------
        GatewayError
            A file that it names cannot be used.
        """
        dispatcher = make_services(
            configuration,
            self._spool,
            self._on_receipt,
            self._on_commitment_result,
            self._commitment_requests,
            self._lookup,
            self._audit,
            self._tally,
            self._usage,
        )
        with self._lock:
            dispatcher.keep_out(self._kept_out)
            self._dispatchers = [one for one in self._dispatchers if one() is not None] + [weakref.ref(dispatcher)]
        return Terms(
            tls=[listener.tls for listener in listeners(configuration)],
            services=dispatcher,
            timers=parts.timers(configuration),
            limits=parts.limits(configuration),
        )

    def take_on(self, configuration: Configuration, terms: Terms) -> None:
        """From now on these are the terms; what peers may see changes for associations that are there as well."""
        self.terms = terms
        self._lookup.follow(may_see=parts.make_may_see(configuration), barrier=configuration.query.barrier)
        self._spool.space.minimum_free = configuration.spool.minimum_free

    def in_flight(self, study_uid: str) -> bool:
        """Whether an association that stored into the study is in the middle of a message."""
        return any(dispatcher.in_flight(study_uid) for dispatcher in self._in_use())

    def keep_out(self, sop_instances: frozenset[str]) -> None:
        """Refuse instances with these UIDs from now on (A771), and no others."""
        with self._lock:
            self._kept_out = sop_instances
        for dispatcher in self._in_use():
            dispatcher.keep_out(sop_instances)

    def close(self) -> None:
        """Close what queries opened, once nobody is served any more."""
        self._lookup.close()

    def _in_use(self) -> list[Dispatcher]:
        with self._lock:
            found = [one() for one in self._dispatchers]
        return [dispatcher for dispatcher in found if dispatcher is not None]
