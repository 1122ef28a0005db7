"""The arithmetic of the report: medians of rounds, ratios to the gateway, CPU per 1,000 instances, floors missed."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .gateway import is_gateway
from .measuring import Round
from .results import Run
from .workloads import SENDERS, TRANSPORTS, WORKLOADS, Case, Target, cases, target

BY_NAME = {workload.name: workload for workload in WORKLOADS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One receiver in one case: medians over its rounds, and the gateway's time against its own.

    ``ratio`` is this receiver's time divided by the gateway's, so that above 1 the gateway is the faster one.
    """

    receiver: str
    rounds: int
    seconds: float
    fastest: float
    slowest: float
    per_second: float
    megabytes_per_second: float
    receiver_cpu: float
    sender_cpu: float
    equal: bool
    ratio: float | None
    target: Target | None

    @property
    def missed(self) -> bool:
        """Whether the gateway is below its floor against this peer."""
        return self.ratio is not None and self.target is not None and self.ratio < self.target.floor

    @property
    def verdict(self) -> str:
        """``goal``, ``floor`` or ``MISSED``: what the gateway reaches against this peer; empty without a target."""
        if self.ratio is None or self.target is None:
            return ""
        if self.missed:
            return "MISSED"
        return "goal" if self.ratio >= self.target.goal else "floor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One case: the commit that it was measured at, how many instances, and a row for each receiver, gateways first.

    ``failures`` counts, by receiver, the rounds that did not come to their end.
    """

    case: Case
    commit: str
    instances: int
    rows: tuple[Row, ...]
    failures: Mapping[str, int]

    @property
    def title(self) -> str:
        """For people: ``1000 x 512 KiB``."""
        return BY_NAME[self.case.workload].title(self.instances)


def primary(receivers: Iterable[str]) -> str | None:
    """The gateway that peers are compared with: the plain one, else the first variant."""
    gateways = [name for name in receivers if is_gateway(name)]
    return "gateway" if "gateway" in gateways else next(iter(gateways), None)


def row(case: Case, name: str, rounds: Sequence[Round], gateway: float | None, *, compared: bool) -> Row:
    """Sum up the rounds of one receiver; ``gateway`` is the gateway's median, or None when it was not measured."""
    seconds = statistics.median(one.seconds for one in rounds)
    instances = rounds[0].instances

    def per_thousand(spent: Iterable[float]) -> float:
        return statistics.median(spent) * 1000 / instances

    return Row(
        receiver=name,
        rounds=len(rounds),
        seconds=seconds,
        fastest=min(one.seconds for one in rounds),
        slowest=max(one.seconds for one in rounds),
        per_second=instances / seconds,
        megabytes_per_second=rounds[0].bytes / seconds / 1e6,
        receiver_cpu=per_thousand(one.receiver_cpu for one in rounds),
        sender_cpu=per_thousand(one.sender_cpu for one in rounds),
        equal=all(one.equal == one.instances for one in rounds),
        ratio=seconds / gateway if compared and gateway else None,
        # A few instances measure the start of the senders, not the receivers.
        target=None if is_gateway(name) or instances < BY_NAME[case.workload].count else target(case, name),
    )


def block(case: Case, commit: str, rounds: Mapping[str, Sequence[Round]], failures: Mapping[str, int]) -> Block:
    """Sum up one case: rounds by receiver, and how many more failed."""
    chief = primary(rounds)
    gateway = statistics.median(one.seconds for one in rounds[chief]) if chief else None
    names = sorted(rounds, key=lambda name: (name != chief, not is_gateway(name)))
    rows = (row(case, name, rounds[name], gateway, compared=name != chief) for name in names)
    instances = next(iter(rounds.values()))[0].instances
    return Block(case=case, commit=commit, instances=instances, rows=tuple(rows), failures=failures)


def summarise(runs: Sequence[Run], *, commit: str | None = None) -> list[Block]:
    """One block per case, in the order of the workloads.

    Rounds are joined over runs of the same commit and the same number of instances; where several commits measured a
    case the newest run's counts, or ``commit`` where it is given. Rounds that failed are counted only.
    """
    chosen: dict[Case, tuple[str, int]] = {}
    for run in sorted(runs, key=lambda run: run.started):
        for one in run.good_rounds:
            if commit in (None, run.commit):
                chosen[one.case] = (run.commit, one.instances)
    rounds: dict[Case, dict[str, list[Round]]] = {}
    failures: dict[Case, Counter[str]] = {}
    for run in runs:
        for one in run.rounds:
            if chosen.get(one.case) != (run.commit, one.instances):
                continue
            if one.failure:
                failures.setdefault(one.case, Counter())[one.receiver] += 1
            else:
                rounds.setdefault(one.case, {}).setdefault(one.receiver, []).append(one)
    ordered = cases(
        workloads=[workload.name for workload in WORKLOADS],
        associations=sorted({case.associations for case in rounds}),
        senders=SENDERS,
        transports=TRANSPORTS,
        combined=True,
    )
    return [block(case, chosen[case][0], rounds[case], failures.get(case, {})) for case in ordered if case in rounds]
