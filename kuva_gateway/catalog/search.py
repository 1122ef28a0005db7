"""Finding what a query asks for (PS3.4 C.4.1): ids of what matches, then its rows page by page.

Promises bounded memory and short transactions: no more ids than the limit, one page of rows at a time, nothing held
open while an answer goes out. What changes between two pages is shown as it is then; what goes meanwhile is left out.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kuva_gateway.catalog import matching, visibility
from kuva_gateway.catalog.attributes import (
    ATTRIBUTES,
    AVAILABILITY_TAG,
    DATE_WITH_TIME,
    PATIENT_COUNTS,
    SERIES_INSTANCES,
    Attribute,
    Kind,
)
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.received import AMENDED, NOT_AMENDED, value_of
from kuva_gateway.catalog.session import Session
from kuva_gateway.catalog.visibility import Condition
from kuva_gateway.dicom import statuses
from kuva_gateway.dicom.identifier import Identifier, IdentifierError, Value
from kuva_gateway.dicom.information_model import UNIQUE_KEYS, Level, Negotiated

FIRST_PAGE = 16
PAGE = 256
"""Rows that are read in one transaction; the first ones are fewer, so that the first answer comes soon."""
FEW_DAYS = 31
"""Days that a range of dates spans at most to be looked for by date rather than by name."""

Row = tuple[Any, ...]

_FROM = {
    Level.PATIENT: "studies s",
    Level.STUDY: "studies s",
    Level.SERIES: "series e JOIN studies s ON s.id = e.study_id",
    Level.IMAGE: "instances i JOIN series e ON e.id = i.series_id JOIN studies s ON s.id = i.study_id",
}
_ID = {Level.PATIENT: "s.id", Level.STUDY: "s.id", Level.SERIES: "e.id", Level.IMAGE: "i.id"}
_TABLE_FOR = {"s": Level.PATIENT, "e": Level.SERIES, "i": Level.IMAGE}
_NARROW = frozenset({0x0020000D, 0x00080050, 0x00100020, 0x0020000E, 0x00080018})
"""Keys whose single values choose few studies: unique keys and the accession number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A query, ready to be run on either database."""

    level: Level
    tags: tuple[int, ...]
    """The supported attributes that the asker wants, in order; the level's unique key among them."""
    unsupported: bool
    """There are keys that are not supported, for existence or for matching (FF01)."""
    keys: Mapping[int, Value]
    """What is to be matched."""
    restriction: Condition
    accents: bool
    combined: bool
    items: Mapping[int, Mapping[int, Value]] = field(default_factory=dict)
    """Of each sequence that the asker wants the one item that it gave, if any."""
    as_received: bool = False
    """Amended studies are looked at as they were received."""

    def ids(self, catalog: Catalog, limit: int) -> array[int]:
        """The ids of what matches, ``limit`` at most.

        Raises
        ------
        IdentifierError
            A900: a key's value is none that its VR can have.
        CatalogUnavailableError
            The database is away.
        """
        with catalog.read() as session:
            sql, values = self._statement(session.postgresql)
            found = session.execute(f"{sql} LIMIT {limit}", *values)
            return array("q", (row[0] for row in found))

    def pages(self, catalog: Catalog, limit: int) -> Iterator[list[Row]]:
        """The values of :attr:`tags` of each match, page by page; more than ``limit`` when there are more than that.

        The first page is looked for by itself: it is there long before all of ten thousand are found.

        Raises
        ------
        IdentifierError, CatalogUnavailableError
            As :meth:`ids` says; with the first page or later.
        """
        ids = self.ids(catalog, min(FIRST_PAGE, limit + 1))
        yield self._rows(catalog, ids)
        if len(ids) < FIRST_PAGE or limit < FIRST_PAGE:
            return
        first = set(ids)
        rest = array("q", (one for one in self.ids(catalog, limit + 1) if one not in first))
        for start in range(0, len(rest), PAGE):
            yield self._rows(catalog, rest[start : start + PAGE])

    def _rows(self, catalog: Catalog, ids: Sequence[int]) -> list[Row]:
        if not ids:
            return []
        with catalog.read() as session:
            return self._page(session, ids)

    # -- which ----------------------------------------------------------------------------------------------------

    def _statement(self, postgresql: bool) -> tuple[str, tuple[Any, ...]]:
        sql, values = self._part(postgresql, received=False)
        if self.as_received:
            more, others = self._part(postgresql, received=True)
            sql, values = f"{sql} UNION ALL {more}", values + others
        if self.level is not Level.PATIENT:
            return sql, values
        # A patient is who has the same id from the same issuer; what is shown is what the newest study says.
        # The signs keep SQLite from walking all patients by their index when other keys choose few.
        free = "" if postgresql or not self.keys or _PATIENT_ID in self.keys else "+"
        return f"SELECT MAX(s.id) FROM ({sql}) s GROUP BY {free}s.patient_id, {free}s.issuer_of_patient_id", values

    def _part(self, postgresql: bool, *, received: bool) -> tuple[str, tuple[Any, ...]]:
        """The ids among all studies; or those among studies that were not amended, or among those that were."""
        source, condition = self._source(postgresql, received=received)
        for one in self._conditions(postgresql):
            condition &= one
        if self.as_received and not received:
            condition &= Condition(sql=NOT_AMENDED)
        if self.level is not Level.PATIENT:
            return f"SELECT {_ID[self.level]} FROM {source} WHERE {condition.sql}", condition.values
        columns = "s.id, s.patient_id, s.issuer_of_patient_id"
        return f"SELECT {columns} FROM {source} WHERE s.patient_id <> '' AND {condition.sql}", condition.values

    def _source(self, postgresql: bool, *, received: bool) -> tuple[str, Condition]:
        """Where to look, and what is seen there at all."""
        condition = visibility.studies(self.restriction)
        if self.level is Level.SERIES:
            condition &= Condition(
                sql="EXISTS (SELECT 1 FROM instances i WHERE i.study_id = s.id AND i.series_id = e.id AND "
                f"{visibility.instances().sql})",
                values=visibility.instances().values,
            )
        elif self.level is Level.IMAGE:
            condition = Condition(sql="e.study_id = s.id") & visibility.instances() & condition
        source = _FROM[self.level]
        if received:
            return source.replace("studies s", AMENDED), condition
        if not postgresql and self.level <= Level.STUDY and (parts := self._name_parts()):
            # CROSS JOIN: SQLite keeps this order of loops
            source = "study_names n CROSS JOIN studies s ON s.id = n.rowid"
            wanted = " AND ".join('"' + part.replace('"', '""') + '"' for part in parts)
            condition = Condition(sql="n.study_names MATCH ?", values=(wanted,)) & condition
        return source, condition

    def _conditions(self, postgresql: bool) -> Iterator[Condition]:
        done: set[int] = set()
        for tag, value in self.keys.items():
            if tag in done:
                continue
            try:
                if tag in DATE_WITH_TIME:
                    time, column = DATE_WITH_TIME[tag]
                    done.add(time)
                    yield self._moment(column, str(value), str(self.keys.get(time, "")), postgresql)
                elif (date := _DATE_OF.get(tag)) is not None:
                    if date not in self.keys:
                        yield self._moment(DATE_WITH_TIME[date][1], "", str(value), postgresql)
                else:
                    yield matching.match(self._attribute(tag), value, postgresql=postgresql, accents=self.accents)
            except matching.WrongKeyError as error:
                raise IdentifierError(statuses.DATA_SET_MISMATCH, str(error), tag) from None

    def _moment(self, column: str, date: str, time: str, postgresql: bool) -> Condition:
        if not postgresql and self._by_name() and column == "s.moment":
            column = "+s.moment"  # SQLite then takes no index for it, but the one that chooses fewer
        return matching.moment(column, date, time, combined=self.combined)

    # -- by which index (SQLite has no statistics and takes the one that is named first) -----------------------------

    def _by_name(self) -> bool:
        """Whether the patient's name chooses fewer studies than the dates do."""
        name = self.keys.get(_PATIENT_NAME)
        if not isinstance(name, str) or self._is_narrow():
            return False
        return bool(self._name_parts()) or len(matching.prefix_of(name)) >= 3

    def _name_parts(self) -> tuple[str, ...]:
        """Trigrams to look for, when the name is the best way in and begins with a wildcard."""
        name = self.keys.get(_PATIENT_NAME)
        if not isinstance(name, str) or self._is_narrow() or len(matching.prefix_of(name)) >= 3:
            return ()
        return matching.trigrams_of(name)

    def _is_narrow(self) -> bool:
        if any(tag in self.keys and "*" not in str(self.keys[tag]) for tag in _NARROW):
            return True
        date = self.keys.get(_STUDY_DATE)
        if not isinstance(date, str):
            return False
        try:
            first, last = matching.date_range(date)
        except matching.WrongKeyError:
            return False
        return bool(first and last) and _days(last) - _days(first) <= FEW_DAYS

    # -- what -----------------------------------------------------------------------------------------------------

    def _page(self, session: Session, ids: Sequence[int]) -> list[Row]:
        columns = ", ".join(self._column(tag) for tag in self.tags)
        marks = ", ".join("?" * len(ids))
        found = session.execute(
            f"SELECT {_ID[self.level]}, {columns} FROM {_FROM[self.level]} WHERE {_ID[self.level]} IN ({marks})", *ids
        )
        rows = {row[0]: row[1:] for row in found}
        kept = [(row_id, rows[row_id]) for row_id in ids if row_id in rows]
        if self.level is Level.PATIENT and any(tag in PATIENT_COUNTS for tag in self.tags):
            return self._with_patient_counts(session, kept)
        return [row for _, row in kept]

    def _column(self, tag: int) -> str:
        attribute = self._attribute(tag)
        if tag == SERIES_INSTANCES:
            return f"(SELECT COUNT(*) FROM instances i WHERE i.study_id = e.study_id AND i.series_id = e.id {_SEEN})"
        return (value_of(attribute.column) if self.as_received else attribute.column) or "''"

    def _attribute(self, tag: int) -> Attribute:
        if tag == AVAILABILITY_TAG:
            return ATTRIBUTES[tag]._replace(column=visibility.availability(self.level))
        return ATTRIBUTES[tag]

    def _with_patient_counts(self, session: Session, rows: Sequence[tuple[int, Row]]) -> list[Row]:
        """Studies, series and instances that the asker sees of each patient."""
        seen = visibility.studies(self.restriction)
        counts = session.rows_in(
            "SELECT x.id, COUNT(*) AS studies, SUM(s.series) AS series, SUM(s.instances) AS instances FROM studies s "
            "JOIN studies x ON x.patient_id = s.patient_id AND x.issuer_of_patient_id = s.issuer_of_patient_id "
            f"WHERE {seen.sql} AND x.id IN {{}} GROUP BY x.id",
            [row_id for row_id, _ in rows],
            *seen.values,
        )
        by_id = {count["id"]: count for count in counts}
        places = {place: PATIENT_COUNTS[tag] for place, tag in enumerate(self.tags) if tag in PATIENT_COUNTS}
        return [
            tuple(by_id[row_id][places[place]] if place in places else value for place, value in enumerate(row))
            for row_id, row in rows
            if row_id in by_id
        ]


_PATIENT_NAME, _PATIENT_ID, _STUDY_DATE = 0x00100010, 0x00100020, 0x00080020
_DATE_OF = {time: date for date, (time, _) in DATE_WITH_TIME.items()}
_SEEN = f"AND {visibility.instances().sql}"


def _days(date: str) -> int:
    """Days as they sort, near enough."""
    return int(date[:4]) * 366 + int(date[4:6]) * 31 + int(date[6:8])


def prepare(
    identifier: Identifier,
    restriction: Condition,
    *,
    accents: bool,
    negotiated: Negotiated,
    as_received: bool = False,
) -> Search:
    """What the identifier asks for of what its level has; keys of lower levels are not supported (PS3.4 C.4.1.2.1)."""
    wanted: dict[int, None] = {UNIQUE_KEYS[identifier.level]: None}
    keys: dict[int, Value] = {}
    items: dict[int, Mapping[int, Value]] = {}
    unsupported = False
    for tag, value in identifier.keys.items():
        attribute = ATTRIBUTES.get(tag)
        if attribute is None or attribute.level > identifier.level or _is_too_high(tag, identifier.level):
            unsupported = True
            continue
        wanted[tag] = None
        if attribute.kind is Kind.SEQUENCE and isinstance(value, tuple) and value:
            items[tag] = value[0]
        unsupported |= _has_unknown_members(attribute, value)
        if matching.is_universal(value):
            continue
        unsupported |= attribute.kind is Kind.COUNT
        if attribute.kind is not Kind.COUNT:
            keys[tag] = value
    return Search(
        level=identifier.level,
        tags=tuple(sorted(wanted)),
        unsupported=unsupported,
        keys=keys,
        restriction=restriction,
        accents=accents,
        combined=negotiated.combined_date_time,
        items=items,
        as_received=as_received,
    )


def _is_too_high(tag: int, level: Level) -> bool:
    """Counts of a patient's studies are for the level PATIENT."""
    return tag in PATIENT_COUNTS and level is not Level.PATIENT


def _has_unknown_members(attribute: Attribute, value: Value) -> bool:
    known = {tag for tag, _ in attribute.members}
    return isinstance(value, tuple) and (len(value) > 1 or any(tag not in known for item in value for tag in item))


def items_of(attribute: Attribute, text: str) -> list[list[str]]:
    """A sequence's column as items, each with a value for every member."""
    width = len(attribute.members)
    return [[str(value) for value in item][:width] for item in json.loads(text)]
