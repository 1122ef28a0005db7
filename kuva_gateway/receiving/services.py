"""Where peers are heard and what answers them, the same for every receiving process."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from functools import partial

from kuva_gateway import log, parts
from kuva_gateway.audit.writer import AuditWriter
from kuva_gateway.config import Configuration
from kuva_gateway.metrics.tally import Tally
from kuva_gateway.metrics.usage import Usage
from kuva_gateway.network import Listener
from kuva_gateway.scp.commitment import CommitmentRequests, OnCommitmentResult
from kuva_gateway.scp.dispatch import Dispatcher
from kuva_gateway.scp.lookup import Lookup, WaitIndexed
from kuva_gateway.scp.store import OnReceipt
from kuva_gateway.spool import Spool

PLAIN, SECURED = SOCKETS = ("dicom", "dicom-tls")
"""Names of the sockets that a supervisor may pass on (FileDescriptorName=)."""


def make_services(
    configuration: Configuration,
    spool: Spool,
    on_receipt: OnReceipt,
    on_commitment_result: OnCommitmentResult,
    commitment_requests: CommitmentRequests,
    lookup: Lookup,
    audit: AuditWriter,
    tally: Tally,
    usage: Usage,
) -> Dispatcher:
    """Policy, C-ECHO, C-STORE, commitment results and requests, queries and retrieval."""
    return Dispatcher(
        configuration,
        spool,
        on_receipt=on_receipt,
        immediate=parts.make_immediate(configuration),
        on_commitment_result=on_commitment_result,
        commitment_requests=commitment_requests,
        lookup=lookup,
        callee=parts.make_callee(configuration),
        upstream=parts.call_upstream(configuration),
        audit=audit.add,
        tally=tally,
        usage=usage,
        log=log.get_logger("scp"),
    )


def make_lookup(configuration: Configuration, wait_indexed: WaitIndexed) -> Lookup:
    """What queries need; the catalog is opened by the first of them, and never made."""
    return Lookup(
        open_catalog=partial(parts.open_catalog, configuration, create=False),
        wait_indexed=wait_indexed,
        may_see=parts.make_may_see(configuration),
        barrier=configuration.query.barrier,
    )


def listeners(configuration: Configuration, passed: Mapping[str, socket.socket] | None = None) -> list[Listener]:
    """Where to listen, the plain address first, each with the TLS context of its handshake."""
    host, found, given = configuration.listen.host, [], passed or {}
    plain, secured = configuration.listen.port, configuration.tls.port
    if plain is not None:
        found.append(Listener(host=host, port=plain, passed=given.get(PLAIN)))
    if secured is not None:
        tls = parts.server_tls(configuration)
        found.append(Listener(host=host, port=secured, tls=tls, passed=given.get(SECURED)))
    return found
