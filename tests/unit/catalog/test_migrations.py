"""The migrated schema is the models' schema, on both databases; a newer one is refused."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from playhouse.pool import PooledPostgresqlDatabase, PooledSqliteDatabase

from kuva_gateway.catalog import migrations
from kuva_gateway.catalog.database import Catalog, utc_now
from kuva_gateway.catalog.described import COLUMNS as DESCRIBED
from kuva_gateway.catalog.name_search import make_name_search
from kuva_gateway.catalog.queue_models import TABLES
from kuva_gateway.catalog.stats import stats
from kuva_gateway.errors import NotFoundError, RefusedError
from tests.conftest import OpenCatalog
from tests.postgresql import PostgresqlServer
from tests.unit.catalog.making import Hospital

SQLITE_SCHEMA = """SELECT type, name, sql FROM sqlite_master
    WHERE name NOT LIKE ? AND sql IS NOT NULL ORDER BY type, name"""
POSTGRESQL_SCHEMA = (
    """SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns
    WHERE table_schema = 'public' AND table_name NOT LIKE ? ORDER BY table_name, column_name""",
    """SELECT tablename, indexname, indexdef FROM pg_indexes
    WHERE schemaname = 'public' AND tablename NOT LIKE ? ORDER BY tablename, indexname""",
    """SELECT conrelid::regclass::text AS t, conname, pg_get_constraintdef(oid) AS d FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text NOT LIKE ? ORDER BY 1, 2""",
)
OWN_HISTORY = migrations.HISTORY + "%"


def schema(catalog: Catalog) -> list[Any]:
    queries = POSTGRESQL_SCHEMA if catalog.postgresql else (SQLITE_SCHEMA,)
    with catalog.read() as session:
        return [row for query in queries for row in session.rows(query, OWN_HISTORY)]


def of_models(catalog: Catalog) -> list[Any]:
    """The schema that the models would make today, in an empty database of its own."""
    database = catalog.database
    database.connect()
    without_rowid = {table: table._meta.without_rowid for table in TABLES}
    try:
        for table in TABLES:
            table._meta.without_rowid &= not catalog.postgresql
        with database.bind_ctx(TABLES):
            database.create_tables(TABLES)
        make_name_search(database, postgresql=catalog.postgresql)
    finally:
        for table, value in without_rowid.items():
            table._meta.without_rowid = value
        database.close()
    return schema(catalog)


def test_the_migrated_schema_is_that_of_the_models_on_sqlite(tmp_path: Path) -> None:
    migrated = Catalog.open(None, tmp_path / "migrated.sqlite3")
    pool = PooledSqliteDatabase(str(tmp_path / "fresh.sqlite3"), check_same_thread=False)
    fresh = Catalog(pool, postgresql=False, now=utc_now, busy_timeout=5)
    try:
        assert len(schema(migrated)) > 50
        assert schema(migrated) == of_models(fresh)
    finally:
        migrated.close()
        fresh.close()


def test_the_migrated_schema_is_that_of_the_models_on_postgresql(postgresql: PostgresqlServer) -> None:
    postgresql.execute("CREATE DATABASE kuva_of_models")
    pool = PooledPostgresqlDatabase(postgresql.url("kuva_of_models"), prefer_psycopg3=True)
    with (
        postgresql.database() as url,
        contextlib.closing(Catalog.open(url, Path())) as migrated,
        contextlib.closing(Catalog(pool, postgresql=True, now=utc_now, busy_timeout=5)) as fresh,
    ):
        assert len(schema(migrated)) > 100
        assert schema(migrated) == of_models(fresh)


def test_opening_again_runs_nothing(open_catalog: OpenCatalog) -> None:
    first = open_catalog()
    before = schema(first)
    second = open_catalog(create=False)
    assert schema(second) == before
    assert migrations.migrate(second) == []


def test_a_newer_schema_is_refused(open_catalog: OpenCatalog) -> None:
    catalog = open_catalog()
    note = f"INSERT INTO {migrations.HISTORY} (name, applied) VALUES ('9999_tomorrow', '2040-01-01 00:00:00')"
    with catalog.write() as session:
        session.execute(note)
    try:
        with pytest.raises(RefusedError, match="newer"):
            open_catalog()
    finally:
        with catalog.write() as session:
            session.execute(f"DELETE FROM {migrations.HISTORY} WHERE name = '9999_tomorrow'")


def test_an_older_schema_is_left_alone_by_who_may_not_bring_it_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite3"
    with contextlib.closing(Catalog.open(None, path)) as catalog, catalog.write() as session:
        session.execute(f"DELETE FROM {migrations.HISTORY} WHERE name > '0002'")
    with pytest.raises(RefusedError, match="older version.*start the gateway") as refused:
        Catalog.open(None, path, update=False)
    assert refused.value.code == "schema-older"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute(f"SELECT COUNT(*) FROM {migrations.HISTORY} WHERE name > '0002'").fetchone() == (0,)


def test_an_empty_database_that_may_not_be_filled_is_not_found(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite3"
    path.touch()
    with pytest.raises(NotFoundError):
        Catalog.open(None, path, create=False)


def test_two_programs_that_start_at_once_migrate_once(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite3"
    opened: list[Catalog] = []
    threads = [threading.Thread(target=lambda: opened.append(Catalog.open(None, path))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert len(opened) == 5
        assert migrations.migrate(opened[0]) == []
    finally:
        for catalog in opened:
            catalog.close()


def test_a_catalog_of_the_first_schema_is_brought_up_to_date_with_what_it_holds(
    hospital: Hospital, open_catalog: OpenCatalog
) -> None:
    hospital.send(instances=2)
    wanted, rows = schema(hospital.catalog), hospital.rows("SELECT * FROM instances ORDER BY id")
    counted = stats(hospital.catalog)
    with hospital.catalog.write() as session:
        for name in ("instances_uid_digest", "studies_unarchived"):
            session.execute(f"DROP INDEX {name}")
        session.execute("DROP TABLE totals")
        for name, columns in {"uid": "uid", "series_id": "series_id", "fact_set_id": "fact_set_id"}.items():
            session.execute(f"CREATE INDEX instances_{name} ON instances ({columns})")
        session.execute("CREATE UNIQUE INDEX instances_digest ON instances (digest)")
        session.execute(f"DELETE FROM {migrations.HISTORY} WHERE name = '0002_large_catalogs'")
    assert schema(hospital.catalog) != wanted
    upgraded = open_catalog()
    assert schema(upgraded) == wanted
    assert hospital.rows("SELECT * FROM instances ORDER BY id") == rows
    assert stats(upgraded) == counted


def test_what_queries_show_is_filled_from_what_a_catalog_holds(hospital: Hospital, open_catalog: OpenCatalog) -> None:
    name, charset = "Mäkelä^Åke=山田^太郎", "ISO_IR 192"
    hospital.send("1.2.1", PatientName=name, SpecificCharacterSet=charset, StudyTime="1015", SeriesDate="20240105")
    hospital.send("1.2.2", instances=1, ReferringPhysicianName="Öhman^Eva", SpecificCharacterSet=charset)
    columns = ", ".join((*DESCRIBED, "id"))
    wanted = hospital.rows(f"SELECT {columns} FROM studies ORDER BY id")
    assert wanted[0]["name_key"] == "makela^ake"
    moments = hospital.rows("SELECT moment FROM series ORDER BY id")
    with hospital.catalog.write() as session:
        if not session.postgresql:
            for kind in ("new", "changed", "gone"):
                session.execute(f"DROP TRIGGER studies_name_{kind}")
            session.execute("DROP TABLE study_names")
            for index in ("studies_name", "studies_patient_id", "studies_moment", "series_uid"):
                session.execute(f"DROP INDEX {index}")
        else:
            session.execute("DROP INDEX studies_patient_id")
            session.execute("DROP INDEX series_uid")
        for column in DESCRIBED:
            session.execute(f"ALTER TABLE studies DROP COLUMN {column}")
        for column in ("time", "moment", "laterality", "institution", "requests"):
            session.execute(f"ALTER TABLE series DROP COLUMN {column}")
        session.execute(f"DELETE FROM {migrations.HISTORY} WHERE name = '0011_queries'")
    open_catalog()
    assert hospital.rows(f"SELECT {columns} FROM studies ORDER BY id") == wanted
    assert hospital.rows("SELECT moment FROM series ORDER BY id") == moments
    if not hospital.catalog.postgresql:
        assert hospital.column("SELECT rowid FROM study_names WHERE study_names MATCH '\"kel\"'") == [wanted[0]["id"]]
