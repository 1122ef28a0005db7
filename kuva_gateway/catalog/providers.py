"""Providers that use the archive, and which register keepers are theirs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.outbox import note
from kuva_gateway.catalog.questions import open_question
from kuva_gateway.catalog.session import Row, Session
from kuva_gateway.clinical.providers import Provider
from kuva_gateway.errors import NotFoundError, StateError


def store(catalog: Catalog, providers: Sequence[Provider]) -> int:
    """Add the providers whose names are not known yet; returns how many."""
    with catalog.write() as session:
        return sum(
            session.change(
                "INSERT INTO providers (name, sector, joined, oid) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                one.name,
                one.sector,
                one.joined.isoformat(),
                one.oid,
            )
            for one in providers
        )


def everything(catalog: Catalog) -> tuple[Provider, ...]:
    """All providers, by sector and name."""
    with catalog.read() as session:
        rows = session.rows("SELECT name, sector, joined, oid FROM providers")
    return tuple(sorted((_provider(row) for row in rows), key=lambda one: (one.sector, one.name)))


def mapped(catalog: Catalog) -> tuple[Provider, ...]:
    """The providers whose OID an operator has given."""
    with catalog.read() as session:
        known: tuple[Provider, ...] | None = None if session.writes else session.memory.get("providers")
        if known is None:
            rows = session.rows("SELECT name, sector, joined, oid FROM providers WHERE oid IS NOT NULL")
            known = session.memory["providers"] = tuple(_provider(row) for row in rows)
    return known


def _provider(row: Row) -> Provider:
    return Provider(name=row["name"], sector=row["sector"], joined=date.fromisoformat(row["joined"]), oid=row["oid"])


def add(catalog: Catalog, provider: Provider) -> None:
    """Add one provider.

    Raises
    ------
    StateError
        The name, or the OID, is another one's already.
    """
    with catalog.write() as session:
        if session.value("SELECT 1 FROM providers WHERE name = ?", provider.name):
            raise StateError("a provider of this name is in the list already")
        _check_free(session, provider.oid)
        session.execute(
            "INSERT INTO providers (name, sector, joined, oid) VALUES (?, ?, ?, ?)",
            provider.name,
            provider.sector,
            provider.joined.isoformat(),
            provider.oid,
        )
        note(session, "provider", provider.name)
        _ask_again(session)


def change(catalog: Catalog, name: str, *, oid: str | None = None, joined: date | None = None) -> Provider:
    """Give a provider its OID, or another date of joining; returns it as it is now.

    Raises
    ------
    NotFoundError
        No provider has this name.
    StateError
        The OID is another provider's.
    """
    with catalog.write() as session:
        if session.value("SELECT 1 FROM providers WHERE name = ?", name) is None:
            raise NotFoundError("no provider of this name is in the list")
        if oid is not None:
            _check_free(session, oid, besides=name)
            session.execute("UPDATE providers SET oid = ? WHERE name = ?", oid, name)
        if joined is not None:
            session.execute("UPDATE providers SET joined = ? WHERE name = ?", joined.isoformat(), name)
        note(session, "provider", name)
        _ask_again(session)
        row = session.one("SELECT name, sector, joined, oid FROM providers WHERE name = ?", name)
    assert row is not None
    return _provider(row)


def _check_free(session: Session, oid: str | None, besides: str = "") -> None:
    owner = session.value("SELECT name FROM providers WHERE oid = ? AND name <> ?", oid, besides)
    if oid is not None and owner is not None:
        raise StateError(f"this OID is {owner}'s already")


def _ask_again(session: Session) -> None:
    rows = session.rows("SELECT id FROM studies WHERE state IN ('settled', 'held', 'accepted')")
    open_question(session, [row["id"] for row in rows])


def shape(provider: Provider) -> dict[str, Any]:
    """A provider as a JSON object."""
    return {
        "name": provider.name,
        "sector": provider.sector,
        "joined": provider.joined.isoformat(),
        "oid": provider.oid,
    }
