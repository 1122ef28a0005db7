"""``stats``: figures for people and scripts."""

from __future__ import annotations

from typing import Any

import click

from kuva_gateway.catalog.stats import stats as catalog_stats
from kuva_gateway.cli.invocation import Command, Invocation, pass_invocation
from kuva_gateway.cli.output import emit_object
from kuva_gateway.control import ask
from kuva_gateway.errors import DeferredError


@click.command("stats", cls=Command)
@pass_invocation
def stats(invocation: Invocation) -> None:
    """Studies and entries by state, instances, bytes, what waits to be indexed, the oldest unarchived study."""
    figures: dict[str, Any] = dict(catalog_stats(invocation.catalog()))
    figures["arrivals_pending"] = sum(1 for _ in invocation.spool().arrivals())
    try:
        live = ask(invocation.state_directory() / "control.sock", {"request": "live"})
        figures["running"] = True
        figures["associations"] = live.get("associations")
    except DeferredError:
        figures["running"] = False
        figures["associations"] = None
    emit_object(invocation, figures)
