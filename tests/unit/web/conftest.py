"""A hospital's catalog, over each database."""

from tests.unit.catalog.conftest import clock, files, hospital, spool

__all__ = ["clock", "files", "hospital", "spool"]
