"""Indexes that find names by a part of them: what the models cannot say, because each database has its own.

SQLite: an FTS5 table of trigrams beside ``studies``, kept by triggers. PostgreSQL: a trigram index, where the extension
pg_trgm can be had; without it a name with a leading wildcard is looked for in every study.
"""

from __future__ import annotations

from typing import Any

SQLITE = (
    'CREATE INDEX "studies_name" ON "studies" ("name_key")',
    (
        "CREATE VIRTUAL TABLE study_names USING fts5("
        "name_key, content='studies', content_rowid='id', tokenize='trigram case_sensitive 1', detail='none')"
    ),
    (
        "CREATE TRIGGER studies_name_new AFTER INSERT ON studies WHEN new.name_key <> '' BEGIN "
        "INSERT INTO study_names (rowid, name_key) VALUES (new.id, new.name_key); END"
    ),
    (
        "CREATE TRIGGER studies_name_changed AFTER UPDATE OF name_key ON studies "
        "WHEN old.name_key <> new.name_key BEGIN "
        "INSERT INTO study_names (study_names, rowid, name_key) "
        "SELECT 'delete', old.id, old.name_key WHERE old.name_key <> ''; "
        "INSERT INTO study_names (rowid, name_key) SELECT new.id, new.name_key WHERE new.name_key <> ''; END"
    ),
    (
        "CREATE TRIGGER studies_name_gone AFTER DELETE ON studies WHEN old.name_key <> '' BEGIN "
        "INSERT INTO study_names (study_names, rowid, name_key) VALUES ('delete', old.id, old.name_key); END"
    ),
)
FILL = "INSERT INTO study_names (study_names) VALUES ('rebuild')"
POSTGRESQL = (
    "CREATE INDEX studies_name ON studies (name_key text_pattern_ops)",
    (
        "DO $$ BEGIN CREATE EXTENSION IF NOT EXISTS pg_trgm; "
        "CREATE INDEX studies_name_parts ON studies USING gin (name_key gin_trgm_ops); "
        "EXCEPTION WHEN OTHERS THEN RAISE NOTICE 'pg_trgm cannot be had: names are not indexed by their parts'; END $$"
    ),
)


def make_name_search(database: Any, *, postgresql: bool) -> None:
    """Make the indexes, for studies that are here and those to come."""
    for statement in POSTGRESQL if postgresql else (*SQLITE, FILL):
        database.execute_sql(statement)
