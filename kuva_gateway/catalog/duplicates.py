"""Several objects with one SOP Instance UID: which of them counts (DUP-01, UID-02)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from kuva_gateway.catalog.session import Session

Policy = Literal["newest", "first"]


@dataclass(slots=True)
class Known:
    """An object that is here already and bears the UID."""

    id: int
    study_id: int
    study_uid: str
    series_id: int
    size: int
    current: bool
    new_row: int | None
    """Its place among the batch's new rows; None: it is in the database."""


class Judged(NamedTuple):
    """What becomes of a new object."""

    current: bool
    held: bool
    severity: str
    """Of DUP-01; "" when there is nothing to say."""
    gives_way: Known | None
    elsewhere: tuple[Known, ...]
    """Objects with the same UID in another study or series (UID-02)."""


def judge(
    same: Sequence[Known],
    *,
    study_id: int,
    series_id: int,
    duplicates: Policy,
    delivered: Callable[[Known], bool],
) -> Judged:
    """What becomes of a new object that other bytes share the SOP Instance UID with.

    Before delivery ``duplicates`` decides; after delivery the object that was delivered stays, and the new one is held.
    """
    elsewhere = tuple(known for known in same if (known.study_id, known.series_id) != (study_id, series_id))
    here = [known for known in same if (known.study_id, known.series_id) == (study_id, series_id)]
    if not here:
        return Judged(True, False, "", None, elsewhere)
    if any(delivered(known) for known in here):
        return Judged(False, True, "hold", None, elsewhere)
    if duplicates == "first":
        return Judged(False, False, "warning", None, elsewhere)
    gives_way = next((known for known in here if known.current), None)
    return Judged(True, False, "warning", gives_way, elsewhere)


def is_delivered(session: Session, known: Known) -> bool:
    """Has the object gone to some destination, or may it be on its way at this moment?"""
    return bool(
        session.value(
            "SELECT 1 FROM ledger l WHERE l.instance_id = ? AND (l.state IN ('sent', 'committed') "
            "OR (l.state = 'pending' AND EXISTS (SELECT 1 FROM entries e WHERE e.study_id = l.study_id "
            "AND e.destination = l.destination AND e.state = 'sending'))) LIMIT 1",
            known.id,
        )
    )
