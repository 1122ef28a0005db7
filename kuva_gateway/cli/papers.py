"""What the commands of documents and of authorizations say alike."""

from __future__ import annotations

from collections.abc import Sequence

import click

from kuva_gateway.cli.invocation import Invocation
from kuva_gateway.cli.output import emit_json


def tell_invalidated(invocation: Invocation, identifier: str, studies: Sequence[str]) -> None:
    """A paper is out of force: wake the daemon, and say how many studies rest on it."""
    invocation.poke()
    if invocation.json:
        emit_json({"id": identifier, "studies": len(studies)})
    else:
        click.echo(f"{identifier}: invalidated, {len(studies)} studies will be judged again")
