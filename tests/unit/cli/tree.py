"""The tree of commands, and a directory in which every example of theirs can be typed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import click

from kuva_gateway.cli.examples import EXAMPLES
from kuva_gateway.cli.main import commands

FILES = (".xls", ".xml", ".txt", ".yaml")
IDS = "TEMPORARY-1\n010101-999X\n"


def walk(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with its words."""
    if not isinstance(command, click.Group):
        yield " ".join(words), command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        assert inner is not None
        yield from walk(inner, (*words, name))


COMMANDS = dict(walk(commands))


def example(words: str, folder: Path) -> list[str]:
    """The command's example without a ``--config`` of its own; what it names is in ``folder``, mostly empty."""
    given = shlex.split(EXAMPLES[words])
    if "--config" in given:
        place = given.index("--config")
        del given[place : place + 2]
    for number, word in enumerate(given):
        if word.startswith("/mnt/"):
            (folder / word[1:]).mkdir(parents=True, exist_ok=True)
            given[number] = str(folder / word[1:])
        elif word.endswith(FILES):
            name = word.rpartition("@")[2]
            (folder / name).write_text(IDS if name == "ids.txt" else "")
    return given
