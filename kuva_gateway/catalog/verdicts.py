"""Verdicts and a person's decisions on studies."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import date
from typing import Any

from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.plans import plan_entries
from kuva_gateway.catalog.questions import BEGUN, SENT, open_question
from kuva_gateway.catalog.records import DestinationPlan, FindingLike, StudyView
from kuva_gateway.catalog.rejections import release as release_notes
from kuva_gateway.catalog.routing import traits_of
from kuva_gateway.catalog.session import Row, Session
from kuva_gateway.catalog.states import Events, apply, apply_all
from kuva_gateway.errors import NotFoundError


def record_verdict(
    catalog: Catalog,
    view: StudyView,
    passed: bool,
    findings: Sequence[FindingLike],
    destinations: Sequence[DestinationPlan],
    *,
    look_again_on: date | None = None,
    content_classes: Collection[str] = (),
) -> bool:
    """Write the verdict on ``view``: findings, state, and for a study that passed entries and ledger.

    On the local day ``look_again_on`` the study is judged again, though no fact may have changed.

    A study that was rejected in an older revision is held again, with that reason shown, however the verdict reads.
    Returns False, and changes nothing, when revision or facts have moved on since the view was taken, or nothing can
    be decided any more. The same verdict again writes no findings and no history.
    """
    with catalog.write() as session:
        study = session.one(
            f"SELECT studies.*, CASE WHEN {BEGUN} THEN 1 ELSE 0 END AS begun, "
            f"CASE WHEN {SENT} THEN 1 ELSE 0 END AS sent FROM studies WHERE uid = ?",
            view.study.study_instance_uid,
        )
        if study is None or (study["revision"], study["facts_version"]) != (view.revision, view.facts_version):
            return False
        if study["state"] not in ("settled", "held", "accepted"):
            return False
        if study["state"] == "accepted" and study["begun"] and not study["sent"]:
            return False  # the question stays open until the attempt that runs has ended
        judged: dict[str, Any] = {
            "judge": 0,
            "look_again_on": None if look_again_on is None else look_again_on.isoformat(),
            "content_classes": json.dumps(sorted(content_classes)),
        }
        undecided = study["state"] == "accepted" and (study["begun"] or study["released_revision"] == study["revision"])
        events = () if undecided else _events(session, study, passed, findings)
        if not events:
            settings = ", ".join(f"{name} = ?" for name in judged)
            session.execute(f"UPDATE studies SET {settings} WHERE id = ?", *judged.values(), study["id"])
            return not undecided
        apply_all(session, "study", study["id"], events, row=study, **judged)
        if passed:
            plan_entries(session, study, destinations, traits_of(view.received, content_classes))
    return True


def _events(session: Session, study: Row, passed: bool, findings: Sequence[FindingLike]) -> Events:
    """Findings are written; what happens to the study by them, nothing if they were that already."""
    changed = _replace_findings(session, study, findings)
    if study["state"] == ("accepted" if passed else "held") and (passed or not changed):
        return ()
    rules = sorted({finding.rule for finding in findings if finding.severity in ("refuse", "hold")})
    detail = {"revision": study["revision"], "rules": rules}
    verdict = ("passed" if passed else "failed", detail)
    return (verdict,) if study["state"] == "settled" else (("facts_changed", None), verdict)


def _replace_findings(session: Session, study: Row, findings: Sequence[FindingLike]) -> bool:
    """Make these the findings of the present revision; False if they were that already."""
    wanted = [(one.rule, one.severity, one.where, one.message, one.remedy) for one in findings]
    present = session.rows(
        "SELECT rule, severity, place, message, remedy FROM findings WHERE study_id = ? AND revision = ? ORDER BY id",
        study["id"],
        study["revision"],
    )
    if wanted == [tuple(row.values()) for row in present]:
        return False
    session.execute("DELETE FROM findings WHERE study_id = ? AND revision = ?", study["id"], study["revision"])
    session.many(
        "INSERT INTO findings (study_id, revision, rule, severity, place, message, remedy) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(study["id"], study["revision"], *one) for one in wanted],
    )
    return True


def _study(session: Session, uid: str) -> Row:
    row = session.one("SELECT * FROM studies WHERE uid = ?", uid)
    if row is None:
        raise NotFoundError("there is no study with this UID")
    return row


def release(catalog: Catalog, uid: str, *, by: str, reason: str, destinations: Sequence[DestinationPlan]) -> None:
    """held -> accepted in spite of its findings, for the present revision only.

    Raises
    ------
    StateError
        The study is not held.
    NotFoundError
        There is no study with this UID.
    """
    with catalog.write() as session:
        study = _study(session, uid)
        apply(
            session,
            "study",
            study["id"],
            "released",
            by=by,
            detail={"reason": reason, "revision": study["revision"], "overrides": _holding(session, study)},
            judge=0,
            released_revision=study["revision"],
            rejected_at=None,
            rejected_by=None,
            rejected_reason=None,
        )
        session.execute(
            "UPDATE findings SET overridden_at = ?, overridden_by = ?, overridden_reason = ? "
            "WHERE study_id = ? AND revision = ? AND severity IN ('refuse', 'hold')",
            session.at,
            by,
            reason,
            study["id"],
            study["revision"],
        )
        release_notes(session, study["id"])
        plan_entries(session, study, destinations)


def _holding(session: Session, study: Row) -> list[str]:
    """The rules whose findings hold the study's present revision."""
    rows = session.rows(
        "SELECT DISTINCT rule FROM findings WHERE study_id = ? AND revision = ? AND severity IN ('refuse', 'hold') "
        "ORDER BY rule",
        study["id"],
        study["revision"],
    )
    return [row["rule"] for row in rows]


def reject(catalog: Catalog, uid: str, *, by: str, reason: str) -> None:
    """held -> rejected: it never goes, and it is kept.

    Raises
    ------
    StateError
        The study is not held.
    NotFoundError
        There is no study with this UID.
    """
    with catalog.write() as session:
        apply(
            session,
            "study",
            _study(session, uid)["id"],
            "rejected",
            by=by,
            detail={"reason": reason},
            judge=0,
            rejected_at=session.at,
            rejected_by=by,
            rejected_reason=reason,
        )


def recheck(catalog: Catalog, uids: Iterable[str] | None) -> int:
    """Open the question of these studies (None: of every held one) again; returns how many will be judged."""
    with catalog.write() as session:
        if uids is None:
            rows = session.rows("SELECT id FROM studies WHERE state = 'held'")
        else:
            rows = session.rows_in("SELECT id FROM studies WHERE uid IN {}", uids)
        return open_question(session, [row["id"] for row in rows])
