"""Findings that only the indexer can make, because it sees every object once: DUP-01, UID-02, QUA-02."""

from __future__ import annotations

from kuva_gateway.catalog.questions import open_question
from kuva_gateway.catalog.session import Session


class Observed:
    """The findings of one batch."""

    def __init__(self) -> None:
        self._rows: dict[tuple[int, str, str, str], tuple[str, str]] = {}

    def add(
        self, study_id: int, rule: str, severity: str, where: str, sop_instance_uid: str = "", other_uid: str = ""
    ) -> None:
        """Note a finding; the last one of a study, rule and object counts."""
        self._rows[study_id, rule, sop_instance_uid, other_uid] = (severity, where)

    def write(self, session: Session, *, apart_from: set[int]) -> None:
        """Write the findings; studies but those ``apart_from`` (which are in motion anyway) are judged again."""
        session.many(
            "INSERT INTO observed_findings (study_id, rule, sop_instance_uid, other_uid, severity, place, at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (study_id, rule, sop_instance_uid, other_uid) "
            "DO UPDATE SET severity = excluded.severity, place = excluded.place, at = excluded.at",
            [(*key, *said, session.at) for key, said in self._rows.items()],
        )
        others = {key[0] for key in self._rows} - apart_from
        if others:
            open_question(session, others)
