"""A real, empty catalog for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kuva_gateway.catalog.database import Catalog


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    opened = Catalog.open(None, tmp_path / "catalog.sqlite")
    yield opened
    opened.close()
