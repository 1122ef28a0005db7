"""The schema's history: numbered scripts that playhouse runs in order, each once.

A script holds its own frozen copy of what it makes or changes: models move on, history does not. ``migrate`` runs what
is missing, under the writers' lock, so that two programs which start at once do not run the same script.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from playhouse.migrations import Runner

from kuva_gateway.errors import NotFoundError, RefusedError

if TYPE_CHECKING:
    from kuva_gateway.catalog.database import Catalog

FOLDER = Path(__file__).parent
HISTORY = "schema_migration"
_OURS = object()
"""Tells peewee that a transaction is open, so that each script becomes a savepoint of it."""


def runner(database: Any) -> Any:
    """playhouse's runner over this folder."""
    return Runner(database, str(FOLDER), table_name=HISTORY)


def _known() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("[0-9]*.py"))


def is_newer(name: str) -> bool:
    """Whether a script with this name is one that only a newer program has."""
    return bool(name) and name not in _known()


def applied(database: Any) -> list[str]:
    """Names of the scripts that have been run, in order; [] for an empty database."""
    if not database.table_exists(HISTORY):
        return []
    return sorted(name for (name,) in database.execute_sql(f"SELECT name FROM {HISTORY}").fetchall())


def migrate(catalog: Catalog, *, create: bool = True, update: bool = True) -> list[str]:
    """Bring the schema up to date; returns the scripts that were run.

    Raises
    ------
    NotFoundError
        The database is empty, and ``create`` is false.
    RefusedError
        The schema is newer than this program, or older and ``update`` is false.
    """
    database = catalog.database
    database.connect(reuse_if_open=True)
    try:
        present = applied(database)
    finally:
        database.close()
    newer = sorted(set(present) - set(_known()))
    if newer:
        raise RefusedError(f"the catalog's schema is newer than this program ({newer[-1]})", code="schema-newer")
    if not present and not create:
        raise NotFoundError("the catalog's database is empty")
    if present == _known():
        return []
    if present and not update:
        raise RefusedError(
            "the catalog is of an older version of this program: (re)start the gateway, which brings it up to date",
            code="schema-older",
        )
    return _run(catalog)


def _run(catalog: Catalog) -> list[str]:
    """Run what is missing in one transaction; SQLite's foreign keys are off: a table may be made again."""
    database = catalog.database
    database.connect()
    if not catalog.postgresql:
        database.execute_sql("PRAGMA foreign_keys = 0")
    try:
        with catalog.write():
            if applied(database) == _known():
                return []
            database.push_transaction(_OURS)
            try:
                return [str(name) for name in runner(database).up()]
            finally:
                database.pop_transaction()
    finally:
        database.close_all()
