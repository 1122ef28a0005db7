"""``catalog``: the index can always be made again from the spool."""

from __future__ import annotations

import click

from kuva_gateway.cli.invocation import Group, Invocation, pass_invocation
from kuva_gateway.cli.output import emit_json, progress


@click.group(cls=Group)
def catalog() -> None:
    """The catalog, which is the spool's index."""


@catalog.command("rebuild")
@pass_invocation
def rebuild(invocation: Invocation) -> None:
    """Make the catalog again from the stored files, documents and codes; the daemon must be down.

    The old catalog is kept beside the new one.
    """
    from kuva_gateway.offline import rebuild_catalog

    invocation.state_directory()
    with progress("rebuilding", None) as advance:
        summary = rebuild_catalog(invocation.configuration(), invocation.now(), advance)
    if invocation.json:
        emit_json(summary)
    else:
        click.echo(", ".join(f"{value} {key.replace('_', ' ')}" for key, value in summary.items()))
