"""Fills a gateway's catalog with synthetic studies, as if they had come in over twelve years and been archived.

Fictional patients with valid identity codes of the 900 series, Finnish and Swedish names, all modalities' shares and a
heavy tail of images; entries, ledger, storage commitment and history as the gateway writes them. Equal seeds give equal
catalogs. There are no files in the spool for any of it: what reads bytes (delivery, retrieval, ``spool verify``) finds
nothing. The catalog must hold no studies yet; the schema is made by the gateway's own migrations.

Examples::

    scripts/fill-catalog --path /tmp/large/catalog.sqlite
    scripts/fill-catalog --config /etc/kuva-gateway/kuva-gateway.yaml --studies 10000
    scripts/fill-catalog --url postgresql://kuva@/kuva --studies 100000 --series 250000 --instances 500000
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from catalog_rows import COLUMNS, Row, Rows
from synthetic_studies import plan

from kuva_gateway import parts
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.name_search import FILL
from kuva_gateway.config import load
from kuva_gateway.errors import GatewayError
from kuva_gateway.intake.codes import load_starter_codes

STUDIES_PER_WRITE = 5000
UNTIL = date(2026, 11, 1)
_LOADING = {"journal_mode": "off", "synchronous": "off", "foreign_keys": 0, "cache_size": -1_000_000, "threads": 2}
"""SQLite while a catalog that can be made again is being filled."""
_TOTALS = (
    "INSERT INTO totals SELECT 'studies', state, COUNT(*), SUM(instances), SUM(bytes) FROM studies GROUP BY state",
    "INSERT INTO totals SELECT 'entries', state, COUNT(*), 0, 0 FROM entries GROUP BY state",
    "INSERT INTO totals SELECT 'entries:' || destination, state, COUNT(*), 0, 0 FROM entries GROUP BY 1, 2",
)


def fill(
    catalog: Catalog,
    *,
    seed: int = 1,
    studies: int = 1_000_000,
    series: int | None = None,
    instances: int | None = None,
    until: date = UNTIL,
    analyze: bool | None = None,
    say: Any = lambda text: None,
) -> None:
    """Fill an empty catalog; totals that are not given are 2.5 series and 5 instances per study.

    ``analyze`` None: planner's statistics as in a catalog that grew: PostgreSQL makes them by itself, SQLite has none.

    Raises
    ------
    ValueError
        The catalog holds studies already, or the totals do not fit each other.
    """
    with catalog.read() as session:
        if session.value("SELECT COUNT(*) FROM studies"):
            raise ValueError("the catalog holds studies already")
    planned = plan(
        seed,
        until,
        studies=studies,
        series=studies * 5 // 2 if series is None else series,
        instances=studies * 5 if instances is None else instances,
    )
    rows = Rows(seed)
    load_starter_codes(catalog)  # a first start does, and would open the question of every held study here
    with _loader(catalog) as loader, loader.without_indexes(say):
        for number, study in enumerate(planned, start=1):
            rows.add(study)
            if number % STUDIES_PER_WRITE == 0 or number == studies:
                for table, values in rows.take().items():
                    loader.write(table, values)
                say(f"{number:,} of {studies:,} studies")
        loader.count()
    if catalog.postgresql if analyze is None else analyze:
        say("statistics")
        with _loader(catalog) as loader:
            loader.analyze()


@contextmanager
def _loader(catalog: Catalog) -> Iterator[Any]:
    """The catalog's own connection, for statements that no transaction of the gateway's makes."""
    database = catalog.database
    database.connect(reuse_if_open=True)
    connection = database.connection()
    loader = PostgresqlLoader(connection) if catalog.postgresql else SqliteLoader(connection)
    try:
        loader.begin()
        yield loader
        loader.end()
    finally:
        database.close()
        database.close_idle()


class SqliteLoader:
    """Bulk statements for SQLite; journal and syncs are off meanwhile, so a crash leaves a file to throw away."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def begin(self) -> None:
        """Nobody else may use the file from now on."""
        for name, value in _LOADING.items():
            self._connection.execute(f"PRAGMA {name} = {value}")
        self._connection.execute("BEGIN IMMEDIATE")

    def end(self) -> None:
        """Keep it, and give the file its journal back."""
        self._connection.execute("COMMIT")
        self._connection.execute("PRAGMA synchronous = full")
        self._connection.execute("PRAGMA journal_mode = wal")

    def write(self, table: str, rows: list[Row]) -> None:
        """Insert rows."""
        names, marks = ", ".join(COLUMNS[table]), ", ".join("?" * len(COLUMNS[table]))
        self._connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)

    def count(self) -> None:
        """The totals that the gateway keeps."""
        for statement in _TOTALS:
            self._connection.execute(statement)

    @contextmanager
    def without_indexes(self, say: Any) -> Iterator[None]:
        """Every index and trigger of the filled tables goes before, and is made again after."""
        marks = ", ".join("?" * len(COLUMNS))
        made = self._connection.execute(
            "SELECT type, name, sql FROM sqlite_master WHERE type IN ('index', 'trigger') AND sql IS NOT NULL "
            f"AND tbl_name IN ({marks})",
            tuple(COLUMNS),
        ).fetchall()
        for kind, name, _ in made:
            self._connection.execute(f'DROP {kind.upper()} "{name}"')
        yield
        for _, name, sql in made:
            say(f"index {name}")
            self._connection.execute(sql)
        say("index of names' parts")
        self._connection.execute(FILL)

    def analyze(self) -> None:
        """Statistics for the planner."""
        self._connection.execute("ANALYZE")


class PostgresqlLoader:
    """The same for PostgreSQL, by COPY."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def begin(self) -> None:
        """One transaction; references are checked by nobody meanwhile."""
        self._connection.execute("BEGIN")
        self._connection.execute("SET LOCAL maintenance_work_mem = '512MB'")

    def end(self) -> None:
        """Keep it; ids go on after the last one."""
        for table, columns in COLUMNS.items():
            sequence = self._connection.execute(
                "SELECT pg_get_serial_sequence(%s, 'id')" if columns[0] == "id" else "SELECT NULL::text",
                (table,) if columns[0] == "id" else (),
            ).fetchone()[0]
            if sequence:
                last = f"(SELECT COALESCE(MAX(id), 1) FROM {table})"
                self._connection.execute(f"SELECT setval('{sequence}', {last})")
        self._connection.execute("COMMIT")

    def write(self, table: str, rows: list[Row]) -> None:
        """Insert rows."""
        names = ", ".join(COLUMNS[table])
        with self._connection.cursor() as cursor, cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)

    def count(self) -> None:
        """The totals that the gateway keeps."""
        for statement in _TOTALS:
            self._connection.execute(statement)

    @contextmanager
    def without_indexes(self, say: Any) -> Iterator[None]:
        """Every index and reference of the filled tables goes before, and is made again after; primary keys stay."""
        tables = list(COLUMNS)
        indexes = self._connection.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename = ANY(%s) "
            "AND indexname NOT IN (SELECT conname FROM pg_constraint)",
            (tables,),
        ).fetchall()
        references = self._connection.execute(
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE contype = 'f' AND conrelid::regclass::text = ANY(%s)",
            (tables,),
        ).fetchall()
        for table, name, _ in references:
            self._connection.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
        for name, _ in indexes:
            self._connection.execute(f'DROP INDEX "{name}"')
        yield
        for name, definition in indexes:
            say(f"index {name}")
            self._connection.execute(definition)
        for table, name, definition in references:
            self._connection.execute(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}')

    def analyze(self) -> None:
        """Statistics for the planner."""
        self._connection.execute("ANALYZE")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="fill-catalog", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--path", type=Path, help="the SQLite file")
    where.add_argument("--url", help="the PostgreSQL database, as postgresql://...")
    where.add_argument("--config", type=Path, help="a gateway's configuration: its catalog")
    parser.add_argument("--studies", type=int, default=1_000_000, help="(default: %(default)s)")
    parser.add_argument("--series", type=int, default=None, help="in all (default: 2.5 per study)")
    parser.add_argument("--instances", type=int, default=None, help="in all (default: 5 per study)")
    parser.add_argument("--seed", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument("--until", type=date.fromisoformat, default=UNTIL, help="the day after the newest study")
    parser.add_argument(
        "--analyze",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="statistics for the planner (default: as the database would have by itself: PostgreSQL yes, SQLite no)",
    )
    return parser.parse_args(arguments)


def open_catalog(options: argparse.Namespace) -> Catalog:
    """The catalog that the command line names, made when it is not there."""
    if options.config is not None:
        configuration = load(options.config)
        parts.make_state_directory(configuration.state_directory)
        return parts.open_catalog(configuration, create=True)
    return Catalog.open(options.url, options.path or Path())


def main(arguments: list[str] | None = None) -> int:
    """Fill it, and say how long it took."""
    options = parse(arguments)
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:7.1f} s  {text}", file=sys.stderr, flush=True)

    try:
        catalog = open_catalog(options)
        try:
            fill(
                catalog,
                seed=options.seed,
                studies=options.studies,
                series=options.series,
                instances=options.instances,
                until=options.until,
                analyze=options.analyze,
                say=say,
            )
        finally:
            catalog.close()
    except (GatewayError, ValueError) as error:
        print(f"fill-catalog: {error}", file=sys.stderr)
        return 1
    say("done")
    return 0


if __name__ == "__main__":
    sys.exit(main())
