"""The services that answer peers, as every receiving process has them."""

from __future__ import annotations

import ssl

from kuva_gateway import log, parts
from kuva_gateway.config import Configuration
from kuva_gateway.scp.commitment import OnCommitmentResult
from kuva_gateway.scp.dispatch import Dispatcher
from kuva_gateway.scp.store import OnReceipt
from kuva_gateway.spool import Spool


def make_services(
    configuration: Configuration, spool: Spool, on_receipt: OnReceipt, on_commitment_result: OnCommitmentResult
) -> Dispatcher:
    """Policy, C-ECHO, C-STORE and commitment results."""
    return Dispatcher(
        configuration,
        spool,
        on_receipt=on_receipt,
        immediate=parts.make_immediate(configuration),
        on_commitment_result=on_commitment_result,
        log=log.get_logger("scp"),
    )


def tls_contexts(configuration: Configuration) -> list[ssl.SSLContext | None]:
    """The TLS context of each listener of :func:`~kuva_gateway.receiving.reception.plain_listeners`."""
    contexts: list[ssl.SSLContext | None] = []
    if configuration.listen.port is not None:
        contexts.append(None)
    if configuration.tls.port is not None:
        contexts.append(parts.server_tls(configuration))
    return contexts
