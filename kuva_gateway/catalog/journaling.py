"""The journal told of what has changed in the catalog, in the order in which it changed.

A row of the outbox goes when the journal has its line; after a crash in between the journal has it twice, which says
the same. Whoever tells has the journal's turn from reading the catalog to the end, so that an older state of a thing
never follows a newer one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.journal_lines import line
from kuva_gateway.catalog.session import Session
from kuva_gateway.journal import Journal, Line

AT_ONCE: Final = 200
_PAGE: Final = 2000

_WORTH_TELLING = (
    "state IN ('accepted', 'archived', 'rejected', 'withdrawn', 'removed') OR delivered = 1 OR revision > 1 "
    "OR rejected_at IS NOT NULL OR EXISTS (SELECT 1 FROM amendments a WHERE a.study_id = studies.id) "
    "OR EXISTS (SELECT 1 FROM rejection_notes n WHERE n.study_id = studies.id) "
    "OR EXISTS (SELECT 1 FROM history h WHERE h.study_id = studies.id AND h.actor <> 'gateway')"
)


def tell(catalog: Catalog, journal: Journal) -> int:
    """Tell the journal of everything that it was not told of; returns how many lines.

    Raises
    ------
    CatalogUnavailableError, OSError
        The rest is told the next time.
    """
    written = 0
    while some := _tell_some(catalog, journal):
        written += some
    return written


def _tell_some(catalog: Catalog, journal: Journal) -> int:
    with journal.turn():
        with catalog.read() as session:
            rows = session.rows("SELECT id, kind, what FROM to_journal ORDER BY id LIMIT ?", AT_ONCE)
            last = {(row["kind"], row["what"]): None for row in rows}
            lines = [made for kind, what in last if (made := line(session, kind, what)) is not None]
        if lines:
            journal.append(lines)
        if rows:
            with catalog.write() as session:
                session.change_in("DELETE FROM to_journal WHERE id IN {}", [row["id"] for row in rows])
    return len(rows)


def begin(catalog: Catalog, journal: Journal, stopping: Callable[[], bool] = lambda: False) -> bool:
    """Tell a journal that is new, or whose beginning was cut off, of all that the catalog knows.

    False: it had that before, or ``stopping`` said to leave it to the next time.

    It may be told of what changes meanwhile by others: each page is read while nobody else has the turn.
    """
    if journal.whole:
        return False
    last: tuple[int, ...] | None = (-1, -1, -1)
    while last is not None and not stopping():
        last = _tell_receipts(catalog, journal, last)
    for kind, query in _EVERYTHING:
        after: int | None = 0
        while after is not None and not stopping():
            after = _tell_page(catalog, journal, kind, query, after)
    if stopping():
        return False
    with journal.turn():
        journal.append([{"kind": "whole"}])
        journal.say_whole()
    return True


_EVERYTHING: Final = (
    ("study", f"SELECT id, id AS what FROM studies WHERE ({_WORTH_TELLING}) AND id > ? ORDER BY id LIMIT ?"),
    ("link", "SELECT id, patient AS what FROM patient_links WHERE id > ? ORDER BY id LIMIT ?"),
    ("provider", "SELECT id, name AS what FROM providers WHERE id > ? ORDER BY id LIMIT ?"),
    ("codes", "SELECT id, '' AS what FROM (SELECT MIN(id) AS id FROM codes) c WHERE id > ? ORDER BY id LIMIT ?"),
    ("document", "SELECT id, identifier AS what FROM documents WHERE id > ? ORDER BY id LIMIT ?"),
    ("authorization", "SELECT id, identifier AS what FROM authorizations WHERE id > ? ORDER BY id LIMIT ?"),
)


def _tell_page(catalog: Catalog, journal: Journal, kind: str, query: str, after: int) -> int | None:
    with journal.turn(), catalog.read() as session:
        rows = session.rows(query, after, AT_ONCE)
        lines = [made for row in rows if (made := line(session, kind, str(row["what"]))) is not None]
        if lines:
            journal.append(lines)
    return rows[-1]["id"] if rows else None


def _tell_receipts(catalog: Catalog, journal: Journal, after: tuple[int, ...]) -> tuple[int, ...] | None:
    with catalog.read() as session:
        found = list(_receipts(session, after))
    if not found:
        return None
    with journal.turn():
        journal.append([_receipt_line(found)])
    return tuple(found[-1][:3])


def _receipts(session: Session, after: tuple[int, ...]) -> Iterator[list[Any]]:
    rows = session.rows(
        "SELECT r.time_ns, r.association, r.number, r.peer, i.digest FROM receipts r "
        "JOIN instances i ON i.id = r.instance_id WHERE r.time_ns > ? OR (r.time_ns = ? AND (r.association > ? "
        "OR (r.association = ? AND r.number > ?))) ORDER BY r.time_ns, r.association, r.number LIMIT ?",
        *(after[0], after[0], after[1], after[1], after[2], _PAGE),
    )
    for row in rows:
        yield [*(row[name] for name in ("time_ns", "association", "number", "peer")), bytes(row["digest"]).hex()]


def _receipt_line(found: list[list[Any]]) -> Line:
    return {"kind": "receipts", "receipts": found}
