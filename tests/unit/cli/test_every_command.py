"""What the contract says of every command is so for every command of the tree."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kuva_gateway.cli import main
from kuva_gateway.cli.examples import EXAMPLES
from kuva_gateway.cli.invocation import PROGRAM, Invocation
from kuva_gateway.config import Configuration
from kuva_gateway.errors import ConfigurationError
from tests.unit.cli.tree import COMMANDS, example

Capture = pytest.CaptureFixture[str]
EVERY = pytest.mark.parametrize("words", COMMANDS)
LOOKS_FIRST = [words for words in COMMANDS if words != "run"]
"""``run`` would."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@EVERY
def test_help_says_what_it_does_and_ends_with_an_example(words: str, capsys: Capture) -> None:
    assert main([*words.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: {PROGRAM} {words} ")
    assert "--config" in shown
    assert "--json" in shown
    assert COMMANDS[words].help
    assert shown.endswith(f"Example:\n  {PROGRAM} {EXAMPLES[words]}\n")


@EVERY
def test_json_and_the_configuration_may_stand_in_any_position(
    words: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    heard: list[tuple[bool, str | None]] = []

    def ask(invocation: Invocation) -> Configuration:
        heard.append((invocation.json, invocation.config_option))
        raise ConfigurationError(folder / "there", [])

    monkeypatch.setattr(Invocation, "configuration", ask)
    given = example(words, folder)
    own = len(words.split())
    for place in [*range(own + 1), len(given)]:
        assert main([*given[:place], "--json", "--config", "there", *given[place:]]) == 2
    assert heard == [(True, "there")] * (own + 2)
    assert capsys.readouterr().out == ""


@EVERY
def test_an_option_that_it_does_not_have_is_one_line_and_status_2(words: str, folder: Path, capsys: Capture) -> None:
    assert main([*example(words, folder), "--no-such-option"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert "--no-such-option" in line


@EVERY
def test_a_fault_in_the_configuration_is_named_with_its_line_and_status_2(
    words: str, folder: Path, capsys: Capture
) -> None:
    path = folder / "kuva-gateway.yaml"
    path.write_text("environment: test\nlisten: {prt: 1}\n")
    assert main([*example(words, folder), "--json", "--config", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith(f"{path}: line 2: listen.prt")


@pytest.mark.parametrize("words", LOOKS_FIRST)
def test_where_the_gateway_has_never_run_it_ends_with_a_status_a_reason_and_json_or_nothing(
    words: str, folder: Path, capsys: Capture
) -> None:
    path = folder / "kuva-gateway.yaml"
    path.write_text("environment: test\n")
    status = main([*example(words, folder), "--json", "--config", str(path)])
    captured = capsys.readouterr()
    if captured.out:
        json.loads(captured.out)
    assert status in (0, 1)
    # The doctor's and the check's reasons are what they print.
    assert captured.err or captured.out
    assert captured.err or status == 0 or words in ("doctor", "stats")
