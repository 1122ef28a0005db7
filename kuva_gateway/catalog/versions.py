"""Which version of a paper counts: of a set the latest, and none that another one replaces.

Documents and authorizations are versioned alike: each version has an OID of its own, a set names the first, a new one
says which it replaces. Versions come in any order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from kuva_gateway.catalog.outbox import Kind, note
from kuva_gateway.catalog.session import Row, Session
from kuva_gateway.errors import NotFoundError, RefusedError, StateError


class Papers(NamedTuple):
    """Where a family of papers is kept: its table, the table of what they name, and that table's column for them."""

    table: str
    references: str
    owner: str
    one: str
    """What one is called, with its article."""
    kind: Kind


DOCUMENTS: Final = Papers("documents", "document_references", "document_id", "the document", "document")
AUTHORIZATIONS: Final = Papers(
    "authorizations", "authorization_references", "authorization_id", "the authorization", "authorization"
)


def known(session: Session, papers: Papers, oid: str, digest: str) -> tuple[Row | None, bool]:
    """The row with this OID, if any, and whether its bytes are the same.

    Raises
    ------
    RefusedError
        A version that was ready is here with other bytes: a version never changes (decision 0013).
    """
    row = session.one(f"SELECT id, digest, ready FROM {papers.table} WHERE identifier = ?", oid)
    same = row is not None and bytes(row["digest"]).hex() == digest
    if row is not None and not same and row["ready"]:
        raise RefusedError(
            f"{papers.one} {oid} is here with other content; what changes needs a new version with an OID of its own",
            code="version-changed",
        )
    return row, same


def write_references(session: Session, papers: Papers, paper_id: int, named: Iterable[tuple[str, str]]) -> None:
    """Replace what a paper names: ``(what, value)``."""
    session.execute(f"DELETE FROM {papers.references} WHERE {papers.owner} = ?", paper_id)
    session.many(
        f"INSERT INTO {papers.references} ({papers.owner}, what, value) VALUES (?, ?, ?)",
        [(paper_id, what, value) for what, value in dict.fromkeys(named) if value],
    )


def refresh_current(
    session: Session, papers: Papers, paper_id: int, set_id: str, replaces: Iterable[str]
) -> dict[int, str]:
    """Say anew what is current among a paper, its set and what it replaces; returns those that no longer are."""
    rows = {
        row["id"]: row
        for row in session.rows(f"SELECT * FROM {papers.table} WHERE set_id = ?", set_id)
        + session.rows_in(f"SELECT * FROM {papers.table} WHERE identifier IN {{}}", replaces)
    }
    superseded = {}
    for row in rows.values():
        current = not _is_superseded(session, papers, row)
        if current != bool(row["current"]):
            session.execute(f"UPDATE {papers.table} SET current = ? WHERE id = ?", int(current), row["id"])
            if not current and row["id"] != paper_id:
                superseded[row["id"]] = row["identifier"]
    return superseded


def invalidate(session: Session, papers: Papers, oid: str, *, by: str, reason: str) -> Row:
    """Write down who takes a version out of force, and why; returns its row as it was.

    Raises
    ------
    NotFoundError
        There is no such paper.
    StateError
        It is invalidated already.
    """
    row = session.one(f"SELECT * FROM {papers.table} WHERE identifier = ?", oid)
    if row is None:
        raise NotFoundError(f"there is no such {papers.one.removeprefix('the ')}")
    if row["invalidated_at"] is not None:
        raise StateError(f"{papers.one} is invalidated already")
    note(session, papers.kind, oid)
    session.execute(
        f"UPDATE {papers.table} SET invalidated_at = ?, invalidated_by = ?, invalidated_reason = ? WHERE id = ?",
        session.at,
        by,
        reason,
        row["id"],
    )
    return row


def _is_superseded(session: Session, papers: Papers, row: Row) -> bool:
    """Is a later version of its set here, or a paper that replaces it, or did a person take the document out of force?

    (An authorization that is out of force says so apart from being the latest version.)
    """
    if papers is DOCUMENTS and row["invalidated_at"] is not None:
        return True
    return bool(
        session.value(
            f"SELECT 1 FROM {papers.table} WHERE set_id = ? AND (version > ? OR (version = ? AND id > ?)) LIMIT 1",
            row["set_id"],
            row["version"],
            row["version"],
            row["id"],
        )
        or session.value(
            f"SELECT 1 FROM {papers.references} WHERE what = 'replaces' AND value = ? AND {papers.owner} <> ? LIMIT 1",
            row["identifier"],
            row["id"],
        )
    )
