"""``providers``: who uses the archive since when, and which OIDs are theirs."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING

import click

from kuva_gateway.catalog import providers as catalog_providers
from kuva_gateway.cli.invocation import Group, Invocation, pass_invocation
from kuva_gateway.cli.output import emit_object, emit_rows
from kuva_gateway.clinical.identifiers import is_organisation_oid
from kuva_gateway.clinical.providers import SECTORS, Provider, Sector
from kuva_gateway.intake.providers import load_shipped_providers

if TYPE_CHECKING:
    from kuva_gateway.catalog.database import Catalog

DAY = click.DateTime(["%Y-%m-%d"])


@click.group(cls=Group)
def providers() -> None:
    """Providers that use the national imaging archive."""


def _oid(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not is_organisation_oid(value):
        raise click.UsageError("--oid takes an OID under 1.2.246.10, such as 1.2.246.10.1234567.19.0")
    return value


def _name(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if not value.strip():
        raise click.UsageError("the provider's name is empty")
    return value.strip()


def _catalog(invocation: Invocation, *, create: bool = False) -> Catalog:
    """The catalog, with the shipped list in it: no daemon may have run on it yet."""
    catalog = invocation.catalog(create=create)
    if not catalog_providers.everything(catalog):
        load_shipped_providers(catalog)
    return catalog


@providers.command("list")
@pass_invocation
def list_(invocation: Invocation) -> None:
    """List providers: sector, date of joining, and the OID where one was given."""
    rows = [catalog_providers.shape(one) for one in catalog_providers.everything(_catalog(invocation))]
    emit_rows(invocation, rows, [("name", "provider"), ("sector", "sector"), ("joined", "joined"), ("oid", "OID")])


@providers.command("set")
@click.argument("name", callback=_name)
@click.option("--oid", callback=_oid, help="The provider's OID, or its register keeper's.")
@click.option("--joined", type=DAY, help="When it joined the archive.")
@pass_invocation
def set_(invocation: Invocation, name: str, oid: str | None, joined: datetime | None) -> None:
    """Give a provider of the list its OID (rule ORG-02), or another date."""
    if oid is None and joined is None:
        raise click.UsageError("give --oid or --joined")
    changed = catalog_providers.change(
        _catalog(invocation), name, oid=oid, joined=None if joined is None else joined.date()
    )
    invocation.poke()
    emit_object(invocation, catalog_providers.shape(changed))


@providers.command("add")
@click.argument("name", callback=_name)
@click.option("--joined", type=DAY, required=True, help="When it joined the archive.")
@click.option("--sector", type=click.Choice(SECTORS), default="public", show_default=True)
@click.option("--oid", callback=_oid, help="The provider's OID, or its register keeper's.")
@pass_invocation
def add(invocation: Invocation, name: str, joined: datetime, sector: Sector, oid: str | None) -> None:
    """Add a provider that the shipped list does not have."""
    day: date = joined.date()
    provider = Provider(name=name, sector=sector, joined=day, oid=oid)
    catalog_providers.add(_catalog(invocation, create=True), provider)
    invocation.poke()
    emit_object(invocation, catalog_providers.shape(provider))
