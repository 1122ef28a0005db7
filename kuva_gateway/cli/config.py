"""``config check`` and ``config show``."""

from __future__ import annotations

import json

import click
import yaml

from kuva_gateway.cli.invocation import Group, Invocation, pass_invocation
from kuva_gateway.cli.output import emit_json, say
from kuva_gateway.config import Configuration
from kuva_gateway.errors import DeferredError, NotFoundError


@click.group(cls=Group)
def config() -> None:
    """Check and show the configuration."""


@config.command("check")
@pass_invocation
def check(invocation: Invocation) -> None:
    """Read the whole file and name every fault with its line; exit status 2 if there is one."""
    from kuva_gateway.parts import check_configuration

    configuration = invocation.configuration()
    check_configuration(configuration, invocation.config_path)
    notices = [*configuration.notices(), *_unlisted(invocation)]
    if invocation.json:
        emit_json({"path": str(invocation.config_path), "notices": notices})
        return
    for notice in notices:
        say(f"{invocation.config_path}: {notice}")
    click.echo(f"{invocation.config_path}: no faults")


def _unlisted(invocation: Invocation) -> list[str]:
    """Mapped codes that the code list lacks; nobody knows before there is a catalog."""
    from kuva_gateway.parts import unlisted_codes

    if all(peer.code_mapping is None for peer in invocation.configuration().peers):
        return []
    try:
        return unlisted_codes(invocation.configuration(), invocation.catalog())
    except (NotFoundError, DeferredError):
        return []


@config.command("show")
@pass_invocation
def show(invocation: Invocation) -> None:
    """Print the configuration in force, defaults included; a password in the catalog's address is left out."""
    value = as_plain(invocation.configuration())
    if invocation.json:
        emit_json(value)
    else:
        click.echo(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), nl=False)


def as_plain(configuration: Configuration) -> dict[str, object]:
    """The configuration as plain values, written as the file writes them."""
    value: dict[str, object] = json.loads(configuration.model_dump_json())
    url = configuration.catalog.url
    if url is not None and "@" in url:
        scheme, _, rest = url.partition("://")
        user, _, place = rest.rpartition("@")
        value["catalog"] = {"url": f"{scheme}://{user.partition(':')[0]}@{place}"}
    return value
