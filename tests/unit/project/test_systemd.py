"""The unit files are ones that systemd takes."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import ROOT, program

FOLDER = ROOT / "systemd"


def unit() -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(FOLDER / "kuva-gateway.service")
    return {name: dict(parser[name]) for name in parser.sections()}


def test_systemd_analyze_finds_no_fault(tmp_path: Path) -> None:
    """The program's path is exchanged for one that exists here: verify insists on that."""
    text = (FOLDER / "kuva-gateway.service").read_text()
    copy = tmp_path / "kuva-gateway.service"
    true = shutil.which("true")
    assert true is not None
    copy.write_text(
        text.replace("/opt/kuva-gateway/bin/kuva-gateway", true).replace("file:///usr/share/doc", "file:///")
    )
    done = subprocess.run(
        [program("systemd-analyze"), "verify", "--man=no", str(copy)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    complaints = [line for line in done.stderr.splitlines() if "kuva-gateway" in line]
    assert done.returncode == 0, done.stderr
    assert complaints == []


def test_the_daemon_is_started_by_the_command_that_exists_and_tells_when_it_is_ready() -> None:
    service = unit()["Service"]
    assert service["Type"] == "notify"
    assert service["ExecStart"].split()[1] == "run"
    assert service["ExecStartPre"].split()[1:3] == ["config", "check"]


def test_a_wrong_configuration_is_not_started_again_and_again() -> None:
    assert unit()["Service"]["RestartPreventExitStatus"] == "2"


@pytest.mark.parametrize("name", ["sysusers", "tmpfiles"])
def test_account_and_folders_are_the_units_own(name: str) -> None:
    text = (FOLDER / f"kuva-gateway.{name}").read_text()
    service = unit()["Service"]
    assert service["User"] in text
    assert f"/var/lib/{service['StateDirectory']}" in text
