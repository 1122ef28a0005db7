"""``stats --check``: one line and an exit status, whatever is there or not."""

from __future__ import annotations

import json
import re
from contextlib import closing
from pathlib import Path

import pytest

from kuva_gateway.catalog.database import Catalog
from kuva_gateway.cli import main
from kuva_gateway.control import ControlServer
from kuva_gateway.lock import StateLock

LINE = re.compile(r"KUVA-GATEWAY (OK|WARNING|CRITICAL) - [^|\n]+ \|( [a-z_]+=\d+(s|B)?)+\n")


@pytest.fixture
def config(tmp_path: Path) -> str:
    """An installation that has run."""
    (tmp_path / "var").mkdir()
    Catalog.open(None, tmp_path / "var" / "catalog.sqlite", create=True).close()
    path = tmp_path / "a.yaml"
    path.write_text("environment: test\nspool: {minimum_free: 1MiB}\nmetrics: {port: null}\n")
    return str(path)


def check(config: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    capsys.readouterr()
    status = main(["stats", "--check", "--config", config])
    out = capsys.readouterr().out
    assert LINE.fullmatch(out), out
    return status, out


def test_a_gateway_that_runs_and_has_nothing_to_complain_of_is_ok(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    control = ControlServer(tmp_path / "var" / "control.sock", {"live": lambda request: {"not_ready": ""}})
    control.start()
    try:
        status, line = check(config, capsys)
    finally:
        control.stop()
    assert status == 0
    assert line.startswith(
        "KUVA-GATEWAY OK - receiving, 0 studies held, none failed | arrivals_pending=0 index_lag=0s "
    )


def test_a_gateway_that_is_down_is_critical_with_its_figures(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, line = check(config, capsys)
    assert status == 1
    assert line.startswith("KUVA-GATEWAY CRITICAL - Down: the gateway is not running | ")
    assert " held=0 " in line


def test_a_gateway_that_runs_and_does_not_answer_is_not_called_down(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = StateLock(tmp_path / "var" / "lock")
    lock.acquire()
    try:
        status, line = check(config, capsys)
    finally:
        lock.release()
    assert status == 1
    assert re.search(r"CRITICAL - NotReady: peers cannot send: process \d+ runs and does not answer yet", line)


def test_an_installation_that_has_never_run_is_said_not_failed_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("environment: test\n")
    status, line = check(str(path), capsys)
    assert status == 1
    assert "Down: the gateway is not running; CatalogAway: there is no state directory" in line
    assert not (tmp_path / "var").exists()


def test_what_waits_for_a_person_is_said_and_given_as_json(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        closing(Catalog.open(None, tmp_path / "var" / "catalog.sqlite", create=False)) as catalog,
        catalog.write() as session,
    ):
        session.execute("INSERT INTO totals VALUES ('entries:national-archive', 'failed', 2, 0, 0)")
    status, line = check(config, capsys)
    assert status == 1
    assert "EntriesFailed: entries failed: national-archive 2" in line
    assert " failed=2 " in line
    assert main(["stats", "--check", "--json", "--config", config]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["status"], told["failed"]) == ("CRITICAL", 2)
    assert [one["alert"] for one in told["alerts"]] == ["KuvaGatewayDown", "KuvaGatewayEntriesFailed"]
    assert all(one["what_to_do"] and one["runbook"].startswith("docs/alerts.rst#") for one in told["alerts"])


def test_a_fault_in_the_configuration_is_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("environment: tset\n")
    assert main(["stats", "--check", "--config", str(path)]) == 2
    assert capsys.readouterr().out == ""
