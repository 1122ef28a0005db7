"""A study that passes every rule, and how to change one thing about it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from kuva_gateway.catalog.records import FactSet, InstanceFinding
from kuva_gateway.clinical.codes import LABORATORY, CodePeriod
from kuva_gateway.clinical.documents import ImagingDocument
from kuva_gateway.dicom.header import CodeItem, Header
from kuva_gateway.validation.facts import DocumentFacts, StudyFacts, look_up_codes
from kuva_gateway.validation.findings import Finding
from kuva_gateway.validation.rules import judge

STUDY = "2.25.100"
HETU = "010516B903X"
OTHER_HETU = "010516B902W"
REAL_HETU = "131052-308T"
NAME = "Esimerkki^Eero Olavi"
TODAY = date(2026, 11, 22)
CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
THL = "1.2.246.537.6.2"


def item(code: str, scheme_uid: str = THL, scheme: str = "99THL") -> CodeItem:
    return CodeItem(value=code, scheme=scheme, scheme_uid=scheme_uid, meaning="")


def local(code: str) -> CodeItem:
    return CodeItem(value=code, scheme="99LOCAL", scheme_uid="", meaning="")


def header(**changes: Any) -> Header:
    """The header of a CT image of the chest that may be archived."""
    values: dict[str, Any] = {
        "sop_class_uid": CT,
        "sop_instance_uid": "2.25.100.1",
        "study_instance_uid": STUDY,
        "series_instance_uid": "2.25.100.2",
        "transfer_syntax_uid": EXPLICIT,
        "patient_id": HETU,
        "issuer_of_patient_id": "1.2.246.21",
        "issuer_universal_id": "1.2.246.21",
        "issuer_universal_type": "ISO",
        "patient_name": NAME,
        "birth_date": "20160501",
        "sex": "M",
        "accession_number": "A0001",
        "accession_issuer": "1.2.246.10.99999984",
        "study_date": "20240304",
        "study_description": "GD1AD Thoraxin TT",
        "modality": "CT",
        "procedure_codes": (item("GD1AD"),),
        **changes,
    }
    return Header(**values)


def period(code: str, first: str = "1997-01-01", last: str | None = None, **changes: Any) -> CodePeriod:
    values: dict[str, Any] = {"name": code, "radiology": True, **changes}
    return CodePeriod(
        code=code,
        valid_from=date.fromisoformat(first),
        valid_to=None if last is None else date.fromisoformat(last),
        **values,
    )


LIST: Mapping[str, tuple[CodePeriod, ...]] = {
    "GD1AD": (period("GD1AD", "2017-01-01"),),
    "GD1AA": (period("GD1AA"),),
    "GD1BD": (period("GD1BD", last="2016-12-31", replaced_by=("GD1AD",)),),
    "GD0BD": (period("GD0BD", last="2010-12-31", replaced_by=("GD1BD",)),),
    "XX8AD": (period("XX8AD", last="2022-01-31"),),
    "NW1AG": (period("NW1AG", "2025-01-01"),),
    "XX1XW": (period("XX1XW"),),
    "GD1AX": (period("GD1AX", leaf=False),),
    "JA": (period("JA", radiology=False, leaf=False),),
    "FN2AA": (period("FN2AA", radiology=False),),
    "FP1B5": (period("FP1B5", "2020-01-01", radiology=False, visible_light=True),),
    "1270": (period("1270", radiology=False, scheme=LABORATORY),),
    "1234": (period("1234", radiology=False, scheme=LABORATORY),),
}


def look_up(codes: Collection[str]) -> dict[str, tuple[CodePeriod, ...]]:
    return {code: LIST.get(code, ()) for code in codes}


def document(kind: str, number: int = 1, *, current: bool = True, linked_by: str = "study_uid", **changes: Any) -> Any:
    """A linked document that counts."""
    oid = f"1.2.246.10.99999984.91.2024.{number}{len(kind)}"
    values: dict[str, Any] = {
        "oid": oid,
        "set_id": oid,
        "kind": kind,
        "patient_id": HETU,
        "patient_id_root": "1.2.246.21",
        "ready": True,
        "record_status": "3",
        "study_uids": (STUDY,),
        "accessions": (("1.2.246.10.99999984.100", "A0001"),),
        "procedure_codes": ("GD1AD",),
        **changes,
    }
    return DocumentFacts(document=ImagingDocument(**values), current=current, linked_by=linked_by)


DOCUMENTS = (document("request"), document("examination_entry"))


def fact_set(one: Header, instances: int = 1, number: int = 1) -> FactSet:
    return FactSet(
        header=one.facts(), instances=instances, example_sop_instance_uid=f"2.25.100.1.{number}", peers=("ct1",)
    )


def facts(*headers: Header, **changes: Any) -> StudyFacts:
    """Facts about a study of these headers, of ``header()`` alone if there are none; ten instances of each."""
    sets = tuple(fact_set(one, 10, number) for number, one in enumerate(headers or (header(),), start=1))
    values: dict[str, Any] = {
        "study_instance_uid": STUDY,
        "sets": sets,
        "documents": DOCUMENTS,
        "code_periods": look_up_codes(sets, look_up),
        "environment": "test",
        "today": TODAY,
        **changes,
    }
    return StudyFacts(**values)


def found(study: StudyFacts, *rules: str, severities: Mapping[str, Any] | None = None) -> list[Finding]:
    """What a verdict finds, of these rules only if there are any."""
    findings = judge(study, severities).findings
    return [one for one in findings if not rules or one.rule in rules]


def only(study: StudyFacts) -> Finding:
    """The only finding of a study."""
    (finding,) = judge(study).findings
    return finding


def changed(change: Callable[[Header], Header] | None = None, **changes: Any) -> StudyFacts:
    """The good study with one thing changed in every instance."""
    return facts(replace(header(), **changes) if change is None else change(header()))


def seen(rule: str, severity: str, other: str = "", sop_instance: str = "2.25.100.1.1") -> InstanceFinding:
    """What the indexer reports of one instance."""
    return InstanceFinding(
        rule=rule, severity=severity, where="SOPInstanceUID", sop_instance_uid=sop_instance, other_uid=other
    )
