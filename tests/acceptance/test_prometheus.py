"""A real Prometheus scrapes a real gateway, and the shipped rules wake somebody."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.acceptance.gateway import Gateway
from tests.support import ROOT, free_port, program, wait_until

pytestmark = pytest.mark.slow
MORE_THAN_ANY_DISK = "1000000GiB"
PATIENCE = 90.0


class Prometheus:
    """Debian's, on loopback, with the shipped rules; their pauses (``for``) are a second."""

    def __init__(self, folder: Path, scraped: int) -> None:
        self.port = free_port()
        rules = re.sub(r"\bfor: \w+", "for: 1s", (ROOT / "conf" / "alerts.yaml").read_text(encoding="utf-8"))
        (folder / "alerts.yaml").write_text(rules, encoding="utf-8")
        target = {"targets": [f"127.0.0.1:{scraped}"]}
        settings = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["alerts.yaml"],
            "scrape_configs": [{"job_name": "kuva-gateway", "static_configs": [target]}],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [
                    program("prometheus"),
                    f"--config.file={folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                    "--log.level=warn",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def end(self) -> None:
        self.process.kill()
        self.process.wait()

    def ask(self, path: str) -> Any:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}", timeout=30) as answer:
                return json.load(answer)["data"]
        except (urllib.error.URLError, ConnectionError):  # it is starting
            return {}

    def value(self, figure: str) -> float | None:
        found = self.ask("query?" + urllib.parse.urlencode({"query": figure})).get("result", [])
        return float(found[0]["value"][1]) if found else None

    def firing(self) -> set[str]:
        found = self.ask("alerts").get("alerts", [])
        return {one["labels"]["alertname"] for one in found if one["state"] == "firing"}


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    metrics = {"host": "127.0.0.1", "port": free_port()}
    own = Gateway(tmp_path / "gateway", metrics=metrics, spool={"minimum_free": MORE_THAN_ANY_DISK})
    with own:
        yield own


def test_an_alert_about_a_running_gateway_fires_and_another_one_when_it_is_gone(
    gateway: Gateway, tmp_path: Path
) -> None:
    (tmp_path / "prometheus").mkdir()
    port = yaml.safe_load(gateway.config.read_text())["metrics"]["port"]
    prometheus = Prometheus(tmp_path / "prometheus", port)
    try:
        wait_until(lambda: prometheus.value("kuva_gateway_ready") == 1, timeout=PATIENCE, what="a scrape")
        wait_until(lambda: "KuvaGatewaySpoolLow" in prometheus.firing(), timeout=PATIENCE, what="the disk's alert")
        assert "KuvaGatewayDown" not in prometheus.firing()
        gateway.stop()
        wait_until(lambda: "KuvaGatewayDown" in prometheus.firing(), timeout=PATIENCE, what="the alert of its absence")
    finally:
        prometheus.end()
