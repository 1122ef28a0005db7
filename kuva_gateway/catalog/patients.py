"""Patient ids that stand for others: a temporary id for a personal identity code, or one patient merged into another.

Promises that a link counts for every study that has the old id and has not been delivered, at once, and for every one
that comes later; that what was delivered is told of and not changed; and that several links lead on from one to the
next without going round in a circle.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from kuva_gateway.catalog.amended import amendments_of, changes_from_json, changes_to_json
from kuva_gateway.catalog.amendments import STUDY_ROW, may_be_amended, write
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.linked import FARTHEST, by_people, missing
from kuva_gateway.catalog.outbox import note
from kuva_gateway.catalog.records import FactSet, Linked, PatientLink
from kuva_gateway.catalog.session import Row, Session, moment
from kuva_gateway.catalog.states import write_history
from kuva_gateway.dicom.amendments import Amendment, Value, amended, issuer_of, patient_key
from kuva_gateway.dicom.header import Header, from_json
from kuva_gateway.errors import RefusedError


def link(catalog: Catalog, old: str, changes: Mapping[str, Value], *, issuer: str = "", by: str, reason: str) -> Linked:
    """Let ``changes`` (a new id with its issuer, a new name ...) count for the patient id ``old``; one transaction.

    ``issuer``: only where the old id is of this issuer, or tells none. The same link again changes nothing that the
    first did not. News of a person without a new id is kept only while a study is here that it concerns.

    Raises
    ------
    RefusedError
        Without ``issuer``, the old id is here from several.
    """
    key = patient_key(old)
    with catalog.write() as session:
        studies = _with_patient(session, key)
        if not issuer:
            _refuse_several(session, studies, key)
        if "PatientID" in changes or any(may_be_amended(study) for study in studies):
            _keep(session, key, issuer, changes, by, reason)
        done: list[str] = []
        late: list[str] = []
        for study in studies:
            wanted = _lacking(session, study)
            if wanted and may_be_amended(study):
                write(session, study, wanted)
                done.append(study["uid"])
            elif wanted and study["state"] not in ("removed", "withdrawn"):
                _tell_late(session, study, by, reason)
                late.append(study["uid"])
    return Linked(amended=tuple(done), delivered=tuple(late))


def _keep(session: Session, key: str, issuer: str, changes: Mapping[str, Value], by: str, reason: str) -> None:
    """Write the link down, unless it is the newest of its kind already; of news about a person the last is kept."""
    note(session, "link", key)
    told = changes_to_json(changes)
    alike = [
        row
        for row in session.rows("SELECT * FROM patient_links WHERE patient = ? AND issuer = ? ORDER BY id", key, issuer)
        if ("PatientID" in json.loads(row["changes"])) == ("PatientID" in changes)
    ]
    if alike and alike[-1]["changes"] == told:
        return
    if "PatientID" not in changes:
        session.change_in("DELETE FROM patient_links WHERE id IN {}", [row["id"] for row in alike])
    session.insert(
        "patient_links",
        patient=key,
        issuer=issuer,
        changes=told,
        actor=by,
        at=session.at,
        reason=reason,
    )


def _tell_late(session: Session, study: Row, by: str, reason: str) -> None:
    """What was delivered keeps its id until it is withdrawn; its history says that it should have another."""
    write_history(
        session,
        study_id=study["id"],
        event="linked_late",
        change=(study["state"], study["state"]),
        by=by,
        detail={"reason": reason, "why": "something was delivered with the old patient id: withdraw the study"},
    )


def _with_patient(session: Session, key: str) -> list[Row]:
    """Studies whose instances have the id: by their summary, and those with several patients by a look at each."""
    rows = session.rows(STUDY_ROW + "WHERE patient_key = ? ORDER BY id", key)
    seen = {row["id"] for row in rows}
    mixed = session.rows_in(
        STUDY_ROW + "WHERE id IN (SELECT f.study_id FROM findings f WHERE f.rule = 'PID-07') AND patient_key NOT IN {}",
        [key],
    )
    return rows + [
        row
        for row in mixed
        if row["id"] not in seen and any(patient_key(one.patient_id) == key for one in _headers(session, row["id"]))
    ]


def _headers(session: Session, study_id: int) -> list[Header]:
    amendments = amendments_of(session, [study_id]).get(study_id, ())
    rows = session.rows("SELECT facts FROM fact_sets WHERE study_id = ? ORDER BY id", study_id)
    return [amended(from_json(row["facts"]), amendments) for row in rows]


def _refuse_several(session: Session, studies: Sequence[Row], key: str) -> None:
    issuers = {
        issuer_of(header)
        for study in studies
        for header in _headers(session, study["id"])
        if patient_key(header.patient_id) == key
    } - {""}
    if len(issuers) > 1:
        raise RefusedError("the old id was given by several issuers: say which (--old-issuer)")


def _lacking(session: Session, study: Row) -> list[Amendment]:
    """The links' amendments that the study does not have yet."""
    amendments = amendments_of(session, [study["id"]]).get(study["id"], ())
    rows = session.rows("SELECT facts FROM fact_sets WHERE study_id = ? ORDER BY id", study["id"])
    headers = [from_json(row["facts"]) for row in rows]
    return list(missing(headers, amendments, _links(session, headers, amendments)))


def links_of(session: Session, received: Sequence[FactSet], amendments: Sequence[Amendment]) -> tuple[PatientLink, ...]:
    """The links of a study's patients, and those that these lead to; the oldest first."""
    return _links(session, [one.header for one in received], amendments)


def _links(session: Session, headers: Iterable[Header], amendments: Sequence[Amendment]) -> tuple[PatientLink, ...]:
    own = by_people(amendments)
    waiting = {patient_key(amended(header, own).patient_id) for header in headers} - {""}
    found: dict[int, PatientLink] = {}
    seen: set[str] = set()
    for _ in range(FARTHEST):
        waiting -= seen
        if not waiting:
            break
        seen |= waiting
        rows = session.rows_in("SELECT * FROM patient_links WHERE patient IN {} ORDER BY id", waiting)
        found.update({row["id"]: _link(row) for row in rows})
        waiting = {patient_key(str(one.changes.get("PatientID", ""))) for one in found.values()} - {""}
    return tuple(found[link_id] for link_id in sorted(found))


def _link(row: Row) -> PatientLink:
    return PatientLink(
        id=row["id"],
        patient=row["patient"],
        issuer=row["issuer"],
        changes=changes_from_json(row["changes"]),
        by=row["actor"],
        at=moment(row["at"]),
        reason=row["reason"],
    )
