"""The unit files are ones that systemd takes."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

from kuva_gateway.config import Configuration
from kuva_gateway.config.units import parse_duration
from kuva_gateway.receiving.services import SOCKETS
from tests.support import ROOT, program

FOLDER = ROOT / "systemd"


def unit() -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(FOLDER / "kuva-gateway.service")
    return {name: dict(parser[name]) for name in parser.sections()}


UNITS = sorted(path.name for path in FOLDER.glob("kuva-gateway*") if path.suffix in (".service", ".socket", ".timer"))
MOST_EXPOSED = 1.5


def copied(folder: Path, *, also: str = "") -> list[Path]:
    """The units with a program that exists here: verify insists on that; ``also``: a drop-in for the service."""
    true = shutil.which("true")
    assert true is not None
    for name in UNITS:
        text = (FOLDER / name).read_text()
        exchanged = text.replace("/opt/kuva-gateway/bin/kuva-gateway", true).replace(
            "file:///usr/share/doc", "file:///"
        )
        (folder / name).write_text(exchanged)
    if also:
        dropped = folder / "kuva-gateway.service.d"
        dropped.mkdir()
        shutil.copy(FOLDER / "examples" / also, dropped)
    return [folder / name for name in UNITS]


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [program("systemd-analyze"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("also", ["", "credentials.conf", "port-104.conf"])
def test_systemd_analyze_finds_no_fault(tmp_path: Path, also: str) -> None:
    done = analyze("verify", "--man=no", *map(str, copied(tmp_path, also=also)))
    complaints = [line for line in done.stderr.splitlines() if "kuva-gateway" in line]
    assert done.returncode == 0, done.stderr
    assert complaints == []


@pytest.mark.parametrize("name", [name for name in UNITS if name.endswith(".service")])
def test_a_service_is_exposed_to_little(name: str) -> None:
    done = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSED * 10:.0f}", str(FOLDER / name))
    assert done.returncode == 0, done.stdout


def test_the_sockets_have_the_names_that_the_daemon_knows() -> None:
    named = {}
    for name in ("kuva-gateway.socket", "kuva-gateway-tls.socket"):
        parser = configparser.ConfigParser(strict=False, interpolation=None)
        parser.read(FOLDER / name)
        assert parser["Socket"]["Service"] == "kuva-gateway.service"
        named[name] = parser["Socket"]["FileDescriptorName"]
    assert tuple(named.values()) == SOCKETS


def test_the_watchdog_is_fed_often_enough_and_the_daemon_given_time_to_stop() -> None:
    service = unit()["Service"]
    defaults = Configuration(environment="test")
    assert parse_duration(service["WatchdogSec"]) >= 30
    assert parse_duration(service["TimeoutStopSec"]) > 2 * defaults.drain_timeout + defaults.timers.response


def test_the_daemon_is_started_by_the_command_that_exists_and_tells_when_it_is_ready() -> None:
    service = unit()["Service"]
    assert service["Type"] == "notify"
    assert service["ExecStart"].split()[1] == "run"
    assert "ExecStartPre" not in service, "its status would not keep the unit from being started again and again"
    assert service["ExecReload"].split()[1:3] == ["config", "reload"]


def test_a_wrong_configuration_is_not_started_again_and_again() -> None:
    assert unit()["Service"]["RestartPreventExitStatus"] == "2"


@pytest.mark.parametrize("name", ["sysusers", "tmpfiles"])
def test_account_and_folders_are_the_units_own(name: str) -> None:
    text = (FOLDER / f"kuva-gateway.{name}").read_text()
    service = unit()["Service"]
    assert service["User"] in text
    assert f"/var/lib/{service['StateDirectory']}" in text
