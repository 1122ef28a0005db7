"""Receiving in several processes: limits, notices and the end of a process are those of one gateway."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kuva_gateway.errors import CatalogUnavailableError, DeferredError
from kuva_gateway.forward.references import Result, read_result, write_request
from kuva_gateway.metrics.tally import together
from kuva_gateway.network import AssociationRejected, NetworkError
from kuva_gateway.network.negotiation import request_bytes
from kuva_gateway.receiving import Crew
from tests.support import ROOT, wait_until
from tests.unit.network.peers import RawPeer, p_data, pdv, propose
from tests.unit.receiving.conftest import associate, configuration, crew, now
from tests.unit.scp.conftest import (
    COMMITMENT,
    COMMITMENT_INSTANCE,
    CT,
    EXPLICIT,
    IMPLICIT,
    VERIFICATION,
    encode,
    image,
    store,
    store_command,
)

CONTEXTS = propose((CT, EXPLICIT))


def send(found: Crew, number: int, *, calling: str = "CT1") -> int:
    with associate(found, calling=calling) as association:
        uid = f"1.2.3.{number}"
        return store(association, encode(image(SOPInstanceUID=uid)), sop_instance=uid).status


def gone(pid: int) -> bool:
    """Whether no such process runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_every_instance_is_told_of_with_its_header_before_it_is_acknowledged(tmp_path: Path):
    with crew(tmp_path) as (found, told):
        for number in range(8):
            assert send(found, number) == 0
            assert found.told_until(now())
            assert len(told.receipts) == number + 1
        arrivals = [arrival for arrival, _ in told.receipts]
        assert all(arrival.path.is_file() and arrival.size == arrival.path.stat().st_size for arrival in arrivals)
        assert [header.sop_instance_uid for _, header in told.receipts] == [f"1.2.3.{number}" for number in range(8)]
        assert {arrival.peer for arrival in arrivals} == {"ct1"}
        # Each association has a number of its own, whichever process served it.
        assert len({arrival.receipt.association for arrival in arrivals}) == 8


def test_associations_are_spread_over_all_processes(tmp_path: Path):
    with crew(tmp_path) as (found, _), contextlib.ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(associate(found, calling="MR1"))
        assert [member.load for member in found._members] == [2, 2]
        assert found.associations == 4


def test_a_limit_holds_for_all_processes_together(tmp_path: Path):
    with crew(tmp_path) as (found, _), contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(associate(found))
        with pytest.raises(AssociationRejected) as rejected:
            associate(found)
        assert (rejected.value.result, rejected.value.source, rejected.value.reason) == (2, 3, 2)
        assert stack.enter_context(associate(found, calling="MR1")).echo() == 0
    assert found.associations == 0


def test_a_place_that_was_left_is_free_again(tmp_path: Path):
    with crew(tmp_path) as (found, _):
        for number in range(12):
            assert send(found, number) == 0
        wait_until(lambda: found.associations == 0)
        wait_until(lambda: [member.load for member in found._members] == [0, 0])
        assert not found.census._half_open


def test_half_open_connections_count_together(tmp_path: Path):
    limits = {"half_open": 4, "half_open_per_address": 4}
    with crew(tmp_path, limits=limits) as (found, _), contextlib.ExitStack() as stack:
        silent = [stack.enter_context(RawPeer(found.ports[0])) for _ in range(4)]
        wait_until(lambda: found.census._half_open.total() == 4)
        with RawPeer(found.ports[0]) as fifth:
            assert fifth.read(1) == b""
        silent[0].__exit__()
        wait_until(lambda: found.census._half_open.total() == 3)
        assert send(found, 1) == 0


def test_who_comes_takes_the_place_of_a_silent_connection_of_any_process(tmp_path: Path):
    with crew(tmp_path, limits={"half_open": 4}) as (found, _), contextlib.ExitStack() as stack:
        silent = [stack.enter_context(RawPeer(found.ports[0])) for _ in range(4)]
        wait_until(lambda: found.census._half_open.total() == 4)
        assert sorted(member.load for member in found._members) == [2, 2]
        for number, oldest in enumerate(silent):
            assert send(found, number) == 0
            assert oldest.read(1) == b""
            stack.enter_context(RawPeer(found.ports[0]))
            wait_until(lambda: found.census._half_open.total() == 4)
        wait_until(lambda: sum(member.load for member in found._members) == 4)


def test_a_process_that_is_killed_is_replaced_and_its_places_are_free(tmp_path: Path):
    with crew(tmp_path) as (found, told), contextlib.ExitStack() as stack:
        associations = [associate(found) for _ in range(3)]
        for number, association in enumerate(associations):
            stack.callback(association.abort)
            uid = f"1.2.3.{number}"
            assert store(association, encode(image(SOPInstanceUID=uid)), sop_instance=uid).status == 0
        before = found.pids
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        for association in associations:
            with pytest.raises(NetworkError):
                association.echo()
        wait_until(lambda: told.lost >= 4, timeout=20)
        wait_until(lambda: found.associations == 0)
        # Whoever calls meanwhile waits for a process that can answer.
        assert send(found, 9) == 0
        wait_until(lambda: len(set(found.pids) - set(before)) == 2, timeout=20)
        assert found.told_until(now())
        assert {header.sop_instance_uid for _, header in told.receipts} == {"1.2.3.0", "1.2.3.1", "1.2.3.2", "1.2.3.9"}
        # What the dead have counted is there, and goes on from there.
        wait_until(lambda: together(found.tallies)["ct1"].associations["released"] == 1)
        counts = together(found.tallies)["ct1"]
        assert (counts.instances["stored"], sum(counts.acknowledged), counts.associations["lost"]) == (4, 4, 3)
        assert counts.bytes["stored"] == sum(arrival.size for arrival, _ in told.receipts)
        wait_until(lambda: found.receivers.ready == 2)
        assert (found.receivers.wanted, found.receivers.replaced) == (2, 2)
        assert found.open_associations == {}


def test_a_half_written_file_of_a_killed_process_is_swept(tmp_path: Path):
    with crew(tmp_path, count=1) as (found, told), RawPeer(found.ports[0]) as peer:
        peer.send(request_bytes(called_ae="KUVAGW", calling_ae="CT1", contexts=CONTEXTS, roles={}, length=16384))
        assert peer.pdu()[0] == 2
        peer.send(store_command() + p_data(pdv(1, 0, b"\0" * 4000)))
        incoming = tmp_path / "spool" / "incoming"
        wait_until(lambda: list(incoming.iterdir()))
        (pid,) = found.pids
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: told.lost == 2)
        assert not list(incoming.iterdir())


def test_a_study_is_in_flight_while_a_process_reads_a_message_of_who_stored_into_it(tmp_path: Path):
    first = encode(image(SOPInstanceUID="1.2.3.4"))
    with crew(tmp_path) as (found, _), RawPeer(found.ports[0]) as peer:
        peer.send(request_bytes(called_ae="KUVAGW", calling_ae="CT1", contexts=CONTEXTS, roles={}, length=16384))
        assert peer.pdu()[0] == 2
        peer.send(store_command() + p_data(pdv(1, 2, first)))
        assert peer.response().status == 0
        wait_until(lambda: not found.in_flight("1.2.3"))
        peer.send(store_command(2))
        wait_until(lambda: found.in_flight("1.2.3"))
        assert not found.in_flight("9.9.9")


def test_commitment_results_reach_the_daemon_and_its_refusal_the_process(tmp_path: Path):
    with crew(tmp_path, count=1) as (found, told):
        (member,) = found._members
        answer = member._answerers()["commitment"]
        answer("archive", "1.2.3.4", [("1", "2")], [("1", "3", 0x0112)])
        assert told.results == [("archive", "1.2.3.4", [("1", "2")], [("1", "3", 0x0112)])]
        told.result_error = CatalogUnavailableError("away")
        with pytest.raises(DeferredError):
            answer("archive", "1.2.3.4", [], [])


def test_commitment_requests_reach_the_daemon_and_what_is_kept_out_every_process(tmp_path: Path):
    with crew(tmp_path, count=1) as (found, told):
        told.requests.answer = "soon"
        told.requests.result = Result(transaction_uid="2.25.1", committed=((CT, "1.2"),), failed=((CT, "1.3", 0x0112),))
        heard: list[bytes] = []

        def on_event(command: object, data: bytes) -> int:
            heard.append(data)
            return 0

        with associate(found) as association:
            answer = association.action(
                association.contexts[5],
                sop_class=COMMITMENT,
                sop_instance=COMMITMENT_INSTANCE,
                action_type=1,
                data_set=write_request("2.25.1", [(CT, "1.2"), (CT, "1.3")], IMPLICIT),
            )
            assert answer.status == 0
            assert association.wait_event(10, on_event)
        assert told.requests.taken == [("ct1", "2.25.1", ((CT, "1.2"), (CT, "1.3")))]
        assert read_result(heard[0], IMPLICIT) == told.requests.result
        wait_until(lambda: told.requests.told_of == [("ct1", "2.25.1", 0)])

        found.keep_out(frozenset({"1.2.3.4"}))
        assert send(found, 4) == 0xA771
        (pid,) = found.pids
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: found.pids not in ([pid], []))
        assert send(found, 4) == 0xA771  # the successor knows, too
        assert send(found, 5) == 0


def test_a_drain_ends_every_process_with_status_0_and_leaves_none(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    with crew(tmp_path) as (found, _):
        association = associate(found)
        assert association.echo() == 0
        pids = found.pids
        found.drain(5)
        assert found.pids == []
        assert all(gone(pid) for pid in pids)
        with pytest.raises(NetworkError):
            association.echo()
    assert "a receiving process ended" not in capfd.readouterr().err


def test_processes_die_with_a_daemon_that_is_killed(tmp_path: Path):
    program = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from tests.unit.receiving.conftest import crew
with crew(Path({str(tmp_path / "state")!r})) as (found, told):
    print(*found.pids, flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as daemon:
        assert daemon.stdout is not None
        pids = [int(pid) for pid in daemon.stdout.readline().split()]
        assert len(pids) == 2
        daemon.kill()
        daemon.wait()
        wait_until(lambda: all(gone(pid) for pid in pids), what="the end of the receiving processes")


@pytest.mark.slow
def test_a_process_that_stands_still_lets_the_others_take_what_comes(tmp_path: Path):
    with crew(tmp_path) as (found, _):
        frozen, _other = found.pids
        os.kill(frozen, signal.SIGSTOP)
        try:
            # It takes its share of connections until it has no room, and holds up nobody else.
            answered = 0
            for _ in range(4):
                with contextlib.suppress(NetworkError), associate(found, calling="MR1", patience=1) as association:
                    answered += association.echo() == 0
            assert answered >= 2
            assert found.in_flight("1.2.3"), "nobody knows what it has in hand"
            assert not found.told_until(now())
        finally:
            os.kill(frozen, signal.SIGCONT)
        assert found.told_until(now())


@pytest.mark.slow
def test_a_process_that_stands_still_is_killed_and_replaced_and_the_others_go_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("kuva_gateway.receiving.member.STANDSTILL", 0.5)
    monkeypatch.setattr("kuva_gateway.receiving.member.QUESTION_PATIENCE", 0.3)
    monkeypatch.setattr("kuva_gateway.receiving.crew.WATCH_EVERY", 0.1)
    with crew(tmp_path) as (found, told):
        wait_until(lambda: {"accepting", "receiving"} <= set(told.beats))
        frozen, other = found.pids
        os.kill(frozen, signal.SIGSTOP)
        wait_until(lambda: gone(frozen))
        told.beats.clear()
        wait_until(lambda: "receiving" in told.beats)
        wait_until(lambda: found.receivers.ready == 2)
        assert other in found.pids
        assert send(found, 1) == 0


def test_another_configuration_holds_for_who_comes_and_not_for_who_is_there(tmp_path: Path):
    with crew(tmp_path) as (found, _), contextlib.ExitStack() as stack:
        early = [stack.enter_context(associate(found)) for _ in range(2)]
        changed = [
            {"name": "ct1", "ae_title": "CT1", "allow": ["echo"], "limits": {"associations": 3}},
            {"name": "us1", "ae_title": "US1", "allow": ["echo", "store"]},
        ]
        take_on = found.prepare(configuration(tmp_path, peers=changed))
        with pytest.raises(AssociationRejected):
            associate(found, calling="US1")
        take_on()
        data = encode(image(SOPInstanceUID="1.2.3.1"))
        assert [store(one, data, sop_instance="1.2.3.1").status for one in early] == [0, 0]
        late = stack.enter_context(associate(found))
        assert [context.abstract_syntax for context in late.contexts.values()] == [VERIFICATION]
        assert send(found, 2, calling="US1") == 0
        assert found.in_flight("1.2.3") is False
        found.keep_out(frozenset({"1.2.3.3"}))
        assert found.in_flight("1.2.3") is False  # each process answers what comes after what it was told
        data = encode(image(SOPInstanceUID="1.2.3.3"))
        assert {store(one, data, sop_instance="1.2.3.3").status for one in early} == {0xA771}
        assert send(found, 3, calling="US1") == 0xA771


def test_what_one_process_cannot_make_ready_for_changes_none(tmp_path: Path):
    with crew(tmp_path, count=2) as (found, _):
        broken = configuration(tmp_path, peers=[{"name": "us1", "ae_title": "US1", "code_mapping": "absent.csv"}])
        broken = broken.model_copy(
            update={
                "tls": broken.tls.model_copy(update={"port": 1, "certificate": tmp_path / "no", "key": tmp_path / "no"})
            }
        )
        with pytest.raises(DeferredError, match="receiving process 1: TLS certificate"):
            found.prepare(broken)
        assert send(found, 1) == 0


def test_what_a_peer_has_used_up_counts_in_every_process_and_is_not_forgotten_with_one(tmp_path: Path):
    peers = [
        {"name": "ct1", "ae_title": "CT1", "allow": ["store"], "limits": {"instances_per_minute": 4, "quota": "1GiB"}},
        {"name": "mr1", "ae_title": "MR1", "allow": ["store"]},
    ]
    with crew(tmp_path, peers=peers) as (found, told):
        with contextlib.ExitStack() as stack:
            associations = [stack.enter_context(associate(found)) for _ in range(2)]
            assert [member.load for member in found._members] == [1, 1]
            for number in range(4):
                uid = f"1.2.3.{number}"
                data = encode(image(SOPInstanceUID=uid))
                assert store(associations[number % 2], data, sop_instance=uid).status == 0
            data = encode(image(SOPInstanceUID="1.2.3.8"))
            assert [store(one, data, sop_instance="1.2.3.8").status for one in associations] == [0xA710] * 2
        for pid in found.pids:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: told.lost >= 4, timeout=20)
        assert send(found, 9) == 0xA710
        assert send(found, 9, calling="MR1") == 0
        with found.usage.of("ct1") as meters:
            used = meters.read()
        assert used.refused["instances_per_minute"] == 3
        assert used.waiting == sum(arrival.size for arrival, _ in told.receipts if arrival.peer == "ct1")
