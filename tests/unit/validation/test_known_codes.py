"""The codes of known examinations, judged with the whole official list and the shipped content classes."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from datetime import date
from functools import cache
from typing import Any

import pytest

from kuva_gateway.clinical.code_list import read_code_list
from kuva_gateway.clinical.codes import LABORATORY, CodePeriod
from kuva_gateway.clinical.content_classes import read_content_classes
from kuva_gateway.validation.facts import look_up_codes
from kuva_gateway.validation.findings import Finding, Verdict
from kuva_gateway.validation.practice import Practice
from kuva_gateway.validation.rules import judge
from tests.support import ROOT
from tests.unit.validation.known import facts, header, item, period

OFFICIAL = ROOT.parent / "shared" / "data" / "thl-toimenpideluokitus-119.xls"
PRACTICE = Practice(content_classes=read_content_classes(ROOT / "conf" / "content-classes.yaml"))
WATCHED = ("COD-01", "COD-02", "COD-03", "COD-05", "COD-06", "CON-01", "ECG-01")
LABORATORY_NUMBERS = "1270 1271 1272 1279 2063 2064 2065 2068 2069 2070"
RESTING = "FP1A5 FP1B5 FP1C5 FP1D5 FP1E5 FP2A5 FP2B5 FP2C5 1270 1271 1272"
ECG12 = "1.2.840.10008.5.1.4.1.1.9.1.1"
PDF = "1.2.840.10008.5.1.4.1.1.104.1"
DIGITAL_XRAY = "1.2.840.10008.5.1.4.1.1.1.1"


@cache
def official() -> Mapping[str, tuple[CodePeriod, ...]]:
    if not OFFICIAL.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{OFFICIAL.name} is missing")
        pytest.skip(f"{OFFICIAL.name} is not beside the project")
    found: dict[str, tuple[CodePeriod, ...]] = {}
    for one in read_code_list(OFFICIAL.name, OFFICIAL.read_bytes()).periods:
        found[one.code] = (*found.get(one.code, ()), one)
    for number in LABORATORY_NUMBERS.split():
        found[number] = (period(number, radiology=False, scheme=LABORATORY),)
    return found


def look_up(codes: Collection[str]) -> dict[str, tuple[CodePeriod, ...]]:
    return {code: official().get(code, ()) for code in codes}


def verdict(code: str, modality: str, day: str = "20240304", **changes: Any) -> Verdict:
    one = header(study_description=code, procedure_codes=(item(code),), modality=modality, study_date=day, **changes)
    study = facts(one, practice=PRACTICE)
    return judge(facts(one, practice=PRACTICE, code_periods=look_up_codes(study.sets, look_up), documents=()))


def of(code: str, modality: str, day: str = "20240304", **changes: Any) -> dict[str, Finding]:
    return {one.rule: one for one in verdict(code, modality, day, **changes).findings if one.rule in WATCHED}


@pytest.mark.parametrize(
    ("codes", "modality"),
    [
        ("GD1AA GD1QA AA1AA AA3AA CA1AA DM1AA NA1AA NA3AA ND1AA NG1AA JN3AA", "DX"),
        ("EB1AA EB1CA EB1SA EB1VA EB2VA", "IO"),
        ("EB1HA EB1JA EB1MA EE1HA", "PX"),
        ("EB1CI EB1DI", "CT"),
        ("HA1AA HA1HA", "MG"),
        ("AA1AD GD1AD JN3AD JN4AD FB1BD FB1AD FN1AD", "CT"),
        ("AA1BG AA1CG NA3BG NG1BG", "MR"),
        ("JN3AE BA1AE FM1AE PH2AE", "US"),
        ("PA2AC FN1AC PC1AC", "XA"),
        ("PA2AT FM1AT FN2AA", "XA"),
        ("GD1CT", "CT"),
        ("GD1LA JX1LA KH1LA NK6LA XX9LA", "RF"),
    ],
)
def test_examinations_that_the_archive_takes_have_no_finding(codes: str, modality: str) -> None:
    assert {code: list(of(code, modality)) for code in codes.split()} == {code: [] for code in codes.split()}


@pytest.mark.parametrize(
    ("codes", "modality"),
    [("CK2S4 CD2S4", "OP"), ("CK2X4", "OPT"), ("QB5S1 EB1S1", "XC"), ("EJ2V2", "XC"), ("CL2S4", "OP"), ("HA1CA", "MG")],
)
def test_eyes_visible_light_and_screening_are_held_until_their_class_opens(codes: str, modality: str) -> None:
    for code in codes.split():
        found = of(code, modality)
        assert list(found) == ["CON-01"], code
        assert found["CON-01"].severity == "hold"


@pytest.mark.parametrize("code", ["XX1XW", "XX9AW"])
def test_statements_and_copies_are_no_images(code: str) -> None:
    found = of(code, "DX")
    assert list(found) == ["COD-05"]
    assert found["COD-05"].severity == "hold"


@pytest.mark.parametrize("code", ["CL", "CM", "CS"])
def test_parents_are_no_codes_for_examinations(code: str) -> None:
    one = header(study_description="GD1AD", procedure_codes=(item(code),))
    study = facts(one, practice=PRACTICE)
    found = judge(facts(one, practice=PRACTICE, code_periods=look_up_codes(study.sets, look_up))).findings
    assert [one.message for one in found if one.rule == "COD-05"] == [
        f"{code} is a heading of the code list, not a code for examinations"
    ]


@pytest.mark.parametrize(
    ("code", "instead", "modality"),
    [
        ("AA1BD", "AA1AD", "CT"),
        ("GD1BD", "GD1AD", "CT"),
        ("JN3BD", "JN3AD", "CT"),
        ("JN4BD", "JN4AD", "CT"),
        ("HA1BA", "HA1AA", "MG"),
        ("YX8AD", "YA1AD, YL1AD, YN1AD", "CT"),
    ],
)
def test_an_ended_code_holds_from_the_day_after_and_its_replacement_is_named(
    code: str, instead: str, modality: str
) -> None:
    ended = max(one.valid_to for one in official()[code] if one.valid_to is not None)
    after = date.fromordinal(ended.toordinal() + 1).strftime("%Y%m%d")
    assert "COD-03" not in of(code, modality, ended.strftime("%Y%m%d"))
    finding = of(code, modality, after)["COD-03"]
    assert finding.severity == "hold"
    assert f"{code} ended {ended.isoformat()}; use {instead}" in finding.message


@pytest.mark.parametrize("code", RESTING.split())
def test_a_resting_ecg_goes_as_a_waveform_in_both_families(code: str) -> None:
    assert of(code, "ECG", sop_class_uid=ECG12, waveform_items=1) == {}
    assert "ECG-01" in of(code, "DOC", sop_class_uid=PDF, mime_type="application/pdf", document_starts="%PDF-")


@pytest.mark.parametrize("code", ["FP3A5", "2063", "2064", "2065", "2068", "2069", "2070"])
def test_an_exercise_ecg_goes_as_a_pdf_in_both_families(code: str) -> None:
    assert of(code, "DOC", sop_class_uid=PDF, mime_type="application/pdf", document_starts="%PDF-") == {}
    assert "ECG-01" in of(code, "ECG", sop_class_uid=ECG12, waveform_items=1)


@pytest.mark.parametrize("code", ["FP4B5", "1279"])
def test_an_ecg_of_a_day_is_held(code: str) -> None:
    assert of(code, "ECG", sop_class_uid=ECG12, waveform_items=1).keys() >= {"CON-01", "ECG-01"}


def test_the_blood_pressure_of_a_day_is_no_ecg_and_not_taken() -> None:
    assert list(of("FP4A5", "OT")) == ["CON-01"]


def test_a_code_that_began_later_than_the_study_holds() -> None:
    assert "2023-01-01" in of("EB1VA", "IO", "20221231")["COD-03"].message
    assert of("EB1VA", "IO", "20230101") == {}


def test_every_imaging_code_of_the_official_list_has_a_content_class() -> None:
    from kuva_gateway.clinical.codes import is_imaging

    assert PRACTICE.content_classes is not None
    lacking = [
        code
        for code, periods in official().items()
        if any(map(is_imaging, periods)) and PRACTICE.content_classes.of(code) is None
    ]
    assert lacking == []
