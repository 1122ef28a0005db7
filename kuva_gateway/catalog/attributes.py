"""What a query may ask for and match: the attributes of each level, and where the catalog has them.

Keeps one table, :data:`ATTRIBUTES`; docs/query.rst is held against it. Columns are SQL over studies ``s``, series
``e`` and instances ``i``, as in :mod:`kuva_gateway.catalog.visibility`.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from kuva_gateway.dicom.information_model import Level


class Kind(Enum):
    """How values of an attribute are matched and written."""

    UID = "list of UIDs"
    TEXT = "single value, wildcard"
    CODE = "single value, wildcard, several values"
    NAME = "name, wildcard"
    DATE = "single value, range"
    TIME = "single value, range, reduced precision"
    NUMBER = "single value"
    CODES = "list of codes inside the study"
    CLASSES = "list of UIDs inside the study"
    SEQUENCE = "sequence"
    COUNT = "none"


class Attribute(NamedTuple):
    """One attribute of an information model."""

    level: Level
    vr: str
    kind: Kind
    column: str
    """SQL; "" where the answer is worked out of other things."""
    members: tuple[tuple[int, str], ...] = ()
    """Of a sequence: tag and VR of each member, in the order of the lists that the column holds."""


_P, _ST, _SE, _I = Level.PATIENT, Level.STUDY, Level.SERIES, Level.IMAGE
_PROCEDURE = ((0x00080100, "SH"), (0x00080102, "SH"), (0x00080104, "LO"))
_REQUEST = ((0x00401001, "SH"), (0x00400009, "SH"), (0x00080050, "SH"))

PATIENT_COUNTS = {0x00201200: "studies", 0x00201202: "series", 0x00201204: "instances"}
SERIES_INSTANCES = 0x00201209
RETRIEVE_AE_TITLE = 0x00080054
AVAILABILITY_TAG = 0x00080056

ATTRIBUTES: dict[int, Attribute] = {
    0x00100010: Attribute(_P, "PN", Kind.NAME, "s.patient_name"),
    0x00100020: Attribute(_P, "LO", Kind.TEXT, "s.patient_id"),
    0x00100021: Attribute(_P, "LO", Kind.TEXT, "s.issuer_of_patient_id"),
    0x00100030: Attribute(_P, "DA", Kind.DATE, "s.birth_date"),
    0x00100040: Attribute(_P, "CS", Kind.CODE, "s.sex"),
    **{tag: Attribute(_P, "IS", Kind.COUNT, "") for tag in PATIENT_COUNTS},
    0x0020000D: Attribute(_ST, "UI", Kind.UID, "s.uid"),
    0x00080020: Attribute(_ST, "DA", Kind.DATE, "s.study_date"),
    0x00080030: Attribute(_ST, "TM", Kind.TIME, "s.study_time"),
    0x00080050: Attribute(_ST, "SH", Kind.TEXT, "s.accession_number"),
    0x00080061: Attribute(_ST, "CS", Kind.CODES, "s.modalities"),
    0x00080062: Attribute(_ST, "UI", Kind.CLASSES, "s.sop_classes"),
    0x00080090: Attribute(_ST, "PN", Kind.NAME, "s.referring_physician"),
    0x00081030: Attribute(_ST, "LO", Kind.TEXT, "s.description"),
    0x00081032: Attribute(_ST, "SQ", Kind.SEQUENCE, "s.procedure_codes", _PROCEDURE),
    0x00200010: Attribute(_ST, "SH", Kind.TEXT, "s.dicom_study_id"),
    0x00201206: Attribute(_ST, "IS", Kind.COUNT, "s.series"),
    0x00201208: Attribute(_ST, "IS", Kind.COUNT, "s.instances"),
    0x0020000E: Attribute(_SE, "UI", Kind.UID, "e.uid"),
    0x00080021: Attribute(_SE, "DA", Kind.DATE, "e.date"),
    0x00080031: Attribute(_SE, "TM", Kind.TIME, "e.time"),
    0x00080060: Attribute(_SE, "CS", Kind.CODE, "e.modality"),
    0x00080080: Attribute(_SE, "LO", Kind.TEXT, "e.institution"),
    0x0008103E: Attribute(_SE, "LO", Kind.TEXT, "e.description"),
    0x00180015: Attribute(_SE, "CS", Kind.CODE, "e.body_part"),
    0x00200011: Attribute(_SE, "IS", Kind.NUMBER, "e.number"),
    0x00200060: Attribute(_SE, "CS", Kind.CODE, "e.laterality"),
    0x00400275: Attribute(_SE, "SQ", Kind.SEQUENCE, "e.requests", _REQUEST),
    SERIES_INSTANCES: Attribute(_SE, "IS", Kind.COUNT, ""),
    0x00080016: Attribute(_I, "UI", Kind.UID, "i.sop_class"),
    0x00080018: Attribute(_I, "UI", Kind.UID, "i.uid"),
    0x00200013: Attribute(_I, "IS", Kind.NUMBER, "i.number"),
    0x00280008: Attribute(_I, "IS", Kind.COUNT, "i.frames"),
    0x00280010: Attribute(_I, "US", Kind.COUNT, "i.rows"),
    0x00280011: Attribute(_I, "US", Kind.COUNT, "i.columns"),
    AVAILABILITY_TAG: Attribute(_P, "CS", Kind.CODE, ""),
    RETRIEVE_AE_TITLE: Attribute(_P, "AE", Kind.COUNT, ""),
}
"""Every attribute that is supported, by its tag."""

DATE_WITH_TIME = {0x00080020: (0x00080030, "s.moment"), 0x00080021: (0x00080031, "e.moment")}
"""Dates, their times, and the column that holds both."""
