"""The same images and questions for the gateway, dcmqrscp, pynetdicom's qrscp and Orthanc: who answers otherwise.

Each difference has the word under which docs/decisions/0017 gives the reason; a test holds both together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.unit.scp.querying import PATIENT_ROOT, STUDY_ROOT

_ALL = {
    "StudyDescription": "Thorax natiivi",
    "ReferringPhysicianName": "Laakari^Ville",
    "PatientBirthDate": "19700101",
    "PatientSex": "F",
}
IMAGES: tuple[dict[str, Any], ...] = (
    {
        "study": "1.2.1",
        "PatientName": "Virtanen^Matti",
        "PatientID": "P1",
        "StudyTime": "101500",
        "StudyID": "1",
        "SeriesNumber": "1",
        **_ALL,
    },
    {
        "study": "1.2.1",
        "PatientName": "Virtanen^Matti",
        "PatientID": "P1",
        "StudyTime": "101500",
        "series": 2,
        "Modality": "SR",
        "SeriesNumber": "2",
        "SeriesDescription": "Coronal",
        "BodyPartExamined": "CHEST",
        **_ALL,
    },
    {"study": "1.2.2", "PatientName": "Virtanen^Maija", "PatientID": "P2", "StudyDate": "20240201", "Modality": "MR"}
    | _ALL,
    {"study": "1.2.3", "PatientName": "Makinen^Liisa", "PatientID": "P3", "StudyDate": "20240301"}
    | {"AccessionNumber": "A3", **_ALL},
    {"study": "1.2.4", "PatientName": "Makinen^Liisa", "PatientID": "P3", "StudyDate": "20240401"}
    | {"AccessionNumber": "A4", **_ALL},
    {
        "study": "1.2.5",
        "PatientName": "Mäki^Åsa",
        "PatientID": "P4",
        "SpecificCharacterSet": "ISO_IR 100",
        "StudyDate": "20240501",
        "StudyTime": "235959.5",
        "PatientSex": "F",
        "PatientBirthDate": "19800229",
        "AccessionNumber": "",
    },
)


class Question(NamedTuple):
    """A query, or a C-GET, and the peers that answer it otherwise, each with the reason's word."""

    root: str
    unique: str
    keys: Mapping[str, str | None]
    different: Mapping[str, str]


def _study(keys: Mapping[str, str | None], **different: str) -> Question:
    return Question(STUDY_ROOT, "StudyInstanceUID", keys, different)


def _patient(unique: str, keys: Mapping[str, str | None], **different: str) -> Question:
    return Question(PATIENT_ROOT, unique, keys, different)


def _series(keys: Mapping[str, str | None], **different: str) -> Question:
    return Question(STUDY_ROOT, "SeriesInstanceUID", {"QueryRetrieveLevel": "SERIES", **keys}, different)


def _image(keys: Mapping[str, str | None], **different: str) -> Question:
    return Question(STUDY_ROOT, "SOPInstanceUID", {"QueryRetrieveLevel": "IMAGE", **keys}, different)


_IN_1 = {"StudyInstanceUID": "1.2.1"}
_IN_2 = {"StudyInstanceUID": "1.2.1", "SeriesInstanceUID": "1.2.1.2"}

QUERIES: tuple[Question, ...] = (
    _study({}),
    # unique keys and lists
    _study({"StudyInstanceUID": "1.2.1\\1.2.4"}, qrscp="lists"),
    _study({"StudyInstanceUID": "*"}, qrscp="stars", dcmqrscp="stars", orthanc="stars"),
    _study({"StudyInstanceUID": "1.2.*"}, orthanc="stars"),
    _study({"PatientID": "P3"}),
    _study({"PatientID": "p3"}),
    _study({"PatientID": "P*"}),
    _study({"PatientID": "P?"}),
    _study({"PatientID": "[P]1"}),
    _study({"PatientID": "*"}),
    _study({"PatientID": "P1\\P2"}, qrscp="lists", orthanc="lists"),
    _study({"AccessionNumber": "A3"}),
    _study({"AccessionNumber": "a3"}),
    _study({"AccessionNumber": "A_"}),
    _study({"AccessionNumber": "%"}),
    _study({"AccessionNumber": "*"}, qrscp="stars"),
    _study({"StudyID": "1"}),
    # names
    _study({"PatientName": "Virtanen^Matti"}),
    _study({"PatientName": "Virtanen"}),
    _study({"PatientName": "Virtanen*"}),
    _study({"PatientName": "*Liisa"}),
    _study({"PatientName": "*^Liisa"}),
    _study({"PatientName": "M?kinen*"}),
    _study({"PatientName": "?"}),
    _study({"PatientName": "VIRTANEN^MATTI"}, qrscp="case", dcmqrscp="case"),
    _study({"PatientName": "virtanen*"}, dcmqrscp="case"),
    _study({"PatientName": "Makinen^Liisa^"}, qrscp="components", dcmqrscp="components", orthanc="components"),
    _study({"PatientName": "Maki*"}, qrscp="accents", dcmqrscp="accents", orthanc="accents"),
    _study(
        {"PatientName": "MÄKI*", "SpecificCharacterSet": "ISO_IR 100"},
        qrscp="accents",
        dcmqrscp="accents",
        orthanc="accents",
    ),
    _study({"PatientName": "Mäki^Åsa", "SpecificCharacterSet": "ISO_IR 192"}),
    _study({"ReferringPhysicianName": "Laakari^Ville"}, qrscp="unmatched"),
    _study({"ReferringPhysicianName": "LAAKARI*"}, qrscp="unmatched", dcmqrscp="case"),
    # dates and times
    _study({"StudyDate": "20240201"}),
    _study({"StudyDate": "20240201-20240301"}),
    _study({"StudyDate": "-20240201"}),
    _study({"StudyDate": "20240301-"}),
    _study({"StudyDate": "20240201-20240101"}),
    _study({"StudyDate": "2024.02.01"}, qrscp="old dates", orthanc="old dates"),
    _study({"StudyDate": "x"}, qrscp="wrong values", dcmqrscp="wrong values", orthanc="wrong values"),
    _study({"StudyTime": "101500"}),
    _study({"StudyTime": "100000-110000"}),
    _study({"StudyTime": "-1200"}),
    _study({"StudyTime": "235959.5"}),
    _study({"StudyTime": "1015"}, qrscp="precision", orthanc="precision"),
    _study({"StudyTime": "10"}, qrscp="precision", dcmqrscp="precision", orthanc="precision"),
    _study({"StudyDate": "20240105-20240201", "StudyTime": "100000-110000"}),
    _study({"PatientBirthDate": "19700101"}, qrscp="unmatched"),
    _study({"PatientBirthDate": "19700101-19750101"}, qrscp="unmatched"),
    # optional keys
    _study({"PatientSex": "F"}),
    _study({"StudyDescription": "Thorax*"}, qrscp="unmatched"),
    _study({"StudyDescription": "thorax*"}, qrscp="unmatched"),
    _study({"ModalitiesInStudy": "MR"}, qrscp="unmatched", dcmqrscp="unmatched"),
    _study({"ModalitiesInStudy": "SR"}, qrscp="unmatched", dcmqrscp="unmatched"),
    _study({"ModalitiesInStudy": "CT\\MR"}),
    _study({"SOPClassesInStudy": "1.2.840.10008.5.1.4.1.1.2"}, orthanc="unmatched"),
    _study({"PatientWeight": ""}, qrscp="warning", dcmqrscp="warning", orthanc="warning"),
    _study({"SeriesDescription": "Coronal"}, qrscp="warning", dcmqrscp="warning", orthanc="warning"),
    # levels
    _study({"QueryRetrieveLevel": None}, orthanc="levels"),
    _study({"QueryRetrieveLevel": "NONSENSE"}, dcmqrscp="levels", orthanc="levels"),
    _study({"QueryRetrieveLevel": "study"}, dcmqrscp="levels", orthanc="levels"),
    Question(STUDY_ROOT, "PatientID", {"QueryRetrieveLevel": "PATIENT"}, {"dcmqrscp": "levels", "orthanc": "levels"}),
    _patient("PatientID", {"QueryRetrieveLevel": "PATIENT"}),
    _patient("PatientID", {"QueryRetrieveLevel": "PATIENT", "PatientName": "Makinen*"}),
    _patient("PatientID", {"QueryRetrieveLevel": "PATIENT", "PatientSex": "F"}),
    _patient("StudyInstanceUID", {"PatientID": "P3"}),
    _patient("StudyInstanceUID", {"PatientID": "P?"}),
    _patient("StudyInstanceUID", {}, qrscp="missing keys", dcmqrscp="missing keys"),
    _series(_IN_1),
    _series({"StudyInstanceUID": "1.2.2", "Modality": "CT"}),
    _series({}, qrscp="missing keys", dcmqrscp="missing keys"),
    _series({"StudyInstanceUID": "1.2.1\\1.2.2"}, qrscp="lists"),
    _series({**_IN_1, "SeriesNumber": "2"}),
    _series({**_IN_1, "SeriesNumber": "02"}, qrscp="numbers"),
    _series({**_IN_1, "SeriesDescription": "Cor*"}, qrscp="unmatched", dcmqrscp="unmatched"),
    _series({**_IN_1, "Modality": "CT\\SR"}, qrscp="lists", dcmqrscp="lists"),
    _image(_IN_2),
    _image({}, qrscp="missing keys", dcmqrscp="missing keys"),
    _image(_IN_1, qrscp="missing keys", dcmqrscp="missing keys"),
    _image({**_IN_2, "InstanceNumber": "1"}),
    _image({**_IN_2, "InstanceNumber": "01"}, qrscp="numbers"),
)

_LEVEL_STUDY = {"QueryRetrieveLevel": "STUDY"}
RETRIEVALS: tuple[Question, ...] = (
    Question(STUDY_ROOT, "", {**_LEVEL_STUDY, "StudyInstanceUID": "1.2.1"}, {}),
    Question(STUDY_ROOT, "", {**_LEVEL_STUDY, "StudyInstanceUID": "1.2.3\\1.2.4"}, {"qrscp": "lists"}),
    Question(STUDY_ROOT, "", {**_LEVEL_STUDY, "StudyInstanceUID": "1.2.9"}, {"orthanc": "nothing"}),
    Question(
        STUDY_ROOT,
        "",
        _LEVEL_STUDY,
        {"qrscp": "missing keys", "dcmqrscp": "missing keys", "orthanc": "missing keys"},
    ),
    Question(
        STUDY_ROOT,
        "",
        {**_LEVEL_STUDY, "StudyInstanceUID": "1.2.*"},
        {"qrscp": "patterns", "dcmqrscp": "patterns", "orthanc": "patterns"},
    ),
    Question(STUDY_ROOT, "", {"StudyInstanceUID": "1.2.1"}, {"qrscp": "levels", "orthanc": "levels"}),
    Question(
        STUDY_ROOT,
        "",
        {"QueryRetrieveLevel": "SERIES", "SeriesInstanceUID": "1.2.1.1"},
        {"qrscp": "missing keys", "dcmqrscp": "missing keys"},
    ),
    Question(
        STUDY_ROOT,
        "",
        {"QueryRetrieveLevel": "PATIENT", "PatientID": "P3"},
        {"qrscp": "levels", "dcmqrscp": "levels", "orthanc": "levels"},
    ),
    Question(PATIENT_ROOT, "", {"QueryRetrieveLevel": "PATIENT", "PatientID": "P3"}, {}),
    Question(
        PATIENT_ROOT,
        "",
        {"QueryRetrieveLevel": "PATIENT", "PatientID": "P*"},
        {"qrscp": "patterns", "dcmqrscp": "patterns", "orthanc": "patterns"},
    ),
    Question(
        PATIENT_ROOT,
        "",
        {**_LEVEL_STUDY, "StudyInstanceUID": "1.2.3"},
        {"qrscp": "missing keys", "dcmqrscp": "missing keys"},
    ),
)
"""Asked by C-GET: the final status and how many images came."""

REASONS = frozenset(reason for question in (*QUERIES, *RETRIEVALS) for reason in question.different.values())
