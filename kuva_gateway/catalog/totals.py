"""How many studies and entries are in each state, kept with every change so that nobody has to count millions of rows.

Entries are counted by destination as well. Promises that ``totals`` says what counting would say, because the functions
here are called in the transaction of every change: by :func:`~kuva_gateway.catalog.states.apply` and by whoever makes a
row. What a transaction changes is added up and written at its end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from kuva_gateway.catalog.session import Row, Session

What = Literal["studies", "entries"]
_BY_DESTINATION = "entries:"

_ADD = (
    "INSERT INTO totals (what, state, number, instances, bytes) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (what, state) DO UPDATE SET number = totals.number + excluded.number, "
    "instances = totals.instances + excluded.instances, bytes = totals.bytes + excluded.bytes"
)


class Change(NamedTuple):
    """So many more in ``state`` than before, with what they hold."""

    state: str
    number: int
    instances: int = 0
    bytes: int = 0


def add_studies(session: Session, changes: Iterable[Change]) -> None:
    """Note changes of studies."""
    _add(session, "studies", changes)


def add_entries(session: Session, destination: str, changes: Iterable[Change]) -> None:
    """Note changes of entries for one destination."""
    noted = list(changes)
    _add(session, "entries", noted)
    _add(session, _BY_DESTINATION + destination, noted)


def _add(session: Session, what: str, changes: Iterable[Change]) -> None:
    sums = session.totals
    for state, number, instances, size in changes:
        before = sums.get((what, state), (0, 0, 0))
        sums[what, state] = (before[0] + number, before[1] + instances, before[2] + size)


def write_down(session: Session) -> None:
    """Write what the transaction has noted; called before it ends and before totals are read in it."""
    changed = sorted((key, values) for key, values in session.totals.items() if any(values))
    session.totals.clear()
    session.many(_ADD, [(*key, *values) for key, values in changed])


def move(session: Session, what: What, row: Row, after: str) -> None:
    """Note that ``row``, as it was, goes from its state to another."""
    if what == "entries":
        add_entries(session, row["destination"], [Change(row["state"], -1), Change(after, 1)])
        return
    held = (row["instances"], row["bytes"])
    add_studies(session, [Change(row["state"], -1, -held[0], -held[1]), Change(after, 1, *held)])


def read(session: Session, what: What) -> dict[str, Change]:
    """State -> how many, and what they hold; states without any are left out."""
    if session.totals:
        write_down(session)
    rows = session.rows("SELECT * FROM totals WHERE what = ? AND number > 0 ORDER BY state", what)
    return {row["state"]: Change(row["state"], row["number"], row["instances"], row["bytes"]) for row in rows}


def entries_by_destination(session: Session) -> dict[tuple[str, str], int]:
    """(Destination, state) -> how many entries; those without any are left out."""
    if session.totals:
        write_down(session)
    sql = "SELECT what, state, number FROM totals WHERE what NOT IN ('studies', 'entries') AND number > 0"
    found = {(row["what"], row["state"]): int(row["number"]) for row in session.rows(sql)}
    return {(what.removeprefix(_BY_DESTINATION), state): number for (what, state), number in sorted(found.items())}
