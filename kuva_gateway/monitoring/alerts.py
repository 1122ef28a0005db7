"""Every alert: what it is called, how bad it is, how long it must last, and what to do. The same for Prometheus
(``conf/alerts.yaml``), for ``stats --check`` and for ``alerts.command``; ``docs/alerts.rst`` has a section for each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from kuva_gateway.config import Configuration
from kuva_gateway.monitoring.situation import Situation
from kuva_gateway.queue.window import CLOSED

INDEX_BEHIND = timedelta(minutes=5)
RESTING = timedelta(minutes=30)
EXPIRES_SOON = timedelta(days=30)
EXPIRES_NOW = timedelta(days=3)
AUDIT_BEHIND = 1000
"""Messages."""
LOW_SHARE = 0.05
"""Of the file system, beside ``spool.minimum_free``."""


class Severity(StrEnum):
    """Warnings wait for the morning; critical is what somebody is woken for."""

    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert; ``lasting``: so long without a break until somebody is told."""

    name: str
    severity: Severity
    lasting: timedelta
    remedy: str

    @property
    def runbook(self) -> str:
        """Where more is said."""
        return f"docs/alerts.rst#{self.name.lower()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """An alert and what is the matter, in one sentence without patient data."""

    alert: Alert
    summary: str


def _alert(name: str, severity: Severity, minutes: int, remedy: str) -> Alert:
    return Alert(name=f"KuvaGateway{name}", severity=severity, lasting=timedelta(minutes=minutes), remedy=remedy)


_W, _C = Severity.WARNING, Severity.CRITICAL
DOWN = _alert("Down", _C, 2, "Read journalctl -u kuva-gateway, mend what it says, start the gateway.")
NOT_READY = _alert("NotReady", _C, 5, "Ask /readyz what is missing; read the log.")
RECEIVERS = _alert("ReceiversFailing", _W, 5, "Read the log for the processes' end; look at memory.")
CATALOG_AWAY = _alert("CatalogAway", _C, 2, "See whether the database runs and has room; images are safe in the spool.")
INDEX = _alert("IndexBehind", _W, 5, "See whether the database or the disk is slow or in trouble.")
SPOOL_LOW = _alert("SpoolLow", _W, 15, "Make room, or find out why studies are not archived and removed.")
SPOOL_FULL = _alert("SpoolFull", _C, 1, "Make room now: images are refused with A700 until there is.")
REFUSES = _alert("RefusesImages", _C, 0, "Look for 'not stored' in the log: disk, spool, processes.")
LIMITED = _alert("PeerOverLimit", _W, 0, "Find out why it sends so much; else raise peers[].limits.")
SLOW = _alert("SlowToAcknowledge", _W, 10, "See what keeps the disk busy; compare with kuva-gateway doctor.")
HELD = _alert("StudyHeldTooLong", _W, 5, "kuva-gateway studies list --state held; do what the findings say.")
UNARCHIVED = _alert(
    "StudyUnarchivedTooLong", _C, 5, "kuva-gateway studies list; trace the oldest that is not archived."
)
FAILED = _alert("EntriesFailed", _W, 5, "kuva-gateway queue list --state failed; mend the cause, then queue retry.")
RESTS = _alert("DestinationResting", _W, 5, "kuva-gateway stats says why; call the destination's operators.")
OVERDUE = _alert("CommitmentOverdue", _W, 60, "Ask the archive's operators why it does not answer commitment requests.")
EXPIRING = _alert("CertificateExpiresSoon", _W, 60, "Have the certificate renewed.")
EXPIRED = _alert(
    "CertificateExpiresNow", _C, 5, "Renew the certificate now: without it TLS fails for all whom it concerns."
)
LIST_OLD = _alert("RevocationListOld", _W, 60, "Fetch the authority's new list; see why it does not come by itself.")
LIST_EXPIRED = _alert(
    "RevocationListExpired", _C, 0, "Install the authority's new list now, or take tls.revocation out, and reload."
)
AUDIT = _alert("AuditBehind", _W, 15, "See whether the audit trail can be written and its collector answers.")

ALERTS = (
    *(DOWN, NOT_READY, RECEIVERS, CATALOG_AWAY, INDEX, SPOOL_LOW, SPOOL_FULL, REFUSES, LIMITED, SLOW, HELD, UNARCHIVED),
    *(FAILED, RESTS, OVERDUE, EXPIRING, EXPIRED, LIST_OLD, LIST_EXPIRED, AUDIT),
)
ONLY_OVER_TIME = frozenset({RECEIVERS.name, REFUSES.name, LIMITED.name, SLOW.name})
"""These compare moments: only Prometheus knows them."""


def raised(configuration: Configuration, now: Situation) -> list[Raised]:
    """What is not well at this moment, critical first."""
    found = [*_process(now), *_room(now), *_studies(configuration, now), *_queue(now), *_more(now)]
    return sorted(found, key=lambda one: one.alert.severity is not Severity.CRITICAL)


def _process(now: Situation) -> Iterator[Raised]:
    if now.down:
        yield Raised(alert=DOWN, summary=now.down)
    elif now.not_ready:
        yield Raised(alert=NOT_READY, summary=f"peers cannot send: {now.not_ready}")
    if now.catalog is None:
        yield Raised(alert=CATALOG_AWAY, summary=now.catalog_away or "the catalog does not answer")
    if now.waiting_since is not None and not now.down and now.at - now.waiting_since > INDEX_BEHIND:
        yield Raised(
            alert=INDEX, summary=f"{now.waiting} images wait for the catalog, for {span(now.at - now.waiting_since)}"
        )


def _room(now: Situation) -> Iterator[Raised]:
    if now.free is None or now.total is None:
        return
    if now.free < now.minimum_free:
        yield Raised(alert=SPOOL_FULL, summary=f"the spool's disk has {size(now.free)} left: images are refused")
    elif now.free < now.minimum_free + LOW_SHARE * now.total:
        yield Raised(alert=SPOOL_LOW, summary=f"the spool's disk has {size(now.free)} of {size(now.total)} left")


def _studies(configuration: Configuration, now: Situation) -> Iterator[Raised]:
    if now.catalog is None:
        return
    longest = timedelta(seconds=configuration.alerts.held_for)
    held, oldest = now.catalog.oldest_held, now.catalog.oldest_unarchived
    if held is not None and now.at - held > longest:
        yield Raised(alert=HELD, summary=f"{now.catalog.held} studies are held, one for {span(now.at - held)}")
    longest = timedelta(seconds=configuration.alerts.unarchived_for)
    if oldest is not None and now.at - oldest > longest:
        yield Raised(alert=UNARCHIVED, summary=f"a study has not been archived for {span(now.at - oldest)}")


def _queue(now: Situation) -> Iterator[Raised]:
    if now.catalog is None:
        return
    failed = {name: number for (name, state), number in now.catalog.entries.items() if state == "failed"}
    if failed:
        yield Raised(alert=FAILED, summary=f"entries failed: {_by_name(failed)}")
    resting = {
        name: now.at - rest.since
        for name, rest in now.catalog.resting.items()
        if rest.code != CLOSED and now.at - rest.since > RESTING
    }
    if resting:
        told = ", ".join(f"{name} for {span(time)}" for name, time in sorted(resting.items()))
        yield Raised(alert=RESTS, summary=f"cannot be used: {told}")
    overdue = {name: number for name, number in now.catalog.overdue.items() if number}
    if overdue:
        yield Raised(alert=OVERDUE, summary=f"storage commitment is overdue: {_by_name(overdue)}")


def _more(now: Situation) -> Iterator[Raised]:
    left = {key: until - now.at for key, until in sorted(now.certificates.items())}
    for alert, when in (
        (EXPIRED, {key: time for key, time in left.items() if time < EXPIRES_NOW}),
        (EXPIRING, {key: time for key, time in left.items() if EXPIRES_NOW <= time < EXPIRES_SOON}),
    ):
        if when:
            told = ", ".join(
                f"{key} in {time.days} days" if time.days >= 0 else f"{key} has" for key, time in when.items()
            )
            yield Raised(alert=alert, summary=f"certificates expire: {told}")
    lists = now.revocation_lists
    ended = {key for key, one in lists.items() if one.next_update is not None and one.next_update < now.at}
    old = {key for key, one in lists.items() if one.due is not None and one.due < now.at} - ended
    if ended:
        yield Raised(alert=LIST_EXPIRED, summary=f"expired and keeps TLS peers out: {', '.join(sorted(ended))}")
    if old:
        yield Raised(alert=LIST_OLD, summary=f"should have been replaced: {', '.join(sorted(old))}")
    if now.audit_backlog > AUDIT_BEHIND:
        yield Raised(alert=AUDIT, summary=f"{now.audit_backlog} audit messages wait")


def _by_name(numbers: dict[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(numbers.items()))


def span(time: timedelta) -> str:
    """A length of time for people: its one or two largest units."""
    minutes = max(0, int(time.total_seconds())) // 60
    days, hours = minutes // 1440, minutes // 60 % 24
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


def size(number: int) -> str:
    """Bytes for people."""
    return f"{number / 2**30:.1f} GiB" if number >= 2**30 else f"{number / 2**20:.0f} MiB"
