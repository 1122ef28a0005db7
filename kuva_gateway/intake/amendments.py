"""The values that people and messages give for amendments, checked and brought into the form that is kept.

Keeps nothing. No error here tells a value: what identifies a patient stays out of logs and terminals.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from kuva_gateway.catalog import codes
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.clinical.identifiers import (
    HETU_ROOT,
    IdentifierError,
    is_oid,
    normalise_hetu,
    parse_hetu,
)
from kuva_gateway.dicom.amendments import ATTRIBUTES, Attribute, Item, Value, attribute, check_text, issuer_items
from kuva_gateway.errors import RefusedError

DESIGNATOR: Final = "99THL"
"""(0008,0102) Coding Scheme Designator for national codes; the one that the archive expects is not known to us."""
ORGANISATIONS: Final = "1.2.246.537.6.202"
"""The register of social and health care organisations."""
_LONGEST_MEANING: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One attribute and what a person wrote for it."""

    attribute: Attribute
    text: str


def setting(name: str, text: str) -> Setting:
    """Raises RefusedError when the attribute may not be amended."""
    return Setting(attribute=attribute(name), text=text)


def changes_of(catalog: Catalog, settings: Iterable[Setting]) -> dict[str, Value]:
    """What the settings change. A personal identity code brings its issuer along, unless another one is set.

    Raises
    ------
    RefusedError
        A value has not the form of its attribute, a code is not in the code list, or an attribute is set twice.
    """
    changes: dict[str, Value] = {}
    for one in settings:
        keyword = one.attribute.keyword
        if keyword in changes:
            raise RefusedError(f"{keyword} is set twice")
        changes[keyword] = _sequence(catalog, one) if one.attribute.vr == "SQ" else check_text(one.attribute, one.text)
    patient_id = changes.get("PatientID")
    if isinstance(patient_id, str) and not {"IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence"} & set(changes):
        changes.update(_with_issuer(patient_id))
    return changes


def identity_changes(patient_id: str, issuer: str = "") -> dict[str, Value]:
    """A patient's new id and who issued it: for a personal identity code that is known, else it has to be told.

    Raises
    ------
    RefusedError
        It is no valid personal identity code, and no issuer is told; or the issuer is no OID.
    """
    text = check_text(ATTRIBUTES["PatientID"], patient_id)
    if issuer and not is_oid(issuer):
        raise RefusedError("the issuer of the new id is no OID")
    if issuer in ("", HETU_ROOT):
        try:
            parse_hetu(text)
        except IdentifierError as error:
            raise RefusedError(f"the new id: {error}; an id of another kind needs its issuer") from None
        return _with_issuer(text)
    return {"PatientID": text, **_issuer(issuer)}


def _with_issuer(patient_id: str) -> dict[str, Value]:
    try:
        parse_hetu(patient_id)
    except IdentifierError:
        return {"PatientID": patient_id}
    return {"PatientID": normalise_hetu(patient_id), **_issuer(HETU_ROOT)}


def _issuer(oid: str) -> dict[str, Value]:
    return {"IssuerOfPatientID": oid, "IssuerOfPatientIDQualifiersSequence": issuer_items(oid)}


def _sequence(catalog: Catalog, one: Setting) -> tuple[Item, ...]:
    """The one item of a sequence: an OID for issuers, a code and its meaning for codes."""
    keyword, text = one.attribute.keyword, one.text.strip()
    first, _, rest = text.partition(" ")
    if keyword.startswith("IssuerOf"):
        if not is_oid(text):
            raise RefusedError(f"the value for {keyword} is no OID")
        return issuer_items(text)
    if not first or not text.isprintable():
        raise RefusedError(f"the value for {keyword} is empty or has control characters in it")
    if keyword == "InstitutionCodeSequence":
        return (code_item(first, rest.strip() or first, ORGANISATIONS, "SOTE"),)
    periods = codes.periods(catalog, first.upper())
    if not periods:
        raise RefusedError(f"the code for {keyword} is not in the code list")
    return (code_item(first.upper(), rest.strip() or periods[-1].name, periods[-1].scheme),)


def code_item(code: str, meaning: str, scheme_uid: str, designator: str = DESIGNATOR) -> Item:
    """One item of a code sequence (PS3.3 8.1)."""
    if len(code) > ATTRIBUTES["AccessionNumber"].longest:
        raise RefusedError("a code has more than 16 characters")
    return {
        "CodeValue": code,
        "CodingSchemeDesignator": designator,
        "CodeMeaning": meaning[:_LONGEST_MEANING],
        "CodingSchemeUID": scheme_uid,
    }
