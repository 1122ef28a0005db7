"""Help, examples, the manual page and what shells complete."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from kuva_gateway.cli.examples import EXAMPLES
from kuva_gateway.cli.invocation import PROGRAM, Invocation
from kuva_gateway.cli.main import commands
from tests.support import ROOT, program
from tests.unit.cli.tree import COMMANDS

PAGE = ROOT / "docs" / "kuva-gateway.1"


def test_every_command_has_an_example_and_no_example_is_left_over() -> None:
    assert EXAMPLES.keys() == COMMANDS.keys()


@pytest.mark.parametrize("words", COMMANDS)
def test_the_example_is_one_of_this_command_and_its_options_exist(words: str) -> None:
    given = shlex.split(EXAMPLES[words])
    own = words.split()
    assert given[: len(own)] == own
    command = COMMANDS[words]
    context = click.Context(command, info_name=words)
    values, rest, _ = command.make_parser(context).parse_args(args=given[len(own) :])
    assert rest == []
    required = {one.name for one in command.params if one.required}
    assert {name for name in required if values.get(name) in (None, (), [])} == set()


def test_the_manual_page_is_what_the_commands_say() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "make_man_page.py"), "--check"],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()


def test_the_manual_page_has_every_command_and_no_fault() -> None:
    done = subprocess.run(
        [program("groff"), "-man", "-Tutf8", "-ww", "-z", str(PAGE)], capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr.decode()) == (0, "")
    text = PAGE.read_text(encoding="utf-8").replace("\\-", "-")
    assert [words for words in COMMANDS if f".B {words} " not in text] == []


def completed(folder: Path, *words: str) -> list[str]:
    """What a shell is offered for the last one of these words."""
    invocation = Invocation()
    invocation.config_option = str(folder / "kuva-gateway.yaml")
    shell = ShellComplete(commands, {"obj": invocation}, PROGRAM, "")
    return [one.value for one in shell.get_completions(list(words[:-1]), words[-1])]


def test_shells_complete_commands_states_and_names_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "kuva-gateway.yaml").write_text(
        "environment: test\n"
        "peers: [{name: ct1, ae_title: CT1}, {name: pacs, ae_title: PACS, host: h, port: 1}]\n"
        "destinations: [{name: archive, ae_title: A, host: h, port: 1}]\n"
    )
    assert completed(tmp_path, "sta") == ["stats"]
    assert completed(tmp_path, "studies", "list", "--state", "rej") == ["rejected"]
    assert completed(tmp_path, "studies", "list", "--peer", "") == ["ct1", "pacs"]
    assert completed(tmp_path, "studies", "list", "--rule", "pid-0")[0] == "PID-01"
    assert completed(tmp_path, "peers", "echo", "") == ["archive", "pacs"]


def test_without_a_configuration_shells_are_offered_nothing(tmp_path: Path) -> None:
    assert completed(tmp_path, "queue", "list", "--destination", "") == []
