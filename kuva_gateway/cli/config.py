"""``config check``, ``config show`` and ``config reload``."""

from __future__ import annotations

from typing import Any

import click
import yaml

from kuva_gateway.cli.invocation import Group, Invocation, pass_invocation
from kuva_gateway.cli.output import emit_json, say
from kuva_gateway.config.changes import Change, as_plain
from kuva_gateway.errors import DeferredError, NotFoundError


@click.group(cls=Group)
def config() -> None:
    """Check and show the configuration, and let a running gateway take it on."""


@config.command("check")
@pass_invocation
def check(invocation: Invocation) -> None:
    """Read the whole file and name every fault with its line; exit status 2 if there is one."""
    from kuva_gateway.parts import check_configuration, notices

    configuration = invocation.configuration()
    check_configuration(configuration, invocation.config_path)
    found = [*notices(configuration), *_unlisted(invocation)]
    if invocation.json:
        emit_json({"path": str(invocation.config_path), "notices": found})
        return
    for notice in found:
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


RELOAD_PATIENCE = 120.0
"""Seconds; receiving processes that start or stand still are waited for."""


@config.command("reload")
@pass_invocation
def reload(invocation: Invocation) -> int:
    """Let the running gateway read its configuration again, and print what came of it.

    Exit status 0: taken on (keys that need a restart are named); 1: the gateway is not running, or could not take it on
    now; 2: the file has faults, and nothing has changed.
    """
    from kuva_gateway.control import ask
    from kuva_gateway.parts import check_configuration

    configuration = invocation.configuration()
    check_configuration(configuration, invocation.config_path)
    socket = configuration.state_directory / "control.sock"
    answer = ask(socket, {"request": "reload"}, timeout=RELOAD_PATIENCE)
    if "outcome" not in answer:
        raise DeferredError("the running gateway does not know how to reload: restart it")
    if invocation.json:
        emit_json(answer)
    else:
        _tell_reload(answer)
    return {"done": 0, "refused": 2}.get(answer["outcome"], 1)


def _tell_reload(answer: dict[str, Any]) -> None:
    path = answer["path"]
    for problem in answer["problems"]:
        say(f"{path}: {problem}")
    if answer["outcome"] != "done":
        say(f"{path}: not taken on, nothing has changed")
        return
    for change in answer["changed"]:
        click.echo(str(Change(**change)))
    for change in answer["needs_restart"]:
        click.echo(f"{Change(**change)} (after a restart)")
    for notice in answer["notices"]:
        say(f"{path}: {notice}")
    if answer["changed"] or answer["needs_restart"]:
        click.echo(f"{path}: taken on")
    else:
        click.echo(f"{path}: nothing has changed")
