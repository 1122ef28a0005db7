"""The index made again from the spool."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from kuva_gateway.catalog.records import RebuildSummary


def rebuild(
    url: str | None,
    path: Path,
    spool: Any,
    *,
    duplicates: str = "newest",
    progress: Callable[[int], None] | None = None,
) -> RebuildSummary:
    """A new catalog at ``path`` (which must not hold one), filled from ``instances/`` and then from ``arrived/``.

    What only the catalog knew is lost: receipts, peers, people's decisions, deliveries. Codes and documents are stored
    again by the caller.
    """
    raise NotImplementedError
