"""What may be changed of received data sets: which attributes, by whom and why, and what a header reads after it.

Keeps one table, :data:`ATTRIBUTES`. Promises that a header (:func:`amended`) and the bytes that are sent
(:mod:`kuva_gateway.dicom.amending`) are changed by the same steps, found by :func:`applying`. The bytes that were
received are never touched: amendments are kept beside them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

from kuva_gateway.dicom.charsets import writable
from kuva_gateway.dicom.header import CodeItem, Header
from kuva_gateway.errors import RefusedError

Item: TypeAlias = Mapping[str, str]
"""One item of a sequence: keyword to value."""
Value: TypeAlias = str | tuple[Item, ...]
Reason = Literal["CORRECT", "COERCE"]
Origin = Literal["person", "link", "issuer", "mapping"]

AUTOMATIC: Final = ("issuer", "mapping")
"""Origins that follow from the configuration: they are found anew at each verdict, and applied last."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute that may be amended: its tag, value representation and longest value (PS3.5 6.2)."""

    keyword: str
    tag: int
    vr: str
    longest: int = 0


ATTRIBUTES: Final[Mapping[str, Attribute]] = MappingProxyType(
    {
        attribute.keyword: attribute
        for attribute in (
            Attribute("AccessionNumber", 0x00080050, "SH", 16),
            Attribute("IssuerOfAccessionNumberSequence", 0x00080051, "SQ"),
            Attribute("InstitutionName", 0x00080080, "LO", 64),
            Attribute("InstitutionCodeSequence", 0x00080082, "SQ"),
            Attribute("StudyDescription", 0x00081030, "LO", 64),
            Attribute("ProcedureCodeSequence", 0x00081032, "SQ"),
            Attribute("PatientName", 0x00100010, "PN", 64),
            Attribute("PatientID", 0x00100020, "LO", 64),
            Attribute("IssuerOfPatientID", 0x00100021, "LO", 64),
            Attribute("IssuerOfPatientIDQualifiersSequence", 0x00100024, "SQ"),
            Attribute("PatientBirthDate", 0x00100030, "DA", 8),
            Attribute("PatientSex", 0x00100040, "CS", 16),
        )
    }
)
"""Everything that an amendment may change, by keyword."""

PATIENT: Final = frozenset({"PatientID", "PatientName", "PatientBirthDate", "PatientSex"})
"""Attributes whose values identify a patient: never in an argument, a log or a history."""

ITEM_ATTRIBUTES: Final[Mapping[str, Attribute]] = MappingProxyType(
    {
        attribute.keyword: attribute
        for attribute in (
            Attribute("CodeValue", 0x00080100, "SH", 16),
            Attribute("CodingSchemeDesignator", 0x00080102, "SH", 16),
            Attribute("CodeMeaning", 0x00080104, "LO", 64),
            Attribute("CodingSchemeUID", 0x0008010C, "UI", 64),
            Attribute("LocalNamespaceEntityID", 0x00400031, "UT", 64),
            Attribute("UniversalEntityID", 0x00400032, "UT", 64),
            Attribute("UniversalEntityIDType", 0x00400033, "CS", 16),
        )
    }
)
"""What items of amended sequences hold."""

_TAG = re.compile(r"\(?([0-9A-Fa-f]{4}),?([0-9A-Fa-f]{4})\)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Amendment:
    """A change of some attributes of a study's instances.

    Attributes
    ----------
    changes
        Keyword to the value that replaces whatever is there; an empty text or () empties it.
    patient
        Only instances whose patient id is this one (:func:`patient_key`); "" means every instance.
    issuer
        With ``patient``: only where the id's issuer is this one or is not told.
    where_absent
        Only instances that have no value of this keyword.
    """

    changes: Mapping[str, Value]
    origin: Origin
    by: str
    at: datetime
    reason: str = ""
    patient: str = ""
    issuer: str = ""
    where_absent: str = ""

    @property
    def kind(self) -> Reason:
        """(0400,0565) Reason for the Attribute Modification (PS3.3 C.12.1.1.9.1)."""
        return "COERCE" if self.origin in AUTOMATIC else "CORRECT"

    def applies_to(self, header: Header) -> bool:
        """Whether it changes an instance that reads like this so far."""
        if self.patient and patient_key(header.patient_id) != self.patient:
            return False
        if self.patient and self.issuer and issuer_of(header) not in ("", self.issuer):
            return False
        return not (self.where_absent and _HEADER_FIELDS[self.where_absent](header))


def patient_key(patient_id: str) -> str:
    """A patient id as it is compared: without case and blanks.

    A personal identity code's separator stays: it is part of the identity.
    """
    return "".join(patient_id.split()).upper()


def issuer_of(header: Header) -> str:
    """Who issued the patient id: the universal id of (0010,0024), else (0010,0021)."""
    return header.issuer_universal_id.strip() or header.issuer_of_patient_id.strip()


_HEADER_FIELDS: Final[Mapping[str, Any]] = {
    "IssuerOfPatientID": issuer_of,
    "IssuerOfAccessionNumberSequence": lambda header: header.accession_issuer.strip(),
}


def in_order(amendments: Iterable[Amendment]) -> tuple[Amendment, ...]:
    """People's amendments and links as they were made, then what follows from the configuration."""
    return tuple(sorted(amendments, key=lambda one: one.origin in AUTOMATIC and 1 + AUTOMATIC.index(one.origin)))


def applying(header: Header, amendments: Iterable[Amendment]) -> tuple[tuple[Amendment, ...], Header]:
    """Which of the amendments change an instance with this header, in order, and its header afterwards."""
    steps = []
    for one in in_order(amendments):
        if one.applies_to(header):
            after = _changed(header, one.changes)
            if after != header:
                steps.append(one)
            header = after
    return tuple(steps), header


def amended(header: Header, amendments: Iterable[Amendment]) -> Header:
    """The header as it reads once the amendments are applied."""
    return applying(header, amendments)[1]


def unwritable(header: Header, amendments: Iterable[Amendment]) -> tuple[str, ...]:
    """Keywords of values that the instance's character set cannot hold."""
    steps, _after = applying(header, amendments)
    texts = [
        (keyword, value)
        for one in steps
        for keyword, whole in one.changes.items()
        for value in ([whole] if isinstance(whole, str) else [text for item in whole for text in item.values()])
    ]
    return tuple(dict.fromkeys(keyword for keyword, value in texts if not writable(value, header.character_set)))


def _changed(header: Header, changes: Mapping[str, Value]) -> Header:
    fields: dict[str, Any] = {}
    for keyword, value in changes.items():
        if isinstance(value, str):
            fields[_TEXT_FIELDS[keyword]] = value
        else:
            fields.update(_SEQUENCE_FIELDS[keyword](value))
    return replace(header, **fields)


_TEXT_FIELDS: Final[Mapping[str, str]] = {
    "AccessionNumber": "accession_number",
    "InstitutionName": "institution_name",
    "StudyDescription": "study_description",
    "PatientName": "patient_name",
    "PatientID": "patient_id",
    "IssuerOfPatientID": "issuer_of_patient_id",
    "PatientBirthDate": "birth_date",
    "PatientSex": "sex",
}


def _first(items: tuple[Item, ...], keyword: str) -> str:
    return items[0].get(keyword, "") if items else ""


def _code(item: Item) -> CodeItem:
    return CodeItem(
        value=item.get("CodeValue", ""),
        scheme=item.get("CodingSchemeDesignator", ""),
        scheme_uid=item.get("CodingSchemeUID", ""),
        meaning=item.get("CodeMeaning", ""),
    )


_SEQUENCE_FIELDS: Final[Mapping[str, Any]] = {
    "IssuerOfAccessionNumberSequence": lambda items: {
        "accession_issuer": _first(items, "UniversalEntityID") or _first(items, "LocalNamespaceEntityID")
    },
    "InstitutionCodeSequence": lambda items: {"institution_code": _first(items, "CodeValue")},
    "ProcedureCodeSequence": lambda items: {"procedure_codes": tuple(_code(item) for item in items)},
    "IssuerOfPatientIDQualifiersSequence": lambda items: {
        "issuer_universal_id": _first(items, "UniversalEntityID"),
        "issuer_universal_type": _first(items, "UniversalEntityIDType"),
    },
}


def attribute(name: str) -> Attribute:
    """The attribute that a person names by keyword, ``00100020``, ``0010,0020`` or ``(0010,0020)``.

    Raises
    ------
    RefusedError
        It is none that may be amended.
    """
    match = _TAG.fullmatch(name.strip())
    for one in ATTRIBUTES.values():
        if one.keyword == name.strip() or (match is not None and int(match[1] + match[2], 16) == one.tag):
            return one
    raise RefusedError(f"{name.strip()[:60]!r} may not be amended; possible are {', '.join(ATTRIBUTES)}")


def check_text(one: Attribute, value: str) -> str:
    """``value`` for an attribute that is no sequence, without blanks around it.

    Raises
    ------
    RefusedError
        It has not the form of the attribute; the value itself is not told.
    """
    text = value.strip()
    if not text:
        raise RefusedError(f"the value for {one.keyword} is empty")
    if any(letter == "\\" or unicodedata.category(letter) == "Cc" for letter in text):
        raise RefusedError(f"the value for {one.keyword} has a backslash or a control character in it")
    if any(len(group) > one.longest for group in (text.split("=") if one.vr == "PN" else [text])):
        raise RefusedError(f"the value for {one.keyword} has more than {one.longest} characters")
    if one.vr == "DA" and not _is_date(text):
        raise RefusedError(f"the value for {one.keyword} is no date of the form YYYYMMDD")
    if one.keyword == "PatientSex" and text not in ("M", "F", "O"):
        raise RefusedError("the value for PatientSex is none of M, F and O")
    return text


def _is_date(text: str) -> bool:
    if len(text) != len("YYYYMMDD") or not (text.isascii() and text.isdigit()):
        return False
    try:
        date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return False
    return True


def issuer_items(oid: str) -> tuple[Item, ...]:
    """An OID as the item of an issuer's sequence (PS3.3 10.14)."""
    return ({"UniversalEntityID": oid, "UniversalEntityIDType": "ISO"},)
