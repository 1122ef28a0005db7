"""``audit``: the trail of who did what to whose images, and whether it is whole."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict
from pathlib import Path

import click

from kuva_gateway.audit import events
from kuva_gateway.audit.events import EVENTS
from kuva_gateway.audit.message import stamp
from kuva_gateway.cli.invocation import Group, Invocation, pass_invocation
from kuva_gateway.cli.moments import parse_since
from kuva_gateway.cli.output import emit_json, emit_rows, progress, say
from kuva_gateway.cli.trail import person, tell
from kuva_gateway.errors import CatalogUnavailableError, DamageError, NotFoundError


@click.group(cls=Group)
def audit() -> None:
    """The audit trail (PS3.15 A.5): list it, verify it."""


@audit.command("list")
@click.option("--event", type=click.Choice(list(EVENTS)), help="Only events of this kind.")
@click.option("--user", metavar="WHO", help="Only what this AE title or person took part in.")
@click.option("--study", metavar="UID", help="Only what concerns this study.")
@click.option("--since", metavar="T", help="Only since a date, a time or an age such as 2h.")
@click.option("--limit", type=click.IntRange(min=1), default=1000, show_default=True, help="The newest so many.")
@pass_invocation
def list_(
    invocation: Invocation, event: str | None, user: str | None, study: str | None, since: str | None, limit: int
) -> None:
    """List the trail, the oldest first; that somebody did is told in it, too (PS3.15 A.5.3.2)."""
    from kuva_gateway.audit.reading import Told, read
    from kuva_gateway.audit.trail import records

    begin = parse_since(since, invocation.now())
    folder = _folder(invocation)
    _tell_what_the_catalog_has(invocation)
    newest: deque[Told] = deque(maxlen=limit)
    matching = 0
    for record in records(folder):
        if begin is not None and record.at < begin:
            continue
        told = read(record)
        if (
            event in (None, told.event)
            and (user is None or user in (told.by, *told.others))
            and (study is None or study in told.studies)
        ):
            newest.append(told)
            matching += 1
    tell(
        invocation,
        lambda us, at: events.audit_log_used(us, at, person=person(), place=folder.as_uri()),
        "that the trail was read",
    )
    if matching > limit:
        say(f"kuva-gateway: the newest {limit} of {matching} events; --limit shows more")
    emit_rows(invocation, [{**asdict(told), "at": stamp(told.at)} for told in newest], _COLUMNS)


_COLUMNS = [
    ("number", "record"),
    ("at", "at"),
    ("event", "event"),
    ("action", "action"),
    ("outcome", "outcome"),
    ("by", "by"),
    ("address", "from"),
    ("others", "with"),
    ("studies", "studies"),
    ("instances", "instances"),
    ("description", "what"),
]


_TOLD_EVERY = 1000
"""Records between two movements of the progress bar."""


@audit.command("verify")
@click.option("--expect", metavar="N:HASH", help="A record that was noted earlier, which must still be the same.")
@pass_invocation
def verify(invocation: Invocation, expect: str | None) -> int:
    """Read the whole trail and check that nothing in it was changed, put in or taken out; prints its last record."""
    from kuva_gateway.audit import thinning, trail

    folder = _folder(invocation)
    wanted = _expected(expect)
    first = last = None
    fault, seen = "", wanted is None
    try:
        with progress("verifying", None) as advance:
            for record in trail.verify(folder, thinning.anchors(folder)):
                first, last = first or record, record
                if record.number % _TOLD_EVERY == 0:
                    advance(record.number)
                if wanted is not None and record.number == wanted[0]:
                    seen = True
                    if record.hash != wanted[1]:
                        fault = f"record {record.number} is another one than was noted"
                        break
    except DamageError as error:
        fault = str(error)
    if not fault and not seen and wanted is not None:
        fault = f"record {wanted[0]}, which was noted, is not here"
    result = {
        "sound": not fault,
        "first": None if first is None else first.number,
        "last": None if last is None else last.number,
        "hash": None if last is None else last.hash,
        "fault": fault or None,
    }
    if invocation.json:
        emit_json(result)
    elif last is not None:
        click.echo(
            f"records {result['first']} to {last.number}; noted elsewhere, this shows later that they are the same:"
        )
        click.echo(f"{last.number}:{last.hash}")
    else:
        click.echo("no records")
    if fault:
        say(f"kuva-gateway: the audit trail is damaged: {fault}")
    return 1 if fault else 0


def _expected(text: str | None) -> tuple[int, str] | None:
    if text is None:
        return None
    number, _, found = text.partition(":")
    if not number.isascii() or not number.isdigit() or len(found) != 64:
        raise click.UsageError("--expect takes a number, a colon and a hash, as this command prints them")
    return int(number), found.lower()


def _folder(invocation: Invocation) -> Path:
    from kuva_gateway.parts import audit_folder

    invocation.state_directory()
    folder = audit_folder(invocation.configuration())
    if not folder.is_dir():
        raise NotFoundError(f"there is no audit trail in {folder} (the gateway has not run yet)")
    return folder


def _tell_what_the_catalog_has(invocation: Invocation) -> None:
    """What people decided a moment ago belongs into the list; without the catalog the trail is shown as it is."""
    from kuva_gateway.parts import tell_audit

    try:
        tell_audit(invocation.configuration(), invocation.catalog())
    except (CatalogUnavailableError, NotFoundError):
        say("kuva-gateway: the catalog is away: what people decided last may be missing")
