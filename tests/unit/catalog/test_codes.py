"""The code list: what a second import adds, changes and ends."""

from __future__ import annotations

import time
from datetime import date

from kuva_gateway.catalog import codes
from kuva_gateway.catalog.database import Catalog
from tests.unit.catalog.making import period


def test_periods_come_back_as_they_were_stored(catalog: Catalog) -> None:
    ended = {"valid_to": date(2021, 12, 31), "replaced_by": ("GD1AE", "GD1AF")}
    stored = period(abbreviation="TT", leaf=False, level=3, scheme="1.2.3", **ended)
    codes.store(catalog, [stored])
    assert codes.periods(catalog, "GD1AD") == (stored,)


def test_a_code_has_its_periods_in_order_and_an_unknown_one_has_none(catalog: Catalog) -> None:
    late, early = period(valid_from=date(2020, 1, 1)), period(valid_to=date(2019, 12, 31))
    codes.store(catalog, [late, early, period("AA1AA")])
    assert codes.periods_for(catalog, ["GD1AD", "XX1XX"]) == {"GD1AD": (early, late), "XX1XX": ()}
    assert codes.count(catalog) == 2


def test_a_second_import_counts_what_it_changes(catalog: Catalog) -> None:
    first = codes.store(catalog, [period("AA1AA"), period("AA1AB"), period("AA1AC")])
    assert (first.added, first.changed, first.ended, first.unchanged) == (3, 0, 0, 0)
    second = codes.store(
        catalog,
        [period("AA1AA"), period("AA1AB", name="new"), period("AA1AC", valid_to=date(2025, 1, 1)), period("AA1AD")],
    )
    assert (second.added, second.changed, second.ended, second.unchanged) == (1, 1, 1, 1)
    assert codes.periods(catalog, "AA1AC")[0].valid_to == date(2025, 1, 1)
    assert codes.periods(catalog, "AA1AB")[0].name == "new"


def test_a_partial_list_removes_nothing(catalog: Catalog) -> None:
    codes.store(catalog, [period("AA1AA"), period("AA1AB")])
    codes.store(catalog, [period("AA1AB")])
    assert codes.count(catalog) == 2


def test_a_row_that_stands_twice_counts_once_and_the_last_one_is_kept(catalog: Catalog) -> None:
    summary = codes.store(catalog, [period(name="one"), period(name="two")])
    assert summary.added == 1
    assert [one.name for one in codes.periods(catalog, "GD1AD")] == ["two"]


def test_a_list_of_the_official_size_is_stored_in_seconds(catalog: Catalog) -> None:
    official = [period(f"C{number:04d}") for number in range(12_000)]
    started = time.monotonic()
    assert codes.store(catalog, official).added == 12_000
    assert codes.store(catalog, official).unchanged == 12_000
    assert time.monotonic() - started < 20


def test_what_one_moment_has_looked_up_is_remembered_for_that_moment_only(catalog: Catalog) -> None:
    codes.store(catalog, [period("GD1AD")])
    with catalog.read() as session:
        first = codes.periods_for(catalog, ["GD1AD", "NONE"])
        assert codes.periods_for(catalog, ["NONE", "GD1AD"]) == first
        assert set(session.memory["codes"]) == {"GD1AD", "NONE"}
    codes.store(catalog, [period("GD1AD", name="another name")])
    assert codes.periods(catalog, "GD1AD")[0].name == "another name"
    with catalog.write():
        before = codes.periods(catalog, "GD1AD")
        codes.store(catalog, [period("GD1AD", name="a third name")])
        assert codes.periods(catalog, "GD1AD") != before
