"""What a database tells of its own state: whether it is whole, durable and of our time."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import date, datetime

from kuva_gateway.catalog import totals
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.session import Session, maybe_moment, moment

PATIENCE = 20.0
"""Seconds that the look at a database's pages may take; what has not been looked at by then stays untold."""

_MUST_BE_ON = ("fsync", "full_page_writes", "synchronous_commit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """``damage`` is what the database says is wrong with it ("" nothing), ``whole`` whether it got through.

    ``unsafe`` are settings with which a power cut may damage it; ``clock`` is the database server's, where that is
    another machine's; ``newest`` the time of the newest event.
    """

    database: str
    studies: int
    damage: str
    whole: bool
    unsafe: tuple[str, ...]
    clock: datetime | None
    newest: datetime | None


def look(catalog: Catalog, *, patience: float = PATIENCE) -> Health:
    """Ask the database; SQLite looks at every page (``PRAGMA quick_check``) for at most ``patience`` seconds."""
    with catalog.read() as session:
        newest = maybe_moment(session.value("SELECT at FROM history ORDER BY id DESC LIMIT 1"))
        studies = sum(total.number for total in totals.read(session, "studies").values())
        if catalog.postgresql:
            return Health(
                database=f"PostgreSQL {session.value('SHOW server_version')}",
                studies=studies,
                damage="",
                whole=True,
                unsafe=_unsafe(session),
                clock=moment(
                    int(session.value("SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"))
                ),
                newest=newest,
            )
    damage, whole = _quick_check(catalog, patience)
    return Health(database="SQLite", studies=studies, damage=damage, whole=whole, unsafe=(), clock=None, newest=newest)


def code_list(catalog: Catalog) -> tuple[int, date | None]:
    """How many codes are known, and the day on which the newest of their periods begins."""
    with catalog.read() as session:
        row = session.one("SELECT COUNT(DISTINCT code) AS codes, MAX(valid_from) AS newest FROM codes")
    if row is None or not row["codes"]:
        return 0, None
    return row["codes"], date.fromisoformat(row["newest"]) if row["newest"] else None


def _unsafe(session: Session) -> tuple[str, ...]:
    values = {name: session.value(f"SHOW {name}") for name in _MUST_BE_ON}
    return tuple(f"{name} = {value}" for name, value in values.items() if value == "off")


def _quick_check(catalog: Catalog, patience: float) -> tuple[str, bool]:
    """What is damaged ("" nothing that was seen), and whether everything was looked at."""
    with catalog.read() as session:
        try:
            with session.bounded(patience):
                found = session.value("PRAGMA quick_check(1)")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_INTERRUPT":
                raise
            return "", False
    return ("" if found == "ok" else str(found).splitlines()[0][:200]), True
