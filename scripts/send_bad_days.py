"""What bad days cost: destinations beside a dead and a stalled one, and an archive that is away for a week.

Both let the gateway's own queue work on a catalog of its own; the week is told by a clock that nobody waits for.
"""

from __future__ import annotations

import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from receive_benchmark.processes import NODELAY, child, environment, free_port, program
from send_queue import Queue

from kuva_gateway.catalog import entries
from kuva_gateway.config.model import Configuration
from kuva_gateway.forward.outcome import Outcome
from kuva_gateway.queue.runner import FAIR_TURN

ROOT = Path(__file__).resolve().parent.parent
CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"
Encode = Callable[[str, str], bytes]
WEEK = timedelta(days=7)
URGENT_EACH = 5  # every so manyth study of the week is urgent


def destination(name: str, port: int, **changes: Any) -> dict[str, Any]:
    """A destination on this machine as the configuration would give it, without storage commitment."""
    return {
        "name": name,
        "ae_title": "ARCHIVE",
        "host": "127.0.0.1",
        "port": port,
        "storage_commitment": False,
        **changes,
    }


def configured(folder: Path, *destinations: dict[str, Any], **changes: Any) -> Configuration:
    """A configuration with these destinations."""
    value = {"environment": "test", "state_directory": folder, "destinations": list(destinations), **changes}
    return Configuration.model_validate(value)


# -- isolation ----------------------------------------------------------------------------------------------------


@contextmanager
def archives(folder: Path) -> Iterator[dict[str, int]]:
    """Ports: one that takes everything, one that never answers its first image, and one where nobody listens."""
    ports = {name: free_port() for name in ("healthy", "stalled", "dead")}
    storescp = [program("storescp"), "--quiet", "--fork", "-aet", "ARCHIVE", "--ignore", str(ports["healthy"])]
    stand_in = [sys.executable, str(ROOT / "scripts" / "stand_in_archive.py"), "--delay-store", "3600"]
    stand_in += ["--port", str(ports["stalled"])]
    quick = environment(**NODELAY)
    with (
        child(storescp, log=folder / "healthy", port=ports["healthy"], env=quick),
        child(stand_in, log=folder / "stalled", port=ports["stalled"], env=quick),
    ):
        yield ports


def isolation(folder: Path, options: Any, encode: Encode) -> None:
    """The rate to a healthy destination alone, and beside a dead and a stalled one, in alternating rounds."""
    seconds: list[list[float]] = [[], []]
    with archives(folder) as ports:
        beside = [destination(name, ports[name], required=False) for name in ("dead", "stalled")]
        healthy = destination("healthy", ports["healthy"])
        for number in range(options.rounds):
            for which in ((0, 1), (1, 0))[number % 2]:
                own = folder / f"{number}-{which}"
                own.mkdir()
                with Queue(own, configured(own, healthy, *(beside if which else ()))) as queue:
                    queue.fill(options.studies, encode, CT, EXPLICIT)
                    seconds[which].append(queue.deliver_all())
    alone, accompanied = map(statistics.median, seconds)
    print(
        f"{options.studies} studies to a healthy destination, medians of {options.rounds} rounds: "
        f"{options.studies / alone:.0f}/s alone, {options.studies / accompanied:.0f}/s beside a dead and a stalled "
        "one, "
        f"{accompanied / alone:.3f} times the time (limit 1.1)"
    )


# -- a week without the archive --------------------------------------------------------------------------------


class Clock:
    """Shows what it is set to."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at


def outage(folder: Path, options: Any, encode: Encode) -> None:
    """A week's studies while nobody is there, then the archive's return; by a clock that is turned."""
    clock, port = Clock(), free_port()
    settings = configured(
        folder,
        destination("archive", port, workers=1),
        peers=[{"name": "trauma", "ae_title": "TRAUMA", "urgent": True}],
    )
    with Queue(folder, settings, now=clock) as queue:
        workers = queue.runner()._lanes["archive"]
        probes = _watched(workers._lane.resting, clock)
        come: list[tuple[str, bool]] = []
        begun = clock()
        for number in range(options.week):
            urgent = number % URGENT_EACH == URGENT_EACH - 1
            come += [(uid, urgent) for uid in queue.fill(1, encode, CT, EXPLICIT, peer="trauma" if urgent else "ct1")]
            _pass(workers, clock, begun + WEEK * (number + 1) / options.week)
        during = _attempts(queue)
        workers._turns = itertools.count(1)
        command = [sys.executable, str(ROOT / "scripts" / "stand_in_archive.py"), "--port", str(port)]
        with child(command, log=folder / "log", port=port, env=environment(**NODELAY)):
            back, began = clock(), time.perf_counter()
            while entries.next_due(queue.catalog, "archive") is not None:
                clock.at += timedelta(seconds=workers._look())
            took, waited = time.perf_counter() - began, clock() - back
        after, states = _attempts(queue), _states(queue)
    closest = min(later - earlier for earlier, later in itertools.pairwise(probes))
    right = _received(folder / "log") == _oldest_in_turn(come)
    print(
        f"{len(come)} studies in a week without the archive: {len(probes)} probes, never closer than "
        f"{closest.total_seconds():.0f} s, {during} attempts burnt; back after {waited.total_seconds():.0f} s, sent in "
        f"{took:.1f} s more with {after} attempts, in order of priority and age: {'yes' if right else 'NO'}; {states}"
    )


def _watched(resting: Any, clock: Clock) -> list[datetime]:
    """When it is probed, from now on."""
    probes: list[datetime] = []
    ask = resting._probe

    def probe() -> Outcome:
        probes.append(clock())
        found: Outcome = ask()
        return found

    resting._probe = probe
    return probes


def _pass(workers: Any, clock: Clock, until: datetime) -> None:
    """Let the worker look, and time pass as it asks for, until then."""
    while clock() < until:
        clock.at = min(clock() + timedelta(seconds=workers._look()), until)


def _attempts(queue: Queue) -> int:
    with queue.catalog.read() as session:
        return int(session.value("SELECT SUM(attempts) FROM entries"))


def _states(queue: Queue) -> str:
    """How many entries are in each state that matters."""
    with queue.catalog.read() as session:
        rows = session.rows("SELECT state, COUNT(*) AS number FROM entries GROUP BY state")
    found = {row["state"]: row["number"] for row in rows}
    return ", ".join(f"{found.get(state, 0)} {state}" for state in ("sent", "failed", "held"))


def _received(log: Path) -> list[str]:
    """The SOP Instance UIDs that the archive was sent, in its order."""
    told = [json.loads(line) for line in log.read_text().splitlines()]
    return [event["sop_instance_uid"] for event in told if event["event"] == "stored"]


def _oldest_in_turn(come: Sequence[tuple[str, bool]]) -> list[str]:
    """Urgent ones by age, then the others by age, and the oldest of all each fourth time."""
    waiting, order = list(come), []
    for turn in itertools.count(1):
        if not waiting:
            break
        first = [one for one in waiting if one[1]] if turn % FAIR_TURN else []
        chosen = (first or waiting)[0]
        waiting.remove(chosen)
        order.append(chosen[0])
    return order
