"""``run``: the daemon in the foreground."""

from __future__ import annotations

import click

from kuva_gateway.cli.invocation import Command, Invocation, pass_invocation
from kuva_gateway.lean import import_pydicom


@click.command("run", cls=Command)
@pass_invocation
def run(invocation: Invocation) -> int:
    """Run the gateway in the foreground until SIGTERM or SIGINT."""
    import_pydicom()
    from kuva_gateway.daemon import run as run_daemon

    return run_daemon(invocation.configuration(), invocation.config_path)
