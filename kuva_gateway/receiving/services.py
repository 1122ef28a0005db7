"""Where peers are heard and what answers them, the same for every receiving process."""

from __future__ import annotations

from kuva_gateway import log, parts
from kuva_gateway.config import Configuration
from kuva_gateway.network import Listener
from kuva_gateway.scp.commitment import CommitmentRequests, OnCommitmentResult
from kuva_gateway.scp.dispatch import Dispatcher
from kuva_gateway.scp.store import OnReceipt
from kuva_gateway.spool import Spool


def make_services(
    configuration: Configuration,
    spool: Spool,
    on_receipt: OnReceipt,
    on_commitment_result: OnCommitmentResult,
    commitment_requests: CommitmentRequests,
) -> Dispatcher:
    """Policy, C-ECHO, C-STORE, commitment results and commitment requests."""
    return Dispatcher(
        configuration,
        spool,
        on_receipt=on_receipt,
        immediate=parts.make_immediate(configuration),
        on_commitment_result=on_commitment_result,
        commitment_requests=commitment_requests,
        log=log.get_logger("scp"),
    )


def listeners(configuration: Configuration) -> list[Listener]:
    """Where to listen, the plain address first, each with the TLS context of its handshake."""
    host, found = configuration.listen.host, []
    if configuration.listen.port is not None:
        found.append(Listener(host=host, port=configuration.listen.port))
    if configuration.tls.port is not None:
        found.append(Listener(host=host, port=configuration.tls.port, tls=parts.server_tls(configuration)))
    return found
