"""``codes``: the procedure code list."""

from __future__ import annotations

from pathlib import Path

import click

from kuva_gateway.catalog import codes as catalog_codes
from kuva_gateway.cli.invocation import Group, Invocation, pass_invocation
from kuva_gateway.cli.output import emit_json, emit_rows, progress, say
from kuva_gateway.errors import NotFoundError


@click.group(cls=Group)
def codes() -> None:
    """Procedure codes: import an official export, show a code's periods of validity."""


@codes.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--strict", is_flag=True, help="Import nothing when a row is bad.")
@pass_invocation
def import_(invocation: Invocation, file: Path, strict: bool) -> int:
    """Import a code list in any of its official forms, in one transaction."""
    from kuva_gateway.intake.codes import import_codes

    with progress("reading the code list", None) as advance:
        summary = import_codes(invocation.catalog(create=True), file, strict=strict, progress=advance)
    invocation.poke()
    bad = [{"line": row.line, "why": row.why} for row in summary.bad]
    if invocation.json:
        emit_json(
            {
                "added": summary.added,
                "changed": summary.changed,
                "ended": summary.ended,
                "unchanged": summary.unchanged,
                "bad": bad,
            }
        )
    else:
        click.echo(
            f"{file.name}: {summary.added} added, {summary.changed} changed, {summary.ended} ended, "
            f"{summary.unchanged} unchanged, {len(bad)} bad rows"
        )
    for row in bad[:20]:
        say(f"{file}: line {row['line']}: {row['why']}")
    if len(bad) > 20:
        say(f"{file}: {len(bad) - 20} more bad rows")
    if bad and strict:
        say("kuva-gateway: nothing was imported: the file has bad rows (--strict)")
        return 1
    return 0


@codes.command("show")
@click.argument("code")
@pass_invocation
def show(invocation: Invocation, code: str) -> None:
    """Show a code: its names, its periods of validity, what replaces it, and whether the archive takes it today."""
    from kuva_gateway.clinical.codes import is_imaging
    from kuva_gateway.parts import content_classes, make_today

    configuration = invocation.configuration()
    today = make_today(configuration, invocation.now)()
    table = content_classes(configuration)

    periods = catalog_codes.periods(invocation.catalog(), code.strip().upper())
    if not periods:
        raise NotFoundError(f"the code {code.strip().upper()[:20]} is not in the code list")
    rows = [
        {
            "code": period.code,
            "name": period.name,
            "abbreviation": period.abbreviation,
            "valid_from": period.valid_from.isoformat() if period.valid_from else None,
            "valid_to": period.valid_to.isoformat() if period.valid_to else None,
            "replaced_by": list(period.replaced_by),
            "imaging": is_imaging(period),
            "scheme": period.scheme,
            "content_class": one.id if (one := table.of(period.code)) is not None and is_imaging(period) else None,
            "open": is_imaging(period) and one is not None and one.is_open(today),
        }
        for period in periods
    ]
    emit_rows(
        invocation,
        rows,
        [
            ("code", "code"),
            ("name", "name"),
            ("abbreviation", "abbreviation"),
            ("valid_from", "from"),
            ("valid_to", "to"),
            ("replaced_by", "replaced by"),
            ("imaging", "imaging"),
            ("content_class", "content class"),
            ("open", "open today"),
        ],
    )
