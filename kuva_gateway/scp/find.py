"""C-FIND (PS3.4 C.4.1): what peers ask of the catalog, answered match by match.

Promises a final status for every query; that nothing is held open while an answer goes out, so an asker that stops
reading, disconnects or cancels costs nothing but its association; and no patient data in log lines.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from kuva_gateway.catalog.attributes import AVAILABILITY_TAG
from kuva_gateway.catalog.known import Place, unknown
from kuva_gateway.catalog.search import Search, prepare
from kuva_gateway.catalog.visibility import Condition
from kuva_gateway.config import Configuration
from kuva_gateway.dicom import statuses
from kuva_gateway.dicom.identifier import IdentifierError, check_hierarchy, read_identifier
from kuva_gateway.dicom.information_model import Level, Negotiated, Service
from kuva_gateway.errors import CatalogUnavailableError
from kuva_gateway.forward.call import Call
from kuva_gateway.network.association import Association
from kuva_gateway.network.commands import Command
from kuva_gateway.network.records import AcceptedContext, Response
from kuva_gateway.scp.answers import Template
from kuva_gateway.scp.lookup import Lookup
from kuva_gateway.scp.refusal import refuse
from kuva_gateway.scp.upstream import NEARLINE, UpstreamQuery
from kuva_gateway.scp.upstream_rest import UpstreamRest

LISTEN_EVERY = 16
"""Matches between looks whether the asker cancels."""


def find(
    association: Association,
    context: AcceptedContext,
    command: Command,
    data_set: bytes,
    *,
    configuration: Configuration,
    lookup: Lookup,
    upstream: Call | None = None,
    rest: UpstreamRest | None = None,
    log: Any = None,
) -> Iterator[Response]:
    """The responses to a C-FIND-RQ: pending ones (FF00, FF01), then the final one (PS3.4 table C.4-1).

    ``upstream`` is asked at the same time; its answers follow those of the catalog. The archive is not asked what it
    asks itself.
    """
    begun = datetime.now(UTC)
    own, peer = configuration.query, configuration.peer(association.peer)
    negotiated = Negotiated.read(context.extended, Service.FIND)
    try:
        identifier = read_identifier(data_set, context.transfer_syntax, context.abstract_syntax)
        check_hierarchy(identifier, lenient=own.lenient, negotiated=negotiated)
        refusal = lookup.wait(begun)
        if refusal is not None:
            yield refusal
            return
        restriction = lookup.may_see(association.peer)
        search = prepare(
            identifier,
            restriction,
            accents=not own.fold_accents,
            negotiated=negotiated,
            as_received=peer is not None and peer.as_received,
        )
        template = Template(
            search,
            character_set=identifier.character_set,
            ae_title=configuration.ae_title,
            transfer_syntax=context.transfer_syntax,
        )
        answering = _Answering(association, command.message_id or 0, search, lookup, own.limit)
        covered_only = configuration.is_restricted(association.peer)
        asks = upstream is not None and _asks_upstream(association, search, upstream, covered_only=covered_only)
        why_not = rest.refusal() if asks and rest is not None else ""
        if upstream is None or rest is None or not asks or why_not:
            yield from answering.local(template)
            if not answering.over:
                yield _final(why_not)
            return
        beyond = UpstreamQuery(upstream, command.affected_class, identifier, search, own.upstream_timeout, rest)
        try:
            yield from answering.local(template)
            if not answering.over:
                yield from answering.beyond(template, beyond, restriction, covered_only=covered_only)
        finally:
            beyond.stop()
        if not answering.over:
            yield _final(beyond.why)
        _tell(log, association, upstream, beyond, answering)
    except IdentifierError as error:
        yield refuse(error.status, error.comment, *error.offending)
    except CatalogUnavailableError:
        yield refuse(statuses.OUT_OF_RESOURCES, "the catalog is away for now: ask again")


def _asks_upstream(association: Association, search: Search, upstream: Call, *, covered_only: bool) -> bool:
    """Whether the archive can have something for this asker."""
    if association.calling_ae == upstream.called_ae:
        return False
    if covered_only and search.level <= Level.STUDY:  # what is covered is known here
        return False
    availability = search.keys.get(AVAILABILITY_TAG)
    return availability is None or NEARLINE in str(availability).split("\\") or "*" in str(availability)


def _final(why: str) -> Response:
    """Success, whatever the archive does: PS3.4 table C.4-1 has no warning, and some drop all after a failure."""
    if why:
        return Response(status=statuses.SUCCESS, comment=statuses.comment(f"not all of the archive: {why}"))
    return Response(status=statuses.SUCCESS)


def _tell(log: Any, association: Association, upstream: Call, beyond: UpstreamQuery, answering: _Answering) -> None:
    if log is None:
        return
    tell = log.warning if beyond.why or beyond.unread else log.info
    tell(
        "upstream_query",
        association=association.id,
        peer=association.peer,
        upstream=upstream.name,
        answers=len(answering.told),
        unread=beyond.unread,
        why=beyond.why,
    )


@dataclass(slots=True)
class _Answering:
    """The pending responses of one query; ``over`` once the final one was among them."""

    association: Association
    message_id: int
    search: Search
    lookup: Lookup
    limit: int
    sent: int = 0
    over: bool = False
    told: set[Place] = field(default_factory=set)

    @property
    def _pending(self) -> int:
        return statuses.PENDING_WARNING if self.search.unsupported else statuses.PENDING

    def local(self, template: Template) -> Generator[Response, None, None]:
        """What the catalog has."""
        pending = self._pending
        for rows in self.search.pages(self.lookup.catalog(), self.limit):
            for row in rows:
                if self.sent == self.limit:
                    yield self._too_many()
                    return
                if not self.sent % LISTEN_EVERY and self.association.cancelled(self.message_id):
                    yield self._cancelled()
                    return
                self.sent += 1
                yield Response(
                    status=pending, data_set=template.encode(row), more=self.sent > 1 and row is not rows[-1]
                )

    def beyond(
        self, template: Template, query: UpstreamQuery, restriction: Condition, *, covered_only: bool
    ) -> Generator[Response, None, None]:
        """What the archive has and the catalog does not know, each once."""
        level = self.search.level
        while (found := query.take()) is not None:
            if self.association.cancelled(self.message_id):
                yield self._cancelled()
                return
            places = [one.place for one in found]
            shown = unknown(self.lookup.catalog(), level, places, restriction, covered_only=covered_only)
            for one, new in zip(found, shown, strict=True):
                key = _key(level, one.place)
                if not new or key in self.told:
                    continue
                if self.sent == self.limit:
                    yield self._too_many()
                    return
                self.told.add(key)
                self.sent += 1
                yield Response(status=self._pending, data_set=template.encode(one.row))

    def _too_many(self) -> Response:
        self.over = True
        return refuse(statuses.OUT_OF_RESOURCES, f"more than {self.limit} matches: narrow the query")

    def _cancelled(self) -> Response:
        self.over = True
        return refuse(statuses.CANCELLED, "cancelled as asked")


def _key(level: Level, place: Place) -> Place:
    """What makes a match of this level another one than the next."""
    if level is Level.PATIENT:
        return Place(patient=place.patient, issuer=place.issuer)
    if level is Level.STUDY:
        return Place(study=place.study)
    return Place(series=place.series) if level is Level.SERIES else Place(instance=place.instance)
