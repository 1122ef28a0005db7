"""What a shell completes beyond words of the command line: names out of the configuration, ids of rules.

Keeps nothing, and is silent where there is no configuration that can be read: a shell is no place for faults.
"""

from __future__ import annotations

import click

from kuva_gateway.cli.invocation import Invocation
from kuva_gateway.config import Configuration
from kuva_gateway.errors import GatewayError


def peers(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Names of peers."""
    return _beginning(incomplete, [one.name for one in _configuration(context).peers])


def destinations(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Names of destinations."""
    return _beginning(incomplete, [one.name for one in _configuration(context).destinations])


def callable_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Names of those whom the gateway knows how to call."""
    own = _configuration(context)
    known = [one.name for one in own.destinations] + [one.name for one in own.peers if one.host is not None]
    return _beginning(incomplete, known)


def rules(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Ids of rules."""
    from kuva_gateway.validation.rules import RULES

    return _beginning(incomplete.upper(), list(RULES))


def _configuration(context: click.Context) -> Configuration:
    try:
        return context.ensure_object(Invocation).configuration()
    except (GatewayError, OSError):
        return Configuration(environment="test")


def _beginning(start: str, names: list[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if name.startswith(start)]
