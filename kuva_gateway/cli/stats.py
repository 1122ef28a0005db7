"""``stats``: figures for people and scripts; ``--check`` for monitoring systems that run commands."""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from kuva_gateway.cli.invocation import Command, Invocation, pass_invocation
from kuva_gateway.cli.output import emit_json, emit_object
from kuva_gateway.control import ask
from kuva_gateway.errors import ConfigurationError, DeferredError, GatewayError

if TYPE_CHECKING:
    from kuva_gateway.monitoring.alerts import Raised
    from kuva_gateway.monitoring.situation import Situation


@click.command("stats", cls=Command)
@click.option(
    "--check", is_flag=True, help="One line for Nagios and its like; exit status 1 when something is not well."
)
@pass_invocation
def stats(invocation: Invocation, check: bool) -> int:
    """Studies and entries by state, instances, bytes, what waits to be indexed, the oldest unarchived study."""
    if check:
        return _check(invocation)
    from kuva_gateway.catalog.stats import stats as catalog_stats

    figures: dict[str, Any] = dict(catalog_stats(invocation.catalog()))
    figures["arrivals_pending"] = sum(1 for _ in invocation.spool().arrivals())
    try:
        live = ask(invocation.state_directory() / "control.sock", {"request": "live"})
        figures["running"] = True
        figures["associations"] = live.get("associations")
    except DeferredError:
        figures["running"] = False
        figures["associations"] = None
    emit_object(invocation, figures)
    return 0


def _check(invocation: Invocation) -> int:
    """Works with the daemon down, and with the catalog away: both are what it is there to say."""
    from kuva_gateway.monitoring.alerts import Severity, raised

    now = situation(invocation)
    found = raised(invocation.configuration(), now)
    worst = "OK" if not found else "CRITICAL" if found[0].alert.severity is Severity.CRITICAL else "WARNING"
    if invocation.json:
        emit_json({"status": worst, "alerts": [_as_json(one) for one in found], **_performance(now)})
    else:
        told = "; ".join(f"{one.alert.name.removeprefix('KuvaGateway')}: {one.summary}" for one in found) or _well(now)
        figures = " ".join(f"{name}={value}{_UNITS.get(name, '')}" for name, value in _performance(now).items())
        click.echo(f"KUVA-GATEWAY {worst} - {told.replace('|', '/')} | {figures}")
    return int(bool(found))


_UNITS = {"oldest_unarchived": "s", "oldest_held": "s", "index_lag": "s", "spool_free": "B", "spool_total": "B"}


def _performance(now: Situation) -> dict[str, int]:
    """Figures by name; of what is not known, none."""
    found = {"arrivals_pending": now.waiting, "index_lag": _seconds(now.at, now.waiting_since)}
    if now.free is not None and now.total is not None:
        found |= {"spool_free": now.free, "spool_total": now.total}
    if now.catalog is not None:
        found |= {
            "held": now.catalog.held,
            "failed": now.catalog.failed,
            "oldest_unarchived": _seconds(now.at, now.catalog.oldest_unarchived),
            "oldest_held": _seconds(now.at, now.catalog.oldest_held),
            "resting": len(now.catalog.resting),
            "commitment_overdue": sum(now.catalog.overdue.values()),
            "audit_backlog": now.audit_backlog,
        }
    return found


def _well(now: Situation) -> str:
    held = now.catalog.held if now.catalog is not None else 0
    return f"receiving, {held} {'study' if held == 1 else 'studies'} held, none failed"


def _as_json(one: Raised) -> dict[str, str]:
    return {
        "alert": one.alert.name,
        "severity": one.alert.severity.value,
        "summary": one.summary,
        "what_to_do": one.alert.remedy,
        "runbook": one.alert.runbook,
    }


def _seconds(now: datetime, since: datetime | None) -> int:
    return 0 if since is None else max(0, int((now - since).total_seconds()))


def situation(invocation: Invocation) -> Situation:
    """How things stand, seen from outside."""
    from kuva_gateway import parts
    from kuva_gateway.catalog.figures import figures
    from kuva_gateway.monitoring.situation import Situation

    configuration = invocation.configuration()
    known: dict[str, Any] = _daemon(invocation)
    try:
        known["catalog"] = seen = figures(invocation.catalog(), parts.overdue_after(configuration))
        known["audit_backlog"] = seen.untold
    except ConfigurationError:
        raise
    except (OSError, GatewayError) as error:
        known["catalog_away"] = " ".join(str(error).split())
    with contextlib.suppress(OSError, GatewayError):
        known["audit_backlog"] = known.get("audit_backlog", 0) + parts.audit_undelivered(configuration)
    with contextlib.suppress(OSError, GatewayError):
        known["certificates"] = parts.certificates(configuration)
        known["revocation_lists"] = parts.revocation_lists(configuration)
    with contextlib.suppress(OSError, GatewayError):
        spool = invocation.spool()
        known |= {"free": spool.free_bytes(), "total": spool.space.total_bytes()}
        known["waiting"], known["waiting_since"] = spool.waiting()
    return Situation(at=invocation.now(), minimum_free=configuration.spool.minimum_free, **known)


def _daemon(invocation: Invocation) -> dict[str, Any]:
    """Whether the daemon answers, and whether peers can send."""
    from kuva_gateway.lock import holder

    state = invocation.configuration().state_directory
    try:
        return {"not_ready": str(ask(state / "control.sock", {"request": "live"}).get("not_ready") or "")}
    except DeferredError:
        process = holder(state / "lock")
    if process is None:
        return {"down": "the gateway is not running"}
    return {"not_ready": f"process {process} runs and does not answer yet, or hangs"}
