"""What commands print: one JSON value for programs, tables for people, and nothing else on standard output."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, TextIO, TypeVar

import click

from kuva_gateway.cli.invocation import Invocation

T = TypeVar("T")
_COLOURS = {
    "failed": "red",
    "refuse": "red",
    "held": "yellow",
    "hold": "yellow",
    "deferred": "yellow",
    "warning": "yellow",
    "archived": "green",
    "passes": "green",
}
"""Of states and severities, on a terminal."""
_COLOURED = ("state", "severity")


def emit_json(value: Any) -> None:
    """Print ``value`` as one JSON value."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None, default=str))


def emit_rows(invocation: Invocation, rows: Sequence[Mapping[str, Any]], columns: Sequence[tuple[str, str]]) -> None:
    """Print ``rows``: all of them as a JSON array, or the ``columns`` (key, heading) as a table."""
    if invocation.json:
        emit_json(list(rows))
        return
    emit_table([heading for _, heading in columns], ([_cell(row.get(key)) for key, _ in columns] for row in rows))


def emit_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; a cell's text is never markup.

    Only running text is ever broken over several lines: a UID or a time can be copied, and found by ``grep``. Where a
    terminal is too narrow for that, each row becomes a few lines of their own, with its empty cells left out.
    """
    shown = [[_printable(cell) for cell in row] for row in rows]
    terminal = _width(sys.stdout)
    if terminal is None:
        widths = _widths(headings, shown)
        _print_table(headings, shown, sum(widths) + _GAP * len(widths))
    elif _fits(headings, shown, terminal):
        _print_table(headings, shown, terminal)
    else:
        told = [place for place in range(len(headings)) if any(row[place] for row in shown)]
        headings = [headings[place] for place in told]
        shown = [[row[place] for place in told] for row in shown]
        (_print_table if _fits(headings, shown, terminal) else _print_records)(headings, shown, terminal)


def _widths(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(headings, *rows, strict=True)]


def _running(rows: Sequence[Sequence[str]], place: int) -> bool:
    """Whether a column has running text."""
    return any(" " in row[place] and len(row[place]) > _TEXT for row in rows)


def _fits(headings: Sequence[str], rows: Sequence[Sequence[str]], terminal: int) -> bool:
    widths = _widths(headings, rows)
    least = (min(width, _TEXT) if _running(rows, place) else width for place, width in enumerate(widths))
    return sum(least) + _GAP * len(widths) <= terminal


_GAP: Final = 3
"""Columns between two cells."""
_TEXT: Final = 24
"""The least that running text is given."""


def _width(stream: TextIO) -> int | None:
    """The columns of a terminal, None for anything else."""
    if not stream.isatty():
        return None
    wanted = os.environ.get("COLUMNS", "")
    try:
        return int(wanted) if wanted.isdigit() else os.get_terminal_size(stream.fileno()).columns or _NARROW
    except OSError:
        return _NARROW


_NARROW: Final = 80


def _print_table(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for place, heading in enumerate(headings):
        table.add_column(heading, overflow="fold", no_wrap=not _running(rows, place))
    for row in rows:
        table.add_row(*(Text(cell, style=_colour(heading, cell)) for heading, cell in zip(headings, row, strict=True)))
    terminal = sys.stdout.isatty()
    Console(
        width=width,
        force_terminal=terminal,  # whatever FORCE_COLOR says: what is piped is read by a program
        no_color=not coloured(sys.stdout),
        highlight=False,
        soft_wrap=not terminal,
    ).print(table)


def _print_records(headings: Sequence[str], rows: Sequence[Sequence[str]], terminal: int) -> None:
    """Long lines are the terminal's to break, so that they can be copied whole."""
    width, colours = max(map(len, headings)), coloured(sys.stdout)
    for row in rows:
        for heading, cell in zip(headings, row, strict=True):
            if cell:
                value = click.style(cell, fg=_colour(heading, cell) or None)
                click.echo(f"{click.style(f'{heading:<{width}}', bold=True)}  {value}", color=colours)
        click.echo()


def _colour(heading: str, cell: str) -> str:
    return _COLOURS.get(cell, "") if heading in _COLOURED else ""


def emit_object(invocation: Invocation, value: Mapping[str, Any]) -> None:
    """Print one object: as JSON, or a line per plain value and a table per list."""
    if invocation.json:
        emit_json(value)
        return
    lists = {}
    width = max((len(key) for key in value), default=0)
    for key, inner in value.items():
        if isinstance(inner, list) and inner and isinstance(inner[0], Mapping):
            lists[key] = inner
        else:
            click.echo(f"{key.replace('_', ' '):<{width}}  {_printable(_cell(inner))}")
    for key, rows in lists.items():
        click.echo(f"\n{key.replace('_', ' ').upper()}")
        columns = list(dict.fromkeys(name for row in rows for name in row))
        emit_table(
            [name.replace("_", " ") for name in columns], ([_cell(row.get(name)) for name in columns] for row in rows)
        )


def coloured(stream: TextIO) -> bool:
    """Whether colours may be written to ``stream``: a terminal, unless NO_COLOR is set (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def say(text: str) -> None:
    """One line for a person on standard error, so that standard output stays for results."""
    click.echo(_printable(text), err=True)


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Any]:
    """A progress bar on a terminal, nothing elsewhere; yields ``advance(done)`` taking the amount done so far."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import Progress

    # Standard output is left alone: what is printed to it meanwhile is a result.
    with Progress(console=Console(stderr=True), transient=True, redirect_stdout=False) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


def each(what: str, items: Sequence[T]) -> Iterator[T]:
    """The items one after the other, under a progress bar."""
    with progress(what, len(items)) as advance:
        for number, item in enumerate(items, start=1):
            yield item
            advance(number)


_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
"""As JSON has it; people are not shown parts of seconds."""


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        return f"{value[:10]} {value[11:19]}Z"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_cell(item) for item in value)
    if isinstance(value, Mapping):
        return "; ".join(f"{key} {_cell(inner)}" for key, inner in value.items() if inner not in (None, ""))
    return str(value)


def _printable(text: str) -> str:
    """Peers' text cannot steer a terminal: control characters are shown, not obeyed."""
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)
