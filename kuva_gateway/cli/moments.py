"""Moments as people write them on a command line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from kuva_gateway.config.units import parse_duration


def parse_since(value: str | None, now: datetime) -> datetime | None:
    """``2026-11-22``, ``2026-11-22T03:00Z`` or an age such as ``2h`` or ``7d``; raises UsageError."""
    if value is None:
        return None
    try:
        return now - timedelta(seconds=parse_duration(value))
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise click.UsageError("--since takes a date, a time or an age such as 2h or 7d") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
