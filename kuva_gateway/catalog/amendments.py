"""Amendments of studies: kept beside what was received, judged and shown as if it had come so, applied while sending.

Promises that an amendment is written together with its history and with everything that follows from it (the study's
summary, its links to documents, the open question), or not at all; and that nothing is amended of which something has
been delivered, unless it was withdrawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kuva_gateway.catalog.amended import changes_to_json
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.decisions import retry
from kuva_gateway.catalog.questions import open_question
from kuva_gateway.catalog.records import StudyView
from kuva_gateway.catalog.session import Row, Session, microseconds, moment
from kuva_gateway.catalog.states import GATEWAY, STUDY, apply, write_history
from kuva_gateway.catalog.summary import refresh_summaries
from kuva_gateway.dicom.amendments import AUTOMATIC, Amendment, Value, amended, unwritable
from kuva_gateway.dicom.header import from_json
from kuva_gateway.errors import NotFoundError, RefusedError, StateError

_GONE = (
    "(studies.delivered = 1 OR EXISTS (SELECT 1 FROM entries e WHERE e.study_id = studies.id "
    "AND e.state IN ('sending', 'sent', 'archived')) OR EXISTS (SELECT 1 FROM ledger l "
    "WHERE l.study_id = studies.id AND l.state IN ('sent', 'committed')))"
)
"""Something of the study has left, or is leaving now."""
STUDY_ROW = f"SELECT studies.*, CASE WHEN {_GONE} THEN 1 ELSE 0 END AS gone FROM studies "
_REOPENED = tuple(state for state, event in STUDY if event == "facts_changed")
_FOLLOWING = (*AUTOMATIC, "link")
"""Origins that are found anew at each verdict."""


def may_be_amended(study: Row) -> bool:
    """Whether nothing of the study has been delivered, or what was has been withdrawn; needs ``gone``."""
    return study["state"] == "withdrawn" or (study["state"] != "removed" and not study["gone"])


def amend(catalog: Catalog, uid: str, changes: Mapping[str, Value], *, by: str, reason: str) -> None:
    """A person's amendment of every instance of a study, those that still come included; the study is judged again.

    Raises
    ------
    NotFoundError
        There is no study with this UID.
    StateError
        Something of it has been delivered.
    RefusedError
        A value cannot be written in the character set of an instance.
    """
    with catalog.write() as session:
        study = session.one(STUDY_ROW + "WHERE uid = ?", uid)
        if study is None:
            raise NotFoundError("there is no study with this UID")
        if study["state"] == "removed":
            raise StateError("the study was removed")
        if not may_be_amended(study):
            raise StateError(
                "something of the study was delivered: withdraw it first (studies withdraw), and send a new study"
            )
        one = Amendment(changes=dict(changes), origin="person", by=by, at=moment(session.at), reason=reason)
        for row in session.rows("SELECT facts FROM fact_sets WHERE study_id = ?", study["id"]):
            if lacking := unwritable(from_json(row["facts"]), [one]):
                raise RefusedError(f"the character set of the study cannot hold the value for {', '.join(lacking)}")
        write(session, study, [one])
        for entry in session.rows(
            "SELECT id FROM entries WHERE study_id = ? AND revision = ? AND state = 'failed'",
            study["id"],
            study["revision"],
        ):
            retry(catalog, [entry["id"]], by=by, reason=reason)


def write(session: Session, study: Row, amendments: Sequence[Amendment]) -> None:
    """Add amendments to a study, and all that follows from them."""
    for one in amendments:
        _insert(session, study, one)
        _tell(session, study, "amended", one)
    _follow(session, study)


def _insert(session: Session, study: Row, one: Amendment) -> None:
    session.insert(
        "amendments",
        study_id=study["id"],
        origin=one.origin,
        revision=study["revision"],
        patient=one.patient,
        issuer=one.issuer,
        where_absent=one.where_absent,
        changes=changes_to_json(one.changes),
        actor=one.by,
        at=microseconds(one.at),
        reason=one.reason,
    )


def _tell(session: Session, study: Row, event: str, one: Amendment) -> None:
    """History names the attributes; values that may be a patient's stand in the amendment alone."""
    detail = {"revision": study["revision"], "origin": one.origin, "attributes": sorted(one.changes)}
    write_history(
        session,
        study_id=study["id"],
        event=event,
        change=(study["state"], study["state"]),
        by=one.by if event == "amended" else GATEWAY,
        detail={**detail, "reason": one.reason},
    )


def _follow(session: Session, study: Row) -> None:
    """Summary and links anew; nothing of it may leave before it is judged anew, a release is of the values before."""
    refresh_summaries(session, [study["id"]])
    open_question(session, [study["id"]])
    if study["state"] in _REOPENED:
        apply(session, "study", study["id"], "facts_changed", judge=1, released_revision=None)


def replace_following(catalog: Catalog, view: StudyView, wanted: Sequence[Amendment]) -> bool:
    """Make ``wanted`` the study's links and amendments by configuration; False: they were that, or it is too late.

    Of a study of which something was delivered nothing is taken back, and only added what changes none of that: an
    instance that comes late may need what the others did not.
    """
    present = {_content(one): one for one in view.amendments if one.origin in _FOLLOWING}
    asked = {_content(one): one for one in wanted}
    if present.keys() == asked.keys():
        return False
    added = [one for content, one in asked.items() if content not in present]
    dropped = [one for content, one in present.items() if content not in asked]
    with catalog.write() as session:
        study = session.one(STUDY_ROW + "WHERE uid = ?", view.study.study_instance_uid)
        known = (view.revision, view.facts_version)
        if study is None or (study["revision"], study["facts_version"]) != known:
            return False
        if not may_be_amended(study):
            dropped = []
            if not added or not _leaves_the_old(session, study, view.amendments, added):
                return False
        for one in dropped:
            session.execute(f"DELETE FROM amendments WHERE study_id = ? AND {_CONTENT}", study["id"], *_content(one))
            _tell(session, study, "amendment_dropped", one)
        write(session, study, added)
    return True


def _leaves_the_old(session: Session, study: Row, present: Sequence[Amendment], added: Sequence[Amendment]) -> bool:
    """Whether the amendments change nothing of the instances that were on their way before."""
    if study["state"] not in ("settled", "held"):
        return False
    rows = session.rows(
        "SELECT DISTINCT f.id, f.facts FROM ledger l JOIN instances i ON i.id = l.instance_id "
        "JOIN fact_sets f ON f.id = i.fact_set_id WHERE l.study_id = ?",
        study["id"],
    )
    headers = [from_json(row["facts"]) for row in rows]
    return all(amended(one, present) == amended(one, [*present, *added]) for one in headers)


_CONTENT = "origin = ? AND changes = ? AND patient = ? AND issuer = ? AND where_absent = ?"


def _content(one: Amendment) -> tuple[str, ...]:
    return one.origin, changes_to_json(one.changes), one.patient, one.issuer, one.where_absent
