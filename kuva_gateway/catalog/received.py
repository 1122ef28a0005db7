"""Amended studies as they were received, for peers with ``as_received``: kept beside them, and seen in their place.

Keeps a row for each study that has amendments, made anew whenever its summary is.
"""

from __future__ import annotations

from collections.abc import Sequence

from kuva_gateway.catalog.described import COLUMNS as DESCRIBED
from kuva_gateway.catalog.described import describe
from kuva_gateway.catalog.models import Study
from kuva_gateway.catalog.session import Session
from kuva_gateway.dicom.header import Header

COLUMNS = (
    "patient_id",
    "accession_number",
    "patient_name",
    "name_key",
    "name_accents",
    "name_other",
    "birth_date",
    "sex",
    "issuer_of_patient_id",
    "description",
    "procedure_codes",
)
"""Columns of studies that amendments change."""

NOT_AMENDED = "NOT EXISTS (SELECT 1 FROM received_studies r WHERE r.study_id = s.id)"

_ALL = ", ".join(f"{'r' if name in COLUMNS else 't'}.{name} AS {name}" for name in Study._meta.columns)
AMENDED = f"(SELECT {_ALL} FROM received_studies r JOIN studies t ON t.id = r.study_id) s"
"""Amended studies ``s``, with what they said when they were received."""


def value_of(column: str) -> str:
    """SQL for a column of a study ``s`` as it was received."""
    name = column.removeprefix("s.")
    if name == column or name not in COLUMNS:
        return column
    return f"COALESCE((SELECT r.{name} FROM received_studies r WHERE r.study_id = s.id), {column})"


def keep_received(session: Session, study_id: int, headers: Sequence[Header], *, amended: bool) -> None:
    """Write down what an amended study's instances said; of one without amendments nothing."""
    session.execute("DELETE FROM received_studies WHERE study_id = ?", study_id)
    if not amended:
        return
    said = dict(zip(DESCRIBED, describe(headers), strict=True))
    for name in ("patient_id", "accession_number"):
        said[name] = next((value for one in headers if (value := getattr(one, name))), "")
    marks = ", ".join("?" * (len(COLUMNS) + 1))
    session.execute(
        f"INSERT INTO received_studies (study_id, {', '.join(COLUMNS)}) VALUES ({marks})",
        study_id,
        *(said[name] for name in COLUMNS),
    )
