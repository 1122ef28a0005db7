"""The gateway's services as the network sees them: admission, C-STORE, and every other request to its own answer.

Promises one log line for each association that came in, with what it did and how it ended, and no patient data in it.
(One that did not come in has a line of the network's own.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from kuva_gateway.config import Configuration
from kuva_gateway.dicom import statuses
from kuva_gateway.dicom.information_model import MODELS, Service
from kuva_gateway.log import get_logger
from kuva_gateway.metrics.tally import NOBODY, Tally
from kuva_gateway.metrics.usage import Usage
from kuva_gateway.network.association import Association
from kuva_gateway.network.commands import (
    C_ECHO_RQ,
    C_FIND_RQ,
    C_GET_RQ,
    C_MOVE_RQ,
    N_ACTION_RQ,
    N_EVENT_REPORT_RQ,
    Command,
)
from kuva_gateway.network.records import (
    AcceptedContext,
    Admission,
    AssociationRequest,
    Rejection,
    Response,
)
from kuva_gateway.scp.activity import Activities
from kuva_gateway.scp.commitment import CommitmentRequests, OnCommitmentResult, answer_report, answer_request
from kuva_gateway.scp.echo import answer_echo
from kuva_gateway.scp.limits import Limiter
from kuva_gateway.scp.lookup import Lookup
from kuva_gateway.scp.policy import Policy
from kuva_gateway.scp.refusal import refuse
from kuva_gateway.scp.store import Immediate, OnReceipt, Store, StoreSink
from kuva_gateway.scp.told import Add, Telling
from kuva_gateway.spool import Spool

if TYPE_CHECKING:
    from kuva_gateway.decoding.process import Bounds
    from kuva_gateway.forward.call import Call, Upstream
    from kuva_gateway.scp.fetched_store import FetchedSink, FetchedStore
    from kuva_gateway.scp.fetching import Fetching
    from kuva_gateway.scp.retrieval import Retrieval
    from kuva_gateway.scp.upstream_rest import UpstreamRest
    from kuva_gateway.spool.fetched import FetchedFiles

Callee = Callable[[str], "Call | None"]
"""AE title to how it is called; None: no peer with that title can be called."""

PROBING = 5.0
"""Seconds beyond ``query.upstream_timeout`` until another question may find out whether the archive is back."""

_QUERIES = {C_FIND_RQ: Service.FIND, C_MOVE_RQ: Service.MOVE, C_GET_RQ: Service.GET}


class Dispatcher:
    """Implements :class:`kuva_gateway.network.protocols.Services`.

    Parameters
    ----------
    on_receipt
        Told of each instance that is safe, before it is acknowledged.
    immediate
        The rules that refuse an instance at once.
    on_commitment_result
        Takes what an archive reports; raises DeferredError when it cannot now.
    commitment_requests
        Takes what peers ask us to commit to.
    lookup
        The catalog and the rest that queries and retrieval need; None where there is no catalog: neither is offered.
    callee
        AE title to the peer that is called for a C-MOVE.
    upstream
        The archive that queries are also put to; None: there is none.
    audit
        Takes what the audit trail is to be told of; None: there is no trail.
    tally
        Counts what comes; None: nobody looks at the counts.
    usage
        What limited peers have used up; None: nobody else counts.
    """

    def __init__(
        self,
        configuration: Configuration,
        spool: Spool,
        *,
        on_receipt: OnReceipt,
        immediate: Immediate,
        on_commitment_result: OnCommitmentResult,
        commitment_requests: CommitmentRequests,
        lookup: Lookup | None = None,
        callee: Callee = lambda ae_title: None,
        upstream: Upstream | None = None,
        audit: Add | None = None,
        tally: Tally | None = None,
        usage: Usage | None = None,
        log: Any | None = None,
    ) -> None:
        self._log = log if log is not None else get_logger("scp")
        self._policy = Policy(configuration, fetches=self._fetches)
        self._activities = Activities()
        self._telling = Telling(audit)
        self._tally = tally if tally is not None else Tally()
        self._ae_title = configuration.ae_title
        self._on_commitment_result = on_commitment_result
        self._commitment_requests = commitment_requests
        self._configuration = configuration
        self._lookup = lookup
        self._callee = callee
        self._upstream = upstream
        self._spool = spool
        self._fetch_ae_title = configuration.query.fetch_ae_title
        self._fetching: Fetching | None = None
        self._rest: UpstreamRest | None = None
        self._fetched_files: FetchedFiles | None = None
        self._fetched_store: FetchedStore | None = None
        self._open_file = spool.open_instance
        self._store = Store(
            spool,
            is_storage=self._policy.is_storage,
            immediate=immediate,
            on_receipt=on_receipt,
            activities=self._activities,
            telling=self._telling,
            tally=self._tally,
            limiter=Limiter(
                {peer.name: peer.limits for peer in configuration.peers},
                usage if usage is not None else Usage(),
                longest=configuration.timers.message / 4,
            ),
            log=self._log,
        )

    def in_flight(self, study_uid: str) -> bool:
        """Whether an association that stored into the study is in the middle of a message."""
        return self._activities.in_flight(study_uid)

    def keep_out(self, sop_instances: frozenset[str]) -> None:
        """Refuse instances with these UIDs from now on (A771), and no others."""
        self._store.rejected = sop_instances

    # -- what the network asks -----------------------------------------------------------------------------------

    def admit(self, request: AssociationRequest) -> Admission | Rejection:
        """May this peer come in, and what may it do?"""
        decision = self._policy.admit(request)
        if isinstance(decision, Admission) and request.certificate is not None:
            self._tally.shown(decision.peer, request.certificate.expires)
        return decision

    def refused(self, address: str, request: AssociationRequest | None, why: str) -> None:
        """Somebody was not let in."""
        self._tally.ended(NOBODY, "tls_failed" if request is None else "rejected")
        self._telling.refused(address, request, why)

    def store(
        self, association: Association, context: AcceptedContext, command: Command
    ) -> StoreSink | FetchedSink | Response:
        """Where the data set of a C-STORE goes, or why it is refused."""
        if association.called_ae == self._fetch_ae_title:
            return self._take_fetched().begin(association, context, command)
        return self._store.begin(association, context, command)

    def request(
        self, association: Association, context: AcceptedContext, command: Command, data_set: bytes
    ) -> Iterable[Response]:
        """The answers to any other request."""
        if command.field == C_ECHO_RQ:
            return (answer_echo(context),)
        if command.field == N_EVENT_REPORT_RQ:
            response = answer_report(
                context,
                command,
                data_set,
                destinations=self._policy.destinations(association.calling_ae),
                on_result=self._on_commitment_result,
            )
            return (response,)
        if command.field == N_ACTION_RQ:
            response = answer_request(
                association,
                context,
                command,
                data_set,
                allowed=self._policy.may_commit(association.peer),
                ae_title=self._ae_title,
                requests=self._commitment_requests,
            )
            return (response,)
        if command.field in _QUERIES and self._lookup is not None:
            return self._query(association, context, command, data_set, self._lookup)
        return (refuse(statuses.UNRECOGNISED_OPERATION, f"{command.name} is not offered"),)

    def _query(
        self, association: Association, context: AcceptedContext, command: Command, data_set: bytes, lookup: Lookup
    ) -> Iterable[Response]:
        """C-FIND, C-MOVE, C-GET. What only they need is imported by the first of them: most processes only store."""
        model = MODELS.get(command.affected_class)
        if (
            model is None
            or command.affected_class != context.abstract_syntax
            or model.service is not _QUERIES[command.field]
        ):
            return (refuse(statuses.CLASS_NOT_SUPPORTED, f"{command.name} with another SOP class than its context's"),)
        if model.service is Service.FIND:
            from kuva_gateway.scp.find import find

            found = find(
                association,
                context,
                command,
                data_set,
                configuration=self._configuration,
                lookup=lookup,
                upstream=None if self._upstream is None else self._upstream.query,
                rest=self._upstream_rest(),
                log=self._log,
            )
            return self._telling.query(association, context, command, data_set, found)
        return self._retrieval(lookup).answer(association, context, command, data_set, model.service)

    def _as_received(self, peer: str) -> bool:
        """Whether the peer of this name sees and gets what was received, without amendments."""
        found = self._configuration.peer(peer)
        return found is not None and found.as_received

    def _decoding(self, peer: str) -> Bounds | None:
        """What decompressing for the peer of this name may use, where it is to get images decompressed."""
        from kuva_gateway.decoding.process import Bounds

        found = self._configuration.peer(peer)
        return Bounds.of(self._configuration) if found is not None and found.decompress else None

    def _retrieval(self, lookup: Lookup) -> Retrieval:
        from kuva_gateway.scp.retrieval import Retrieval

        return Retrieval(
            lookup,
            open_file=self._open_file,
            callee=self._callee,
            lenient=self._configuration.query.lenient,
            fetching=self._fetch(),
            is_restricted=self._configuration.is_restricted,
            as_received=self._as_received,
            decoding=self._decoding,
            telling=self._telling,
            log=self._log,
        )

    def _fetch(self) -> Fetching | None:
        """How what only the archive has is fetched; made by the first request that may need it."""
        if self._fetching is None and self._upstream is not None:
            from kuva_gateway.scp.fetching import Fetching

            own = self._configuration.query
            self._fetching = Fetching(
                self._upstream.query,
                self._upstream.fetch,
                self._copies(),
                self._upstream_rest(),
                seconds=own.upstream_timeout,
                destination=own.fetch_ae_title,
            )
        return self._fetching

    def _upstream_rest(self) -> UpstreamRest | None:
        if self._rest is None and self._upstream is not None:
            from kuva_gateway.scp.upstream_rest import UpstreamRest

            own = self._configuration.query
            self._rest = UpstreamRest(
                self._spool, name=self._upstream.query.name, patience=own.upstream_timeout + PROBING, log=self._log
            )
        return self._rest

    def _copies(self) -> FetchedFiles:
        if self._fetched_files is None:
            from kuva_gateway.spool.fetched import FetchedFiles

            self._fetched_files = FetchedFiles(self._spool, keep_for=self._configuration.query.cache_for)
        return self._fetched_files

    def _fetches(self) -> bool:
        """Whether the archive was asked to send something here and has not finished."""
        return self._copies().awaited.any()

    def _take_fetched(self) -> FetchedStore:
        """What the archive sends because we asked; made when it first does."""
        if self._fetched_store is None:
            from kuva_gateway.scp.fetched_store import FetchedStore

            self._fetched_store = FetchedStore(self._copies(), self._activities)
        return self._fetched_store

    def closed(self, association: Association, how: str) -> None:
        """The association is over: its one line."""
        activity = self._activities.forget(association)
        for study in activity.received.rest():
            self._telling.received(association, study)
        self._tally.ended(association.peer, "released" if how == "released" else "ended")
        traffic = association.traffic
        self._log.info(
            "association",
            association=association.id,
            peer=association.peer,
            calling_ae=association.calling_ae,
            address=association.address,
            **({"tls": association.tls} if association.tls else {}),
            stored=activity.stored,
            **({"studies": list(activity.studies)} if activity.studies else {}),
            **({"fetched": activity.fetched} if activity.fetched else {}),
            refused={f"{status:04X}": count for status, count in sorted(activity.refused.items())},
            requests=traffic.requests,
            bytes=traffic.bytes_received,
            seconds=round(traffic.seconds, 3),
            how=how,
        )
