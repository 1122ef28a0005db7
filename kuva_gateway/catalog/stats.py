"""Figures over the whole catalog."""

from __future__ import annotations

from typing import Any

from kuva_gateway.catalog.database import Catalog


def stats(catalog: Catalog) -> dict[str, Any]:
    """``studies`` and ``entries`` by state, ``instances``, ``bytes``, ``oldest_unarchived_at``, ``documents``, ``codes``."""
    raise NotImplementedError
