"""``peers``: who may associate, and whether they answer."""

from __future__ import annotations

import click

from kuva_gateway.cli import completion
from kuva_gateway.cli.invocation import Group, Invocation, pass_invocation
from kuva_gateway.cli.output import emit_json, emit_rows
from kuva_gateway.errors import NotFoundError, RefusedError


@click.group(cls=Group)
def peers() -> None:
    """Configured peers."""


@peers.command("list")
@pass_invocation
def list_(invocation: Invocation) -> None:
    """List the configured peers and what they may do."""
    rows = [
        {
            "name": peer.name,
            "ae_title": peer.ae_title,
            "host": peer.host,
            "port": peer.port,
            "allow": sorted(peer.allow),
            "networks": None if peer.networks is None else [str(network) for network in peer.networks],
            "require_tls": peer.require_tls,
            "limits": peer.limits.model_dump(mode="json"),
        }
        for peer in invocation.configuration().peers
    ]
    emit_rows(
        invocation,
        rows,
        [
            ("name", "name"),
            ("ae_title", "AE title"),
            ("host", "host"),
            ("port", "port"),
            ("allow", "allow"),
            ("networks", "networks"),
            ("require_tls", "TLS"),
        ],
    )


@peers.command("echo")
@click.argument("name", shell_complete=completion.callable_names)
@pass_invocation
def echo(invocation: Invocation, name: str) -> None:
    """Send a C-ECHO to a peer or a destination; exit status 1 when it does not answer."""
    from kuva_gateway.parts import echo_target

    configuration = invocation.configuration()
    peer = configuration.peer(name)
    destination = configuration.destination(name)
    if peer is None and destination is None:
        raise NotFoundError(f"no peer and no destination is called {name[:40]}")
    if destination is None and peer is not None and (peer.host is None or peer.port is None):
        raise RefusedError(f"peer {name} has no host and port in the configuration")
    milliseconds = echo_target(configuration, name)
    if invocation.json:
        emit_json({"name": name, "milliseconds": round(milliseconds, 1)})
    else:
        click.echo(f"{name} answered in {milliseconds:.1f} ms")


@peers.command("commitments")
@click.option("--peer", metavar="NAME", shell_complete=completion.peers, help="Only what this peer asked.")
@click.option("--waiting", is_flag=True, help="Only those whose report has not been delivered.")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True)
@pass_invocation
def commitments(invocation: Invocation, peer: str | None, waiting: bool, limit: int) -> None:
    """List what peers asked us to commit to, and whether they have our report; the newest first."""
    from kuva_gateway.catalog import commitment_requests

    rows = commitment_requests.listing(invocation.catalog(), peer=peer, waiting=waiting, limit=limit)
    emit_rows(
        invocation,
        rows,
        [
            ("asked_at", "asked"),
            ("peer", "peer"),
            ("transaction_uid", "transaction"),
            ("state", "state"),
            ("instances", "instances"),
            ("failed", "failed"),
            ("attempts", "attempts"),
            ("next_attempt_at", "next"),
            ("last_error", "why"),
        ],
    )
