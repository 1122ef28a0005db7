"""What more than one tier of tests is given: a catalog on each of the databases that the gateway works with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from kuva_gateway.catalog.database import Catalog
from tests.postgresql import TEMPLATE, CannotStartError, PostgresqlServer, start_server
from tests.support import NoThreads, no_thread_starts, skip_or_fail


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """What one test configured the log to be is not the next one's."""
    yield
    structlog.reset_defaults()


OpenCatalog = Callable[..., Catalog]


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """One PostgreSQL server for the whole run, its template migrated; a visible skip (in CI a failure) without one."""
    try:
        server = start_server()
    except CannotStartError as error:
        skip_or_fail(f"PostgreSQL: {error}")
    try:
        Catalog.open(server.url(TEMPLATE), Path()).close()
        yield server
    finally:
        server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def catalog_url(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """The address of an empty catalog: None for SQLite."""
    if request.param == "sqlite":
        yield None
        return
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    with server.database() as url:
        yield url


@pytest.fixture
def open_catalog(catalog_url: str | None, tmp_path: Path) -> Iterator[OpenCatalog]:
    """Open the test's catalog, as often as it likes; everything is closed at the end."""
    opened: list[Catalog] = []

    def open_(**keywords: object) -> Catalog:
        opened.append(Catalog.open(catalog_url, tmp_path / "catalog.sqlite3", **keywords))  # type: ignore[arg-type]
        return opened[-1]

    yield open_
    for one in opened:
        one.close()


@pytest.fixture
def catalog(open_catalog: OpenCatalog) -> Catalog:
    """An empty catalog, once on SQLite and once on PostgreSQL."""
    return open_catalog()


@pytest.fixture
def no_threads() -> NoThreads:
    """A context in which no thread can be started."""
    return no_thread_starts
