"""``catalog``: the index can always be made again from the spool."""

from __future__ import annotations

import click

from kuva_gateway.cli.invocation import Group, Invocation, pass_invocation
from kuva_gateway.cli.output import emit_json, progress, say


@click.group(cls=Group)
def catalog() -> None:
    """The catalog, which is the spool's index."""


@catalog.command("rebuild")
@pass_invocation
def rebuild(invocation: Invocation) -> None:
    """Bring the catalog into line with the stored files; the daemon must be down.

    A catalog that can be read keeps all it knows. One that cannot is put aside and made anew; the journal gives back
    who sent what, what was decided and what was delivered. What it cannot tell is held until a person releases it.
    """
    from kuva_gateway.offline import rebuild_catalog

    invocation.state_directory()
    with progress("rebuilding", None) as advance:
        summary = rebuild_catalog(invocation.configuration(), invocation.now(), advance)
    if invocation.json:
        emit_json(summary)
    else:
        counts = {key: value for key, value in summary.items() if key != "decisions_kept"}
        click.echo(", ".join(f"{value} {key.replace('_', ' ')}" for key, value in counts.items()))
    if not summary["decisions_kept"]:
        say(
            "the catalog was made anew and the journal is not whole: earlier deliveries and decisions may not be "
            "known, every study that is not decided is held (QUA-03)"
        )
