"""C-FIND (PS3.4 C.4.1): what peers ask of the catalog, answered match by match.

Promises a final status for every query; that nothing is held open while an answer goes out, so an asker that stops
reading, disconnects or cancels costs nothing but its association; and no patient data in log lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from kuva_gateway.catalog.search import Search, prepare
from kuva_gateway.config import Configuration
from kuva_gateway.dicom import statuses
from kuva_gateway.dicom.identifier import IdentifierError, check_hierarchy, read_identifier
from kuva_gateway.dicom.information_model import Negotiated, Service
from kuva_gateway.errors import CatalogUnavailableError
from kuva_gateway.network.association import Association
from kuva_gateway.network.commands import Command
from kuva_gateway.network.records import AcceptedContext, Response
from kuva_gateway.scp.answers import Template
from kuva_gateway.scp.lookup import Lookup
from kuva_gateway.scp.refusal import refuse

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
) -> Iterator[Response]:
    """The responses to a C-FIND-RQ: pending ones (FF00, FF01), then the final one (PS3.4 table C.4-1)."""
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
        search = prepare(
            identifier,
            lookup.may_see(association.peer),
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
        yield from _answer(association, command.message_id or 0, search, template, lookup, own.limit)
    except IdentifierError as error:
        yield refuse(error.status, error.comment, *error.offending)
    except CatalogUnavailableError:
        yield refuse(statuses.OUT_OF_RESOURCES, "the catalog is away for now: ask again")


def _answer(
    association: Association, message_id: int, search: Search, template: Template, lookup: Lookup, limit: int
) -> Iterator[Response]:
    pending = statuses.PENDING_WARNING if search.unsupported else statuses.PENDING
    sent = 0
    for rows in search.pages(lookup.catalog(), limit):
        for row in rows:
            if sent == limit:
                yield refuse(statuses.OUT_OF_RESOURCES, f"more than {limit} matches: narrow the query")
                return
            if not sent % LISTEN_EVERY and association.cancelled(message_id):
                yield refuse(statuses.CANCELLED, "cancelled as asked")
                return
            sent += 1
            yield Response(status=pending, data_set=template.encode(row), more=sent > 1 and row is not rows[-1])
    yield Response(status=statuses.SUCCESS)
