"""``alerts.command`` with real programs: told once an hour, by JSON, whatever the program does."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from kuva_gateway.config import Configuration
from kuva_gateway.monitoring.alerts import FAILED, REFUSES, Raised
from kuva_gateway.monitoring.telling import AGAIN_AFTER, Telling
from tests.support import wait_until

BROKEN = Raised(alert=FAILED, summary="entries failed: archive 2")
AT_ONCE = Raised(alert=REFUSES, summary="images are refused")


class Site:
    """A program that keeps what it is told, and a clock."""

    def __init__(self, folder: Path, script: str = 'cat >> "$1"; env > "$1.env"') -> None:
        self.folder = folder
        self.at = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
        self.program = folder / "tell"
        self.program.write_text(f"#!/bin/sh\n{script}\n")
        self.program.chmod(0o755)
        self.heard_file = folder / "heard; rm -rf $HOME"  # no shell looks at it

    def telling(self, patience: float = 20.0) -> Telling:
        command = [str(self.program), str(self.heard_file)]
        configuration = Configuration(environment="test", alerts={"command": command})  # type: ignore[arg-type]
        return Telling(
            lambda: configuration,
            self.folder / "alerts.json",
            now=lambda: self.at,
            log=structlog.get_logger(),
            patience=patience,
        )

    def heard(self) -> list[dict[str, Any]]:
        return (
            [json.loads(line) for line in self.heard_file.read_text().splitlines()] if self.heard_file.exists() else []
        )


def test_what_lasts_is_told_once_an_hour(tmp_path: Path) -> None:
    site = Site(tmp_path)
    telling = site.telling()
    began = site.at
    assert telling.look([BROKEN]) == 0
    site.at += FAILED.lasting
    assert telling.look([BROKEN]) == 1
    (told,) = site.heard()
    assert told == {
        "alert": "KuvaGatewayEntriesFailed",
        "severity": "warning",
        "summary": "entries failed: archive 2",
        "what_to_do": FAILED.remedy,
        "runbook": "docs/alerts.rst#kuvagatewayentriesfailed",
        "gateway": "KUVAGW",
        "environment": "test",
        "since": began.isoformat(),
        "at": site.at.isoformat(),
    }
    site.at += AGAIN_AFTER - timedelta(seconds=1)
    assert telling.look([BROKEN]) == 0
    site.at += timedelta(seconds=1)
    assert telling.look([BROKEN]) == 1
    assert len(site.heard()) == 2


def test_what_comes_and_goes_is_not_told(tmp_path: Path) -> None:
    telling = (site := Site(tmp_path)).telling()
    for _ in range(5):
        assert telling.look([BROKEN]) == 0
        site.at += FAILED.lasting / 2
        assert telling.look([]) == 0
        site.at += FAILED.lasting / 2
    assert site.heard() == []


def test_alerts_do_not_wait_for_each_other_and_a_restart_forgets_nothing(tmp_path: Path) -> None:
    site = Site(tmp_path)
    assert site.telling().look([AT_ONCE, BROKEN]) == 1
    site.at += timedelta(minutes=30)
    again = site.telling()
    assert again.look([AT_ONCE, BROKEN]) == 0
    site.at += FAILED.lasting
    assert again.look([AT_ONCE, BROKEN]) == 1
    assert [told["alert"].removeprefix("KuvaGateway") for told in site.heard()] == ["RefusesImages", "EntriesFailed"]


@pytest.mark.parametrize("content", ["", "[]", '{"KuvaGatewayRefusesImages": 5}', "\0", '{"x": "2026-01-01"}'])
def test_a_damaged_memory_is_none(tmp_path: Path, content: str) -> None:
    site = Site(tmp_path)
    (tmp_path / "alerts.json").write_text(content)
    assert site.telling().look([AT_ONCE]) == 1


def test_the_program_gets_nothing_of_our_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "secret")
    site = Site(tmp_path)
    site.telling().look([AT_ONCE])
    seen = Path(f"{site.heard_file}.env").read_text()
    assert "secret" not in seen
    assert "PATH=" in seen


def test_a_program_that_hangs_is_ended_with_what_it_started(tmp_path: Path) -> None:
    site = Site(tmp_path, 'sleep 60 & echo $! > "$1"; wait')
    began = time.monotonic()
    with capture_logs() as said:
        assert site.telling(patience=0.5).look([AT_ONCE]) == 1
    assert time.monotonic() - began < 20
    assert {"event": "alerts.command failed", "why": "it took longer than 0.5 s"}.items() <= said[-1].items()
    child = int(site.heard_file.read_text())
    wait_until(lambda: is_gone(child), what="the end of what it started")


def is_gone(process: int) -> bool:
    """Whether it runs no more; its parent is gone, so that nobody may have waited for it."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize(("script", "why"), [("exit 3", "it ended with status 3"), ("exec cat </dev/null", "")])
def test_how_a_program_ends_is_said_when_it_is_not_well(tmp_path: Path, script: str, why: str) -> None:
    with capture_logs() as said:
        Site(tmp_path, script).telling().look([AT_ONCE])
    assert [one["why"] for one in said if one["event"] == "alerts.command failed"] == ([why] if why else [])


def test_a_program_that_is_not_there_stops_nothing(tmp_path: Path) -> None:
    site = Site(tmp_path)
    telling = site.telling()
    site.program.unlink()
    with capture_logs() as said:
        assert telling.look([AT_ONCE]) == 1
    assert said[-1]["why"] == "No such file or directory"
