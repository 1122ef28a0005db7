"""The procedure code list: periods of validity per code."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date
from typing import Any

from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.journal_lines import CODE
from kuva_gateway.catalog.outbox import note
from kuva_gateway.catalog.questions import open_all
from kuva_gateway.catalog.records import CodeSummary
from kuva_gateway.catalog.session import Row, Session
from kuva_gateway.clinical.codes import CodePeriod

_KEY, _REST = CODE[:3], CODE[3:]


def store(catalog: Catalog, periods: Iterable[CodePeriod]) -> CodeSummary:
    """Add and change periods, in one transaction; none is removed, because an export may be partial.

    Held studies, and accepted ones of which nothing has begun, are judged again if anything changed. A period counts as
    ended when only now its list says when it ends.
    """
    with catalog.write() as session:
        known = _known(session)
        added: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        changed: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        ended: set[tuple[Any, ...]] = set()
        unchanged = 0
        for period in periods:
            key, values = _columns(period)
            before = known.get(key)
            if before is None:
                added[key] = values
            elif before == values:
                unchanged += 1
            else:
                changed[key] = values
                if before[0] is None and values[0] is not None:
                    ended.add(key)
            known.setdefault(key, values)
        _write(session, added, changed)
        if added or changed:
            note(session, "codes", "")
            open_all(session)
    return CodeSummary(added=len(added), changed=len(changed) - len(ended), ended=len(ended), unchanged=unchanged)


def _known(session: Session) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    rows = session.rows(f"SELECT {', '.join((*_KEY, *_REST))} FROM codes")
    return {tuple(row[name] for name in _KEY): tuple(row[name] for name in _REST) for row in rows}


def _columns(period: CodePeriod) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    key = (period.code, period.scheme, period.valid_from.isoformat() if period.valid_from else "")
    return key, (
        period.valid_to.isoformat() if period.valid_to else None,
        period.name,
        period.abbreviation,
        json.dumps(list(period.replaced_by)),
        int(period.radiology),
        int(period.visible_light),
        int(period.leaf),
        period.level,
    )


def _write(
    session: Session,
    added: dict[tuple[Any, ...], tuple[Any, ...]],
    changed: dict[tuple[Any, ...], tuple[Any, ...]],
) -> None:
    columns = (*_KEY, *_REST)
    session.many(
        f"INSERT INTO codes ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
        [(*key, *values) for key, values in added.items()],
    )
    settings = ", ".join(f"{name} = ?" for name in _REST)
    session.many(
        f"UPDATE codes SET {settings} WHERE code = ? AND scheme = ? AND valid_from = ?",
        [(*values, *key) for key, values in changed.items()],
    )


def _period(row: Row) -> CodePeriod:
    return CodePeriod(
        code=row["code"],
        name=row["name"],
        abbreviation=row["abbreviation"],
        valid_from=date.fromisoformat(row["valid_from"]),
        valid_to=date.fromisoformat(row["valid_to"]) if row["valid_to"] else None,
        replaced_by=tuple(json.loads(row["replaced_by"])),
        radiology=bool(row["radiology"]),
        visible_light=bool(row["visible_light"]),
        leaf=bool(row["leaf"]),
        level=row["level"],
        scheme=row["scheme"],
    )


def periods(catalog: Catalog, code: str) -> tuple[CodePeriod, ...]:
    """The code's periods, the oldest first; () for a code that is not in the list."""
    return periods_for(catalog, [code])[code]


def periods_for(catalog: Catalog, codes: Iterable[str]) -> dict[str, tuple[CodePeriod, ...]]:
    """The periods of each of these codes; codes that are not in the list map to ()."""
    wanted = list(dict.fromkeys(codes))
    with catalog.read() as session:
        known: dict[str, tuple[CodePeriod, ...]] = {} if session.writes else session.memory.setdefault("codes", {})
        missing = [code for code in wanted if code not in known]
        if missing:
            known.update(_look_up(session, missing))
    return {code: known[code] for code in wanted}


def _look_up(session: Session, wanted: Iterable[str]) -> dict[str, tuple[CodePeriod, ...]]:
    found: dict[str, list[CodePeriod]] = {code: [] for code in wanted}
    for row in session.rows_in("SELECT * FROM codes WHERE code IN {} ORDER BY code, valid_from, scheme", found):
        found[row["code"]].append(_period(row))
    return {code: tuple(listed) for code, listed in found.items()}


def everything(catalog: Catalog) -> tuple[CodePeriod, ...]:
    """The whole list."""
    with catalog.read() as session:
        return tuple(_period(row) for row in session.rows("SELECT * FROM codes ORDER BY code, valid_from, scheme"))


def count(catalog: Catalog) -> int:
    """How many distinct codes the list has."""
    with catalog.read() as session:
        return int(session.value("SELECT COUNT(DISTINCT code) FROM codes"))
