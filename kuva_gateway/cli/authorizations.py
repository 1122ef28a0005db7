"""``authorizations``: what lets a producer store into, and search, another organisation's register."""

from __future__ import annotations

from pathlib import Path

import click

from kuva_gateway.catalog import authorizations as catalog_authorizations
from kuva_gateway.cli.invocation import Group, Invocation, decision, pass_invocation
from kuva_gateway.cli.output import each, emit_json, emit_rows, say
from kuva_gateway.cli.papers import tell_invalidated
from kuva_gateway.errors import GatewayError


@click.group(cls=Group)
def authorizations() -> None:
    """Service-purchase authorizations (ostopalvelun valtuutus)."""


@authorizations.command("import")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE..."
)
@pass_invocation
def import_(invocation: Invocation, files: tuple[Path, ...]) -> int:
    """Import authorizations, each in one transaction; a bad one is said, a line for each fault, and changes nothing."""
    from kuva_gateway.intake.authorizations import import_authorization
    from kuva_gateway.parts import accepted_authorizations

    catalog = invocation.catalog(create=True)
    kept_in = accepted_authorizations(invocation.configuration())
    results: list[dict[str, object]] = []
    told: list[str] = []
    for file in each("importing", files):
        try:
            added = import_authorization(catalog, file, kept_in=kept_in)
        except GatewayError as error:
            faults = str(error).splitlines()
            for fault in faults:
                say(f"{file}: {fault}")
            results.append({"file": str(file), "error": "; ".join(faults)})
            continue
        results.append({"file": str(file), "id": added.id, "new": added.new, "studies": len(added.studies_affected)})
        outcome = "imported" if added.new else "was here already"
        told.append(f"{file}: {outcome}, {len(added.studies_affected)} studies concerned")
    if any("id" in result for result in results):
        invocation.poke()
    if invocation.json:
        emit_json(results)
    else:
        for line in told:
            click.echo(line)
    return 1 if any("error" in result for result in results) else 0


@authorizations.command("list")
@pass_invocation
def list_(invocation: Invocation) -> None:
    """List authorizations, the newest first; patients are not shown."""
    rows = catalog_authorizations.listing(invocation.catalog())
    if invocation.json:
        emit_json(rows)
        return
    shown = [
        {
            **row,
            "counts": row["current"] and row["ready"] and row["invalidated"] is None,
            "search": row["search"]["scope"] if row["search"] else None,
        }
        for row in rows
    ]
    emit_rows(
        invocation,
        shown,
        [
            ("id", "authorization"),
            ("version", "version"),
            ("counts", "counts"),
            ("type", "type"),
            ("valid_from", "from"),
            ("valid_to", "to"),
            ("producer", "producer"),
            ("register_keeper", "register keeper"),
            ("register", "register"),
            ("search", "search"),
        ],
    )


@authorizations.command("invalidate")
@click.argument("identifier", metavar="ID")
@decision()
@pass_invocation
def invalidate(invocation: Invocation, identifier: str, by: str, reason: str) -> None:
    """Take an authorization out of force; studies that rest on it are judged again."""
    affected = catalog_authorizations.invalidate(invocation.catalog(), identifier, by=by, reason=reason)
    tell_invalidated(invocation, identifier, affected)
