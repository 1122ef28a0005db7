"""The hours in which a destination is sent to, in the gateway's own time zone: pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from kuva_gateway.config.delivery import Hours

CLOSED = "window"
"""The code under which operators see that a destination waits for its hours."""


@dataclass(frozen=True, slots=True)
class Window:
    """Hours of the day in a time zone."""

    hours: Hours
    zone: tzinfo

    def wait(self, now: datetime) -> timedelta | None:
        """How long until it opens; None: it is open."""
        local = now.astimezone(self.zone)
        if self.hours.open(local):
            return None
        return self.hours.opens(local).astimezone(now.tzinfo) - now
