"""What went through the gateway hour by hour, from the history of studies and entries; and what a search finds.

Promises statements that stay cheap in a large catalog: rows of the history stand in the order of their time, so the
first of a day is found by halving, and only those of that day are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from kuva_gateway.catalog import shapes
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.session import Session, microseconds

HOUR: Final = timedelta(hours=1)
STEPS: Final[Mapping[tuple[str, str], str]] = {
    ("study", "settled"): "received",
    ("study", "failed"): "held",
    ("entry", "delivered"): "delivered",
    ("study", "all_complete"): "archived",
}
"""What of the history is counted, by thing and event."""
COUNTED: Final = tuple(dict.fromkeys(STEPS.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Numbers by kind (:data:`COUNTED`), one for each hour, the oldest first; ``until`` ends the last hour."""

    until: datetime
    hours: Mapping[str, tuple[int, ...]]


def flow(catalog: Catalog, until: datetime, hours: int = 24) -> Flow:
    """Studies that were received whole, held and archived, and deliveries, in the ``hours`` before ``until``.

    Raises
    ------
    CatalogUnavailableError
        Nobody knows now.
    """
    since, hour = microseconds(until - hours * HOUR), HOUR // timedelta(microseconds=1)
    counts = {name: [0] * hours for name in COUNTED}
    with catalog.read() as session:
        rows = session.rows(
            "SELECT what, event, (at - ?) / ? AS hour, COUNT(*) AS number FROM history WHERE id >= ? AND at >= ? "
            "AND at < ? AND event IN ('settled', 'failed', 'delivered', 'all_complete') GROUP BY 1, 2, 3",
            since,
            hour,
            _first_since(session, since),
            since,
            microseconds(until),
        )
    for row in rows:
        name = STEPS.get((row["what"], row["event"]))
        if name is not None:
            counts[name][int(row["hour"])] += int(row["number"])
    return Flow(until=until, hours={name: tuple(numbers) for name, numbers in counts.items()})


def _first_since(session: Session, since: int) -> int:
    """The lowest id of the history at ``since`` or later; a clock that was set back moves that by as much."""
    low, high = 0, int(session.value("SELECT COALESCE(MAX(id), 0) FROM history")) + 1
    while low < high:
        middle = (low + high) // 2
        row = session.one("SELECT id, at FROM history WHERE id >= ? ORDER BY id LIMIT 1", middle)
        if row is None or row["at"] >= since:
            high = middle
        else:
            low = int(row["id"]) + 1
    return low


def held(catalog: Catalog, rule: str, limit: int) -> list[dict[str, Any]]:
    """Studies that a rule holds, as JSON objects; who has been held longest comes first."""
    with catalog.read() as session:
        rows = session.rows(
            "SELECT s.* FROM studies s WHERE s.state = 'held' AND s.id IN (SELECT f.study_id FROM findings f "
            "WHERE f.rule = ? AND f.study_id = s.id AND f.revision = s.revision AND f.severity IN ('hold', 'refuse') "
            "AND f.overridden_at IS NULL) ORDER BY s.last_arrival, s.id LIMIT ?",
            rule,
            limit,
        )
        return shapes.studies(session, rows)


def found(catalog: Catalog, text: str, limit: int) -> list[str]:
    """Study Instance UIDs of what has this accession number, or this UID as study, series or instance."""
    with catalog.read() as session:
        rows = session.rows(
            "SELECT uid FROM studies WHERE uid = ? OR accession_number = ? OR id IN (SELECT study_id FROM series WHERE "
            "uid = ?) OR id IN (SELECT study_id FROM instances WHERE uid = ?) ORDER BY last_arrival DESC, uid LIMIT ?",
            text,
            text,
            text,
            text,
            limit,
        )
        return [row["uid"] for row in rows]


def image_of(catalog: Catalog, uid: str) -> str | None:
    """The digest of an image in the middle of a study whose file is here; None without any."""
    here = (
        "FROM instances i JOIN studies s ON s.id = i.study_id WHERE s.uid = ? AND i.current = 1 "
        "AND i.purged_at IS NULL AND i.rows > 0 AND i.columns > 0"
    )
    with catalog.read() as session:
        number = int(session.value(f"SELECT COUNT(*) {here}", uid))
        row = session.one(f"SELECT i.digest {here} ORDER BY i.series_id, i.id LIMIT 1 OFFSET ?", uid, number // 2)
    return None if row is None else bytes(row["digest"]).hex()
