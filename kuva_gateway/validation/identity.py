"""Rules on the patient: PID-01 to PID-07, and UID-02's half about patients.

Keeps the last codes that were checked, in memory. An id's separator is part of it: two codes that differ in it alone
are two ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from operator import attrgetter

from kuva_gateway.clinical.identifiers import (
    HETU_ROOT,
    Hetu,
    IdentifierError,
    is_oid,
    is_temporary_id,
    normalise_hetu,
    parse_hetu,
)
from kuva_gateway.dicom.header import Header
from kuva_gateway.validation import tags
from kuva_gateway.validation.facts import StudyFacts, told
from kuva_gateway.validation.findings import Fault

_SEPARATOR_AT = 6
_HETU_LENGTH = 11


@lru_cache(maxsize=256)
def hetu_of(patient_id: str) -> Hetu | None:
    """The personal identity code that an id is, None when it is none; every image of a study asks for the same one."""
    try:
        return parse_hetu(patient_id)
    except IdentifierError:
        return None


def temporary_issuer(header: Header) -> str:
    """The root of temporary ids that issued a header's patient id, "" when none did."""
    for issuer in (header.issuer_universal_id, header.issuer_of_patient_id):
        if is_temporary_id(issuer):
            return issuer.strip()
    return ""


def differ_in_separator(one: str, other: str) -> bool:
    """Whether two ids have the length of a personal identity code and differ in its separator alone."""
    return (
        len(one) == len(other) == _HETU_LENGTH
        and one[_SEPARATOR_AT] != other[_SEPARATOR_AT]
        and one[:_SEPARATOR_AT] + one[_SEPARATOR_AT + 1 :] == other[:_SEPARATOR_AT] + other[_SEPARATOR_AT + 1 :]
    )


def judge_identity_code(facts: StudyFacts) -> Iterator[Fault]:
    """PID-01 and PID-05: a temporary id is no faulty code but one that waits."""
    for one in told(facts.sets, lambda header: (header.patient_id, temporary_issuer(header))):
        patient_id, issuer = one.value
        values = {"instances": str(one.instances)}
        if not patient_id.strip():
            yield Fault(rule="PID-01", message="missing", where=tags.PATIENT_ID, values=values)
        elif issuer:
            yield Fault(rule="PID-05", message="temporary", where=tags.ISSUER, values={**values, "issuer": issuer})
        else:
            try:
                parse_hetu(patient_id)
            except IdentifierError as error:
                yield Fault(rule="PID-01", message=error.fault, where=tags.PATIENT_ID, values=values)


def judge_issuer(facts: StudyFacts) -> Iterator[Fault]:
    """PID-02; the qualifiers' universal id counts before Issuer of Patient ID, which may be a name."""
    read = attrgetter("issuer_universal_id", "issuer_of_patient_id")
    with_id = [one for one in facts.sets if one.header.patient_id.strip()]
    for one in told(with_id, lambda header: tuple(text.strip() for text in read(header))):
        universal, written = one.value
        values = {"instances": str(one.instances)}
        if not universal and not written:
            yield Fault(rule="PID-02", message="missing", where=tags.ISSUER, values=values)
        elif not _is_trusted(universal or written):
            quoted = {"issuer": universal or written}
            yield Fault(rule="PID-02", message="other", where=tags.ISSUER, values=values, quoted=quoted)
        elif universal and is_oid(written) and written != universal:
            quoted = {"issuer": written, "other": universal}
            yield Fault(rule="PID-02", message="differ", where=tags.ISSUER, values=values, quoted=quoted)


def _is_trusted(issuer: str) -> bool:
    return issuer == HETU_ROOT or is_temporary_id(issuer)


def judge_separator(facts: StudyFacts) -> Iterator[Fault]:
    """PID-06: what is matched to this study by document or order has the code to the letter."""
    ids = {normalise_hetu(one.header.patient_id) for one in facts.sets} - {""}
    linked = [(one.document.oid, normalise_hetu(one.document.patient_id)) for one in facts.documents if one.current]
    beside = [(one.uid, one.patient_key) for one in facts.neighbours if one.what == "document"]
    for oid, named in dict.fromkeys((*linked, *beside)):
        if named not in ids and any(differ_in_separator(named, one) for one in ids):
            yield Fault(rule="PID-06", message="document", where=oid)
    for one in facts.neighbours:
        key = one.patient_key
        if one.what == "study" and key not in ids and any(differ_in_separator(key, other) for other in ids):
            yield Fault(rule="PID-06", message="study", where=tags.PATIENT_ID, quoted={"other": one.uid})


def judge_environment(facts: StudyFacts) -> Iterator[Fault]:
    """PID-03: the 900 series belongs in test and nowhere else."""
    for one in told(facts.sets, lambda header: header.patient_id):
        hetu = hetu_of(one.value)
        if hetu is None or hetu.temporary == (facts.environment == "test"):
            continue
        yield Fault(
            rule="PID-03",
            message="test_in_production" if hetu.temporary else "real_in_test",
            where=tags.PATIENT_ID,
            values={"instances": str(one.instances)},
        )


def judge_demographics(facts: StudyFacts) -> Iterator[Fault]:
    """PID-04: birth date and sex against the code; an absent value is no disagreement."""
    for one in told(facts.sets, lambda header: (header.patient_id, header.birth_date)):
        hetu = hetu_of(one.value[0])
        if hetu is not None and one.value[1].strip():
            birth_date = day_of(one.value[1])
            if birth_date != hetu.birth_date:
                message = "birth_date" if birth_date else "birth_date_form"
                values = {"instances": str(one.instances)}
                yield Fault(rule="PID-04", message=message, where=tags.BIRTH_DATE, values=values)
    for two in told(facts.sets, lambda header: (header.patient_id, header.sex)):
        hetu = hetu_of(two.value[0])
        if hetu is not None and two.value[1].strip() not in ("", hetu.sex):
            yield Fault(rule="PID-04", message="sex", where=tags.SEX, values={"instances": str(two.instances)})


def judge_one_patient(facts: StudyFacts) -> Iterator[Fault]:
    """PID-07, and UID-02 for the same: the archive refuses one Study Instance UID with two patients."""
    ids = [one for one in told(facts.sets, lambda header: normalise_hetu(header.patient_id)) if one.value]
    if len(ids) > 1:
        # The fewer instances are the likelier mistake.
        least = min(ids, key=lambda one: one.instances)
        separator = all(differ_in_separator(ids[0].value, one.value) for one in ids[1:])
        yield Fault(
            rule="PID-07",
            message="separator" if separator else "patients",
            where=tags.PATIENT_ID,
            values={"patients": str(len(ids)), "counts": " + ".join(str(one.instances) for one in ids)},
            quoted={"example": least.example},
        )
        yield Fault(rule="UID-02", message="patients", where=tags.STUDY, values={"patients": str(len(ids))})
    elif ids and hetu_of(ids[0].value) is None:
        issuers = {issuer for one in facts.sets if (issuer := _issuer(one.header))}
        if len(issuers) > 1:
            yield Fault(rule="PID-07", message="issuers", where=tags.ISSUER, values={"issuers": str(len(issuers))})


def _issuer(header: Header) -> str:
    return header.issuer_universal_id.strip() or header.issuer_of_patient_id.strip()


def day_of(text: str) -> date | None:
    """The day of a DICOM date (PS3.5 6.2, DA: YYYYMMDD), None when the text is none."""
    text = text.strip()
    if len(text) != len("YYYYMMDD") or not (text.isascii() and text.isdigit()):
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None
