"""``doctor``: what may be wrong with this installation, and what to do about it."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import asdict

import click

from kuva_gateway.cli.invocation import Command, Invocation, pass_invocation
from kuva_gateway.cli.output import coloured, emit_json

_MARKS = {"well": ("ok", "green"), "warning": ("warning", "yellow"), "fault": ("FAULT", "red")}


@click.command("doctor", cls=Command)
@click.option("--no-calls", is_flag=True, help="Do not call peers and destinations.")
@pass_invocation
def doctor(invocation: Invocation, no_calls: bool) -> int:
    """Look at installation, disk, clock, database, ports and peers, and say what to do; exit status 1 for a fault.

    Changes nothing. Best run as the gateway's own user: sudo -u kuva-gateway kuva-gateway doctor
    """
    from kuva_gateway.doctor import Level, Subject, examine
    from kuva_gateway.lock import holder

    configuration = invocation.configuration()
    subject = Subject(
        configuration=configuration,
        config_path=invocation.config_path,
        now=invocation.now(),
        daemon=holder(configuration.state_directory / "lock"),
        call=not no_calls,
    )
    found = []
    for one in examine(subject):
        found.append(one)
        if not invocation.json:
            mark, colour = _MARKS[one.level]
            click.echo(f"{click.style(f'{mark:<8}', fg=colour)} {one.check}: {one.message}", color=coloured(sys.stdout))
            if one.remedy:
                click.echo(f"{'':<8} -> {one.remedy}")
    levels = Counter(one.level for one in found)
    if invocation.json:
        emit_json([asdict(one) for one in found])
    else:
        click.echo(f"{levels[Level.FAULT]} faults, {levels[Level.WARNING]} warnings")
    return 1 if levels[Level.FAULT] else 0
