"""What opens the question of a study again: its facts have changed after it was judged, or a day has come.

A verdict may carry the next local day on which it may read otherwise though no fact has changed (a content class opens,
an authorization begins or ends). It is kept with the study, so that a day costs only the studies that wait for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Final

from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.session import Session

BEGUN = (
    "(EXISTS (SELECT 1 FROM entries e WHERE e.study_id = studies.id AND e.revision = studies.revision "
    "AND e.state IN ('sending', 'sent', 'archived')) "
    "OR EXISTS (SELECT 1 FROM ledger l WHERE l.study_id = studies.id AND l.revision = studies.revision "
    "AND l.state IN ('sent', 'committed')))"
)
"""Something of the study's present revision is on its way: too late to stop it."""
SENDING = (
    "EXISTS (SELECT 1 FROM entries e WHERE e.study_id = studies.id AND e.revision = studies.revision "
    "AND e.state = 'sending')"
)
"""An attempt runs, which may yet end with nothing sent: then it is not too late."""
SENT = BEGUN.replace("'sending', ", "")
"""Something of the study's present revision has been sent."""


AT_ONCE: Final = 2000
"""Studies whose question one transaction opens for a day that has come; the rest follows in the next."""
_OPEN: Final = "state IN ('settled', 'held', 'accepted')"


def open_question(session: Session, study_ids: Iterable[int]) -> int:
    """Facts of these studies have changed: judge them again where a verdict can still change something.

    A verdict that is being formed on the older facts is discarded. While an attempt runs of which nothing is sent yet,
    the question waits for its end. Returns how many studies will be judged.
    """
    ids = sorted(set(study_ids))
    session.change_in("UPDATE studies SET facts_version = facts_version + 1 WHERE id IN {}", ids)
    return session.change_in(
        "UPDATE studies SET judge = 1 WHERE (state IN ('settled', 'held') OR (state = 'accepted' "
        f"AND (released_revision IS NULL OR released_revision <> revision) AND NOT {SENT})) AND id IN {{}}",
        ids,
    )


def open_due(catalog: Catalog, today: date) -> int:
    """Judge again the studies whose day has come; returns how many were looked at, at most :data:`AT_ONCE`."""
    day = today.isoformat()
    due = "SELECT id FROM studies WHERE look_again_on <= ? ORDER BY look_again_on LIMIT ?"
    with catalog.read() as session:
        if session.value(due, day, 1) is None:
            return 0
    with catalog.write() as session:
        ids = [row["id"] for row in session.rows(due, day, AT_ONCE)]
        session.change_in("UPDATE studies SET look_again_on = NULL WHERE id IN {}", ids)
        open_question(session, ids)
    return len(ids)


def judged_by(catalog: Catalog, digest: str) -> int:
    """From now on studies are judged by what has this digest; returns how many are judged again because it is new.

    ``digest`` is that of everything besides a study's facts that its verdict depends on: configuration and tables.
    """
    with catalog.read() as session:
        if session.value("SELECT digest FROM practices WHERE id = 1") == digest:
            return 0
    with catalog.write() as session:
        session.execute("DELETE FROM practices WHERE id = 1")
        session.execute("INSERT INTO practices (id, digest) VALUES (1, ?)", digest)
        return open_all(session)


def open_all(session: Session) -> int:
    """Judge every study again on which nothing final was decided and of which nothing is on its way."""
    return open_question(session, [row["id"] for row in session.rows(f"SELECT id FROM studies WHERE {_OPEN}")])
