"""Findings that delivery makes: a study passed, and a destination did not take it as it is.

They stand beside the verdict's own findings of the same revision until the destination has taken the study after all,
or the study is judged again.
"""

from __future__ import annotations

from collections.abc import Sequence

from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.records import FindingLike


def note(catalog: Catalog, entry_id: int, rule: str, where: str, findings: Sequence[FindingLike]) -> None:
    """Make ``findings`` the only ones of this rule and place on the entry's study and revision; () takes them away."""
    with catalog.write() as session:
        row = session.one("SELECT study_id, revision FROM entries WHERE id = ?", entry_id)
        if row is None:
            return
        session.execute(
            "DELETE FROM findings WHERE study_id = ? AND revision = ? AND rule = ? AND place = ?",
            row["study_id"],
            row["revision"],
            rule,
            where,
        )
        session.many(
            "INSERT INTO findings (study_id, revision, rule, severity, place, message, remedy) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (row["study_id"], row["revision"], one.rule, one.severity, one.where, one.message, one.remedy)
                for one in findings
            ],
        )
