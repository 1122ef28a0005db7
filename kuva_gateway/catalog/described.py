"""What a study's headers say that queries show and match: the columns of ``studies`` beside those of its summary.

Values are those of the first instance that says something, classes and codes those of all. They follow from the study's
fact sets alone (decision 0004), so they can be made anew at any time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from kuva_gateway.dicom.header import Header
from kuva_gateway.dicom.names import moment_key, name_keys

COLUMNS = (
    "patient_name",
    "name_key",
    "name_accents",
    "name_other",
    "birth_date",
    "sex",
    "issuer_of_patient_id",
    "study_time",
    "moment",
    "dicom_study_id",
    "description",
    "referring_physician",
    "referring_key",
    "sop_classes",
    "procedure_codes",
)
_FIRST = (
    "patient_name",
    "birth_date",
    "sex",
    "issuer_of_patient_id",
    "study_date",
    "study_time",
    "study_id",
    "study_description",
    "referring_physician",
)


def describe(headers: Sequence[Header]) -> tuple[str, ...]:
    """The values of :data:`COLUMNS` for a study with these headers."""
    said = {name: next((value for one in headers if (value := getattr(one, name))), "") for name in _FIRST}
    name = name_keys(said["patient_name"])
    return (
        said["patient_name"],
        *name,
        said["birth_date"],
        said["sex"],
        said["issuer_of_patient_id"],
        said["study_time"],
        moment_key(said["study_date"], said["study_time"]),
        said["study_id"],
        said["study_description"],
        said["referring_physician"],
        name_keys(said["referring_physician"]).folded,
        json.dumps(sorted({one.sop_class_uid for one in headers if one.sop_class_uid})),
        _codes(headers),
    )


def _codes(headers: Iterable[Header]) -> str:
    """Every procedure code (0008,1032) as a list of value, scheme and meaning, in JSON."""
    found = {(code.value, code.scheme, code.meaning): None for one in headers for code in one.procedure_codes}
    return json.dumps(list(found), ensure_ascii=False) if found else "[]"
