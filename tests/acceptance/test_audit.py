"""The audit trail of a real gateway: what happened to a study, read back by command and collected."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.acceptance.gateway import Gateway
from tests.stand_in import StandIn
from tests.studies import make_study
from tests.support import dcmtk, dcmtk_environment, wait_until
from tests.unit.audit.test_collector import Syslog, bodies

pytestmark = pytest.mark.slow

Pair = tuple[Gateway, StandIn]


@pytest.fixture
def syslog() -> Iterator[Syslog]:
    found = Syslog()
    yield found
    found.close()


def ask(gateway: Gateway, tool: str, *options: str, calling: str, folder: Path) -> int:
    command = [dcmtk(tool), "-aet", calling, "-aec", "KUVAGW", *options, "127.0.0.1", str(gateway.port)]
    done = subprocess.run(
        command, env=dcmtk_environment(), cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
        check=False,
    )  # fmt: skip
    return done.returncode


def test_the_trail_tells_who_did_what_to_whose_images(
    start_pair: Callable[..., Pair], syslog: Syslog, tmp_path: Path
) -> None:
    peers = [
        {"name": "ct1", "ae_title": "CT1", "allow": ["echo", "store"]},
        {"name": "viewer", "ae_title": "VIEWER", "allow": ["find", "get"]},
        {"name": "monitor", "ae_title": "MONITOR", "allow": ["echo"]},
    ]
    collector = {"host": "127.0.0.1", "port": syslog.port, "transport": "tcp"}
    gateway, _ = start_pair(peers=peers, processes=1, audit={"site": "Hospital", "collector": collector})
    study = make_study(kind="ct", instances=3)
    gateway.send(study)
    gateway.wait_state(study.uid, "held")
    assert gateway.quick("studies", "release", study.uid, "--by", "anna", "--reason", "paper seen").status == 0
    gateway.wait_state(study.uid, "archived")
    keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study.uid}")
    assert ask(gateway, "findscu", "-S", *keys, calling="VIEWER", folder=tmp_path) == 0
    assert ask(gateway, "getscu", "-S", *keys, calling="VIEWER", folder=tmp_path) == 0
    assert ask(gateway, "echoscu", calling="STRANGER", folder=tmp_path) != 0

    def told() -> list[dict[str, Any]]:
        return list(gateway.json("audit", "list"))

    def everything() -> list[dict[str, Any]] | None:
        found = told()
        return found if {"query", "alert"} <= {one["event"] for one in found} else None

    found = wait_until(everything, what="the last event")
    story = [
        (one["event"], one["action"], one["by"], one["others"], one["instances"])
        for one in found
        if one["event"] != "audit"
    ]
    assert sorted(story, key=str) == sorted(
        [
            ("application", "E", None, ["KUVAGW"], 0),
            ("transferred", "C", "CT1", ["KUVAGW"], 3),
            ("accessed", "U", "anna", ["KUVAGW"], 0),
            ("transferred", "R", "KUVAGW", ["ARCHIVE"], 3),
            ("query", "E", "VIEWER", ["KUVAGW"], 0),
            ("transferred", "R", "VIEWER", ["KUVAGW"], 3),
            ("alert", "E", "STRANGER", ["KUVAGW"], 0),
        ],
        key=str,
    )
    about_it = [one for one in found if study.uid in one["studies"]]
    assert len(about_it) == 4
    assert {patient for one in about_it for patient in one["patients"]} == {study.order.hetu}
    (decision,) = gateway.json("audit", "list", "--user", "anna", "--study", study.uid)
    assert decision["description"] == "released: paper seen"
    assert any(one["event"] == "audit" for one in told()), "that it was read is told, too"

    assert gateway.stop() == 0
    sound = json.loads(gateway.quick("audit", "verify", "--json").stdout)
    assert (sound["sound"], sound["first"]) == (True, 1)
    messages = wait_until(lambda: bodies(syslog) if len(syslog.messages) == sound["last"] else None)
    codes = [ElementTree.fromstring(one).find("EventIdentification/EventID") for one in messages]
    assert [code.attrib["csd-code"] for code in codes if code is not None].count("110104") == 3
    assert "Application Stop" in messages[-1]
    damage_shows(gateway, sound)
    assert study.order.hetu not in gateway.said()
    gateway.start()


def damage_shows(gateway: Gateway, sound: dict[str, Any]) -> None:
    """A noted record is found again; a changed one is not."""
    noted = f"{sound['last']}:{sound['hash']}"
    assert gateway.quick("audit", "verify", "--expect", noted).status == 0
    assert gateway.quick("audit", "verify", "--expect", f"{sound['last'] + 1}:{sound['hash']}").status == 1
    (path,) = (gateway.state / "audit").glob("*.jsonl")
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"paper seen", b"paper lost"))
    done = gateway.quick("audit", "verify")
    assert done.status == 1
    assert "was changed after it was written" in done.stderr
    path.write_bytes(whole)
    assert gateway.quick("audit", "verify", "--expect", "nonsense").status == 2
