"""C-GET (PS3.4 C.4.3): what is asked for goes out on the association that asked, whose requestor is the SCP for it.

Promises that each instance goes in the transfer syntax in which it is stored, or written anew (uncompressed ones) in
another, on a context for which the requestor took the SCP role; that C-CANCEL stops after the sub-operation in hand;
and that an asker who goes away ends the work.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from time import monotonic

from kuva_gateway.errors import CatalogUnavailableError
from kuva_gateway.forward.outgoing import OpenFile, Sendable
from kuva_gateway.network.association import Association
from kuva_gateway.network.errors import Stopped
from kuva_gateway.network.records import Response
from kuva_gateway.scp.asked import Asked, CancelledError
from kuva_gateway.scp.suboperations import PENDING_AT_LEAST_EVERY, PENDING_EVERY, TornError, send, sending_contexts


def answer_get(association: Association, asked: Asked) -> Generator[Response, None, None]:
    """The responses to a C-GET-RQ; its sub-operations are made between them, on the association's thread."""
    counts = asked.counts
    try:
        yield from _sub_operations(association, asked)
        counts.give_up("no longer there")
    except CatalogUnavailableError:
        counts.give_up("the catalog is away")
    except CancelledError:
        pass
    yield counts.final(asked.transfer_syntax, cancelled=counts.remaining > 0)


def _sub_operations(association: Association, asked: Asked) -> Generator[Response, None, None]:
    counts = asked.counts
    contexts = sending_contexts(association)
    said = monotonic()
    for instance, open_file in _all(asked):
        if association.cancelled(asked.message_id):
            raise CancelledError
        if instance is None:
            if monotonic() - said >= PENDING_AT_LEAST_EVERY:
                yield counts.pending()
                said = monotonic()
            continue
        try:
            found = send(
                association, contexts, instance, open_file=open_file, priority=asked.priority, decoder=asked.decoder
            )
        except TornError as torn:
            counts.note(instance.sop_instance, torn.outcome)
            raise Stopped("a stored file broke off while it was being sent") from torn
        counts.note(instance.sop_instance, found)
        if counts.done == 1 or monotonic() - said >= PENDING_EVERY:
            yield counts.pending()
            said = monotonic()
    if asked.fetch is not None:
        counts.miss(asked.fetch.missing(), asked.fetch.why)


def _all(asked: Asked) -> Iterator[tuple[Sendable | None, OpenFile]]:
    """What is here, then what is fetched; None while nothing more has come."""
    for instance in asked.instances():
        yield instance, asked.open_file
    if asked.fetch is not None:
        for fetched in asked.fetch.instances():
            yield fetched, asked.fetch.open_file
