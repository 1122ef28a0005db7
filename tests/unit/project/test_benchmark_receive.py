"""The benchmark's figures can be believed: its arithmetic, its proofs of equal bytes, its shim and its CPU times."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.studies import load_script
from tests.support import ROOT, module, program

load_script("studymaker")
sys.path.append(str(ROOT / "scripts"))
benchmark = load_script("benchmark_receive")

from receive_benchmark import images, processes, receivers, report, results, senders, summary, workloads  # noqa: E402
from receive_benchmark.measuring import Round  # noqa: E402

Json = dict[str, Any]
SCRIPT = ROOT / "scripts" / "benchmark_receive.py"


def one_round(receiver: str, seconds: float, number: int = 0, **changes: Any) -> Round:
    values: Json = {
        "workload": "8KiB", "associations": 1, "sender": "nodelay", "transport": "plain", "receiver": receiver,
        "number": number, "instances": 1000, "bytes": 14_000_000, "load": 0.0, "at": "2026-11-23T00:00:00Z",
        "seconds": seconds, "acknowledged": seconds, "receiver_cpu": seconds / 2, "sender_cpu": 1.0, "equal": 1000,
        "fsyncs": None, "catalogued": 1000 if receiver.startswith("gateway") else None,
    }  # fmt: skip
    return Round(**{**values, **changes})


def a_run(rounds: Sequence[Round], *, commit: str = "0123abcd", started: str = "2026-11-23T00:00:00Z") -> results.Run:
    return results.Run(started=started, commit=commit, conditions={"processor": "one"}, rounds=list(rounds))


# Medians: gateway 2.0; storescp 1.5 (0.75 x; floor 0.5, goal 1), with fsync 1.8 (0.9 x; floor 1); Orthanc 12 (goal 5).
ROUNDS = [
    one_round(name, seconds, number)
    for name, all_seconds in {
        "storescp": (1.5, 9.0, 1.0),
        "gateway": (2.0, 1.0, 3.0),
        "storescp+fsync": (1.8, 1.8, 1.8),
        "orthanc": (12.0, 12.0, 12.0),
        "dcmqrscp": (4.0, 4.0, 4.0),
    }.items()
    for number, seconds in enumerate(all_seconds)
]


def rows(runs: Sequence[results.Run]) -> dict[str, summary.Row]:
    (block,) = summary.summarise(runs)
    return {row.receiver: row for row in block.rows}


# -- the report --------------------------------------------------------------------------------------------------------


def test_a_ratio_is_the_median_of_the_peer_divided_by_that_of_the_gateway() -> None:
    found = rows([a_run(ROUNDS)])
    assert next(iter(found)) == "gateway"
    assert found["gateway"].ratio is None
    assert {name: row.ratio for name, row in found.items() if row.ratio} == pytest.approx(
        {"storescp": 0.75, "storescp+fsync": 0.9, "orthanc": 6.0, "dcmqrscp": 2.0}
    )
    gateway = found["gateway"]
    assert (gateway.seconds, gateway.fastest, gateway.slowest, gateway.rounds) == (2.0, 1.0, 3.0, 3)
    assert gateway.per_second == 500
    assert gateway.megabytes_per_second == pytest.approx(7.0)


def test_cpu_seconds_are_told_per_thousand_instances() -> None:
    gateway = rows([a_run([one_round("gateway", 4.0, instances=200, equal=200)])])["gateway"]
    assert gateway.receiver_cpu == pytest.approx(10.0)
    assert gateway.sender_cpu == pytest.approx(5.0)


def test_a_missed_floor_is_marked_in_every_form_of_the_report() -> None:
    run = a_run(ROUNDS)
    blocks = summary.summarise([run])
    assert {row.receiver: row.verdict for row in blocks[0].rows} == {
        "gateway": "", "storescp": "floor", "storescp+fsync": "MISSED", "orthanc": "goal", "dcmqrscp": "",
    }  # fmt: skip
    assert len(report.missed(blocks)) == 1
    assert "0.90 x  floor 1, goal 1.5: MISSED" in report.as_text(blocks, [run])
    assert "1.80 **(0.90 x)**" in report.as_rst(blocks, [run])
    assert report.as_json(blocks)["missed"] == report.missed(blocks)


def test_no_floor_is_held_against_a_round_of_few_instances() -> None:
    few = [replace(one, instances=20, equal=20) for one in ROUNDS]
    assert not report.missed(summary.summarise([a_run(few)]))


def test_rounds_of_the_newest_commit_count_and_those_of_one_commit_are_joined() -> None:
    old = a_run([one_round("gateway", 50.0)], commit="old", started="2026-11-21T00:00:00Z")
    first = a_run([one_round("gateway", 1.0)], started="2026-11-22T00:00:00Z")
    second = a_run([one_round("gateway", 3.0)], started="2026-11-23T00:00:00Z")
    assert rows([second, old, first])["gateway"].seconds == 2.0
    (block,) = summary.summarise([second, old, first], commit="old")
    assert block.rows[0].seconds == 50.0


def test_without_a_plain_gateway_the_first_variant_is_what_others_are_compared_with() -> None:
    found = rows(
        [a_run([one_round("storescp", 3.0), one_round("gateway:processes=2", 1.5), one_round("gateway@a", 1)])]
    )
    assert {name: row.ratio for name, row in found.items()} == {
        "gateway:processes=2": None, "gateway@a": pytest.approx(2 / 3), "storescp": 2.0,
    }  # fmt: skip


def test_a_round_that_failed_is_counted_and_not_measured() -> None:
    run = a_run(
        [*ROUNDS, one_round("dcmqrscp", 0.0, 3, failure="lost an image"), one_round("pynetdicom", 2, equal=999)]
    )
    blocks = summary.summarise([run])
    assert rows([run])["dcmqrscp"].seconds == 4.0
    told = report.flaws(blocks)
    assert any("dcmqrscp failed 1 of its rounds" in line for line in told)
    assert any("pynetdicom does not hold all bytes" in line for line in told)


def test_results_come_back_from_their_file(tmp_path: Path) -> None:
    runs = [a_run(ROUNDS[:2]), a_run(ROUNDS[2:], commit="other")]
    results.write(tmp_path / "results.json", runs)
    assert results.read(tmp_path / "results.json") == runs
    (tmp_path / "torn.json").write_text("{")
    with pytest.raises(processes.Stopped, match=r"torn\.json"):
        results.read(tmp_path / "torn.json")


def test_the_plot_shows_every_receiver(tmp_path: Path) -> None:
    module("matplotlib")
    results.write(tmp_path / "results.json", [a_run(ROUNDS)])
    picture = tmp_path / "plot.svg"
    done = subprocess.run(
        [sys.executable, SCRIPT, "--report", tmp_path / "results.json", "--rst", "--plot", picture],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Floors and goals" in done.stdout
    drawn = picture.read_text()
    assert all(f">{name}<" in drawn for name in ("gateway", "storescp", "orthanc", "dcmqrscp"))


def test_the_figures_in_the_docs_are_those_of_the_results_beside_them() -> None:
    runs = results.read(ROOT / "docs" / "figures" / "receive.json")
    page = (ROOT / "docs" / "performance.rst").read_text(encoding="utf-8")
    assert report.into(page, report.as_rst(summary.summarise(runs), runs)) == page
    commits = {block.commit for block in summary.summarise(runs)}
    drawn = (ROOT / "docs" / "figures" / "receive.svg").read_text(encoding="utf-8")
    assert any(commit in drawn for commit in commits)


# -- what is measured --------------------------------------------------------------------------------------------------


def test_nobody_is_always_the_first_and_every_case_has_a_round_before_any_has_two() -> None:
    options = ["--workload", "8KiB", "--associations", "1", "4", "--transport", "plain", "tls", "--sender", "nodelay"]
    asked = benchmark.plan(benchmark.arguments([*options, "--receiver", "gateway", "storescp", "dcmqrscp"]))
    order = [(number, case, name) for case, _, name, number in benchmark.rounds(asked, set())]
    assert [number for number, _, _ in order] == sorted(number for number, _, _ in order)
    firsts = [next(name for number, case, name in order if (number, case) == (n, asked.cases[0])) for n in range(3)]
    assert firsts == ["gateway", "storescp", "dcmqrscp"]
    assert not any(name == "dcmqrscp" for _, case, name in order if case.transport == "tls")
    assert len(order) == 5 * (3 + 3 + 2 + 2)
    done = {(case, name, number, 1000) for number, case, name in order[:7]}
    assert len(list(benchmark.rounds(asked, done))) == len(order) - 7


def test_nagle_is_combined_with_tls_only_where_both_are_asked_for() -> None:
    def chosen(*words: str) -> set[tuple[str, str]]:
        asked = benchmark.plan(benchmark.arguments(["--associations", "1", *words]))
        return {(case.sender, case.transport) for case in asked.cases}

    assert ("nagle", "tls") not in chosen()
    assert {sender for sender, _ in chosen()} == {"nodelay", "nagle", "bare"}
    assert chosen("--sender", "nagle", "--transport", "tls") == {("nagle", "tls")}
    case = workloads.Case(workload="8KiB", associations=1, sender="nagle", transport="tls")
    rounds = [replace(one, sender="nagle", transport="tls") for one in ROUNDS]
    assert summary.summarise([a_run(rounds)])[0].case == case


def test_a_gateway_that_does_not_hold_every_byte_ends_the_benchmark() -> None:
    benchmark.check(one_round("gateway", 1.0))
    benchmark.check(one_round("storescp", 1.0, equal=3))
    for wrong in ({"equal": 999}, {"catalogued": 999}, {"failure": "refused"}):
        with pytest.raises(processes.Stopped):
            benchmark.check(one_round("gateway:processes=2", 1.0, **wrong))


def test_a_changed_byte_makes_a_data_set_unequal(tmp_path: Path) -> None:
    made = images.make_images(tmp_path / "made", workloads.Workload(name="x", count=3, pixel_bytes=8192))
    assert images.equal_data_sets(made.digests, made.paths) == 3
    content = bytearray(made.paths[0].read_bytes())
    content[-1] ^= 1
    made.paths[0].write_bytes(content)
    assert images.equal_data_sets(made.digests, made.paths) == 2


def test_the_cpu_time_of_children_that_have_ended_is_counted() -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    with subprocess.Popen(
        ["sh", "-c", '"$0" -c "$1"; echo done; read line', sys.executable, burn],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as shell:  # fmt: skip
        assert shell.stdout is not None
        assert shell.stdout.readline() == b"done\n"
        assert processes.descendants(shell.pid) == []
        # Less what is lost where clock ticks are rounded down.
        assert processes.cpu_seconds(shell.pid) >= 0.25
        shell.communicate(b"\n")


def test_the_shim_calls_fsync_once_for_each_file_that_was_written_and_for_no_other(tmp_path: Path) -> None:
    program("cc", "gcc")
    program("storescp")
    shim = sys.modules["receive_benchmark.shim"]
    library, count = shim.build_shim(tmp_path), tmp_path / "count"
    env = processes.environment(LD_PRELOAD=str(library), **shim.new_count(count))
    touch = "for name in 'ab': open(name, 'wb').write(b'1')\nopen('a', 'rb').read()"
    subprocess.run([sys.executable, "-I", "-B", "-c", touch], env=env, cwd=tmp_path, check=True, timeout=30)
    assert shim.read_count(count) == 2

    made = images.make_images(tmp_path / "made", workloads.Workload(name="x", count=5, pixel_bytes=8192))
    (tmp_path / "receiver").mkdir()
    setting = receivers.Setting(
        folder=tmp_path / "receiver", associations=2, tls=False, certificate=tmp_path, key=tmp_path, shim=library
    )
    case = workloads.Case(workload="8KiB-each", associations=2, sender="bare")
    with receivers.durable_storescp(setting) as receiver:
        senders.prepare(case, made.paths, each=True)(receiver.port)
        assert receiver.fsyncs is not None
        assert receiver.fsyncs() == 5
        assert images.equal_data_sets(made.digests, receiver.held()) == 5


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_quick_run_of_everybody_ends_well_and_the_gateway_holds_every_byte(tmp_path: Path) -> None:
    for name in ("storescu", "storescp", "dcmqrscp", "Orthanc", "openssl", "cc"):
        program(name)
    output = tmp_path / "results.json"
    done = subprocess.run(
        [sys.executable, SCRIPT, "--quick", "--workload", "8KiB", "8KiB-each", "--associations", "2",
         "--folder", tmp_path, "--output", output, "--format", "json"],
        capture_output=True, text=True, check=False, timeout=840,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (run,) = results.read(output)
    assert {one.receiver for one in run.rounds} == {"gateway", *receivers.PEERS}
    assert {(one.sender, one.transport) for one in run.rounds} == {
        ("nodelay", "plain"), ("nagle", "plain"), ("bare", "plain"), ("nodelay", "tls"),
    }  # fmt: skip
    for one in run.rounds:
        if one.receiver == "gateway":
            assert (one.failure, one.equal, one.catalogued) == ("", 20, 20)
        if one.receiver == "storescp+fsync":
            assert (one.failure, one.equal, one.fsyncs) == ("", 20, 20)
    assert len(json.loads(done.stdout)["cases"]) == 6
    assert not list(tmp_path.glob("kuva-benchmark-*"))


def test_the_end_of_a_sender_is_seen_when_it_comes() -> None:
    waits = [sys.executable, "-c", "import sys; sys.exit(len(sys.stdin.read()) + 3)"]
    with subprocess.Popen(waits, stdin=subprocess.PIPE) as child:
        assert not processes.ended(child, 0.0)
        assert child.stdin is not None
        child.stdin.close()
        assert processes.ended(child, 30.0)
        assert child.wait() == 3
