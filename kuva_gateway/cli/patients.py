"""``patients``: patient ids that stand for others."""

from __future__ import annotations

import click

from kuva_gateway.cli.invocation import Group, Invocation, decision, pass_invocation
from kuva_gateway.cli.output import emit_json, say
from kuva_gateway.cli.values import read_lines


@click.group(cls=Group)
def patients() -> None:
    """Patients: link a temporary or wrong id with the right one."""


@patients.command("link")
@click.argument("source", required=False, metavar="[@FILE|-]")
@click.option("--old-issuer", default="", metavar="OID", help="Only where the old id is of this issuer.")
@click.option("--new-issuer", default="", metavar="OID", help="Who issued the new id; not needed for an identity code.")
@decision()
@pass_invocation
def link(invocation: Invocation, source: str | None, old_issuer: str, new_issuer: str, by: str, reason: str) -> None:
    """Let a new patient id count for an old one: two lines, old and new, from a prompt, standard input or a file.

    Every study with the old id that was not delivered is amended and judged again; so is every one that comes later.
    """
    from kuva_gateway.catalog import patients as catalog_patients
    from kuva_gateway.dicom.amendments import patient_key
    from kuva_gateway.errors import RefusedError
    from kuva_gateway.intake.amendments import identity_changes

    old, new = read_lines(source, "old id", "new id")
    if patient_key(old) == patient_key(new):
        raise RefusedError("the old and the new id are the same")
    changes = identity_changes(new, new_issuer)
    found = catalog_patients.link(invocation.catalog(), old, changes, issuer=old_issuer, by=by, reason=reason)
    invocation.poke()
    for uid in found.delivered:
        say(f"kuva-gateway: {uid}: delivered with the old id; withdraw it first (studies withdraw)")
    if invocation.json:
        emit_json({"amended": list(found.amended), "delivered": list(found.delivered)})
    else:
        click.echo(f"linked: {len(found.amended)} studies amended, {len(found.delivered)} delivered before")
