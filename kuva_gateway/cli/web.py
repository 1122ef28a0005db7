"""``web``: the status pages, a process of its own that goes on while the daemon is down."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from kuva_gateway.cli.invocation import Command, Invocation, pass_invocation
from kuva_gateway.cli.stats import situation
from kuva_gateway.cli.trail import tell
from kuva_gateway.errors import GatewayError

if TYPE_CHECKING:
    from kuva_gateway.catalog.database import Catalog


@click.command("web", cls=Command)
@pass_invocation
def web(invocation: Invocation) -> None:
    """The status pages at ``web.host`` and ``web.port``, until it is interrupted."""
    import uvicorn

    from kuva_gateway.monitoring.situation import Situation
    from kuva_gateway.web.access import Access, read_token
    from kuva_gateway.web.application import application
    from kuva_gateway.web.reading import CatalogReader

    configuration = invocation.configuration()
    invocation.state_directory()
    invocation.reads_only = True
    own = configuration.web
    token = None if own.token is None else read_token(configuration.path(own.token))
    opening, spool = threading.Lock(), invocation.spool()

    def open_catalog() -> Catalog:
        with opening:
            return invocation.catalog()

    def look() -> tuple[Situation, datetime | None]:
        with contextlib.suppress(OSError, GatewayError):
            open_catalog()
        now = situation(invocation)
        return now, stopped_at(invocation) if now.down else None

    def seen(user: str, study: Mapping[str, Any]) -> bool:
        from kuva_gateway.audit.events import StudyTold, viewed

        told = StudyTold(
            uid=study["study_instance_uid"],
            patient_id=study["patient_id"],
            accession_number=study["accession_number"],
        )
        return tell(invocation, lambda us, at: viewed(us, at, person=user, study=told), "a look at a study")

    uvicorn.run(
        application(
            configuration,
            look,
            CatalogReader(open_catalog, spool.open_instance, spool.root),
            access=Access(user_header=own.user_header, token=token),
            seen=seen,
        ),
        host=configuration.web.host,
        port=configuration.web.port,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_level="warning",
        limit_concurrency=64,
    )


def stopped_at(invocation: Invocation) -> datetime | None:
    """When the daemon gave its lock back; None after one that was killed, which leaves its number in the file."""
    with contextlib.suppress(OSError):
        status = (invocation.configuration().state_directory / "lock").stat()
        if status.st_size == 0:
            return datetime.fromtimestamp(status.st_mtime, UTC)
    return None
