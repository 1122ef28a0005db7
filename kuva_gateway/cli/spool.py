"""``spool``: are the stored files still the ones that were acknowledged?"""

from __future__ import annotations

import click

from kuva_gateway.cli.invocation import Group, Invocation, pass_invocation
from kuva_gateway.cli.output import emit_json, progress, say
from kuva_gateway.errors import DamageError


@click.group(cls=Group)
def spool() -> None:
    """The stored files."""


@spool.command("verify")
@pass_invocation
def verify(invocation: Invocation) -> int:
    """Read every stored file and compare it with its digest; exit status 1 when one is damaged or missing."""
    from kuva_gateway.catalog.instances import digests

    files = invocation.spool()
    expected = list(digests(invocation.catalog()))
    damaged = []
    with progress("verifying", len(expected)) as advance:
        for number, digest in enumerate(expected):
            try:
                files.verify(digest)
            except DamageError as error:
                damaged.append({"digest": digest, "why": str(error)})
                say(f"{digest}: {error}")
            advance(number + 1)
    if invocation.json:
        emit_json({"verified": len(expected) - len(damaged), "damaged": damaged})
    else:
        click.echo(
            f"{len(expected) - len(damaged)} files are as they were received, {len(damaged)} are damaged or missing"
        )
    return 1 if damaged else 0
