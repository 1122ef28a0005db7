"""The wired daemon's figures, asked over HTTP while real images come in."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml
from prometheus_client.parser import text_string_to_metric_families as parse

from kuva_gateway import log
from kuva_gateway.config import load
from kuva_gateway.daemon import Daemon
from kuva_gateway.log import repeats
from kuva_gateway.monitoring import monitoring
from kuva_gateway.monitoring.alerts import SPOOL_FULL, Raised
from kuva_gateway.monitoring.families import FAMILIES, PREFIX
from kuva_gateway.monitoring.telling import Telling
from kuva_gateway.network import AssociationRejected, NetworkError
from tests.support import wait_until
from tests.unit.metrics.test_endpoint import ask
from tests.unit.receiving.conftest import associate
from tests.unit.scp.conftest import encode, image, store

Figures = dict[tuple[str, tuple[tuple[str, str], ...]], float]

CONFIGURATION: dict[str, Any] = {
    "environment": "test",
    "listen": {"port": 0, "processes": 0},
    "metrics": {"port": 0},
    "settle_after": "100ms",
    "spool": {"minimum_free": "1MiB"},
    "peers": [{"name": "ct1", "ae_title": "CT1", "allow": ["echo", "store"]}],
    "destinations": [
        {
            "name": "archive",
            "ae_title": "ARCHIVE",
            "host": "127.0.0.1",
            "port": 9,
            "rest_for": "10m",
            "rest_at_most": "10m",
        }
    ],
}


@contextmanager
def running(folder: Path, **changes: Any) -> Iterator[Daemon]:
    """The daemon in this process."""
    path = folder / "kuva-gateway.yaml"
    path.write_text(yaml.safe_dump({**CONFIGURATION, **changes}))
    daemon = Daemon(load(path), threading.Event(), path)
    try:
        daemon.start()
        yield daemon
    finally:
        daemon.stop()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    before = threading.active_count()
    with (tmp_path / "gateway.log").open("w") as lines:
        log.configure(form="json", stream=lines)
        with running(tmp_path) as found:
            yield found
        structlog.reset_defaults()
    wait_until(lambda: threading.active_count() <= before, what=f"the end of {threading.enumerate()}")


def figures(daemon: Daemon) -> Figures:
    """Name and labels -> value."""
    status, text = ask(daemon.metrics_port, "/metrics")
    assert status == 200
    return {
        (sample.name.removeprefix(PREFIX), tuple(sorted(sample.labels.items()))): sample.value
        for family in parse(text)
        for sample in family.samples
    }


def figure(found: Figures, name: str, **labels: str) -> float:
    return found[name, tuple(sorted(labels.items()))]


def send(daemon: Daemon, uid: str, **changes: Any) -> int:
    with associate(daemon) as association:  # type: ignore[arg-type]
        return store(association, encode(image(SOPInstanceUID=uid, **changes)), sop_instance="1.2.3.1").status


def test_what_comes_in_is_counted_held_and_shown_without_patients(daemon: Daemon, tmp_path: Path) -> None:
    assert send(daemon, "1.2.3.1", AccessionNumber="ACC987") == 0
    assert send(daemon, "1.2.3.2") == 0xA900
    with pytest.raises((AssociationRejected, NetworkError)):
        associate(daemon, calling="STRANGER")  # type: ignore[arg-type]
    wait_until(lambda: figure(figures(daemon), "associations_total", peer="", result="rejected") == 1)
    wait_until(lambda: figure(figures(daemon), "associations_total", peer="ct1", result="released") == 2)
    daemon._monitoring._view._good_until = 0  # type: ignore[union-attr]
    held = wait_until(lambda: held_figures(daemon), what="the study to be held", timeout=20)
    assert figure(held, "received_instances_total", peer="ct1", result="stored") == 1
    assert figure(held, "received_instances_total", peer="ct1", result="A900") == 1
    assert figure(held, "received_bytes_total", peer="ct1", result="A900") > 500
    stored = sum(
        path.stat().st_size for path in (tmp_path / "var" / "spool" / "instances").rglob("*") if path.is_file()
    )
    assert figure(held, "received_bytes_total", peer="ct1", result="stored") == stored == figure(held, "stored_bytes")
    assert figure(held, "acknowledge_seconds_count", peer="ct1") == 1
    assert figure(held, "acknowledge_seconds_bucket", peer="ct1", le="+Inf") == 1
    assert figure(held, "acknowledge_seconds_bucket", peer="ct1", le="0.001") in (0, 1)
    assert figure(held, "open_associations", peer="ct1") == 0
    assert (figure(held, "ready"), figure(held, "receivers_ready"), figure(held, "catalog_up")) == (1, 1, 1)
    assert 0 < figure(held, "oldest_unarchived_seconds") < 120
    assert figure(held, "attempts_total", destination="archive", outcome="delivered") == 0
    assert figure(held, "spool_total_bytes") > figure(held, "spool_free_bytes") > 0
    assert figure(held, "spool_minimum_free_bytes") == 1 << 20
    assert held["process_resident_memory_bytes", ()] > 1 << 20
    shown = ask(daemon.metrics_port, "/metrics")[1]
    for word in ("Testi", "010101-999R", "STRANGER", "ACC987", "1.2.3"):
        assert word not in shown, word
    names = {line.split()[2].removeprefix(PREFIX) for line in shown.splitlines() if line.startswith("# TYPE kuva")}
    # Without TLS, a collector and an archive behind the gateway there is nothing to say about them.
    absent = {
        "certificate_expiry_seconds",
        "revocation_list_expiry_seconds",
        "revocation_list_due_seconds",
        "audit_collector_up",
        "upstream_resting_seconds",
    }
    wanted = {one.name + ("_total" if one.kind == "counter" else "") for one in FAMILIES.values()}
    assert names == wanted - absent


def held_figures(daemon: Daemon) -> Figures | None:
    daemon._monitoring._view._good_until = 0  # type: ignore[union-attr]
    found = figures(daemon)
    return found if found.get(("studies", (("state", "held"),))) == 1 else None


def test_health_and_readiness_are_told_from_the_ports_to_the_stop(daemon: Daemon) -> None:
    assert ask(daemon.metrics_port, "/healthz") == (200, "alive\n")
    assert ask(daemon.metrics_port, "/readyz") == (200, "ready\n")
    assert daemon._reception is not None
    daemon._reception.drain(1)
    assert ask(daemon.metrics_port, "/readyz") == (503, "the ports are not open yet\n")
    pulse = daemon._supervision.pulse
    pulse.beat = lambda who, *, patience=None: None  # type: ignore[method-assign]
    pulse._beats["the clock"] -= 100
    status, why = ask(daemon.metrics_port, "/healthz")
    assert (status, why.startswith("the clock has not gone round for ")) == (503, True)
    daemon._stop.set()
    assert ask(daemon.metrics_port, "/readyz") == (503, "the gateway stops\n")


def test_a_catalog_that_is_locked_is_said_and_delays_nobody(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = daemon._monitoring._view  # type: ignore[union-attr]
    assert figure(figures(daemon), "catalog_up") == 1
    free = threading.Event()
    read = view._read
    monkeypatch.setattr(view, "_read", lambda: free.wait(30) and read())
    monkeypatch.setattr(view, "_patience", 0.1)
    view._good_until = 0.0
    with sqlite3.connect(tmp_path / "var" / "catalog.sqlite", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        found = figures(daemon)
        assert figure(found, "catalog_up") == 0
        assert figure(found, "ready") == 1
        assert ("stored_instances", ()) in found  # the last ones, with their age
        assert send(daemon, "1.2.3.1") == 0
        assert figure(figures(daemon), "arrivals_pending") == 1
        other.execute("ROLLBACK")
    free.set()
    wait_until(lambda: figure(figures(daemon), "catalog_up") == 1)
    wait_until(lambda: figure(figures(daemon), "index_lag_seconds") == 0)


def test_somebody_is_told_of_an_alert_once_an_hour_also_over_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, program, ahead = tmp_path / "told", tmp_path / "tell", timedelta()
    program.write_text(f"#!/bin/sh\ncat >> {told}\n")
    program.chmod(0o755)
    looks: list[int] = []

    class Hurried(Telling):
        def __init__(self, *arguments: Any, **keywords: Any) -> None:
            super().__init__(*arguments, **{**keywords, "now": lambda: datetime.now(UTC) + ahead})

        def look(self, raised: Sequence[Raised]) -> int:
            looks.append(super().look(raised))
            return looks[-1]

    def look_again() -> None:
        before = len(looks)
        wait_until(lambda: len(looks) >= before + 2, what="two looks for alerts")

    monkeypatch.setattr(monitoring, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(monitoring, "Telling", Hurried)
    keys = {"spool": {"minimum_free": "1000TiB"}, "alerts": {"command": [str(program)]}}
    with running(tmp_path, **keys):
        look_again()
        assert sum(looks) == 0, "it has not lasted yet"
        ahead += SPOOL_FULL.lasting
        wait_until(lambda: sum(looks) == 1)
        look_again()
    with running(tmp_path, **keys):
        look_again()
        ahead += timedelta(minutes=50)
        look_again()
        ahead += timedelta(minutes=11)
        wait_until(lambda: sum(looks) == 2)
        look_again()
    alerts = [json.loads(line)["alert"] for line in told.read_text().splitlines()]
    assert alerts == ["KuvaGatewaySpoolFull"] * 2 == ["KuvaGatewaySpoolFull"] * sum(looks)


@pytest.mark.slow
def test_a_caller_that_is_refused_again_and_again_does_not_fill_the_log(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repeats, "WINDOW", 5.0)

    def lines(what: str) -> int:
        return sum(what in line for line in (tmp_path / "gateway.log").read_text().splitlines())

    while lines('"association_rejected"') < repeats.AT_MOST or not lines("more like this"):
        with pytest.raises((AssociationRejected, NetworkError)):
            associate(daemon, calling="STRANGER")  # type: ignore[arg-type]
    asked = figure(figures(daemon), "associations_total", peer="", result="rejected")
    assert lines('"association_rejected",') < asked
