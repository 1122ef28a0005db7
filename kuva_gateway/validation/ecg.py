"""ECG-01: an ECG at rest is a waveform with samples, an ECG under stress is a PDF that is one.

Keeps nothing. The study's code says which ECG it is; companions (reports, presentation states, key objects,
segmentations) are left alone. In which transfer syntax either comes is TS-01's matter, and which modality a PDF names
COD-06's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kuva_gateway.clinical.codes import ecg_kind
from kuva_gateway.clinical.methods import COMPANIONS
from kuva_gateway.dicom.header import Header
from kuva_gateway.dicom.sop_classes import class_name
from kuva_gateway.validation import tags
from kuva_gateway.validation.codes import study_codes
from kuva_gateway.validation.facts import StudyFacts, told
from kuva_gateway.validation.findings import Fault

_WAVEFORMS: Final = "1.2.840.10008.5.1.4.1.1.9.1."
REST_CLASSES: Final = frozenset(_WAVEFORMS + arc for arc in ("1", "2", "4"))
"""12-lead, general and general 32-bit ECG; not the ambulatory one (a day or longer)."""
ENCAPSULATED_PDF: Final = "1.2.840.10008.5.1.4.1.1.104.1"
PDF_TYPE: Final = "application/pdf"
PDF_BEGINS: Final = "%PDF-"


def judge_ecg(facts: StudyFacts) -> Iterator[Fault]:
    """ECG-01, for studies whose codes stand for one kind of ECG."""
    codes = {code: kind for code in study_codes(facts) if (kind := ecg_kind(code)) is not None}
    if len(set(codes.values())) != 1:
        return
    kind = next(iter(codes.values()))
    named = ", ".join(codes)
    if kind == "long":
        yield Fault(rule="ECG-01", message="long", where=tags.STUDY_DESCRIPTION, quoted={"code": named})
        return
    wrong = _wrong_at_rest if kind == "rest" else _wrong_under_stress
    judged = [one for one in told(facts.sets, wrong) if one.value != _COMPANION]
    if not judged:
        yield Fault(rule="ECG-01", message=f"{kind}_none", where=tags.SOP_CLASS, quoted={"code": named})
    for one in judged:
        if one.value is None:
            continue
        message, where, value = one.value
        values = {"instances": str(one.instances)}
        yield Fault(rule="ECG-01", message=message, where=where, values=values, quoted={"code": named, "found": value})


_COMPANION: Final = ("companion", "", "")
_Wrong = tuple[str, str, str] | None
"""The message, the attribute and what stands there; None: nothing is wrong."""


def _wrong_at_rest(header: Header) -> _Wrong:
    if header.sop_class_uid not in REST_CLASSES:
        return _COMPANION if header.modality in COMPANIONS else _of_class("rest_class", header)
    if header.waveform_items == 0:
        return "rest_empty", tags.WAVEFORM, ""
    if header.modality != "ECG":
        return "rest_modality", tags.MODALITY, header.modality or "–"
    return None


def _wrong_under_stress(header: Header) -> _Wrong:
    if header.sop_class_uid != ENCAPSULATED_PDF:
        return _COMPANION if header.modality in COMPANIONS else _of_class("stress_class", header)
    if header.mime_type.strip().lower() != PDF_TYPE:
        return "stress_type", tags.MIME_TYPE, header.mime_type or "–"
    if header.document_starts != PDF_BEGINS:
        return "stress_bytes", tags.DOCUMENT, ""
    return None


def _of_class(message: str, header: Header) -> _Wrong:
    return message, tags.SOP_CLASS, class_name(header.sop_class_uid)
