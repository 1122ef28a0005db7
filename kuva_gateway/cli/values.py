"""Values that identify patients: from a prompt, standard input or a file, never from an argument."""

from __future__ import annotations

import sys
from pathlib import Path

import click

_LONGEST = 65_536  # bytes of a value's file at most


def read_value(source: str, what: str) -> str:
    """What ``@FILE`` or ``-`` (standard input) holds, without the line's end.

    Raises
    ------
    UsageError
        It is neither, or holds no text.
    """
    if source == "-":
        return _text(sys.stdin.buffer.read(_LONGEST + 1), what)
    if source.startswith("@") and len(source) > 1:
        with Path(source[1:]).open("rb") as stream:
            return _text(stream.read(_LONGEST + 1), what)
    raise click.UsageError(f"{what} comes from @FILE or from - (standard input), never from an argument")


def _text(data: bytes, what: str) -> str:
    if len(data) > _LONGEST:
        raise click.UsageError(f"{what} is longer than {_LONGEST} bytes")
    try:
        return data.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise click.UsageError(f"{what} is not in UTF-8") from None


def read_lines(source: str | None, *whats: str) -> list[str]:
    """One line for each of ``whats``: from ``@FILE`` or standard input, or asked for on a terminal."""
    if source is None and sys.stdin.isatty():
        return [str(click.prompt(what, err=True)).strip() for what in whats]
    lines = [line.strip() for line in read_value(source or "-", " and ".join(whats)).splitlines() if line.strip()]
    if len(lines) != len(whats):
        raise click.UsageError(f"expected {len(whats)} lines: {', then '.join(whats)}")
    return lines
