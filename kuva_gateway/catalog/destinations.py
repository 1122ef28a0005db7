"""Destinations that rest: their entries stay due and burn no attempts."""

from __future__ import annotations

from datetime import datetime, timedelta

from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.records import DestinationState
from kuva_gateway.catalog.session import Session, microseconds, moment

_MICROSECOND = timedelta(microseconds=1)


def rest(catalog: Catalog, destination: str, until: datetime, code: str, why: str) -> None:
    """The destination rests until then; nothing of it is claimed."""
    with catalog.write() as session:
        session.execute(
            "INSERT INTO destinations (name, resting_until, since, code, why, times) VALUES (?, ?, ?, ?, ?, 1) "
            "ON CONFLICT (name) DO UPDATE SET resting_until = excluded.resting_until, code = excluded.code, "
            "why = excluded.why, times = destinations.times + 1",
            destination,
            microseconds(until),
            session.at,
            code,
            why,
        )


def wake(catalog: Catalog, destination: str) -> bool:
    """The destination rests no longer, and everything that waits for it is due; False if it did not rest.

    What was deferred until later takes its place in the line: it is due since it was first tried for.
    """
    with catalog.read() as session:
        if not resting_until(session, destination):
            return False
    with catalog.write() as session:
        session.execute(
            "UPDATE entries SET due_at = tried_since, next_attempt_at = ? "
            "WHERE destination = ? AND state = 'deferred' AND due_at > ?",
            session.at,
            destination,
            session.at,
        )
        return session.change("DELETE FROM destinations WHERE name = ?", destination) > 0


def spread(catalog: Catalog, destination: str, within: timedelta, apart: timedelta) -> int:
    """Let what is overdue after a standstill begin bit by bit, in order of priority and age; returns how many entries.

    They become due ``apart`` from each other, closer where that would take longer than ``within``. What has not been
    tried before is due as it was.
    """
    with catalog.write() as session:
        rows = session.rows(
            "SELECT id FROM entries WHERE destination = ? AND state = 'deferred' AND due_at <= ? "
            "ORDER BY priority DESC, due_at, id",
            destination,
            session.at,
        )
        step = min(apart / _MICROSECOND, within / _MICROSECOND / max(len(rows), 1))
        session.many(
            "UPDATE entries SET due_at = ?, next_attempt_at = ? WHERE id = ?",
            [(due, due, row["id"]) for place, row in enumerate(rows) for due in [session.at + int(place * step)]],
        )
    return len(rows)


def destination_state(catalog: Catalog, name: str) -> DestinationState:
    """Whether the destination rests."""
    with catalog.read() as session:
        row = session.one("SELECT * FROM destinations WHERE name = ?", name)
    if row is None:
        return DestinationState(name=name, resting_until=None, since=None, code="", why="", times=0)
    return DestinationState(
        name=name,
        resting_until=moment(row["resting_until"]),
        since=moment(row["since"]),
        code=row["code"],
        why=row["why"],
        times=row["times"],
    )


def resting_until(session: Session, destination: str) -> int:
    """When its rest ends, in microseconds; 0: it does not rest."""
    return int(session.value("SELECT resting_until FROM destinations WHERE name = ?", destination) or 0)
