"""The barrier and the catalog that queries open."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.visibility import EVERYTHING
from kuva_gateway.errors import CatalogUnavailableError, DeferredError
from kuva_gateway.scp.lookup import Lookup

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def lookup(
    path: Path, wait: Callable[[datetime, float], bool] = lambda moment, seconds: True, opened: list[int] | None = None
) -> Lookup:
    def open_catalog() -> Catalog:
        if opened is not None:
            opened.append(1)
        return Catalog.open(None, path, create=False)

    return Lookup(open_catalog=open_catalog, wait_indexed=wait, may_see=lambda *_: EVERYTHING, barrier=2.5)


def test_a_request_waits_for_what_was_acknowledged_before_it(tmp_path: Path) -> None:
    asked: list[tuple[datetime, float]] = []

    def wait(moment: datetime, seconds: float) -> bool:
        asked.append((moment, seconds))
        return True

    assert lookup(tmp_path / "c", wait).wait(NOW) is None
    assert asked == [(NOW, 2.5)]


def test_a_barrier_that_is_not_passed_in_time_is_answered_with_a700(tmp_path: Path) -> None:
    def gone(moment: datetime, seconds: float) -> bool:
        raise DeferredError("the other process is gone")

    for wait in (lambda moment, seconds: False, gone):
        refusal = lookup(tmp_path / "c", wait).wait(NOW)
        assert refusal is not None
        assert refusal.status == 0xA700
        assert "indexed" in refusal.comment


def test_the_catalog_is_opened_once_when_it_is_needed(tmp_path: Path) -> None:
    Catalog.open(None, tmp_path / "c").close()
    opened: list[int] = []
    one = lookup(tmp_path / "c", opened=opened)
    assert opened == []
    assert one.catalog() is one.catalog()
    assert one.may_see("pacs") == EVERYTHING
    assert opened == [1]
    one.close()


def test_a_catalog_that_is_not_there_yet_is_away_and_tried_again(tmp_path: Path) -> None:
    one = lookup(tmp_path / "c")
    with pytest.raises(CatalogUnavailableError):
        one.catalog()
    Catalog.open(None, tmp_path / "c").close()
    assert one.catalog() is not None
    one.close()
