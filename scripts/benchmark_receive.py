"""How fast the gateway receives, beside others: makes its images, and runs everybody in alternating rounds.

The gateway's time ends when every instance is durable and in its catalog; afterwards the bytes of every data set are
compared with those sent. Results are kept in a JSON file after each round; --report makes the table from it alone.
Loopback only; what is made is removed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from receive_benchmark import report, results
from receive_benchmark.conditions import conditions, now
from receive_benchmark.gateway import ROOT, commit_of, is_gateway, parse_overrides, variant
from receive_benchmark.images import Images, make_images, warm_up_images
from receive_benchmark.measuring import Bench, Round
from receive_benchmark.processes import Stopped, program
from receive_benchmark.receivers import OTHERS, PEERS, WITHOUT_TLS, Start
from receive_benchmark.shim import build_shim
from receive_benchmark.summary import summarise
from receive_benchmark.workloads import ASSOCIATIONS, SENDERS, TRANSPORTS, WORKLOADS, Case, Workload, cases

ROUNDS, SLOW_ROUNDS = 5, 3
QUICK = 20
DEFAULT_OUTPUT = ROOT / "var" / "benchmark-receive.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to measure: the cases, the workloads as they are sent, the receivers by name, and for how long."""

    cases: tuple[Case, ...]
    workloads: dict[str, Workload]
    receivers: dict[str, Start]
    rounds: int | None
    deadline: float | None

    def rounds_of(self, case: Case) -> int:
        """How many rounds a case gets: fewer where they are long."""
        long = self.workloads[case.workload].slow or case.sender == "nagle"
        return self.rounds or (SLOW_ROUNDS if long else ROUNDS)

    def turn(self, case: Case, number: int) -> list[str]:
        """The receivers of a case in the order of round ``number``: nobody is always the first."""
        names = [name for name in self.receivers if case.transport == "plain" or name not in WITHOUT_TLS]
        first = number % len(names)
        return names[first:] + names[:first]

    def out_of_time(self) -> bool:
        """Whether the time budget is spent."""
        return self.deadline is not None and time.monotonic() > self.deadline


def receivers(options: argparse.Namespace) -> dict[str, Start]:
    """The chosen receivers; Stopped for a name that nobody has."""
    common = parse_overrides(options.gateway_config)
    names = [*(options.receiver or ["gateway", *PEERS])]
    chosen: dict[str, Start] = {}
    for name in names:
        if is_gateway(name):
            chosen[name] = variant(name, common=common).start
        elif name in PEERS | OTHERS:
            chosen[name] = (PEERS | OTHERS)[name]
        else:
            raise Stopped(f"there is no receiver {name} (gateway, gateway:KEY=VALUE,..., {', '.join(PEERS | OTHERS)})")
    for checkout in options.checkout:
        if not (checkout / "kuva_gateway").is_dir():
            raise Stopped(f"{checkout} is not a checkout of the gateway")
        name = f"gateway@{commit_of(checkout)}"
        chosen[name] = variant(name, common=common, checkout=checkout.resolve()).start
    return chosen


def plan(options: argparse.Namespace) -> Plan:
    """What the options ask for."""
    count = options.count or (QUICK if options.quick else None)
    workloads = {one.name: one if count is None else replace(one, count=min(count, one.count)) for one in WORKLOADS}
    if options.quick and not options.count:
        workloads["100MiB"] = replace(workloads["100MiB"], count=2)
    selected = cases(
        workloads=options.workload or list(workloads),
        associations=options.associations,
        senders=options.sender or SENDERS,
        transports=options.transport or TRANSPORTS,
        combined=bool(options.sender and (options.transport or options.workload)),
    )
    return Plan(
        cases=tuple(selected),
        workloads=workloads,
        receivers=receivers(options),
        rounds=options.rounds or (1 if options.quick else None),
        deadline=None if options.minutes is None else time.monotonic() + 60 * options.minutes,
    )


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate and its key."""
    made = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-out", str(made[0]), "-keyout", str(made[1])],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return made


def check(one: Round) -> None:
    """Hold the gateway, and the shim, to their promises; a peer that fails a round is only told about."""
    wrong = one.failure
    if is_gateway(one.receiver) and not wrong and (one.equal != one.instances or one.catalogued != one.instances):
        wrong = f"of {one.instances} instances {one.catalogued} are catalogued and {one.equal} have the bytes sent"
    if one.fsyncs is not None and one.fsyncs < one.instances:
        raise Stopped(f"{one.receiver}, {one.case}: {one.fsyncs} fsyncs for {one.instances} instances")
    if wrong and is_gateway(one.receiver):
        raise Stopped(f"{one.receiver}, {one.case}: {wrong}")


def tell(one: Round) -> None:
    """One line about a round, while it goes on."""
    if one.failure:
        told = f"FAILED: {' '.join(one.failure.split())[:200]}"
    else:
        late = f" ({one.seconds - one.acknowledged:.2f} to the catalog)" if is_gateway(one.receiver) else ""
        equal = "" if one.equal == one.instances else f", {one.instances - one.equal} not equal"
        told = f"{one.seconds:7.2f} s{late}, CPU {one.receiver_cpu:.2f} s{equal}"
    print(f"{one.case!s:<36} {one.number + 1} {one.receiver:<19} {told}", file=sys.stderr)


def rounds(asked: Plan, done: set[tuple[Case, str, int, int]]) -> Iterator[tuple[Case, Workload, str, int]]:
    """What is still to be measured: the first round of every case, then the second, so that a budget cuts the last."""
    for number in range(max(map(asked.rounds_of, asked.cases))):
        for case in asked.cases:
            workload = asked.workloads[case.workload]
            for name in asked.turn(case, number) if number < asked.rounds_of(case) else ():
                if (case, name, number, workload.count) not in done:
                    yield case, workload, name, number


def measure(asked: Plan, folder: Path, runs: list[results.Run], output: Path) -> None:
    """Run all rounds that are still to be run; what is measured is in ``output`` after each."""
    run = runs[-1]
    done = {(one.case, one.receiver, one.number, one.instances) for one in run.good_rounds}
    cert, key = certificate(folder)
    shim = build_shim(folder) if "storescp+fsync" in asked.receivers else None
    bench = Bench(folder=folder, warm_up=warm_up_images(folder / "warm-up"), certificate=cert, key=key, shim=shim)
    made: dict[str, Images] = {}
    for case, workload, name, number in rounds(asked, done):
        if any(one.failure and (one.case, one.receiver) == (case, name) for one in run.rounds):
            continue  # a peer that failed a case is not tried again
        if asked.out_of_time():
            print("the time is up; the rest is left out", file=sys.stderr)
            return
        if workload.name not in made:
            made[workload.name] = make_images(folder / workload.name, workload)
        images = made[workload.name]
        start = asked.receivers[name]
        one = bench.round(name=name, start=start, case=case, workload=workload, images=images, number=number)
        tell(one)
        run.rounds.append(one)
        results.write(output, runs)
        check(one)


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="benchmark-receive", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [workload.name for workload in WORKLOADS]
    what = parser.add_argument_group("what to measure (default: everything)")
    what.add_argument("--workload", nargs="+", choices=names)
    what.add_argument(
        "--receiver", nargs="+", metavar="NAME", help=f"gateway, gateway:KEY=VALUE,..., {', '.join(PEERS | OTHERS)}"
    )
    what.add_argument("--associations", nargs="+", type=int, default=list(ASSOCIATIONS), metavar="N")
    what.add_argument("--sender", nargs="+", choices=SENDERS)
    what.add_argument("--transport", nargs="+", choices=TRANSPORTS)
    what.add_argument("--gateway-config", nargs="+", default=[], metavar="KEY=VALUE", help="for every gateway")
    what.add_argument(
        "--checkout", nargs="+", type=Path, default=[], metavar="PATH", help="gateways of other checkouts"
    )
    how = parser.add_argument_group("how much of it")
    how.add_argument("--rounds", type=int, help=f"rounds (default: {ROUNDS}, and {SLOW_ROUNDS} of the long ones)")
    how.add_argument("--count", type=int, help="at most so many images a round")
    how.add_argument(
        "--quick", action="store_true", help=f"one round, {QUICK} images (2 of the largest): does it work?"
    )
    how.add_argument("--minutes", type=float, help="start no round after so many minutes")
    how.add_argument("--folder", type=Path, help="where to work: the file system that is measured")
    kept = parser.add_argument_group("results")
    kept.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, help="the JSON file (default: %(default)s)")
    kept.add_argument("--resume", action="store_true", help="go on with its last run, if that is of the same commit")
    kept.add_argument("--report", nargs="+", type=Path, metavar="FILE", help="measure nothing, report on these files")
    kept.add_argument("--commit", help="report on this commit (default: the newest of each case)")
    kept.add_argument("--format", choices=("text", "json", "rst"), default="text")
    kept.add_argument("--rst", dest="format", action="store_const", const="rst", help="the same as --format rst")
    kept.add_argument("--into", type=Path, metavar="FILE", help="write the reStructuredText between the marks of FILE")
    kept.add_argument("--plot", type=Path, metavar="FILE", help="draw FILE (.svg or .png); needs matplotlib")
    return parser.parse_args(words)


def show(runs: Sequence[results.Run], options: argparse.Namespace) -> None:
    """Print the report, and draw the plot where one is asked for."""
    blocks = summarise(runs, commit=options.commit)
    if options.into is not None:
        figures = report.as_rst(blocks, runs)
        options.into.write_text(report.into(options.into.read_text(encoding="utf-8"), figures), encoding="utf-8")
    elif options.format == "json":
        print(json.dumps(report.as_json(blocks), indent=2))
    elif options.format == "rst":
        print(report.as_rst(blocks, runs))
    else:
        print(report.as_text(blocks, runs))
    if options.plot is not None:
        from receive_benchmark.plot import draw

        draw(
            blocks,
            options.plot,
            sender=(options.sender or SENDERS)[0],
            transport=(options.transport or TRANSPORTS)[0],
        )


def run(options: argparse.Namespace) -> None:
    """Measure, then report on this run."""
    asked = plan(options)
    if not asked.cases:
        raise Stopped("nothing is selected")
    for name in ("storescu", "openssl"):
        program(name)
    runs = results.read(options.output) if options.output.exists() else []
    commit = commit_of(ROOT)
    folder = Path(tempfile.mkdtemp(prefix="kuva-benchmark-", dir=options.folder))
    try:
        if not (options.resume and runs and runs[-1].commit == commit):
            runs.append(results.Run(started=now(), commit=commit, conditions=conditions(folder)))
        measure(asked, folder, runs, options.output)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    show(runs[-1:], options)


def main(words: Sequence[str] | None = None) -> int:
    """0 done; 1 something did not work, or the gateway broke a promise; 2 wrong usage."""
    options = arguments(words)
    try:
        if options.report:
            show([one for path in options.report for one in results.read(path)], options)
        else:
            run(options)
    except Stopped as stopped:
        print(f"benchmark-receive: {stopped}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("benchmark-receive: interrupted; what was measured is kept", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
