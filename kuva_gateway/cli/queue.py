"""``queue``: what goes where, what failed and why, and a person's hand on it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import click

from kuva_gateway.catalog import entries
from kuva_gateway.catalog.routing import NORMAL, URGENT
from kuva_gateway.cli import completion
from kuva_gateway.cli.invocation import Group, Invocation, decision, pass_invocation
from kuva_gateway.cli.output import emit_json, emit_rows, say
from kuva_gateway.errors import GatewayError

STATES = ["queued", "sending", "deferred", "held", "sent", "archived", "failed", "cancelled", "superseded"]


@click.group(cls=Group)
def queue() -> None:
    """Queue entries: one per study, destination and revision."""


@queue.command("list")
@click.option(
    "--destination", metavar="D", shell_complete=completion.destinations, help="Only entries for this destination."
)
@click.option("--state", type=click.Choice(STATES), help="Only entries in this state.")
@click.option("--limit", type=click.IntRange(min=1), default=1000, show_default=True, help="The newest so many.")
@pass_invocation
def list_(invocation: Invocation, destination: str | None, state: str | None, limit: int) -> None:
    """List queue entries, the oldest first."""
    rows = entries.listing(invocation.catalog(), destination=destination, state=state, limit=limit)
    if len(rows) == limit:
        say(f"kuva-gateway: the newest {limit} entries; --limit shows more")
    emit_rows(
        invocation,
        rows,
        [
            ("id", "entry"),
            ("study_instance_uid", "study"),
            ("destination", "destination"),
            ("state", "state"),
            ("priority", "priority"),
            ("attempts", "attempts"),
            ("next_attempt_at", "next attempt"),
            ("sent", "sent"),
            ("committed", "committed"),
            ("last_error", "last error"),
            ("first_attempt_at", "first attempt"),
            ("last_attempt_at", "last attempt"),
            ("remedy", "what to do"),
        ],
    )


@queue.command("prioritise")
@click.argument("chosen", nargs=-1, type=int, metavar="ENTRY...")
@click.option("--all", "everything", is_flag=True, help="Every entry of which something is left to be sent.")
@click.option("--normal", is_flag=True, help="Let them go among the others again.")
@decision(reason_required=False)
@pass_invocation
def prioritise(
    invocation: Invocation, chosen: tuple[int, ...], everything: bool, normal: bool, by: str, reason: str | None
) -> int:
    """Let entries go before all that are not urgent."""
    change = partial(entries.prioritise, priority=NORMAL if normal else URGENT)
    done = "goes among the others" if normal else "goes first"
    return _change(invocation, change, chosen, everything, done, by=by, reason=reason)


Change = Callable[..., Any]


def _change(
    invocation: Invocation, change: Change, chosen: tuple[int, ...], everything: bool, done: str, **who: str | None
) -> int:
    if everything == bool(chosen):
        raise click.UsageError("name entries, or give --all")
    catalog = invocation.catalog()
    if everything:
        changed = change(catalog, None, **who)
        results = [{"id": entry, "done": True, "why": None} for entry in changed]
    else:
        results = [_one(catalog, change, entry, who) for entry in chosen]
    if any(result["done"] for result in results):
        invocation.poke()
    if invocation.json:
        emit_json(results)
    for result in results:
        if not result["done"]:
            say(f"kuva-gateway: entry {result['id']}: {result['why']}")
        elif not invocation.json:
            click.echo(f"entry {result['id']}: {done}")
    return 0 if all(result["done"] for result in results) else 1


def _one(catalog: Any, change: Change, entry: int, who: dict[str, str | None]) -> dict[str, Any]:
    try:
        change(catalog, [entry], **who)
    except GatewayError as error:
        return {"id": entry, "done": False, "why": str(error)}
    return {"id": entry, "done": True, "why": None}


def _command(name: str, change: Change, done: str, text: str, *, reason_required: bool) -> None:
    @queue.command(name, help=text)
    @click.argument("chosen", nargs=-1, type=int, metavar="ENTRY...")
    @click.option("--all", "everything", is_flag=True, help="Every entry that this can be done to.")
    @decision(reason_required=reason_required)
    @pass_invocation
    def command(invocation: Invocation, chosen: tuple[int, ...], everything: bool, by: str, reason: str | None) -> int:
        return _change(invocation, change, chosen, everything, done, by=by, reason=reason)


_command("retry", entries.retry, "queued again", "Try failed entries again.", reason_required=False)
_command("hold", entries.hold, "held", "Keep entries from going until they are released.", reason_required=False)
_command("release", entries.release, "queued again", "Let held entries go.", reason_required=False)
_command("cancel", entries.cancel, "cancelled", "Decide that entries never go.", reason_required=False)
