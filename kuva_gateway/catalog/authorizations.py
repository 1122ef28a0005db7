"""Service-purchase authorizations: what is here, what of it counts, and which studies wait for it."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from kuva_gateway.catalog import versions
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.links import patient_key
from kuva_gateway.catalog.outbox import note
from kuva_gateway.catalog.questions import open_question
from kuva_gateway.catalog.records import Added, KeptAuthorization
from kuva_gateway.catalog.session import Row, Session, iso, microseconds
from kuva_gateway.catalog.shapes import invalidated
from kuva_gateway.catalog.versions import AUTHORIZATIONS, known, refresh_current, write_references
from kuva_gateway.clinical.authorizations import Authorization, Register, scope, shown_specifier
from kuva_gateway.clinical.identifiers import organisation_of

_MOST = 200
"""Authorizations that one study's verdict looks at: those of its patient and of populations first."""
_DATES = ("valid_from", "valid_to", "documents_from", "documents_to")
_REGISTERS = ("search", "storing")
_TUPLES = ("replaces", "service_events")


def to_json(authorization: Authorization) -> str:
    """``authorization`` as compact JSON."""
    return json.dumps(asdict(authorization), ensure_ascii=False, separators=(",", ":"), default=date.isoformat)


def from_json(text: str) -> Authorization:
    """The authorization that :func:`to_json` wrote."""
    values = json.loads(text)
    for name in _DATES:
        values[name] = date.fromisoformat(values[name]) if values[name] else None
    for name in _REGISTERS:
        values[name] = Register(**values[name]) if values[name] else None
    for name in _TUPLES:
        values[name] = tuple(values[name])
    return Authorization(**values)


def add(catalog: Catalog, authorization: Authorization, stored_as: str, digest: str, received_at: datetime) -> Added:
    """Add an authorization, find out what is current, and open the question of the studies concerned again.

    ``stored_as`` is the name of its file, ``digest`` the SHA-256 of that file in hexadecimal. The same bytes again
    change nothing.

    Raises
    ------
    RefusedError
        This version is here, ready, with other bytes.
    """
    with catalog.write() as session:
        present, same = known(session, AUTHORIZATIONS, authorization.oid, digest)
        if same:
            return Added(id=authorization.oid, new=False, superseded=(), studies_affected=())
        columns = {**_columns(authorization), "received_at": microseconds(received_at)}
        columns |= {"stored_as": stored_as, "digest": bytes.fromhex(digest)}
        if present is None:
            row_id = session.insert("authorizations", **columns, current=1)
        else:
            row_id = int(present["id"])
            settings = ", ".join(f"{name} = ?" for name in columns)
            session.execute(f"UPDATE authorizations SET {settings} WHERE id = ?", *columns.values(), row_id)
        named = [("replaces", one) for one in authorization.replaces]
        write_references(
            session, AUTHORIZATIONS, row_id, [*named, *(("event", one) for one in authorization.service_events)]
        )
        note(session, "authorization", authorization.oid)
        superseded = refresh_current(session, AUTHORIZATIONS, row_id, columns["set_id"], authorization.replaces)
        affected = _concerned(session, [row_id, *superseded])
        open_question(session, affected)
        return Added(
            id=authorization.oid,
            new=True,
            superseded=tuple(superseded.values()),
            studies_affected=tuple(sorted(affected.values())),
        )


def check_known(catalog: Catalog, authorization: Authorization, digest: str) -> None:
    """Raise what :func:`add` would raise, before anything is kept."""
    with catalog.read() as session:
        known(session, AUTHORIZATIONS, authorization.oid, digest)


def _columns(authorization: Authorization) -> dict[str, Any]:
    def day(value: date | None) -> str:
        return value.isoformat() if value is not None else ""

    def dicom_day(value: date | None) -> str:
        return value.strftime("%Y%m%d") if value is not None else ""

    search, storing = authorization.search, authorization.storing
    # An authorization covers its organiser's own registers only.
    if search is not None and organisation_of(authorization.organiser) != organisation_of(search.keeper):
        search = None
    return {
        "identifier": authorization.oid,
        "set_id": authorization.set_id or authorization.oid,
        "version": authorization.version,
        "ready": int(authorization.ready),
        "kind": authorization.kind,
        "valid_from": day(authorization.valid_from),
        "valid_to": day(authorization.valid_to),
        "producer": authorization.producer,
        "storing_keeper": storing.keeper if storing else "",
        "search_keeper": search.keeper if search else "",
        "search_register": search.code if search else "",
        "search_specifier": patient_key(search.specifier) if search else "",
        "patient_key": patient_key(authorization.patient_id),
        "scope": scope(authorization),
        "documents_from": dicom_day(authorization.documents_from),
        "documents_to": dicom_day(authorization.documents_to),
        "content": to_json(authorization),
    }


def _concerned(session: Session, row_ids: Collection[int]) -> dict[int, str]:
    """Ids and UIDs of studies whose verdict may hang on these authorizations.

    Those whose documents lie in a register of the same keeper (one patient's: that patient's alone), those held by an
    OSV rule, and those that no document says anything of.
    """
    rows = session.rows_in("SELECT storing_keeper, patient_key FROM authorizations WHERE id IN {}", row_ids)
    found: dict[int, str] = {}
    for keeper, patient in {(row["storing_keeper"], row["patient_key"]) for row in rows}:
        found |= {
            row["id"]: row["uid"]
            for row in session.rows(
                "SELECT s.id, s.uid FROM studies s WHERE s.state IN ('settled', 'held', 'accepted') "
                "AND (CAST(? AS TEXT) = '' OR s.patient_key = ?) AND ("
                "EXISTS (SELECT 1 FROM links l JOIN document_registers r ON r.document_id = l.document_id "
                "WHERE l.study_id = s.id AND r.keeper = ?) "
                "OR EXISTS (SELECT 1 FROM findings f WHERE f.study_id = s.id AND f.revision = s.revision "
                "AND f.rule IN ('OSV-01', 'OSV-02', 'OSV-03')) "
                "OR NOT EXISTS (SELECT 1 FROM links l WHERE l.study_id = s.id))",
                patient,
                patient,
                keeper,
            )
        }
    return found


def concerning(
    catalog: Catalog, producers: Collection[str], keepers: Collection[str], patients: Collection[str]
) -> tuple[KeptAuthorization, ...]:
    """What lets these producers store into registers of these keepers: for populations and these patients, and to tell
    a person what else there is, for others; at most ``_MOST`` for each pair."""
    marks = ", ".join("?" * len(patients)) or "NULL"
    found: list[Row] = []
    with catalog.read() as session:
        for producer in sorted(set(producers)):
            for keeper in sorted(set(keepers)):
                found += session.rows(
                    "SELECT content, current, invalidated_at FROM authorizations "
                    "WHERE producer = ? AND storing_keeper = ? ORDER BY "
                    f"CASE WHEN patient_key = '' OR patient_key IN ({marks}) THEN 0 ELSE 1 END, valid_to DESC, id DESC "
                    "LIMIT ?",
                    producer,
                    keeper,
                    *(patient_key(one) for one in patients),
                    _MOST,
                )
    return tuple(_kept(row) for row in found)


def _kept(row: Row) -> KeptAuthorization:
    return KeptAuthorization(
        authorization=from_json(row["content"]),
        current=bool(row["current"]),
        invalidated=row["invalidated_at"] is not None,
    )


def invalidate(catalog: Catalog, oid: str, *, by: str, reason: str) -> tuple[str, ...]:
    """Take an authorization out of force by a person's decision; returns the UIDs of studies judged again.

    Raises
    ------
    NotFoundError
        There is no such authorization.
    StateError
        It is invalidated already.
    """
    with catalog.write() as session:
        row = versions.invalidate(session, AUTHORIZATIONS, oid, by=by, reason=reason)
        affected = _concerned(session, [row["id"]])
        open_question(session, affected)
    return tuple(sorted(affected.values()))


def listing(catalog: Catalog) -> list[dict[str, Any]]:
    """Authorizations as JSON objects, the newest first. A patient is not shown, only that there is one."""
    with catalog.read() as session:
        rows = session.rows("SELECT * FROM authorizations ORDER BY received_at DESC, id DESC")
    return [_shape(row) for row in rows]


def _shape(row: Row) -> dict[str, Any]:
    one = from_json(row["content"])
    return {
        "id": one.oid,
        "set_id": one.set_id,
        "version": one.version,
        "current": bool(row["current"]),
        "ready": one.ready,
        "invalidated": invalidated(row),
        "type": one.kind,
        "valid_from": row["valid_from"] or None,
        "valid_to": row["valid_to"] or None,
        "organiser": one.organiser or None,
        "organiser_name": one.organiser_name,
        "producer": one.producer or None,
        "producer_name": one.producer_name,
        "register_keeper": one.register_keeper,
        "register": one.storing.code if one.storing else None,
        "storing": _register(one.storing),
        "search": None if one.search is None else {**_register(one.search), **_scope(one)},  # type: ignore[dict-item]
        "has_patient": bool(one.patient_id),
        "received_at": iso(row["received_at"]),
    }


def _register(register: Register | None) -> dict[str, Any] | None:
    if register is None:
        return None
    return {
        "register_keeper": register.keeper,
        "register": register.code,
        "specifier": shown_specifier(register.specifier),
    }


def _scope(one: Authorization) -> dict[str, Any]:
    return {
        "scope": scope(one),
        "documents_from": one.documents_from.isoformat() if one.documents_from else None,
        "documents_to": one.documents_to.isoformat() if one.documents_to else None,
        "service_events": list(one.service_events),
    }
