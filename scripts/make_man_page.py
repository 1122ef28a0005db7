"""The manual page docs/kuva-gateway.1, written from the commands themselves (groff_man(7))."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click
import generated

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from kuva_gateway.cli.examples import EXAMPLES  # noqa: E402
from kuva_gateway.cli.invocation import PROGRAM  # noqa: E402
from kuva_gateway.cli.main import commands  # noqa: E402

PAGE = ROOT / "docs" / "kuva-gateway.1"
COMMON = ("--config", "--json", "--help")
STATUSES = (
    ("0", "Done."),
    ("1", "Refused, not found, bad rows under --strict, damage found, would be held, or not well."),
    ("2", "Wrong usage or configuration."),
)
FILES = (
    ("/etc/kuva-gateway/kuva-gateway.yaml", "The configuration, unless --config or KUVA_GATEWAY_CONFIG names another."),
    ("/var/lib/kuva-gateway", "The state directory, where the unit of systemd puts it."),
)


def escaped(text: str) -> str:
    """``text`` as roff takes it for itself."""
    plain = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return f"\\&{plain}" if plain.startswith(".") else plain


def walk(command: click.Command, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that does something, with its words."""
    if not isinstance(command, click.Group):
        yield words, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        assert inner is not None
        yield from walk(inner, (*words, name))


def entry(words: tuple[str, ...], command: click.Command) -> Iterator[str]:
    """One command: how it is called, what it does, its options, an example."""
    context = click.Context(command, info_name=" ".join(words))
    usage = " ".join(command.collect_usage_pieces(context))
    yield ".TP"
    yield f".B {escaped(' '.join(words))} \\fR{escaped(usage)}"
    for paragraph in (command.help or "").split("\n\n"):
        yield escaped(" ".join(paragraph.split()))
    for parameter in command.params:
        record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
        if record is not None and parameter.opts[0] not in COMMON:
            yield ".RS"
            yield ".TP"
            yield f".B {escaped(record[0])}"
            yield escaped(" ".join(record[1].split())) or "\\&"
            yield ".RE"
    yield ".br"
    example = f"{PROGRAM} {EXAMPLES[' '.join(words)]}"
    yield f"Example: {escaped(example)}"


def page() -> str:
    """The whole page."""
    lines = [
        '.\\" Written by scripts/make-man-page.',
        f".TH {PROGRAM.upper()} 1",
        ".SH NAME",
        f"{escaped(PROGRAM)} \\- DICOM gateway between a hospital and the national imaging archive",
        ".SH SYNOPSIS",
        f".B {escaped(PROGRAM)}",
        "[\\fB\\-\\-config\\fR \\fIPATH\\fR] [\\fB\\-\\-json\\fR] \\fICOMMAND\\fR [\\fIARGUMENT\\fR...]",
        ".SH DESCRIPTION",
        escaped(" ".join((commands.help or "").split())),
        escaped(
            "The options --config PATH (the configuration file), --json (one JSON value) and --help stand anywhere."
        ),
        ".SH COMMANDS",
    ]
    for words, command in walk(commands, ()):
        lines += entry(words, command)
    for title, pairs in (("EXIT STATUS", STATUSES), ("FILES", FILES)):
        lines.append(f".SH {title}")
        for name, text in pairs:
            lines += [".TP", f".B {escaped(name)}", escaped(text)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(generated.main(PAGE, page))
