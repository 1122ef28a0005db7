"""What the kill runs would say if something were missing: each promise broken on purpose, and seen."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kills.test_kills import gateway_process, kill_checks, kill_senders
from tests.studies import load_script
from tests.support import wait_until

Break = Callable[[Any], None]


@pytest.fixture(scope="module")
def received(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, list[int]]:
    """A state directory with some images, what their senders know, and when the gateway was started."""
    folder = tmp_path_factory.mktemp("received")
    record, starts = kill_senders.Record(), []
    with gateway_process.Gateway(folder, archive_port=None) as gateway:
        starts.append(0)
        gateway.start()
        senders = kill_senders.Senders(gateway.port, record, seed=3, count=3, pause=0.002)
        senders.start()
        wait_until(lambda: record.acknowledged > 30 and record.associations > 6, what="some images")
        assert senders.finish(30)
        wait_until(lambda: not gateway.pending(), what="their rows")
        assert gateway.stop() == 0
    return folder, record, starts


@pytest.fixture
def copy(received: tuple[Path, Any, list[int]], tmp_path: Path) -> Any:
    """A copy of it that may be broken."""
    shutil.copytree(received[0], tmp_path / "copy")
    return gateway_process.Gateway(tmp_path / "copy", archive_port=None)


def execute(gateway: Any, sql: str) -> None:
    connection = sqlite3.connect(gateway.state / "catalog.sqlite")
    with connection:
        assert connection.execute(sql).rowcount == 1
    connection.close()


def a_file(gateway: Any) -> Path:
    path: Path = sorted((gateway.spool / "instances").glob("*/*"))[0]
    return path


def change_a_bit(gateway: Any) -> None:
    content = bytearray(a_file(gateway).read_bytes())
    content[-100] ^= 1
    a_file(gateway).write_bytes(content)


def leave_a_file(gateway: Any) -> None:
    (gateway.spool / "incoming" / "half").touch()


def check(gateway: Any, record: Any, starts: list[int]) -> Any:
    found = kill_checks.Findings()
    kill_checks.check_kept(gateway, record, found)
    kill_checks.check_receipts(gateway, record, starts, found)
    return found


FIRST = "(time_ns, association, number) = (SELECT time_ns, association, number FROM receipts ORDER BY time_ns LIMIT 1)"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "counted", "said"),
    [
        (lambda gateway: None, {}, ""),
        (lambda gateway: a_file(gateway).unlink(), {"lost": 1}, "its file cannot be read"),
        (change_a_bit, {"damaged": 1}, "is not the one of its name"),
        (leave_a_file, {}, "incoming/ holds 1 files"),
        (
            lambda gateway: execute(gateway, f"DELETE FROM receipts WHERE {FIRST}"),
            {"wrong_receipts": 1},
            "no receipt of",
        ),
        (
            lambda gateway: execute(gateway, f"UPDATE receipts SET peer = 'xa1' WHERE {FIRST}"),
            {"wrong_receipts": 2},
            "a receipt of xa1",
        ),
        (
            lambda gateway: execute(gateway, f"UPDATE receipts SET time_ns = time_ns + 20000000000 WHERE {FIRST}"),
            {"wrong_receipts": 2},
            "that no attempt explains",
        ),
    ],
    ids=["nothing", "a file", "a bit", "half a file", "no receipt", "another peer", "another time"],
)
def test_what_is_broken_is_counted_and_told(
    received: tuple[Path, Any, list[int]], copy: Any, what: Break, counted: dict[str, int], said: str
) -> None:
    what(copy)
    found = check(copy, received[1], received[2])
    names = ("lost", "damaged", "wrong_receipts")
    assert {name: getattr(found, name) for name in names} == {**dict.fromkeys(names, 0), **counted}
    assert bool(found.wrong) is bool(said)
    assert any(said in sentence for sentence in found.wrong) or not said


# -- deliveries, from what an archive would have said ---------------------------------------------------------------


def record_of(*uids: str) -> Any:
    record = kill_senders.Record()
    for uid in uids:
        record.digests[uid] = f"digest {uid}"
        record.attempts.append(
            kill_senders.Attempt(uid=uid, peer="ct1", association=1, began_ns=1, answered_ns=2),
        )
    return record


def stored(uid: str, association: int, at: float, digest: str = "") -> dict[str, Any]:
    said = {"event": "stored", "sop_instance_uid": uid, "association": association, "at": at}
    return {**said, "digest": digest or f"digest {uid}"}


def released(association: int) -> dict[str, Any]:
    return {"event": "released", "association": association}


@pytest.mark.parametrize(
    ("events", "kills", "twice", "said"),
    [
        ([stored("a", 1, 10), stored("b", 1, 11), released(1)], [], 0, ""),
        ([stored("a", 1, 10), released(1)], [], 0, "b was acknowledged and never delivered"),
        ([stored("a", 1, 10, "other"), stored("b", 1, 11)], [], 0, "with other bytes"),
        ([stored("a", 1, 10), stored("b", 1, 11), stored("b", 2, 20)], [15.0], 1, ""),
        ([stored("a", 1, 10), stored("b", 1, 11), stored("b", 2, 20)], [], 1, "no kill was between"),
        ([stored("a", 1, 10), stored("b", 1, 11), stored("a", 2, 20)], [15.0], 1, "was not cut off"),
        ([stored("a", 1, 10), stored("b", 1, 11), released(1), stored("b", 2, 20)], [15.0], 1, "was not cut off"),
    ],
    ids=["once", "never", "other bytes", "cut off", "no kill", "answered", "released"],
)
def test_only_what_a_kill_cut_off_from_its_answer_may_be_delivered_twice(
    events: list[dict[str, Any]], kills: list[float], twice: int, said: str
) -> None:
    found = kill_checks.Findings()
    kill_checks.check_delivered(record_of("a", "b"), events, kills, found)
    assert found.delivered_twice == twice
    assert bool(found.wrong) is bool(said)
    assert any(said in sentence for sentence in found.wrong) or not said


def test_a_refusal_is_explained_by_a_kill_of_that_moment_alone() -> None:
    kill_runs = load_script("kill_runs")
    dying = [(10.0, 10.3), (20.0, 20.1)]
    fault = "0110 a fault of the gateway: send again later"
    assert kill_runs.unexplained([(10.1, fault), (20.05, fault)], dying) == []
    assert kill_runs.unexplained([(9.9, fault), (15.0, fault), (20.5, fault)], dying) == [fault] * 3
    assert kill_runs.unexplained([(10.1, "A700 full")], dying) == ["A700 full"]
