"""Every figure: its name, its kind, its labels and what it means. ``docs/metrics.rst`` is held to this table.

Labels take their values from the configuration and from tables of the program, never from what peers send.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PREFIX = "kuva_gateway_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One figure; ``name`` without the prefix, and for a counter without ``_total``."""

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


def _gauge(name: str, text: str, *labels: str) -> Family:
    return Family(name=name, kind="gauge", help=text, labels=labels)


def _counter(name: str, text: str, *labels: str) -> Family:
    return Family(name=name, kind="counter", help=text, labels=labels)


_ALL = (
    _gauge("build_info", "The running version; always 1.", "version", "python"),
    _gauge("ready", "1 when /readyz answers 200."),
    _gauge("open_associations", "Associations that are open, by peer.", "peer"),
    _counter(
        "associations",
        "Associations that are over, by how: released, ended (aborted, timed out), lost (with its process); or that "
        "were not let in (peer empty): rejected, tls_failed.",
        "peer",
        "result",
    ),
    _counter(
        "received_instances",
        "Instances sent to the gateway, by what came of them: stored, or the DIMSE status that refused them.",
        "peer",
        "result",
    ),
    _counter("received_bytes", "Bytes of these instances.", "peer", "result"),
    _counter("limited_instances", "Instances that a limit of their peer kept out, by limit.", "peer", "limit"),
    _counter("slowed_seconds", "Time that instances had to wait for the limits of their peer.", "peer"),
    _gauge("quota_used_bytes", "Bytes of a peer with a quota that the archive does not have yet.", "peer"),
    _gauge("quota_bytes", "How many of these it may have.", "peer"),
    Family(
        name="acknowledge_seconds",
        kind="histogram",
        help="From an instance's last byte to the moment when it is safe and is acknowledged.",
        labels=("peer",),
    ),
    _gauge("receivers_wanted", "Receiving processes that there should be."),
    _gauge("receivers_ready", "Receiving processes that take connections."),
    _counter("receivers_replaced", "Receiving processes that ended unasked and were started anew."),
    _gauge("receivers_resident_bytes", "Resident memory of all receiving processes beside the daemon."),
    _gauge("arrivals_pending", "Instances that are acknowledged and not in the catalog yet."),
    _gauge("index_lag_seconds", "Age of the oldest of these; 0 without any."),
    _gauge("catalog_up", "1 when the catalog answers; figures of the catalog are left out once they are too old."),
    _gauge("catalog_figures_age_seconds", "How old the figures of the catalog are."),
    _gauge("studies", "Studies in the catalog, by state.", "state"),
    _gauge("stored_instances", "Instances in the catalog that count."),
    _gauge("stored_bytes", "Bytes of these."),
    _gauge("held_studies", "Held studies, by the rule that holds them (by several: counted with each).", "rule"),
    _gauge("oldest_held_seconds", "Time since the last image of the study that is held longest; 0 without any."),
    _gauge("oldest_unarchived_seconds", "Age of the oldest study that is not archived; 0 without any."),
    _gauge("entries", "Queue entries, by destination and state.", "destination", "state"),
    _counter("attempts", "Attempts at delivery since the start, by what came of them.", "destination", "outcome"),
    _counter(
        "converted_instances",
        "Instances that a destination did not accept as they are stored, by how they went: reencoded (another "
        "uncompressed syntax), decompressed, or not_possible.",
        "destination",
        "how",
    ),
    _counter("alarms", "Alarms since the start: entry_failed, destination_rests.", "destination", "kind"),
    _gauge("destination_resting", "1 while a destination is left alone because it cannot be used.", "destination"),
    _gauge("destination_resting_seconds", "For how long it has been; 0 while it is not.", "destination"),
    _gauge(
        "upstream_resting_seconds", "For how long query.upstream has not answered queries; 0 while it does.", "name"
    ),
    _gauge("commitment_overdue", "Entries whose storage commitment is overdue.", "destination"),
    _gauge(
        "audit_backlog",
        "Audit messages that wait: to be written to the trail, or for the collector.",
        "waits_for",
    ),
    _gauge("record_bytes", "Bytes of what only grows, by which: the journal, the audit trail.", "which"),
    _counter("clock_steps", "How often the clock was set by more than two seconds, since the start."),
    _gauge("audit_collector_up", "1 while the audit collector takes messages; left out without one."),
    _gauge("spool_free_bytes", "Free bytes of the spool's file system."),
    _gauge("spool_total_bytes", "All bytes of the spool's file system."),
    _gauge("spool_minimum_free_bytes", "Below so many free bytes nothing is received (spool.minimum_free)."),
    _gauge(
        "certificate_expiry_seconds",
        "Seconds until a certificate expires: of the gateway's files, and that peers and destinations showed last.",
        "certificate",
    ),
    _gauge(
        "revocation_list_expiry_seconds",
        "Seconds until a list of withdrawn certificates expires; from then on nobody comes in whom it concerns.",
        "list",
    ),
    _gauge("revocation_list_due_seconds", "Seconds until a newer one should be here.", "list"),
)
FAMILIES = {family.name: family for family in _ALL}
"""By name."""


def full_name(family: Family) -> str:
    """As Prometheus knows it."""
    return f"{PREFIX}{family.name}" + ("_total" if family.kind == "counter" else "")
