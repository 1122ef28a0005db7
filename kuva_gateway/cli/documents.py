"""``documents``: requests, examination entries and reports that studies are linked to."""

from __future__ import annotations

from pathlib import Path

import click

from kuva_gateway.catalog import documents as catalog_documents
from kuva_gateway.cli.invocation import Group, Invocation, decision, pass_invocation
from kuva_gateway.cli.output import each, emit_json, emit_object, emit_rows, say
from kuva_gateway.cli.papers import tell_invalidated
from kuva_gateway.errors import GatewayError


@click.group(cls=Group)
def documents() -> None:
    """Imaging documents (CDA R2)."""


@documents.command("import")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE..."
)
@pass_invocation
def import_(invocation: Invocation, files: tuple[Path, ...]) -> int:
    """Import documents, each in one transaction; a bad one is said and changes nothing."""
    from kuva_gateway.intake.documents import import_document
    from kuva_gateway.parts import accepted_documents, document_profile

    catalog = invocation.catalog(create=True)
    configuration = invocation.configuration()
    results = []
    for file in each("importing", files):
        try:
            added = import_document(
                catalog,
                file,
                kept_in=accepted_documents(configuration),
                profile=document_profile(configuration),
            )
            results.append(
                {"file": str(file), "id": added.id, "new": added.new, "studies": len(added.studies_affected)}
            )
        except GatewayError as error:
            say(f"{file}: {error}")
            results.append({"file": str(file), "error": str(error)})
    if any("id" in result for result in results):
        invocation.poke()
    if invocation.json:
        emit_json(results)
    else:
        for result in results:
            if "id" in result:
                told = "imported" if result["new"] else "was here already"
                click.echo(f"{result['file']}: {told}, {result['studies']} studies concerned")
    return 1 if any("error" in result for result in results) else 0


@documents.command("list")
@pass_invocation
def list_(invocation: Invocation) -> None:
    """List documents, the newest first."""
    rows = catalog_documents.listing(invocation.catalog())
    emit_rows(
        invocation,
        rows,
        [
            ("id", "document"),
            ("kind", "kind"),
            ("version", "version"),
            ("current", "current"),
            ("ready", "ready"),
            ("received_at", "received"),
            ("linked_by", "linked by"),
        ],
    )


@documents.command("show")
@click.argument("identifier", metavar="ID")
@pass_invocation
def show(invocation: Invocation, identifier: str) -> None:
    """Show one document: what was read in it, and the studies it is linked to."""
    emit_object(invocation, catalog_documents.show(invocation.catalog(), identifier))


@documents.command("invalidate")
@click.argument("identifier", metavar="ID")
@decision()
@pass_invocation
def invalidate(invocation: Invocation, identifier: str, by: str, reason: str) -> None:
    """Take a document out of force; studies that rest on it are judged again, and none of them begins to be sent."""
    affected = catalog_documents.invalidate(invocation.catalog(), identifier, by=by, reason=reason)
    tell_invalidated(invocation, identifier, affected)


@documents.command("explain")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@pass_invocation
def explain(invocation: Invocation, file: Path) -> None:
    """Say what the extraction profile finds in a file, by which rule and in which line."""
    from kuva_gateway.clinical.documents import explain_document
    from kuva_gateway.intake.documents import read_document
    from kuva_gateway.parts import document_profile

    profile = document_profile(invocation.configuration())
    found = explain_document(read_document(file, profile), profile)
    rows = [{"field": one.field, "value": one.value, "rule": one.rule, "line": one.line} for one in found]
    emit_rows(invocation, rows, [("field", "field"), ("value", "value"), ("rule", "rule"), ("line", "line")])
