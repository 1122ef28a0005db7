"""The figures as Prometheus reads them: what the parts of the gateway tell, under the names of :mod:`.families`.

Promises that a part which cannot answer leaves out its own figures and no others.
"""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from kuva_gateway import __version__
from kuva_gateway.catalog.figures import CatalogFigures
from kuva_gateway.config.peer import PeerLimits
from kuva_gateway.errors import GatewayError
from kuva_gateway.metrics.tally import BOUNDS, LET_IN, NOBODY, NOT_LET_IN, PeerCounts, together
from kuva_gateway.metrics.usage import Usage
from kuva_gateway.monitoring.families import FAMILIES, PREFIX
from kuva_gateway.monitoring.sources import Sources
from kuva_gateway.queue.alarms import KINDS
from kuva_gateway.queue.tried import CONVERSIONS, OUTCOMES
from kuva_gateway.queue.window import CLOSED
from kuva_gateway.scp.upstream_rest import resting_seconds

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PAGE = os.sysconf("SC_PAGE_SIZE")

Sample = tuple[tuple[str, ...], float]


class Exposition:
    """Renders everything that ``sources`` tell."""

    def __init__(self, sources: Sources, *, log: Any) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._collector = _GatewayCollector(sources, log)
        self._registry.register(self._collector)
        ProcessCollector(registry=self._registry)

    def follow(self, sources: Sources) -> None:
        """Render what these tell from now on."""
        self._collector.sources = sources

    def render(self) -> bytes:
        """The text format, version 0.0.4."""
        return generate_latest(self._registry)


class _GatewayCollector(Collector):
    def __init__(self, sources: Sources, log: Any) -> None:
        self.sources = sources
        self._log = log
        self._failed: set[str] = set()

    def describe(self) -> Iterable[Metric]:
        """Nothing: collecting at registration would ask parts that are not there yet."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Every family of which something is known."""
        for part in _PARTS:
            try:
                yield from list(part(self.sources))
            except (OSError, GatewayError) as error:
                self._say(part, error)

    def _say(self, part: Callable[[Sources], Iterator[Metric]], error: Exception) -> None:
        """Once for each part and kind: a scrape comes every few seconds."""
        key = f"{part.__name__}: {type(error).__name__}"
        if key not in self._failed:
            self._failed.add(key)
            why = error.strerror if isinstance(error, OSError) else str(error)
            self._log.warning("figures are left out", which=part.__name__.strip("_"), why=why)


def _samples(name: str, samples: Iterable[Sample]) -> Metric:
    family = FAMILIES[name]
    make = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = make(PREFIX + name, family.help, labels=family.labels)
    for labels, value in samples:
        metric.add_metric(labels, value)
    return metric


def _one(name: str, value: float) -> Metric:
    return _samples(name, [((), value)])


def _build(sources: Sources) -> Iterator[Metric]:
    yield _samples("build_info", [((__version__, platform.python_version()), 1)])
    yield _one("ready", float(not sources.why_not_ready()))


def _receiving(sources: Sources) -> Iterator[Metric]:
    reception = sources.reception()
    if reception is None:
        return
    counted = together(reception.tallies)
    yield _samples("open_associations", _open(sources.peers, reception.open_associations))
    known = {peer: counts for peer, counts in counted.items() if peer != NOBODY}
    yield _samples("associations", _associations(counted))
    yield _samples("received_instances", _by_result(known, lambda one: one.instances))
    yield _samples("received_bytes", _by_result(known, lambda one: one.bytes))
    yield _acknowledged(known)
    yield from _limited(sources.limited, reception.usage)
    receivers = reception.receivers
    yield _one("receivers_wanted", receivers.wanted)
    yield _one("receivers_ready", receivers.ready)
    yield _one("receivers_replaced", receivers.replaced)
    yield _one("receivers_resident_bytes", sum(_resident(pid) for pid in receivers.pids))


def _open(peers: Iterable[str], found: Mapping[str, int]) -> Iterator[Sample]:
    """Of every configured peer, and of whoever else is connected (a destination that reports)."""
    for peer in sorted({*peers, *found}):
        yield (peer,), found.get(peer, 0)


def _associations(counted: Mapping[str, PeerCounts]) -> Iterator[Sample]:
    """How associations ended, by peer, and how often nobody in particular was not let in."""
    for peer, counts in counted.items():
        for how in NOT_LET_IN if peer == NOBODY else LET_IN:
            yield (peer, how), counts.associations[how]


def _by_result(counted: Mapping[str, PeerCounts], of: Callable[[PeerCounts], Mapping[str, int]]) -> Iterator[Sample]:
    for peer, counts in counted.items():
        for result, count in of(counts).items():
            yield (peer, result), count


def _acknowledged(counted: Mapping[str, PeerCounts]) -> Metric:
    family = FAMILIES["acknowledge_seconds"]
    metric = HistogramMetricFamily(PREFIX + family.name, family.help, labels=family.labels)
    bounds = [*map(repr, BOUNDS), "+Inf"]
    for peer, counts in counted.items():
        if not any(counts.acknowledged):
            continue
        sums, before = [], 0
        for count in counts.acknowledged:
            before += count
            sums.append(before)
        metric.add_metric((peer,), list(zip(bounds, sums, strict=True)), counts.seconds)
    return metric


def _limited(peers: Mapping[str, PeerLimits], usage: Usage) -> Iterator[Metric]:
    """Of peers whose instances are limited."""
    found = {}
    for peer in peers:
        with usage.of(peer) as meters:
            found[peer] = meters.read()
    refused = (((peer, limit), count) for peer, used in found.items() for limit, count in used.refused.items())
    yield _samples("limited_instances", refused)
    yield _samples("slowed_seconds", (((peer,), used.slowed) for peer, used in found.items()))
    quotas = {peer: limits.quota for peer, limits in peers.items() if limits.quota is not None}
    yield _samples("quota_used_bytes", (((peer,), found[peer].waiting) for peer in quotas))
    yield _samples("quota_bytes", (((peer,), quota) for peer, quota in quotas.items()))


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):  # it has just ended
        return 0


def _catalog(sources: Sources) -> Iterator[Metric]:
    count, since = sources.waiting()
    yield _one("arrivals_pending", count)
    yield _one("index_lag_seconds", _age(since))
    seen = sources.catalog()
    yield _one("catalog_up", float(seen.up))
    if seen.figures is None:
        return
    yield _one("catalog_figures_age_seconds", seen.age)
    figures = seen.figures
    yield _samples("studies", (((state,), number) for state, number in figures.studies.items()))
    yield _one("stored_instances", figures.instances)
    yield _one("stored_bytes", figures.bytes)
    yield _samples("held_studies", (((rule,), number) for rule, number in figures.held_by_rule.items()))
    yield _one("oldest_held_seconds", _age(figures.oldest_held))
    yield _one("oldest_unarchived_seconds", _age(figures.oldest_unarchived))
    yield _samples("entries", figures.entries.items())
    yield _samples("commitment_overdue", (((name,), number) for name, number in figures.overdue.items()))
    yield from _resting(sources, figures)


def _resting(sources: Sources, figures: CatalogFigures) -> Iterator[Metric]:
    """Who is sent to in its hours only does not rest: nothing is wrong with it."""
    resting = {name: rest for name, rest in figures.resting.items() if rest.code != CLOSED}
    names = sorted({*sources.destinations, *resting})
    yield _samples("destination_resting", (((name,), float(name in resting)) for name in names))
    yield _samples(
        "destination_resting_seconds",
        (((name,), _age(resting[name].since) if name in resting else 0.0) for name in names),
    )


def _delivery(sources: Sources) -> Iterator[Metric]:
    delivering = sources.delivering()
    if delivering is None:
        return
    for name, found, kinds in (
        ("attempts", delivering.tried.counts(), OUTCOMES),
        ("converted_instances", delivering.tried.conversions(), CONVERSIONS),
        ("alarms", {(where, kind): n for (kind, where), n in delivering.alarms.counts().items()}, KINDS),
    ):
        known = {(destination, kind): 0 for destination in sources.destinations for kind in kinds}
        yield _samples(name, sorted({**known, **found}.items()))


def _audit(sources: Sources) -> Iterator[Metric]:
    collector, figures = sources.collector, sources.catalog().figures
    backlog: list[Sample] = [] if figures is None else [(("trail",), figures.untold)]
    if collector is not None:
        yield _one("audit_collector_up", float(not collector.away))
        backlog.append((("collector",), collector.waiting))
    yield _samples("audit_backlog", backlog)


def _records(sources: Sources) -> Iterator[Metric]:
    yield _samples("record_bytes", [((name,), _bytes_in(folder)) for name, folder in sources.records.items()])
    yield _one("clock_steps", sources.clock_steps())


def _bytes_in(folder: Path) -> int:
    """Of a folder's files; one that goes meanwhile has none."""
    size = 0
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                size += entry.stat().st_size
    return size


def _upstream(sources: Sources) -> Iterator[Metric]:
    if sources.upstream is not None:
        yield _samples("upstream_resting_seconds", [((sources.upstream,), resting_seconds(sources.spool))])


def _spool(sources: Sources) -> Iterator[Metric]:
    yield _one("spool_minimum_free_bytes", sources.spool.space.minimum_free)
    yield _one("spool_free_bytes", sources.spool.free_bytes())
    yield _one("spool_total_bytes", sources.spool.space.total_bytes())


def _certificates(sources: Sources) -> Iterator[Metric]:
    now = datetime.now(UTC)
    found = sources.expiring()
    if found:
        yield _samples(
            "certificate_expiry_seconds", (((key,), (until - now).total_seconds()) for key, until in found.items())
        )


def _revocation_lists(sources: Sources) -> Iterator[Metric]:
    now, found = datetime.now(UTC), sources.revocation_lists()
    ends = {key: one.next_update for key, one in found.items()}
    due = {key: one.due for key, one in found.items()}
    for name, moments in (("expiry", ends), ("due", due)):
        if moments:
            left = [((key,), (at - now).total_seconds()) for key, at in moments.items() if at is not None]
            yield _samples(f"revocation_list_{name}_seconds", left)


def _age(since: datetime | None) -> float:
    return 0.0 if since is None else max(0.0, (datetime.now(UTC) - since).total_seconds())


_PARTS = (
    *(_build, _receiving, _catalog, _delivery, _upstream, _audit, _records, _spool),
    *(_certificates, _revocation_lists),
)
