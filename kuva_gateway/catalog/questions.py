"""What opens the question of a study again: its facts have changed after it was judged."""

from __future__ import annotations

from collections.abc import Iterable

from kuva_gateway.catalog.session import Session

BEGUN = (
    "(EXISTS (SELECT 1 FROM entries e WHERE e.study_id = studies.id AND e.revision = studies.revision "
    "AND e.state IN ('sending', 'sent', 'archived')) "
    "OR EXISTS (SELECT 1 FROM ledger l WHERE l.study_id = studies.id AND l.revision = studies.revision "
    "AND l.state IN ('sent', 'committed')))"
)
"""Something of the study's present revision is on its way: too late to stop it."""


def open_question(session: Session, study_ids: Iterable[int]) -> int:
    """Facts of these studies have changed: judge them again where a verdict can still change something.

    A verdict that is being formed on the older facts is discarded. Returns how many studies will be judged.
    """
    ids = sorted(set(study_ids))
    session.change_in("UPDATE studies SET facts_version = facts_version + 1 WHERE id IN {}", ids)
    return session.change_in(
        "UPDATE studies SET judge = 1 WHERE (state IN ('settled', 'held') OR (state = 'accepted' "
        f"AND (released_revision IS NULL OR released_revision <> revision) AND NOT {BEGUN})) AND id IN {{}}",
        ids,
    )
