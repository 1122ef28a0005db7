"""What another configuration changes, and what of it has to wait."""

from __future__ import annotations

import re
from typing import Any

import pytest

from kuva_gateway.config import Configuration
from kuva_gateway.config.changes import NEEDS_RESTART, differences, in_force
from tests.support import ROOT

CT1 = {"name": "ct1", "ae_title": "CT1", "allow": ["store", "echo"]}
MR1 = {"name": "mr1", "ae_title": "MR1"}


def made(**values: Any) -> Configuration:
    return Configuration.model_validate({"environment": "test", **values})


def said(before: Configuration, after: Configuration) -> list[str]:
    return [str(change) for change in differences(before, after)]


def test_each_key_that_differs_has_a_line_with_both_values_as_the_file_writes_them() -> None:
    before = made(settle_after="60s", rules={"PID-01": "hold"}, peers=[CT1])
    after = made(
        settle_after="2m", rules={"PID-01": "off", "COD-01": "info"}, peers=[{**CT1, "networks": ["10.0.0.0/8"]}]
    )
    assert said(before, after) == [
        'settle_after: "1m" -> "2m"',
        'rules.PID-01: "hold" -> "off"',
        'rules.COD-01: "info" (new)',
        'peers.ct1.networks: null -> ["10.0.0.0/8"]',
    ]
    assert said(after, after) == []


def test_who_comes_and_goes_has_one_line_and_the_order_counts() -> None:
    assert said(made(peers=[CT1]), made(peers=[MR1])) == [
        'peers.mr1: {"name": "mr1", "ae_title": "MR1"} (new)',
        "peers.ct1: removed",
    ]
    assert said(made(peers=[CT1, MR1]), made(peers=[MR1, CT1])) == [
        'peers (their order): ["ct1", "mr1"] -> ["mr1", "ct1"]'
    ]
    assert said(made(peers=[CT1]), made(peers=[{**CT1, "allow": ["echo", "store"]}])) == []


def test_a_long_value_is_cut_and_its_change_seen_all_the_same() -> None:
    many = [f"1.2.3.{number}" for number in range(100)]
    (line,) = said(made(private_storage_classes=many), made(private_storage_classes=[*many, "1.2.4"]))
    assert len(line) < 450


def test_no_password_is_shown_and_a_changed_one_is_told_of() -> None:
    before = made(catalog={"url": "postgresql://kuva:secret1@db/kuva"})
    after = made(catalog={"url": "postgresql://kuva:secret2@db/kuva"})
    moved = made(catalog={"url": "postgresql://kuva:secret2@other/kuva"})
    for lines in (said(before, after), said(before, moved)):
        assert [line.split(":")[0] for line in lines] == ["catalog.url"]
        assert "secret" not in lines[0]


OTHERS: dict[str, dict[str, Any]] = {
    "ae_title": {"ae_title": "OTHER"},
    "environment": {"environment": "production"},
    "state_directory": {"state_directory": "/elsewhere"},
    "listen.host": {"listen": {"host": "0.0.0.0"}},
    "listen.port": {"listen": {"port": 104}},
    "listen.processes": {"listen": {"processes": 2}},
    "tls.port": {"tls": {"port": 2762, "certificate": "c.pem", "key": "k.pem"}},
    "catalog.url": {"catalog": {"url": "postgresql://db/kuva"}},
    "spool.durability": {"spool": {"durability": "strict"}},
    "audit.source": {"audit": {"source": "X"}},
    "audit.site": {"audit": {"site": "Y"}},
    "metrics.host": {"metrics": {"host": "::1"}},
    "metrics.port": {"metrics": {"port": 9999}},
}


@pytest.mark.parametrize("key", NEEDS_RESTART)
def test_what_needs_a_restart_keeps_its_value_and_the_rest_counts(key: str) -> None:
    now, wanted = made(), made(**OTHERS[key], settle_after="5s")
    assert key in {change.key for change in differences(now, wanted) if change.needs_restart}
    possible = in_force(now, wanted)
    assert not any(change.needs_restart for change in differences(now, possible))
    assert possible.settle_after == 5.0


def test_a_tls_port_that_stays_open_keeps_its_certificate_and_takes_a_new_one() -> None:
    now = made(tls={"port": 2762, "certificate": "c.pem", "key": "k.pem", "ca": "ca.pem"})
    assert in_force(now, made()).tls == now.tls
    renewed = in_force(now, made(tls={"port": 2763, "certificate": "d.pem", "key": "l.pem"})).tls
    assert (renewed.port, str(renewed.certificate), renewed.ca) == (2762, "d.pem", None)


def test_the_shipped_file_and_the_page_mark_the_keys_that_need_a_restart_and_no_others() -> None:
    marked, top = [], ""
    for line in (ROOT / "conf" / "kuva-gateway.yaml").read_text().splitlines():
        found = re.match(r"( *)([a-z_]+):", line)
        if found is None:
            continue
        top = top if found[1] else found[2]
        if re.search(r"#.*\brestart$", line):
            marked.append(f"{top}.{found[2]}" if found[1] else top)
    assert sorted(marked) == sorted(NEEDS_RESTART)
    page = (ROOT / "docs" / "reload.rst").read_text().partition("What needs a restart")[2]
    named = re.findall(r"``([a-z_.]+)``", "\n".join(line for line in page.splitlines() if line.startswith("- ")))
    assert sorted(named) == sorted(NEEDS_RESTART)
