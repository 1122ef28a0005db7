"""The catalog's figures for those who ask often: seldom read, never waited for long."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import structlog

from kuva_gateway.catalog.figures import CatalogFigures
from kuva_gateway.errors import CatalogUnavailableError
from kuva_gateway.monitoring.catalog_view import FRESH, SHARE, TOO_OLD, CatalogView
from tests.support import NoThreads, wait_until


def figures(held: int) -> CatalogFigures:
    return CatalogFigures(
        at=datetime(2026, 1, 1, tzinfo=UTC),
        studies={"held": held},
        instances=0,
        bytes=0,
        entries={},
        held_by_rule={},
        oldest_unarchived=None,
        oldest_held=None,
        overdue={},
        resting={},
        untold=0,
    )


class Database:
    """Gives figures, as often as it is asked; may take long, or be away."""

    def __init__(self) -> None:
        self.asked = 0
        self.away = False
        self.time = 0.0
        self.takes = 0.0
        self.free = threading.Event()
        self.free.set()

    def read(self) -> CatalogFigures:
        self.asked += 1
        assert self.free.wait(30)
        self.time += self.takes
        if self.away:
            raise CatalogUnavailableError("locked")
        return figures(self.asked)

    def view(self, patience: float = 10.0) -> CatalogView:
        return CatalogView(self.read, log=structlog.get_logger(), clock=lambda: self.time, patience=patience)


def test_figures_are_read_when_somebody_asks_and_the_last_ones_are_old() -> None:
    database = Database()
    view = database.view()
    assert database.asked == 0
    first = view.look()
    assert (first.up, first.figures, first.age) == (True, figures(1), 0.0)
    database.time += FRESH - 1
    assert (view.look().figures, view.look().age) == (figures(1), FRESH - 1)
    database.time += 1
    assert view.look().figures == figures(2)
    assert database.asked == 2
    view.stop()


def test_the_longer_reading_takes_the_more_seldom_it_is_done() -> None:
    database = Database()
    database.takes = 3.0
    view = database.view()
    view.look()
    database.time += SHARE * 3.0 - 0.1
    view.look()
    assert database.asked == 1
    database.time += 0.2
    view.look()
    assert database.asked == 2
    view.stop()


def test_a_locked_catalog_is_said_and_the_last_figures_are_given_until_they_mislead() -> None:
    database = Database()
    view = database.view()
    view.look()
    database.away = True
    database.time += 10
    late = view.look()
    assert (late.up, late.figures, late.age) == (False, figures(1), 10.0)
    database.time += TOO_OLD
    assert (view.look().up, view.look().figures) == (False, None)
    database.away = False
    database.time += FRESH
    assert view.look().up
    view.stop()


def test_who_asks_does_not_wait_for_a_database_that_hangs_and_hears_when_it_is_back() -> None:
    database = Database()
    view = database.view(patience=0.05)
    database.free.clear()
    assert (view.look().up, view.look().figures) == (False, None)
    assert database.asked == 1
    database.free.set()
    wait_until(lambda: view.look().up, what="the catalog")
    view.stop()


def test_a_stopped_view_leaves_no_thread() -> None:
    before = threading.active_count()
    view = Database().view()
    view.look()
    assert threading.active_count() == before + 1
    view.stop()
    assert threading.active_count() == before
    assert view.look().figures == figures(1)


def test_without_a_thread_there_are_no_figures_and_later_there_are(no_threads: NoThreads) -> None:
    view = Database().view(patience=0.01)
    with no_threads():
        assert not view.look().up
    wait_until(lambda: view.look().up)
    view.stop()
