"""What queries show and match, with its indexes; filled for studies that are here from their fact sets.

What fact sets do not know of series that are here already (time, laterality, institution, requests) stays empty until
``catalog rebuild`` reads the files again. Takes about a minute per million studies.
"""

from __future__ import annotations

import json
from typing import Any

from peewee import SqliteDatabase

from kuva_gateway.catalog.name_search import make_name_search
from kuva_gateway.dicom.header import from_json
from kuva_gateway.dicom.names import moment_key, name_keys

_STUDIES = (
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
_SERIES = ("time", "moment", "laterality", "institution", "requests")
_LISTS = ("sop_classes", "procedure_codes", "requests")
_INDEXES = (
    'CREATE INDEX "studies_patient_id" ON "studies" ("patient_id", "issuer_of_patient_id")',
    'CREATE INDEX "studies_moment" ON "studies" ("moment")',
    'CREATE INDEX "series_uid" ON "series" ("uid")',
)
_FIRST = ("birth_date", "sex", "issuer_of_patient_id", "study_time", "study_id", "study_description")
_PAGE = 2000


def up(migrator: Any, db: Any) -> None:
    """Add the columns, fill them, make the indexes."""
    for table, columns in (("studies", _STUDIES), ("series", _SERIES)):
        for name in columns:
            default = "'[]'" if name in _LISTS else "''"
            db.execute_sql(f'ALTER TABLE "{table}" ADD COLUMN "{name}" TEXT NOT NULL DEFAULT {default}')
    sqlite = isinstance(db, SqliteDatabase)
    _fill(db, "?" if sqlite else "%s")
    for statement in _INDEXES:
        db.execute_sql(statement)
    make_name_search(db, postgresql=not sqlite)


def _fill(db: Any, mark: str) -> None:
    change = f"UPDATE studies SET {', '.join(f'{name} = {mark}' for name in _STUDIES)} WHERE id = {mark}"
    page = f"SELECT id, study_date FROM studies WHERE id > {mark} ORDER BY id LIMIT {_PAGE}"
    sets = f"SELECT study_id, facts FROM fact_sets WHERE study_id BETWEEN {mark} AND {mark} ORDER BY study_id, id"
    last = -1
    while studies := db.execute_sql(page, (last,)).fetchall():
        first, last = studies[0][0], studies[-1][0]
        facts: dict[int, list[Any]] = {}
        for study_id, text in db.execute_sql(sets, (first, last)).fetchall():
            facts.setdefault(study_id, []).append(from_json(text))
        rows = [(*_described(facts.get(study_id, []), date), study_id) for study_id, date in studies]
        for row in rows:
            db.execute_sql(change, row)
    if last >= 0:
        moments = f"UPDATE series SET moment = {mark} WHERE date = {mark}"
        for (date,) in db.execute_sql("SELECT DISTINCT date FROM series").fetchall():
            if key := moment_key(date, ""):
                db.execute_sql(moments, (key, date))


def _described(headers: list[Any], date: str) -> tuple[str, ...]:
    said = {
        name: next((value for one in headers if (value := getattr(one, name))), "")
        for name in (*_FIRST, "patient_name", "referring_physician")
    }
    codes = {(code.value, code.scheme, code.meaning): None for one in headers for code in one.procedure_codes}
    return (
        said["patient_name"],
        *name_keys(said["patient_name"]),
        *(said[name] for name in _FIRST[:4]),
        moment_key(date, said["study_time"]),
        *(said[name] for name in _FIRST[4:]),
        said["referring_physician"],
        name_keys(said["referring_physician"]).folded,
        json.dumps(sorted({one.sop_class_uid for one in headers if one.sop_class_uid})),
        json.dumps(list(codes), ensure_ascii=False) if codes else "[]",
    )
