"""Alerts: one table, one rule file for Prometheus, one page, and what is not well at a moment."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from kuva_gateway.catalog.figures import CatalogFigures, Rest
from kuva_gateway.config import Configuration
from kuva_gateway.config.units import parse_duration
from kuva_gateway.monitoring import alerts
from kuva_gateway.monitoring.alerts import ALERTS, ONLY_OVER_TIME, raised
from kuva_gateway.monitoring.families import FAMILIES, full_name
from kuva_gateway.monitoring.situation import Situation
from kuva_gateway.network.revocation import RevocationList
from tests.support import ROOT, program

RULES = ROOT / "conf" / "alerts.yaml"
PAGE = (ROOT / "docs" / "alerts.rst").read_text(encoding="utf-8")
NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
GIB = 2**30
CONFIGURATION = Configuration(environment="test")


def rules() -> dict[str, dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def promtool(*arguments: str) -> tuple[int, str]:
    """Exit status and what it said."""
    command = [program("promtool"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def test_promtool_accepts_the_rules() -> None:
    status, said = promtool("check", "rules", str(RULES))
    assert (status, f"{len(ALERTS)} rules found" in said) == (0, True), said


def test_each_rule_fires_at_its_border_and_not_before() -> None:
    tests = Path(__file__).with_name("alerts.test.yaml")
    status, said = promtool("test", "rules", str(tests))
    assert status == 0, said
    told = tests.read_text(encoding="utf-8")
    assert [alert.name for alert in ALERTS if alert.name not in told] == []


def test_the_rules_are_those_of_the_table() -> None:
    found = rules()
    assert list(found) == [alert.name for alert in ALERTS]
    for alert in ALERTS:
        rule = found[alert.name]
        assert rule["labels"] == {"severity": alert.severity.value}
        assert timedelta(seconds=parse_duration(rule.get("for", "0s"))) == alert.lasting, alert.name
        assert rule["annotations"]["what_to_do"] == alert.remedy
        assert rule["annotations"]["runbook"] == alert.runbook
        assert rule["annotations"]["summary"]


def test_rules_ask_for_figures_that_there_are() -> None:
    known = {full_name(one) for one in FAMILIES.values()} | {"kuva_gateway_acknowledge_seconds_bucket"}
    asked = {name for rule in rules().values() for name in re.findall(r"kuva_gateway_[a-z_]+", rule["expr"])}
    assert asked <= known
    assert len(asked) > 15


@pytest.mark.parametrize(
    ("alert", "seconds"),
    [
        (alerts.HELD, CONFIGURATION.alerts.held_for),
        (alerts.UNARCHIVED, CONFIGURATION.alerts.unarchived_for),
        (alerts.INDEX, alerts.INDEX_BEHIND.total_seconds()),
        (alerts.RESTS, alerts.RESTING.total_seconds()),
        (alerts.EXPIRING, alerts.EXPIRES_SOON.total_seconds()),
        (alerts.EXPIRED, alerts.EXPIRES_NOW.total_seconds()),
        (alerts.AUDIT, alerts.AUDIT_BEHIND),
        (alerts.SPOOL_LOW, alerts.LOW_SHARE),
    ],
)
def test_numbers_are_the_same_everywhere(alert: alerts.Alert, seconds: float) -> None:
    assert seconds in [float(number) for number in re.findall(r"(?<=[<>=+] )[\d.]+", rules()[alert.name]["expr"])]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_every_alert_has_a_section_that_says_how_bad_it_is_and_after_what_time(alert: alerts.Alert) -> None:
    (section,) = re.findall(rf"^{alert.name}\n=+\n(.+)$", PAGE, re.MULTILINE)
    minutes = int(alert.lasting.total_seconds()) // 60
    lasting = {0: "at once", 1: "after 1 minute", 60: "after an hour"}.get(minutes, f"after {minutes} minutes")
    assert section.startswith(f"{alert.severity.value.capitalize()}, {lasting}.")


def test_every_section_is_an_alert() -> None:
    assert re.findall(r"^(KuvaGateway\w+)\n=", PAGE, re.MULTILINE) == [alert.name for alert in ALERTS]


# -- what is not well -------------------------------------------------------------------------------------------


def catalog(**changes: Any) -> CatalogFigures:
    values: dict[str, Any] = {
        "at": NOW,
        "studies": {"archived": 5},
        "instances": 10,
        "bytes": 100,
        "entries": {("archive", "archived"): 5},
        "held_by_rule": {},
        "oldest_unarchived": None,
        "oldest_held": None,
        "overdue": {"archive": 0},
        "resting": {},
        "untold": 0,
        **changes,
    }
    return CatalogFigures(**values)


def situation(**changes: Any) -> Situation:
    values: dict[str, Any] = {
        "at": NOW,
        "catalog": catalog(),
        "free": 50 * GIB,
        "total": 100 * GIB,
        "minimum_free": 5 * GIB,
        "certificates": {"tls.certificate": NOW + timedelta(days=300)},
        **changes,
    }
    return Situation(**values)


def listed(begins: timedelta, ends: timedelta) -> RevocationList:
    return RevocationList(issuer=b"", this_update=NOW + begins, next_update=NOW + ends, pem="")


def names(now: Situation) -> list[str]:
    return [one.alert.name.removeprefix("KuvaGateway") for one in raised(CONFIGURATION, now)]


def resting(minutes: int, code: str = "unreachable") -> dict[str, Rest]:
    return {"archive": Rest(since=NOW - timedelta(minutes=minutes), until=NOW, code=code)}


BORDERS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("Down", {"down": "the gateway is not running", "not_ready": "x"}, {}),
    ("NotReady", {"not_ready": "the ports are not open yet"}, {}),
    ("CatalogAway", {"catalog": None, "catalog_away": "locked"}, {}),
    (
        "IndexBehind",
        {"waiting": 3, "waiting_since": NOW - timedelta(seconds=301)},
        {"waiting": 3, "waiting_since": NOW - timedelta(seconds=300)},
    ),
    ("SpoolLow", {"free": 10 * GIB - 1}, {"free": 10 * GIB}),
    ("SpoolFull", {"free": 5 * GIB - 1}, {"free": 11 * GIB}),
    (
        "StudyHeldTooLong",
        {"catalog": catalog(studies={"held": 2}, oldest_held=NOW - timedelta(days=1, seconds=1))},
        {"catalog": catalog(studies={"held": 2}, oldest_held=NOW - timedelta(days=1))},
    ),
    (
        "StudyUnarchivedTooLong",
        {"catalog": catalog(oldest_unarchived=NOW - timedelta(days=3, seconds=1))},
        {"catalog": catalog(oldest_unarchived=NOW - timedelta(days=3))},
    ),
    (
        "EntriesFailed",
        {"catalog": catalog(entries={("archive", "failed"): 1})},
        {"catalog": catalog(entries={("archive", "deferred"): 9})},
    ),
    ("DestinationResting", {"catalog": catalog(resting=resting(31))}, {"catalog": catalog(resting=resting(30))}),
    (
        "CommitmentOverdue",
        {"catalog": catalog(overdue={"archive": 1})},
        {"catalog": catalog(resting=resting(600, "window"))},
    ),
    (
        "CertificateExpiresSoon",
        {"certificates": {"tls.ca": NOW + timedelta(days=3)}},
        {"certificates": {"tls.ca": NOW + timedelta(days=30)}},
    ),
    ("CertificateExpiresNow", {"certificates": {"tls.ca": NOW + timedelta(days=2, hours=23)}}, {}),
    (
        "RevocationListOld",
        {"revocation_lists": {"tls.revocation[0]": listed(timedelta(days=-6), timedelta(days=1))}},
        {"revocation_lists": {"tls.revocation[0]": listed(timedelta(days=-5), timedelta(days=2))}},
    ),
    (
        "RevocationListExpired",
        {"revocation_lists": {"tls.revocation[0]": listed(timedelta(days=-8), timedelta(minutes=-1))}},
        {},
    ),
    ("AuditBehind", {"audit_backlog": 1001}, {"audit_backlog": 1000}),
]


@pytest.mark.parametrize(("name", "beyond", "within"), BORDERS, ids=[name for name, _, _ in BORDERS])
def test_each_alert_is_raised_beyond_its_border_alone(
    name: str, beyond: dict[str, Any], within: dict[str, Any]
) -> None:
    assert names(situation(**beyond)) == [name]
    assert names(situation(**within)) == []


def test_every_alert_of_a_moment_has_a_border_here() -> None:
    assert {f"KuvaGateway{name}" for name, _, _ in BORDERS} == {alert.name for alert in ALERTS} - ONLY_OVER_TIME


def test_what_is_critical_comes_first_and_a_gateway_that_is_down_is_not_also_behind() -> None:
    now = situation(
        down="the gateway is not running",
        waiting=1,
        waiting_since=NOW - timedelta(days=1),
        catalog=catalog(entries={("archive", "failed"): 1}, oldest_unarchived=NOW - timedelta(days=9)),
    )
    assert names(now) == ["Down", "StudyUnarchivedTooLong", "EntriesFailed"]


def test_what_is_not_known_raises_nothing() -> None:
    assert names(replace(situation(), free=None, total=None, certificates={})) == []
