"""``backup`` and ``restore``: everything that the gateway holds, on another disk, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click

from kuva_gateway.audit import events
from kuva_gateway.cli.invocation import Command, Invocation, pass_invocation
from kuva_gateway.cli.output import emit_json, progress, say
from kuva_gateway.cli.trail import person, tell

_MOST_NAMED = 20


@click.command("backup", cls=Command)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), metavar="DIR")
@pass_invocation
def backup(invocation: Invocation, folder: Path) -> int:
    """Back everything up into DIR while the gateway runs; a backup that is there already takes only what is new.

    Images become second names of the stored files where DIR is on the same file system, copies elsewhere. What is
    written is read again and compared. Exit status 1 when something is damaged, missing, or the backup did not come to
    its end; the backup that was there before counts until then.
    """
    from kuva_gateway.backup.backup import back_up

    invocation.state_directory()
    with _stages() as advance:
        done = back_up(
            invocation.configuration(), invocation.config_path, folder, now=invocation.now(), progress=advance
        )
    place = done.folder.absolute().as_uri()
    tell(
        invocation,
        lambda us, at: events.backed_up(us, at, person=person(), place=place, studies=done.studies, images=done.images),
        "the backup",
    )
    _tell_damage(done.damaged)
    if invocation.json:
        emit_json(
            {
                "folder": str(done.folder),
                "taken_at": done.taken_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
                "studies": done.studies,
                "images": done.images,
                "bytes": done.bytes,
                "files": done.files,
                "linked": done.linked,
                "copied": done.copied,
                "removed": done.removed,
                "damaged": [{"name": name, "why": why} for name, why in done.damaged],
            }
        )
    else:
        click.echo(
            f"{done.folder}: {done.studies} studies, {done.images} images ({done.bytes} bytes); "
            f"{done.linked} files linked, {done.copied} copied, {done.removed} removed"
        )
    return _status(done.damaged, "could not be backed up as they should be")


@click.command("restore", cls=Command)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR")
@pass_invocation
def restore(invocation: Invocation, folder: Path) -> int:
    """Make the gateway again from the backup in DIR; the state directory must be empty and the daemon down.

    Every file is compared with the backup's digest. Images that the backup's catalog does not have are indexed. What
    waits to be sent is asked about at its destination first, because it may have gone after the backup was taken.
    """
    from kuva_gateway.backup.restore import restore as bring_back

    with _stages() as advance:
        done = bring_back(invocation.configuration(), folder, progress=advance)
    told, place = done.description, folder.absolute().as_uri()
    tell(
        invocation,
        lambda us, at: events.restored(
            us, at, person=person(), place=place, studies=told.marks.studies, images=told.images
        ),
        "the restore",
    )
    _tell_damage(done.damaged)
    if invocation.json:
        emit_json(
            {
                "taken_at": told.taken_at,
                "studies": told.marks.studies,
                "images": told.images,
                "bytes": told.bytes,
                "files": done.files,
                "arrivals": done.arrivals,
                "in_doubt": done.in_doubt,
                "damaged": [{"name": name, "why": why} for name, why in done.damaged],
            }
        )
    else:
        click.echo(
            f"restored as of {told.taken_at}: {told.marks.studies} studies, {told.images} images, {done.files} files; "
            f"{done.arrivals} arrivals indexed, {done.in_doubt} instances will be asked about before they are sent"
        )
        if done.configuration is not None:
            say(f"the configuration of that day is in {done.configuration}")
    return _status(done.damaged, "could not be restored as they were")


@contextmanager
def _stages() -> Iterator[Callable[[str, int, int | None], None]]:
    """A bar for what is being done at the moment; nothing where nobody looks."""
    with ExitStack() as stack:
        shown: dict[str, Any] = {}

        def advance(what: str, done: int, total: int | None) -> None:
            if what not in shown:
                stack.close()
                shown.clear()
                shown[what] = stack.enter_context(progress(what, total))
            shown[what](done)

        yield advance


def _tell_damage(damaged: list[tuple[str, str]]) -> None:
    for name, why in damaged[:_MOST_NAMED]:
        say(f"{name}: {why}")
    if len(damaged) > _MOST_NAMED:
        say(f"and {len(damaged) - _MOST_NAMED} more (--json has them all)")


def _status(damaged: list[tuple[str, str]], what: str) -> int:
    if damaged:
        say(f"kuva-gateway: {len(damaged)} files {what}")
    return 1 if damaged else 0
