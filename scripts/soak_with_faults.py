"""Half of the top rate for a given time, with faults at random: what is lost, sent twice, leaked.

The top rate is measured first, with the archive there. Then modalities send at half of it, each image until it is
acknowledged, while one fault after the other comes and goes. At the end every acknowledged image must be there with
its bytes, in the archive too, and the gateway at rest must have what it had before.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway_process import Gateway, GaveUpError
from kill_checks import Findings, check_delivered, check_kept
from kill_senders import Record, Senders
from soak import DESCRIPTOR_SLACK, MEMORY_SLACK, THREAD_SLACK, Sample, level, look, slope
from soak_faults import Archives, Faults

SENDERS = 4
MEASURE = 15.0  # seconds at full speed
BETWEEN = (1.0, 8.0)  # seconds from a fault to the next
BACKLOG = 4000  # acknowledged and not delivered: modalities rest until it is half of that
SETTLE = 900.0
LEFT_FROM_FSYNC = "corrupt/"


@dataclass(slots=True, kw_only=True)
class Endured:
    """What happened."""

    top: float
    """Images acknowledged in a second at full speed."""
    seconds: float
    faults: Counter[str]
    when: list[tuple[float, str]]
    before: Sample
    samples: Sequence[Sample]
    after: Sample
    refused: Counter[str]
    found: Findings

    @property
    def leaks(self) -> list[str]:
        """What grew, and everything that is wrong: a sentence for each."""
        wrong = [f"{self.found.lost} lost"] if self.found.lost else []
        wrong += list(self.found.wrong)
        for name, slack in (("threads", THREAD_SLACK), ("descriptors", DESCRIPTOR_SLACK)):
            grown = getattr(self.after, name) - getattr(self.before, name)
            if grown > slack:
                wrong.append(f"{grown} {name} more at rest after the soak than before it")
        quarter = max(1, len(self.samples) // 4)
        grown = level(self.samples[-quarter:], "resident") - level(self.samples[quarter : 2 * quarter], "resident")
        if grown > 2 * MEMORY_SLACK:
            wrong.append(f"resident memory grew by {grown / 2**20:.1f} MiB")
        return wrong

    def report(self) -> str:
        """The figures."""
        found, rest = self.found, ((self.before, "before"), (self.after, "after"))
        return "\n".join(
            [
                f"{self.seconds:.0f} s at half of {self.top:.0f} images/s, {sum(self.faults.values())} faults: "
                + ", ".join(f"{count} {name}" for name, count in sorted(self.faults.items())),
                (
                    f"{found.acknowledged} acknowledged, {found.lost} lost, {found.damaged} damaged, {found.delivered} "
                    f"delivered, {found.not_delivered} not delivered, {found.delivered_twice} delivered twice "
                    f"({found.twice_after_cut} after a cut answer)"
                ),
                "refused: " + (", ".join(f"{n} x {status}" for status, n in sorted(self.refused.items())) or "none"),
                *(
                    f"at rest {name}: {one.resident / 2**20:.1f} MiB, {one.threads} threads, "
                    f"{one.descriptors} descriptors and {one.catalog} of the catalog"
                    for one, name in rest
                ),
                (
                    f"under load: {level(self.samples, 'resident') / 2**20:.1f} MiB (median), "
                    f"{slope(self.samples, 'resident') * 100_000 / 2**20:+.1f} MiB per 100,000 images"
                ),
            ]
        )


def endure(folder: Path, *, minutes: float, seed: int, measure: float = MEASURE, only: Sequence[str] = ()) -> Endured:
    """Soak for so many minutes.

    Raises
    ------
    GaveUpError
        The gateway does not start, or does not come to an end of its work.
    """
    chance = random.Random(seed)
    port = Gateway(folder / "gateway", archive_port=None).port
    archives = Archives(folder, port)
    try:
        gateway = Gateway(folder / "gateway", archive_port=archives.port, port=port, processes=2)
        faults = Faults(gateway, archives, folder, chance)
        if only:
            faults.all = {name: faults.all[name] for name in only}
        gateway.environment = faults.environment()
        faults.minimum_at_start = faults.minimum_free()
        text = gateway.config.read_text(encoding="utf-8")
        gateway.config.write_text(
            text.replace("minimum_free: 1MiB", f"minimum_free: {faults.minimum_at_start}"), encoding="utf-8"
        )
        with gateway:
            return _endure(gateway, faults, chance, minutes * 60, seed, measure)
    finally:
        archives.stop()


def _endure(
    gateway: Gateway, faults: Faults, chance: random.Random, seconds: float, seed: int, measure: float
) -> Endured:
    gateway.start()
    record = Record()
    top = _top_rate(gateway, record, seed, measure)
    gateway.wait_settled(SETTLE)
    time.sleep(3)
    before = look(gateway, 0.0, record.acknowledged)
    pause = SENDERS / top  # as long again as an image takes at full speed
    senders = Senders(gateway.port, record, seed=seed + 1, count=SENDERS, pause=pause)
    samples: list[Sample] = []
    counts: Counter[str] = Counter()
    when: list[tuple[float, str]] = []
    began = time.monotonic()
    senders.start()
    try:
        while (passed := time.monotonic() - began) < seconds:
            name = faults.one()
            counts[name] += 1
            when.append((passed, name))
            until = time.monotonic() + chance.uniform(*BETWEEN)
            while time.monotonic() < until:
                samples.append(look(gateway, time.monotonic() - began, record.acknowledged))
                time.sleep(0.5)
            _hold_back(senders, record, faults)
            if senders.failures:
                raise GaveUpError(f"a sender failed: {senders.failures[0]}")
    finally:
        finished = senders.finish(120.0)
    lasted = time.monotonic() - began
    if not finished or senders.failures:
        raise GaveUpError(f"the senders did not come to their end: {senders.failures or 'no answer'}")
    gateway.wait_settled(SETTLE)
    time.sleep(35)
    after = look(gateway, lasted, record.acknowledged)
    found = Findings()
    if gateway.stop() != 0:
        found.say("the gateway did not stop with status 0")
    check_kept(gateway, record, found)
    found.wrong = [line for line in found.wrong if not line.startswith(LEFT_FROM_FSYNC)]
    check_delivered(record, faults.archives.events("stored", "released"), sorted(faults.moments), found)
    return Endured(
        top=top,
        seconds=lasted,
        faults=counts,
        when=when,
        before=before,
        samples=samples,
        after=after,
        refused=Counter(line[:4] for _, line in record.refusals),
        found=found,
    )


def _top_rate(gateway: Gateway, record: Record, seed: int, seconds: float) -> float:
    senders = Senders(gateway.port, record, seed=seed, count=SENDERS, pause=0.0)
    began = time.monotonic()
    senders.start()
    time.sleep(seconds)
    rate = record.acknowledged / (time.monotonic() - began)
    if not senders.finish(60.0) or senders.failures or not rate:
        raise GaveUpError(f"the senders failed: {senders.failures}")
    return rate


def _hold_back(senders: Senders, record: Record, faults: Faults) -> None:
    backlog = record.acknowledged - faults.archives.taken()
    if backlog > BACKLOG:
        senders.going.clear()
    elif backlog < BACKLOG // 2:
        senders.going.set()


def plot(endured: Endured, path: Path) -> None:
    """Images, memory, threads and descriptors over time, and the faults."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(5, 1, sharex=True, figsize=(9, 10))
    rows = (
        ("stored", 1, "acknowledged"),
        ("resident", 2**20, "resident MiB"),
        ("threads", 1, "threads"),
        ("descriptors", 1, "descriptors"),
    )
    minutes = [sample.seconds / 60 for sample in endured.samples]
    for axis, (name, unit, label) in zip(axes, rows, strict=False):
        axis.plot(minutes, [getattr(sample, name) / unit for sample in endured.samples], linewidth=1)
        axis.set_ylabel(label)
        axis.set_ylim(bottom=0)
    names = sorted(endured.faults)
    axes[-1].scatter([at / 60 for at, _ in endured.when], [names.index(name) for _, name in endured.when], s=12)
    axes[-1].set_yticks(range(len(names)), names, fontsize=7)
    axes[-1].set_xlabel("minutes")
    figure.tight_layout()
    figure.savefig(path)
