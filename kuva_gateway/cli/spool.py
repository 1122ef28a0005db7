"""``spool``: are the stored files still the ones that were acknowledged?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kuva_gateway.cli.invocation import Group, Invocation, pass_invocation
from kuva_gateway.cli.output import emit_json, progress, say
from kuva_gateway.errors import DamageError

if TYPE_CHECKING:
    from kuva_gateway.catalog.instances import Origin

MOST_UNREADABLE = 100
"""A disk that cannot read so many files is sick itself: the others stay where they are, for another disk to read."""


@click.group(cls=Group)
def spool() -> None:
    """The stored files."""


@spool.command("verify")
@pass_invocation
def verify(invocation: Invocation) -> int:
    """Read every stored file and compare it with its digest; exit status 1 when one is damaged or missing.

    What holds other bytes than were received, or has sectors that cannot be read, is put into corrupt/: it is sent to
    nobody any more, and takes its place again when its peer sends it again. For each file it says who that is.
    """
    from kuva_gateway.catalog.instances import digests, origins

    files = invocation.spool()
    expected = list(digests(invocation.catalog()))
    damaged: dict[str, str] = {}
    unreadable = 0
    with progress("verifying", len(expected)) as advance:
        for number, digest in enumerate(expected):
            try:
                (files.verify_or_set_aside if unreadable < MOST_UNREADABLE else files.verify)(digest)
            except DamageError as error:
                unreadable += isinstance(error.__cause__, OSError) and not isinstance(
                    error.__cause__, FileNotFoundError
                )
                damaged[digest] = str(error)
            advance(number + 1)
    origin = origins(invocation.catalog(), damaged.keys()) if damaged else {}
    told = [_told(digest, why, origin.get(digest)) for digest, why in damaged.items()]
    if invocation.json:
        emit_json({"verified": len(expected) - len(damaged), "damaged": told})
    else:
        click.echo(
            f"{len(expected) - len(damaged)} files are as they were received, {len(damaged)} are damaged or missing"
        )
    for one in told:
        say(f"{one['digest']}: {one['why']}")
        if one["peer"] is not None:
            say(f"  have {one['peer']} send again: image {one['sop_instance_uid']}, study {one['study_instance_uid']}")
    return 1 if damaged else 0


def _told(digest: str, why: str, origin: Origin | None) -> dict[str, str | None]:
    return {
        "digest": digest,
        "why": why,
        "peer": None if origin is None else origin.peer,
        "study_instance_uid": None if origin is None else origin.study_instance_uid,
        "sop_instance_uid": None if origin is None else origin.sop_instance_uid,
    }
