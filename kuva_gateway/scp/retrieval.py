"""C-MOVE and C-GET up to the first sub-operation: the identifier, the barrier, what may be seen and how much it is.

Keeps nothing between requests. Promises one response at least for every request, and one log line for each retrieval
that came to its sub-operations, with its counts and without patient data.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from kuva_gateway.audit.events import Node
from kuva_gateway.catalog.retrieval import HERE, choose, purged
from kuva_gateway.catalog.visibility import selection
from kuva_gateway.decoding.process import Bounds, Decoder
from kuva_gateway.dicom import statuses
from kuva_gateway.dicom.identifier import IdentifierError, read_identifier, retrieval_keys
from kuva_gateway.dicom.information_model import Level, Negotiated, Service
from kuva_gateway.errors import DeferredError
from kuva_gateway.forward.call import Call
from kuva_gateway.forward.outgoing import OpenFile
from kuva_gateway.network.association import Association
from kuva_gateway.network.commands import Command
from kuva_gateway.network.records import AcceptedContext, Response
from kuva_gateway.scp.asked import Asked, CancelledError
from kuva_gateway.scp.fetching import Fetching
from kuva_gateway.scp.get import answer_get
from kuva_gateway.scp.listing import MOST_INSTANCES, NotListedError, elsewhere, news
from kuva_gateway.scp.lookup import Lookup
from kuva_gateway.scp.move import LISTEN_EVERY, answer_move
from kuva_gateway.scp.refusal import refuse
from kuva_gateway.scp.suboperations import PENDING_AT_LEAST_EVERY, Counts
from kuva_gateway.scp.told import Telling
from kuva_gateway.spool.awaited import Wanted

Callee = Callable[[str], "Call | None"]


class Retrieval:
    """Answers C-MOVE and C-GET.

    Parameters
    ----------
    callee
        The peers that are destinations of a C-MOVE.
    fetching
        How what only an archive has is fetched; None: it is not.
    is_restricted
        Whether the peer of a name sees only what authorizations cover.
    as_received
        Whether the peer of a name gets instances without amendments.
    decoding
        What decompressing for the peer of a name may use; None: it gets compressed images as they are.
    """

    def __init__(
        self,
        lookup: Lookup,
        *,
        open_file: OpenFile,
        callee: Callee,
        lenient: bool,
        fetching: Fetching | None,
        is_restricted: Callable[[str], bool],
        as_received: Callable[[str], bool],
        decoding: Callable[[str], Bounds | None],
        telling: Telling,
        log: Any,
    ) -> None:
        self._lookup = lookup
        self._open_file = open_file
        self._callee = callee
        self._lenient = lenient
        self._fetching = fetching
        self._is_restricted = is_restricted
        self._as_received = as_received
        self._decoding = decoding
        self._telling = telling
        self._log = log

    def answer(
        self, association: Association, context: AcceptedContext, command: Command, data_set: bytes, service: Service
    ) -> Generator[Response, None, None]:
        """The responses to a request."""
        begun = datetime.now(UTC)
        call = self._callee(command.move_destination) if service is Service.MOVE else None
        if service is Service.MOVE and call is None:
            yield refuse(statuses.MOVE_DESTINATION_UNKNOWN, "no peer with this AE title can be called from here")
            return
        try:
            asked = yield from self._understand(association, context, command, data_set, service, begun, call)
        except IdentifierError as error:
            yield refuse(error.status, error.comment, *error.offending)
            return
        except DeferredError:
            yield refuse(statuses.CANNOT_COUNT_MATCHES, "the catalog is away for now: ask again")
            return
        if isinstance(asked, Response):
            yield asked
            return
        yield from self._sub_operations(association, asked, call)

    def _understand(
        self,
        association: Association,
        context: AcceptedContext,
        command: Command,
        data_set: bytes,
        service: Service,
        begun: datetime,
        call: Call | None,
    ) -> Generator[Response, None, Asked | Response]:
        identifier = read_identifier(data_set, context.transfer_syntax, command.affected_class)
        negotiated = Negotiated.read(context.extended, service)
        keys = retrieval_keys(identifier, lenient=self._lenient, negotiated=negotiated)
        refusal = self._lookup.wait(begun)
        if refusal is not None:
            return refusal
        as_received = self._as_received(association.peer)
        catalog, restriction = self._lookup.catalog(), self._lookup.may_see(association.peer)
        selected = selection(keys, restriction, as_received=as_received)
        counts, fetch, unlisted = Counts(total=0), None, False
        wanted = purged(catalog, selected, MOST_INSTANCES)
        selected &= HERE
        fetching = self._fetching
        if fetching is not None and fetching.called_ae not in (association.calling_ae, call and call.called_ae):
            restricted = self._is_restricted(association.peer)
            asks = elsewhere(catalog, identifier.level, keys, restriction, covered_only=restricted)
            try:
                found = (yield from _listed(association, command, fetching, identifier.level, asks)) if asks else []
                wanted += news(found, catalog, restriction, covered_only=restricted)
            except CancelledError:
                return refuse(statuses.CANCELLED, "cancelled as asked")
            except NotListedError as error:
                counts, unlisted = _not_listed(identifier.level, asks, str(error)), True
            fetch = fetching.fetch(wanted) if wanted else None
        else:
            counts.total = len(wanted)
            counts.miss([one.sop_instance for one in wanted], "removed by retention, the archive has it")
        chosen = choose(catalog, selected)
        bounds = self._decoding(association.peer if call is None else call.name)
        if unlisted and not chosen.total and fetch is None:
            return refuse(statuses.CANNOT_COUNT_MATCHES, f"not here, and the archive does not say: {counts.why}")
        counts.total += chosen.total + (0 if fetch is None else fetch.total)
        return Asked(
            message_id=command.message_id or 0,
            priority=command.priority or 0,
            transfer_syntax=context.transfer_syntax,
            level=identifier.level,
            counts=counts,
            open_file=self._open_file,
            catalog=catalog,
            chosen=chosen,
            as_received=as_received,
            fetch=fetch,
            decoder=None if bounds is None else Decoder(bounds),
        )

    def _sub_operations(
        self, association: Association, asked: Asked, call: Call | None
    ) -> Generator[Response, None, None]:
        started, status = monotonic(), None
        responses = answer_get(association, asked) if call is None else answer_move(association, asked, call)
        try:
            for response in responses:
                status = response.status
                yield response
        finally:
            responses.close()
            if asked.fetch is not None:
                asked.fetch.stop()
            if asked.decoder is not None:
                asked.decoder.close()
            self._tell(association, asked, call)
            for sop_instance, why in asked.counts.damaged:
                self._log.error(
                    "a stored image cannot be sent",
                    association=association.id,
                    sop_instance=sop_instance,
                    why=why,
                    remedy="kuva-gateway spool verify; then have its sender send it again",
                )
            self._log.info(
                "retrieval",
                association=association.id,
                peer=association.peer,
                to=association.peer if call is None else call.name,
                query_level=asked.level.name,
                instances=asked.counts.total,
                fetched=0 if asked.fetch is None else asked.fetch.total,
                completed=asked.counts.completed,
                failed=asked.counts.failed,
                warnings=asked.counts.warning,
                why=asked.counts.why,
                status="" if status in (None, statuses.PENDING) else f"{status:04X}",
                seconds=round(monotonic() - started, 3),
            )

    def _tell(self, association: Association, asked: Asked, call: Call | None) -> None:
        """The audit trail hears whose images went, once any did."""
        counts = asked.counts
        sent = counts.completed + counts.warning
        if not sent:
            return
        failure = "" if sent == counts.total else f"{sent} of {counts.total} were sent: {counts.why or 'cancelled'}"
        to = None if call is None else Node(ae_title=call.called_ae, address=call.host)
        told = asked.chosen.told + (() if asked.fetch is None else asked.fetch.told)
        self._telling.retrieval(association, to, told, failure)


def _listed(
    association: Association,
    command: Command,
    fetching: Fetching,
    level: Level,
    asks: Mapping[Level, Sequence[str]],
) -> Generator[Response, None, list[Wanted]]:
    """What the archive lists; until it has, the asker hears that the gateway is at it, with a count for each key.

    Raises
    ------
    NotListedError
        It does not say.
    """
    listing, said = fetching.list(level, asks), monotonic()
    try:
        while not listing.wait(LISTEN_EVERY):
            if association.cancelled(command.message_id or 0):
                raise CancelledError
            if monotonic() - said >= PENDING_AT_LEAST_EVERY:
                yield Counts(total=max(1, len(asks.get(level, ())))).pending()
                said = monotonic()
        return listing.found()
    finally:
        listing.stop()


def _not_listed(level: Level, asks: Mapping[Level, Sequence[str]], why: str) -> Counts:
    """What the archive was asked for and did not tell of has failed: one for each key, for want of a number."""
    number = max(1, len(asks.get(level, ())))
    return Counts(total=number, failed=number, why=f"the archive: {why}")
