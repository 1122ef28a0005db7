"""What the catalog knows of what somebody else answered: the archive's answers are put beside our own.

Promises that nothing which the gateway knows is told a second time, and that what an asker may not see here it does not
see as the archive's either: what was withdrawn, removed, rejected or is hidden stays so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kuva_gateway.catalog import visibility
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.session import Session
from kuva_gateway.catalog.visibility import Condition
from kuva_gateway.dicom.information_model import Level


class Place(NamedTuple):
    """Where a match stands: the unique keys of its level and those above; "" for those below."""

    patient: str = ""
    issuer: str = ""
    study: str = ""
    series: str = ""
    instance: str = ""


def unknown(
    catalog: Catalog, level: Level, places: Sequence[Place], restriction: Condition, *, covered_only: bool
) -> list[bool]:
    """Of each place whether an asker is told of it from elsewhere: it is not known here, nor hidden.

    ``covered_only``: only of what belongs to a study that the asker may see here.
    """
    if not places:
        return []
    with catalog.read() as session:
        if level is Level.PATIENT:
            return _patients(session, places, restriction, covered_only=covered_only)
        studies = {one.study for one in places}
        here = {row["uid"] for row in session.rows_in("SELECT uid FROM studies WHERE uid IN {}", studies)}
        if level is Level.STUDY:
            return [not covered_only and one.study not in here for one in places]
        seen = visibility.studies(restriction)
        may_see = {
            row["uid"]
            for row in session.rows_in(
                f"SELECT s.uid FROM studies s WHERE {seen.sql} AND s.uid IN {{}}", here, *seen.values
            )
        }
        table, wanted = ("series", {one.series for one in places})
        if level is Level.IMAGE:
            table, wanted = ("instances", {one.instance for one in places})
        known = {row["uid"] for row in session.rows_in(f"SELECT uid FROM {table} WHERE uid IN {{}}", wanted)}
    return [
        (one.study in may_see if one.study in here else not covered_only)
        and (one.instance if level is Level.IMAGE else one.series) not in known
        for one in places
    ]


def _patients(session: Session, places: Sequence[Place], restriction: Condition, *, covered_only: bool) -> list[bool]:
    """A patient is who has the same id from the same issuer; an issuer that is not named may be any."""
    if covered_only:
        return [False] * len(places)
    seen = visibility.studies(restriction)
    rows = session.rows_in(
        f"SELECT DISTINCT s.patient_id AS id, s.issuer_of_patient_id AS issuer FROM studies s WHERE {seen.sql} "
        "AND s.patient_id IN {}",
        {one.patient for one in places},
        *seen.values,
    )
    known = {(row["id"], row["issuer"]) for row in rows}
    ids = {patient for patient, _ in known}
    return [
        (one.patient, one.issuer) not in known
        and (one.patient, "") not in known
        and not (not one.issuer and one.patient in ids)
        for one in places
    ]
