"""``web``: the status page, a process of its own that goes on while the daemon is down."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import click

from kuva_gateway.cli.invocation import Command, Invocation, pass_invocation
from kuva_gateway.cli.stats import situation


@click.command("web", cls=Command)
@pass_invocation
def web(invocation: Invocation) -> None:
    """The status page at ``web.host`` and ``web.port``, until it is interrupted."""
    import uvicorn

    from kuva_gateway.monitoring.situation import Situation
    from kuva_gateway.web.application import application

    configuration = invocation.configuration()
    invocation.state_directory()

    def look() -> tuple[Situation, datetime | None]:
        seen = situation(invocation)
        return seen, stopped_at(invocation) if seen.down else None

    uvicorn.run(
        application(configuration, look),
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
