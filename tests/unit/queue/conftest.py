"""The catalog's hospital, for what answers from the catalog."""

from __future__ import annotations

from tests.unit.catalog.conftest import clock, files, hospital, spool

__all__ = ["clock", "files", "hospital", "spool"]
