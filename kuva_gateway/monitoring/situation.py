"""How things stand at one moment, as far as it can be known: by the daemon of itself, or by a command from outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from kuva_gateway.catalog.figures import CatalogFigures
from kuva_gateway.network.revocation import RevocationList


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What alerts are judged by. What could not be found out raises none, but for the catalog itself."""

    at: datetime
    down: str = ""
    """Why the gateway does not run, or does not answer; "" while it does."""
    not_ready: str = ""
    """Why peers cannot send; "" when they can."""
    catalog: CatalogFigures | None = None
    catalog_away: str = ""
    waiting: int = 0
    waiting_since: datetime | None = None
    free: int | None = None
    total: int | None = None
    minimum_free: int = 0
    certificates: Mapping[str, datetime] = field(default_factory=dict)
    revocation_lists: Mapping[str, RevocationList] = field(default_factory=dict)
    audit_backlog: int = 0
    """Messages that wait to be written, or for the collector."""
