"""Studies: what is here and what its verdict depends on; verdicts, decisions and the story stand in modules beside."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from kuva_gateway.catalog import shapes
from kuva_gateway.catalog.amended import amended_sets, amendments_of
from kuva_gateway.catalog.amendments import amend, replace_following
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.documents import from_json as document_from_json
from kuva_gateway.catalog.links import patient_key
from kuva_gateway.catalog.patients import links_of
from kuva_gateway.catalog.questions import SENDING, SENT, judged_by, open_due
from kuva_gateway.catalog.records import (
    FactSet,
    InstanceFinding,
    LinkedDocument,
    Neighbour,
    PatientLink,
    Rejection,
    StudyRecord,
    StudyView,
    Unsettled,
)
from kuva_gateway.catalog.removal import remove_study
from kuva_gateway.catalog.session import Row, Session, microseconds, moment
from kuva_gateway.catalog.states import apply
from kuva_gateway.catalog.story import trace
from kuva_gateway.catalog.verdicts import recheck, record_verdict, reject, release
from kuva_gateway.dicom.amendments import Amendment
from kuva_gateway.dicom.header import from_json
from kuva_gateway.errors import NotFoundError

__all__ = [
    "amend",
    "find",
    "judged_by",
    "listing",
    "open_due",
    "recheck",
    "record_verdict",
    "reject",
    "release",
    "remove_study",
    "replace_following",
    "settle",
    "show",
    "to_judge",
    "trace",
    "unsettled",
    "view",
]


MOST_NEIGHBOURS = 100
"""Studies and documents with another separator that are told of."""
HETU_LENGTH = 11


def find(catalog: Catalog, uid: str) -> StudyRecord | None:
    """The study, or None."""
    with catalog.read() as session:
        row = session.one("SELECT * FROM studies WHERE uid = ?", uid)
    return None if row is None else _record(row)


def _record(row: Row) -> StudyRecord:
    return StudyRecord(
        id=row["id"],
        study_instance_uid=row["uid"],
        state=row["state"],
        revision=row["revision"],
        facts_version=row["facts_version"],
        patient_id=row["patient_id"],
        accession_number=row["accession_number"],
        study_date=row["study_date"],
        modalities=tuple(json.loads(row["modalities"])),
        procedure_code=row["procedure_code"],
        series=row["series"],
        instances=row["instances"],
        bytes=row["bytes"],
        peer=row["peer"],
        first_arrival=moment(row["first_arrival"]),
        last_arrival=moment(row["last_arrival"]),
        delivered=bool(row["delivered"]),
    )


def listing(
    catalog: Catalog,
    *,
    state: str | None = None,
    rule: str | None = None,
    peer: str | None = None,
    accession: str | None = None,
    since: datetime | None = None,
    limit: int = 1000,
) -> list[dict[str, Any]]:
    """Studies as JSON objects, the newest arrival first.

    ``rule``: studies with a finding by it in their present revision; ``since``: with a receipt at that time or later.
    """
    conditions: list[str] = []
    values: list[Any] = []
    for column, value in (("state", state), ("peer", peer), ("accession_number", accession)):
        if value is not None:
            conditions.append(f"s.{column} = ?")
            values.append(value)
    if since is not None:
        conditions.append("s.last_arrival >= ?")
        values.append(microseconds(since))
    if rule is not None:
        conditions.append(
            "s.id IN (SELECT f.study_id FROM findings f JOIN studies p ON p.id = f.study_id "
            "AND p.revision = f.revision WHERE f.rule = ?)"
        )
        values.append(rule)
    where = "WHERE " + " AND ".join(conditions) if conditions else ""
    with catalog.read() as session:
        rows = session.rows(
            f"SELECT s.* FROM studies s {where} ORDER BY s.last_arrival DESC, s.id DESC LIMIT ?", *values, limit
        )
        return shapes.studies(session, rows)


def show(catalog: Catalog, uid: str) -> dict[str, Any]:
    """One study as a JSON object.

    Raises
    ------
    NotFoundError
        There is no study with this UID.
    """
    with catalog.read() as session:
        return shapes.studies(session, [_row(session, uid)])[0]


def _row(session: Session, uid: str) -> Row:
    row = session.one("SELECT * FROM studies WHERE uid = ?", uid)
    if row is None:
        raise NotFoundError("there is no study with this UID")
    return row


def unsettled(catalog: Catalog, now: datetime, settle_after: timedelta, settle_at_most: timedelta) -> list[Unsettled]:
    """Studies in ``receiving`` whose last receipt is older than ``settle_after``, or whose first receipt of this
    revision is older than ``settle_at_most`` (``overdue``); the quietest first."""
    latest = microseconds(now - settle_at_most)
    with catalog.read() as session:
        rows = session.rows(
            "SELECT uid, revision, last_arrival, receiving_since FROM studies WHERE state = 'receiving' "
            "AND (last_arrival <= ? OR receiving_since <= ?) ORDER BY last_arrival",
            microseconds(now - settle_after),
            latest,
        )
    return [
        Unsettled(row["uid"], row["revision"], moment(row["last_arrival"]), row["receiving_since"] <= latest)
        for row in rows
    ]


def settle(catalog: Catalog, uid: str, revision: int, last_arrival: datetime | None = None) -> bool:
    """receiving -> settled; False if the study is no longer in ``receiving`` at ``revision``.

    With ``last_arrival`` also False if something has arrived since then.
    """
    with catalog.write() as session:
        row = session.one("SELECT id, state, revision, last_arrival FROM studies WHERE uid = ?", uid)
        if row is None or row["state"] != "receiving" or row["revision"] != revision:
            return False
        if last_arrival is not None and row["last_arrival"] != microseconds(last_arrival):
            return False
        apply(session, "study", row["id"], "settled", detail={"revision": revision}, judge=1)
    return True


def to_judge(catalog: Catalog, limit: int) -> list[str]:
    """UIDs of studies to judge, the longest waiting first: settled ones, and held or accepted ones whose facts have
    changed (an accepted one only while nothing of its revision has begun and no person has released it)."""
    with catalog.read() as session:
        rows = session.rows(
            # Joined to nothing, so that no planner takes the index of states, which has every held study.
            "SELECT uid FROM studies WHERE judge = 1 AND state || '' IN ('settled', 'held', 'accepted') "
            f"AND NOT (state || '' = 'accepted' AND NOT {SENT} AND {SENDING}) "
            "ORDER BY last_arrival LIMIT ?",
            limit,
        )
    return [row["uid"] for row in rows]


def view(catalog: Catalog, uid: str) -> StudyView:
    """Everything that the study's verdict depends on, as of one moment.

    Raises
    ------
    NotFoundError
        There is no study with this UID.
    """
    with catalog.read() as session:
        row = _row(session, uid)
        study = _record(row)
        received = _facts(session, study.id)
        amendments, links = _changed(session, study, received)
        return StudyView(
            study=study,
            facts=amended_sets(received, amendments),
            documents=_documents(session, study.id),
            instance_findings=_observed(session, study.id),
            revision=study.revision,
            facts_version=study.facts_version,
            delivered=study.delivered,
            rejection=_rejection(row),
            received=received,
            amendments=amendments,
            links=links,
            neighbours=_neighbours(session, study),
        )


def _neighbours(session: Session, study: StudyRecord) -> tuple[Neighbour, ...]:
    """Studies and documents with the study's accession number whose patient id differs in the seventh character alone:
    there a personal identity code has its separator."""
    key = patient_key(study.patient_id)
    if not study.accession_number or len(key) != HETU_LENGTH:
        return ()
    differs = "{0}.patient_key <> ? AND SUBSTR({0}.patient_key, 1, 6) = ? AND SUBSTR({0}.patient_key, 8) = ?"
    values = (study.accession_number, key, key[:6], key[7:])
    rows = session.rows(
        "SELECT 'study' AS what, s.uid AS uid, s.patient_key FROM studies s "
        f"WHERE s.accession_number = ? AND {differs.format('s')} UNION ALL "
        "SELECT 'document', d.identifier, d.patient_key FROM document_references r "
        "JOIN documents d ON d.id = r.document_id "
        f"WHERE r.what = 'accession' AND r.value = ? AND {differs.format('d')} AND d.current = 1 LIMIT ?",
        *values,
        *values,
        MOST_NEIGHBOURS,
    )
    return tuple(Neighbour(what=row["what"], uid=row["uid"], patient_key=row["patient_key"]) for row in rows)


def _changed(
    session: Session, study: StudyRecord, received: tuple[FactSet, ...]
) -> tuple[tuple[Amendment, ...], tuple[PatientLink, ...]]:
    """The study's amendments and links; for most studies, which have neither, one question to the database."""
    key = patient_key(study.patient_id)
    there = session.one(
        "SELECT CASE WHEN EXISTS (SELECT 1 FROM amendments WHERE study_id = ?) THEN 1 ELSE 0 END AS amended, "
        "CASE WHEN EXISTS (SELECT 1 FROM patient_links WHERE patient = ?) THEN 1 ELSE 0 END AS linked",
        study.id,
        key,
    )
    assert there is not None
    one_patient = all(patient_key(one.header.patient_id) == key for one in received)
    if not there["amended"] and not there["linked"] and one_patient:
        return (), ()
    amendments = amendments_of(session, [study.id]).get(study.id, ())
    return amendments, links_of(session, received, amendments)


def _rejection(row: Row) -> Rejection | None:
    if row["rejected_at"] is None:
        return None
    return Rejection(by=row["rejected_by"], at=moment(row["rejected_at"]), reason=row["rejected_reason"])


def _facts(session: Session, study_id: int) -> tuple[FactSet, ...]:
    """The fact sets that current instances refer to; held ones are not judged, they never go."""
    peers: dict[int, list[str]] = {}
    for row in session.rows(
        "SELECT DISTINCT fact_set_id, peer FROM instances WHERE study_id = ? AND current = 1 ORDER BY peer", study_id
    ):
        peers.setdefault(row["fact_set_id"], []).append(row["peer"])
    rows = session.rows(
        "SELECT f.id, f.facts, COUNT(*) AS n, MIN(i.uid) AS example FROM fact_sets f "
        "JOIN instances i ON i.fact_set_id = f.id AND i.current = 1 AND i.study_id = f.study_id "
        "WHERE f.study_id = ? GROUP BY f.id, f.facts ORDER BY f.id",
        study_id,
    )
    return tuple(
        FactSet(
            header=from_json(row["facts"]),
            instances=row["n"],
            example_sop_instance_uid=row["example"],
            peers=tuple(peers[row["id"]]),
        )
        for row in rows
    )


def _documents(session: Session, study_id: int) -> tuple[LinkedDocument, ...]:
    rows = session.rows(
        "SELECT d.content, d.current, d.received_at, l.linked_by FROM links l JOIN documents d ON d.id = l.document_id "
        "WHERE l.study_id = ? ORDER BY d.received_at, d.id",
        study_id,
    )
    return tuple(
        LinkedDocument(
            document=document_from_json(row["content"]),
            current=bool(row["current"]),
            linked_by=row["linked_by"],
            received_at=moment(row["received_at"]),
        )
        for row in rows
    )


def _observed(session: Session, study_id: int) -> tuple[InstanceFinding, ...]:
    rows = session.rows(
        "SELECT rule, severity, place, sop_instance_uid, other_uid FROM observed_findings "
        "WHERE study_id = ? ORDER BY id",
        study_id,
    )
    return tuple(
        InstanceFinding(
            rule=row["rule"],
            severity=row["severity"],
            where=row["place"],
            sop_instance_uid=row["sop_instance_uid"],
            other_uid=row["other_uid"],
        )
        for row in rows
    )
