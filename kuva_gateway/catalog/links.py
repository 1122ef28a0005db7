"""Which documents belong to which studies: by Study Instance UID, else by accession number and patient.

Links are made when a document comes and when a study comes, whichever is second. A document that is superseded stays
linked and is no longer current; only an amendment of the study's own accession number or patient takes links away.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kuva_gateway.catalog.session import Session
from kuva_gateway.dicom.amendments import patient_key

__all__ = ["Identified", "link_document", "link_studies", "patient_key", "unlink_others"]


class Identified(NamedTuple):
    """What of a study documents name."""

    id: int
    uid: str
    accession_number: str
    patient_key: str


def link_document(session: Session, document_id: int) -> list[int]:
    """Link a document to the studies that are here; returns the ids of studies newly linked."""
    by_uid = session.rows(
        "SELECT s.id FROM document_references r JOIN studies s ON s.uid = r.value "
        "WHERE r.document_id = ? AND r.what = 'study'",
        document_id,
    )
    by_accession = session.rows(
        "SELECT s.id FROM document_references r JOIN documents d ON d.id = r.document_id "
        "JOIN studies s ON s.accession_number = r.value AND s.patient_key = d.patient_key "
        "WHERE r.document_id = ? AND r.what = 'accession' AND d.patient_key <> ''",
        document_id,
    )
    return _link(
        session,
        [(row["id"], document_id, "study_uid") for row in by_uid]
        + [(row["id"], document_id, "accession") for row in by_accession],
    )


def link_studies(session: Session, studies: Sequence[Identified]) -> None:
    """Link studies to the documents that are here."""
    named: dict[tuple[str, str], list[int]] = {}
    for row in session.rows_in(
        "SELECT value, document_id FROM document_references WHERE what = 'study' AND value IN {}",
        {study.uid for study in studies},
    ):
        named.setdefault((row["value"], ""), []).append(row["document_id"])
    for row in session.rows_in(
        "SELECT r.value, r.document_id, d.patient_key FROM document_references r JOIN documents d "
        "ON d.id = r.document_id WHERE r.what = 'accession' AND d.patient_key <> '' AND r.value IN {}",
        {study.accession_number for study in studies if study.accession_number and study.patient_key},
    ):
        named.setdefault((row["value"], row["patient_key"]), []).append(row["document_id"])
    _link(
        session,
        [
            (study.id, document_id, linked_by)
            for study in studies
            for linked_by, key in (
                ("study_uid", (study.uid, "")),
                ("accession", (study.accession_number, study.patient_key)),
            )
            if linked_by == "study_uid" or study.patient_key
            for document_id in named.get(key, ())
        ],
    )


def unlink_others(session: Session, study_id: int, accession_number: str, patient: str) -> None:
    """Take away the study's links by accession number that do not hold for this accession number and patient."""
    session.execute(
        "DELETE FROM links WHERE study_id = ? AND linked_by = 'accession' AND NOT EXISTS (SELECT 1 "
        "FROM document_references r JOIN documents d ON d.id = r.document_id WHERE r.document_id = links.document_id "
        "AND r.what = 'accession' AND r.value = ? AND d.patient_key = ?)",
        study_id,
        accession_number,
        patient,
    )


def _link(session: Session, wanted: list[tuple[int, int, str]]) -> list[int]:
    """Make the links that are not there, the first way of linking a pair first; returns studies with a new link."""
    linked = []
    for study_id, document_id, linked_by in wanted:
        made = session.change(
            "INSERT INTO links (study_id, document_id, linked_by, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            study_id,
            document_id,
            linked_by,
            session.at,
        )
        if made:
            linked.append(study_id)
    return linked
