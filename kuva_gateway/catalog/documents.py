"""Imaging documents and what is current of them; they come before or after the images, in any order."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from kuva_gateway.catalog import shapes, versions
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.links import link_document, patient_key
from kuva_gateway.catalog.outbox import note
from kuva_gateway.catalog.questions import open_question
from kuva_gateway.catalog.records import Added
from kuva_gateway.catalog.session import Row, Session, microseconds
from kuva_gateway.catalog.states import write_history
from kuva_gateway.catalog.versions import DOCUMENTS, known, refresh_current, write_references
from kuva_gateway.clinical.documents import ImagingDocument
from kuva_gateway.errors import NotFoundError

_FIELDS = frozenset(field.name for field in fields(ImagingDocument))


def to_json(document: ImagingDocument) -> str:
    """``document`` as compact JSON."""
    return json.dumps(asdict(document), ensure_ascii=False, separators=(",", ":"))


def from_json(text: str) -> ImagingDocument:
    """The document that :func:`to_json` wrote; names that this version does not know are passed over."""
    kept = {name: _tuples(value) for name, value in json.loads(text).items() if name in _FIELDS}
    return ImagingDocument(**kept)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def add(catalog: Catalog, document: ImagingDocument, stored_as: str, digest: str, received_at: datetime) -> Added:
    """Add a document, link it, find out what is current, and open the question of the studies concerned again.

    ``stored_as`` is the name of its file, ``digest`` the SHA-256 of that file in hexadecimal. The same OID with the
    same digest changes nothing; with another digest it replaces what was read before, if that was not ready.

    Raises
    ------
    RefusedError
        This version is here, ready, with other bytes.
    """
    with catalog.write() as session:
        present, same = known(session, DOCUMENTS, document.oid, digest)
        if same:
            return Added(id=document.oid, new=False, superseded=(), studies_affected=())
        columns = {**_columns(document), "received_at": microseconds(received_at)}
        columns |= {"stored_as": stored_as, "digest": bytes.fromhex(digest)}
        document_id = _write(session, present, columns)
        _write_register(session, document_id, document)
        write_references(session, DOCUMENTS, document_id, _references(document))
        note(session, "document", document.oid)
        superseded = refresh_current(session, DOCUMENTS, document_id, columns["set_id"], document.replaces)
        affected = {*link_document(session, document_id), *_studies_of(session, [document_id, *superseded])}
        open_question(session, affected)
        return Added(
            id=document.oid,
            new=True,
            superseded=tuple(superseded.values()),
            studies_affected=_uids(session, affected),
        )


def invalidate(catalog: Catalog, identifier: str, *, by: str, reason: str) -> tuple[str, ...]:
    """Take a version out of force, by OID; the UIDs of the studies that are linked to it, which are judged again.

    No older version takes its place; a newer one of its set counts again.

    Raises
    ------
    NotFoundError
        There is no such document.
    StateError
        It is invalidated already.
    """
    with catalog.write() as session:
        row = versions.invalidate(session, DOCUMENTS, identifier, by=by, reason=reason)
        refresh_current(session, DOCUMENTS, row["id"], row["set_id"], ())
        affected = _studies_of(session, [row["id"]])
        detail = {"document": identifier, "kind": row["kind"], "version": row["version"], "reason": reason}
        for study in session.rows_in("SELECT id, state FROM studies WHERE id IN {}", affected):
            change = (study["state"], study["state"])
            write_history(
                session, study_id=study["id"], event="document_invalidated", change=change, by=by, detail=detail
            )
        open_question(session, affected)
        return _uids(session, affected)


def check_known(catalog: Catalog, document: ImagingDocument, digest: str) -> None:
    """Raise what :func:`add` would raise, before anything is kept."""
    with catalog.read() as session:
        known(session, DOCUMENTS, document.oid, digest)


def _columns(document: ImagingDocument) -> dict[str, Any]:
    return {
        "set_id": document.set_id or document.oid,
        "version": document.version,
        "kind": document.kind,
        "patient_key": patient_key(document.patient_id),
        "ready": int(document.ready),
        "content": to_json(document),
        "identifier": document.oid,
    }


def _write(session: Session, present: Row | None, columns: dict[str, Any]) -> int:
    if present is None:
        return session.insert("documents", **columns, current=1)
    settings = ", ".join(f"{name} = ?" for name in columns)
    session.execute(f"UPDATE documents SET {settings} WHERE id = ?", *columns.values(), present["id"])
    session.execute("DELETE FROM document_registers WHERE document_id = ?", present["id"])
    return int(present["id"])


def _write_register(session: Session, document_id: int, document: ImagingDocument) -> None:
    session.execute(
        "INSERT INTO document_registers (document_id, keeper, register, specifier, service_event) "
        "VALUES (?, ?, ?, ?, ?)",
        document_id,
        document.register_keeper,
        document.register,
        document.register_specifier,
        document.service_event,
    )


def _references(document: ImagingDocument) -> list[tuple[str, str]]:
    return [
        *(("study", uid) for uid in document.study_uids),
        *(("accession", extension) for _, extension in document.accessions),
        *(("replaces", oid) for oid in document.replaces),
    ]


def _studies_of(session: Session, document_ids: Iterable[int]) -> list[int]:
    rows = session.rows_in("SELECT DISTINCT study_id FROM links WHERE document_id IN {}", document_ids)
    return [row["study_id"] for row in rows]


def _uids(session: Session, study_ids: Iterable[int]) -> tuple[str, ...]:
    rows = session.rows_in("SELECT uid FROM studies WHERE id IN {}", study_ids)
    return tuple(sorted(row["uid"] for row in rows))


def listing(catalog: Catalog) -> list[dict[str, Any]]:
    """Documents as JSON objects, the newest first; ``linked_by`` is null for one that no study has."""
    with catalog.read() as session:
        rows = session.rows(
            "SELECT d.*, (SELECT MAX(l.linked_by) FROM links l WHERE l.document_id = d.id) AS linked_by "
            "FROM documents d ORDER BY d.received_at DESC, d.id DESC"
        )
    return [shapes.document(row) for row in rows]


def show(catalog: Catalog, identifier: str) -> dict[str, Any]:
    """One document, by OID: its object with ``studies`` (UIDs), ``stored_as`` and ``content``, all that was read in it.

    Raises
    ------
    NotFoundError
        There is no such document.
    """
    with catalog.read() as session:
        row = session.one("SELECT * FROM documents WHERE identifier = ?", identifier)
        if row is None:
            raise NotFoundError("there is no such document")
        links = session.rows(
            "SELECT s.uid, l.linked_by FROM links l JOIN studies s ON s.id = l.study_id WHERE l.document_id = ? "
            "ORDER BY s.uid",
            row["id"],
        )
    linked_by = max((link["linked_by"] for link in links), default=None)
    return {
        **shapes.document({**row, "linked_by": linked_by}),
        "studies": [link["uid"] for link in links],
        "stored_as": row["stored_as"],
        "content": json.loads(row["content"]),
    }
