"""``receive``: files through the same spool, as if a modality had sent them."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import click

from kuva_gateway.cli.invocation import Command, Invocation, pass_invocation
from kuva_gateway.cli.output import emit_json, progress, say
from kuva_gateway.config.kinds import IMPORTED
from kuva_gateway.errors import GatewayError


@click.command("receive", cls=Command)
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="PATH...")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), metavar="N", help="At most N files per second.")
@click.option("--peer", metavar="NAME", default=IMPORTED, show_default=True, help="Under which peer's name.")
@pass_invocation
def receive(invocation: Invocation, paths: tuple[Path, ...], rate: float | None, peer: str) -> int:
    """Take DICOM files and folders into the spool, each made durable before it counts as received."""
    from kuva_gateway.intake.files import FileReceiver
    from kuva_gateway.offline import index_arrivals
    from kuva_gateway.parts import make_immediate

    configuration = invocation.configuration()
    files, skipped = _files(paths)
    receiver = FileReceiver(invocation.spool(create=True), peer=peer, immediate=make_immediate(configuration))
    received, refused = 0, []
    pace = threading.Event()
    with progress("receiving", len(files)) as advance:
        for number, file in enumerate(files):
            try:
                receiver.receive(file)
                received += 1
            except (GatewayError, OSError) as error:
                why = str(error) if isinstance(error, GatewayError) else str(error.strerror)
                refused.append({"path": str(file), "why": why})
                say(f"{file}: {why}")
            advance(number + 1)
            if rate is not None:
                pace.wait(1 / rate)
    if received and not invocation.poke("arrivals"):
        index_arrivals(configuration)
    _report(invocation, received, skipped, refused)
    return 1 if refused else 0


def _report(invocation: Invocation, received: int, skipped: int, refused: list[dict[str, Any]]) -> None:
    if invocation.json:
        emit_json({"received": received, "skipped": skipped, "refused": refused})
    else:
        click.echo(f"{received} received, {len(refused)} refused, {skipped} other files left alone")


def _files(paths: tuple[Path, ...]) -> tuple[list[Path], int]:
    """The files named, and the DICOM files in the folders named, in the order of their names.

    Also how many other files the folders hold: documents and notes beside the images are nobody's mistake.
    """
    files, skipped = [], 0
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        for file in sorted(path.rglob("*")):
            if not file.is_file() or file.name.startswith("."):
                continue
            if file.name != "DICOMDIR" and _is_dicom(file):
                files.append(file)
            else:
                skipped += 1
    return files, skipped


def _is_dicom(file: Path) -> bool:
    """Whether it has the prefix of a Part 10 file (PS3.10 7.1); one that cannot be read is tried, and named."""
    try:
        with file.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return True
