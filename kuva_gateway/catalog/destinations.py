"""Destinations that rest: their entries stay due and burn no attempts."""

from __future__ import annotations

from datetime import datetime

from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.records import DestinationState
from kuva_gateway.catalog.session import Session, microseconds, moment


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
    """The destination rests no longer; False if it did not rest."""
    with catalog.read() as session:
        if not resting_until(session, destination):
            return False
    with catalog.write() as session:
        return session.change("DELETE FROM destinations WHERE name = ?", destination) > 0


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
