"""The command line as scripts see it: exit statuses, one JSON value, one line that says why."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from kuva_gateway.catalog.database import Catalog
from kuva_gateway.cli import main
from kuva_gateway.cli.main import _COMMANDS
from kuva_gateway.cli.output import _printable
from tests.support import ROOT

SHIPPED = str(ROOT / "conf" / "kuva-gateway.yaml")


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "kuva-gateway.yaml"
    path.write_text("environment: test\n")
    return path


@pytest.mark.parametrize(
    "arguments",
    [
        ["--json", "--config", SHIPPED, "config", "show"],
        ["config", "--json", "--config", SHIPPED, "show"],
        ["config", "show", "--config", SHIPPED, "--json"],
        ["config", "--config", SHIPPED, "show", "--json"],
    ],
)
def test_config_and_json_may_stand_anywhere(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["ae_title"] == "KUVAGW"
    assert shown["settle_after"] == "1m"


def test_a_shown_configuration_reads_as_the_same(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["config", "show", "--config", SHIPPED]) == 0
    first = capsys.readouterr().out
    again = tmp_path / "again.yaml"
    again.write_text(first)
    assert main(["config", "show", "--config", str(again)]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == yaml.safe_load(first)


def test_the_environment_names_the_file(
    written: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUVA_GATEWAY_CONFIG", str(written))
    assert main(["config", "check"]) == 0
    assert capsys.readouterr().out == f"{written}: no faults\n"


def test_every_fault_is_named_and_the_status_is_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("environment: nowhere\nlisten: {prt: 1}\n")
    assert main(["config", "check", "--config", str(path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1:3] for line in lines] == [["line 1", "environment"], ["line 2", "listen.prt"]]


def test_an_unknown_rule_is_a_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("environment: test\nrules: {COD-99: hold}\n")
    assert main(["config", "check", "--config", str(path)]) == 2
    assert "COD-99" in capsys.readouterr().err


def test_an_absent_file_is_a_configuration_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show", "--config", str(tmp_path / "absent.yaml")]) == 2
    assert "No such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["dance"], ["config", "dance"], ["studies", "list", "--limit", "x"], ["config", "-x"]]
)
def test_wrong_usage_is_one_line_and_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1


@pytest.mark.parametrize("arguments", [[], ["studies"], ["--json"], ["queue", "--json"]])
def test_no_command_is_one_line_that_says_where_to_look(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1


def test_help_shows_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in _COMMANDS)


@pytest.mark.parametrize("empty", [["--by", "", "--reason", "x"], ["--by", "x", "--reason", " "]])
@pytest.mark.parametrize(
    "command", [["studies", "release", "1.2"], ["studies", "reject", "1.2"], ["queue", "cancel", "1"]]
)
def test_a_decision_needs_a_name_and_a_reason(
    command: list[str], empty: list[str], written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, *empty, "--config", str(written)]) == 2
    assert "is empty" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(_COMMANDS))
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert "--config" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [["studies", "list"], ["studies", "show", "1.2.3"], ["queue", "list"], ["stats"], ["documents", "list"]],
)
def test_looking_creates_no_state_directory(
    arguments: list[str], written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--config", str(written)]) == 1
    assert "there is no state directory" in capsys.readouterr().err
    assert [path.name for path in written.parent.iterdir()] == [written.name]


def test_a_catalogs_password_is_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("environment: test\ncatalog: {url: 'postgresql://kuva:sec:ret@db/kuva'}\n")
    assert main(["config", "show", "--config", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "postgresql://kuva@db/kuva" in shown
    assert "ret" not in shown.replace("retention", "").replace("retry", "")


def test_keys_that_do_nothing_are_said_by_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("environment: test\n")
    assert main(["config", "check", "--config", str(path), "--json"]) == 0
    assert (
        "destinations: none is required, so no study is ever archived" in json.loads(capsys.readouterr().out)["notices"]
    )


def test_peers_text_cannot_steer_a_terminal() -> None:
    assert _printable("CT\x1b[2J1\x07") == "CT\\x1b[2J1\\x07"


def test_a_file_system_that_fails_is_one_line_that_names_the_file_and_status_1(tmp_path: Path) -> None:
    path = tmp_path / "kuva-gateway.yaml"
    path.write_text("environment: test\nstate_directory: ./file/below\n")
    (tmp_path / "file").write_text("no folder")
    command = [sys.executable, "-m", "kuva_gateway", "run", "--config", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr == f"kuva-gateway: Not a directory: {tmp_path / 'file' / 'below'}\n"


@pytest.mark.parametrize(
    "arguments", [["codes", "import", "codes.csv"], ["catalog", "rebuild"], ["receive", "codes.csv"]], ids=" ".join
)
def test_root_makes_no_files_that_the_gateways_own_user_could_not_read(
    arguments: list[str],
    written: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    state = written.parent / "var"
    state.mkdir()
    if os.geteuid() == 0:
        os.chown(state, 54321, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 0)
    (written.parent / "codes.csv").write_bytes((ROOT / "conf" / "procedure-codes.csv").read_bytes())
    monkeypatch.chdir(written.parent)
    assert main([*arguments, "--config", str(written)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "run this as" in line
    assert list(state.iterdir()) == []


@pytest.mark.parametrize("command", [["stats"], ["studies", "list"], ["codes", "show", "BA1AC"], ["queue", "list"]])
def test_no_command_changes_the_schema_under_a_gateway_of_an_older_version(
    command: list[str], written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = written.parent / "var"
    state.mkdir(mode=0o700)
    written.write_text(yaml.safe_dump({"environment": "test", "state_directory": str(state)}))
    with contextlib.closing(Catalog.open(None, state / "catalog.sqlite")) as catalog, catalog.write() as session:
        session.execute("DELETE FROM schema_migration WHERE name > '0005'")
    assert main([*command, "--config", str(written)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "(re)start the gateway" in line
    with contextlib.closing(sqlite3.connect(state / "catalog.sqlite")) as connection:
        assert connection.execute("SELECT COUNT(*) FROM schema_migration").fetchone()[0] == 4
