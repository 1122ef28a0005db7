"""Figures for monitoring: what is in which state, what waits, since when.

Promises statements that stay cheap in a large catalog: totals that are kept, and indexes that hold only what is
unfinished or held. A reader, so nobody who writes waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from kuva_gateway.catalog import totals
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.session import Session, maybe_moment, moment

_OLDEST_UNARCHIVED = (
    "SELECT first_arrival FROM studies WHERE state NOT IN ('archived', 'rejected', 'withdrawn', 'removed') "
    "ORDER BY first_arrival LIMIT 1"
)
# By an expression, so that SQLite walks what is not archived and not all studies in the order of their peers.
_UNARCHIVED_BYTES = (
    "SELECT MIN(peer) AS peer, SUM(bytes) AS bytes FROM studies "
    "WHERE state NOT IN ('archived', 'rejected', 'withdrawn', 'removed') GROUP BY peer || ''"
)
_OLDEST_HELD = "SELECT last_arrival FROM studies WHERE state = 'held' ORDER BY last_arrival LIMIT 1"
_HELD_BY_RULE = (
    "SELECT f.rule AS rule, COUNT(DISTINCT s.id) AS number FROM studies s "
    "JOIN findings f ON f.study_id = s.id AND f.revision = s.revision "
    "WHERE s.state = 'held' AND f.severity IN ('hold', 'refuse') AND f.overridden_at IS NULL "
    "GROUP BY f.rule ORDER BY f.rule"
)
_OVERDUE = (
    "SELECT COUNT(DISTINCT c.entry_id) FROM commitments c JOIN entries e ON e.id = c.entry_id "
    "WHERE c.destination = ? AND c.due_at IS NOT NULL AND e.state = 'sent' AND (SELECT MIN(first.asked_at) "
    "FROM commitments first WHERE first.entry_id = e.id AND first.asked_at >= e.tried_since) < ?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """A destination that is not called now."""

    since: datetime
    until: datetime
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogFigures:
    """One moment of the catalog in figures."""

    at: datetime
    studies: Mapping[str, int]
    instances: int
    bytes: int
    entries: Mapping[tuple[str, str], int]
    """(Destination, state) -> how many."""
    held_by_rule: Mapping[str, int]
    """Rule -> studies that it holds; a study that two rules hold is counted with both."""
    oldest_unarchived: datetime | None
    oldest_held: datetime | None
    """The last arrival of the study that was held longest."""
    overdue: Mapping[str, int]
    """Destination -> entries whose commitment it owes for longer than it should."""
    resting: Mapping[str, Rest]
    untold: int
    """Decisions and deliveries that the audit trail is still to be told of."""

    @property
    def held(self) -> int:
        """Studies that are held."""
        return self.studies.get("held", 0)

    @property
    def failed(self) -> int:
        """Entries that a person must look at."""
        return sum(number for (_, state), number in self.entries.items() if state == "failed")


def figures(catalog: Catalog, overdue_after: Mapping[str, timedelta]) -> CatalogFigures:
    """The figures of this moment.

    ``overdue_after``: for each destination that offers storage commitment, how long it may take.

    Raises
    ------
    CatalogUnavailableError
        There are none now.
    """
    with catalog.read() as session:
        studies = totals.read(session, "studies")
        return CatalogFigures(
            at=moment(session.at),
            studies={state: total.number for state, total in studies.items()},
            instances=sum(total.instances for total in studies.values()),
            bytes=sum(total.bytes for total in studies.values()),
            entries=totals.entries_by_destination(session),
            held_by_rule={row["rule"]: row["number"] for row in session.rows(_HELD_BY_RULE)},
            oldest_unarchived=maybe_moment(session.value(_OLDEST_UNARCHIVED)),
            oldest_held=maybe_moment(session.value(_OLDEST_HELD)),
            overdue={name: _overdue(session, name, after) for name, after in overdue_after.items()},
            resting={row["name"]: _rest(row) for row in session.rows("SELECT * FROM destinations ORDER BY name")},
            untold=int(session.value("SELECT COUNT(*) FROM to_audit")),
        )


def unarchived_bytes(catalog: Catalog) -> dict[str, int]:
    """Peer -> bytes of its studies that are not archived yet, nor rejected or withdrawn.

    Raises
    ------
    CatalogUnavailableError
        Nobody knows now.
    """
    with catalog.read() as session:
        return {row["peer"]: int(row["bytes"]) for row in session.rows(_UNARCHIVED_BYTES)}


def _overdue(session: Session, destination: str, after: timedelta) -> int:
    return int(session.value(_OVERDUE, destination, session.at - after // timedelta(microseconds=1)))


def _rest(row: Mapping[str, object]) -> Rest:
    since, until = row["since"], row["resting_until"]
    assert isinstance(since, int)
    assert isinstance(until, int)
    return Rest(since=moment(since), until=moment(until), code=str(row["code"]))
