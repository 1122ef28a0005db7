"""CON-01, COD-06, ECG-01, UID-03 and the configured lists of TS-01."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from kuva_gateway.clinical.content_classes import ContentClasses, read_content_classes
from kuva_gateway.clinical.methods import METHODS
from kuva_gateway.dicom.header import Header
from kuva_gateway.validation.findings import Finding
from kuva_gateway.validation.practice import Practice
from kuva_gateway.validation.rules import judge
from tests.support import ROOT
from tests.unit.validation.known import EXPLICIT, facts, found, header, item, look_up, period

SHIPPED = read_content_classes(ROOT / "conf" / "content-classes.yaml")
ECG12 = "1.2.840.10008.5.1.4.1.1.9.1.1"
PDF = "1.2.840.10008.5.1.4.1.1.104.1"
SR = "1.2.840.10008.5.1.4.1.1.88.11"
TODAY = date(2026, 11, 22)


def one_class(**changes: Any) -> Practice:
    values = {"id": "ct", "name": {"en": "CT scans", "fi": "TT-kuvat"}, "codes": ["????D"], **changes}
    return Practice(content_classes=ContentClasses.model_validate({"classes": [values]}))


def of_class(practice: Practice, today: date = TODAY, **changes: Any) -> list[Finding]:
    return found(facts(header(**changes), practice=practice, today=today), "CON-01")


# -- CON-01 ----------------------------------------------------------------------------------------------------------


def test_a_study_of_an_open_class_passes() -> None:
    assert of_class(one_class(open_from="2018-01-01")) == []
    assert of_class(Practice(content_classes=SHIPPED)) == []


def test_a_study_of_a_class_that_opens_later_is_held_until_that_day_and_passes_on_it() -> None:
    practice = one_class(open_from="2026-11-23")
    verdict = judge(facts(practice=practice, today=TODAY))
    assert not verdict.passed
    assert verdict.look_again_on == date(2026, 11, 23)
    (finding,) = (one for one in verdict.findings if one.rule == "CON-01")
    assert finding.severity == "hold"
    assert (
        finding.message == "GD1AD belongs to the content class CT scans, which opens on 2026-11-23; the study goes then"
    )
    again = judge(facts(practice=practice, today=date(2026, 11, 23)))
    assert again.passed
    assert again.look_again_on is None
    assert again.content_classes == ("ct",)


def test_the_class_is_named_in_finnish() -> None:
    practice = one_class(open_from="2026-11-23")
    (finding,) = judge(facts(practice=practice, today=TODAY), language="fi").findings
    assert finding.message.startswith("GD1AD kuuluu sisältöluokkaan TT-kuvat, joka avautuu 2026-11-23")


def test_a_rule_that_is_off_asks_for_no_other_day() -> None:
    verdict = judge(facts(practice=one_class(open_from="2026-11-23"), today=TODAY), {"CON-01": "off"})
    assert verdict.passed
    assert verdict.look_again_on is None


def test_a_closed_class_holds_without_a_day() -> None:
    verdict = judge(facts(practice=one_class(open_from="2018-01-01", closed=True), today=TODAY))
    assert not verdict.passed
    assert verdict.look_again_on is None
    assert "closed until further notice" in verdict.findings[0].message


def test_a_study_older_than_the_class_takes_is_held_and_one_of_that_day_goes() -> None:
    practice = one_class(open_from="2018-01-01", study_date_from="2024-03-04")
    assert of_class(practice, study_date="20240304") == []
    (finding,) = of_class(practice, study_date="20240303")
    assert finding.where == "StudyDate (0008,0020)"
    assert "2024-03-04" in finding.message
    assert "2024-03-03" in finding.message


def test_a_code_without_a_class_holds_and_says_where_to_give_it_one() -> None:
    (finding,) = of_class(one_class(codes=["????E"]))
    assert "GD1AD belongs to no content class" in finding.message
    assert "content classes' file" in finding.remedy


@pytest.mark.parametrize("code", ["XX1XW", "JA", "QQ1QQ"])
def test_codes_that_stand_for_no_images_or_for_nothing_are_not_this_rules(code: str) -> None:
    practice = Practice(content_classes=SHIPPED)
    assert of_class(practice, study_description=code, procedure_codes=(item(code),)) == []


def test_without_a_table_the_rule_is_silent() -> None:
    assert of_class(Practice()) == []


def test_a_study_date_to_come_is_looked_at_again_when_it_has_come() -> None:
    verdict = judge(facts(header(study_date="20261201"), today=TODAY))
    assert [one.rule for one in verdict.findings] == ["COD-03"]
    assert verdict.look_again_on == date(2026, 11, 30)
    assert judge(facts(header(study_date="20261201"), today=date(2026, 11, 30))).passed


# -- COD-06 ----------------------------------------------------------------------------------------------------------

EXPECTED = {
    "GD1AA": "CR DX DR RF IO PX MG XA",
    "GD1LB": "RF XA CR DX",
    "FN1AC": "XA",
    "GD1AD": "CT",
    "JN3AE": "US IVUS",
    "AA1BG": "MR",
    "EB1CI": "CT CBCT DX PX",
    "NK1AJ": "XA RF CR DX CT",
    "AA5AN": "NM",
    "AA5AP": "PT NM CT",
    "AA5AQ": "PT NM CT",
    "AA5AR": "PT NM CT",
    "AA5AS": "PT MR",
    "GD1CT": "CT US XA CR",
    "FN2AA": "XA",
}


def of_method(code: str, *modalities: str, practice: Practice | None = None, **changes: Any) -> list[Finding]:
    headers = [
        header(modality=one, study_description=code, procedure_codes=(item(code),), **changes) for one in modalities
    ]
    periods = {code: (period(code, **({"radiology": False, "visible_light": True} if code[-1].isdigit() else {})),)}
    return found(facts(*headers, code_periods=periods, practice=practice or Practice()), "COD-06")


@pytest.mark.parametrize(("code", "modalities"), EXPECTED.items())
def test_a_modality_that_goes_with_the_method_letter_passes(code: str, modalities: str) -> None:
    assert of_method(code, *modalities.split()) == []


@pytest.mark.parametrize(("code", "modality"), [("GD1AD", "MR"), ("GD1AA", "CT"), ("FN1AC", "CR"), ("JN3AE", "CT")])
def test_another_modality_is_a_warning_that_names_what_goes_with_the_code(code: str, modality: str) -> None:
    (finding,) = of_method(code, modality, EXPECTED[code].split()[0])
    assert (finding.severity, finding.where) == ("warning", "Modality (0008,0060)")
    assert code in finding.message
    assert f"say {modality} (instances: 10)" in finding.message
    assert EXPECTED[code].split()[0] in finding.message


def test_a_missing_modality_is_a_warning() -> None:
    (finding,) = of_method("GD1AD", "CT", "")
    assert "name no modality" in finding.message


@pytest.mark.parametrize("companion", ["SR", "PR", "KO", "SEG"])
def test_companions_go_with_every_code(companion: str) -> None:
    assert of_method("AA1BG", "MR", companion) == []


@pytest.mark.parametrize(
    ("code", "modality", "fits"),
    [("FP1B5", "ECG", True), ("FP3A5", "DOC", True), ("FP3A5", "OT", True), ("FP1B5", "CT", False)],
)
def test_ecg_codes_go_with_what_is_seen_in_the_field(code: str, modality: str, fits: bool) -> None:
    assert (of_method(code, modality) == []) == fits


@pytest.mark.parametrize(
    ("code", "modality", "fits"), [("CK2S4", "OP", True), ("QB5S1", "XC", True), ("CK2S4", "CT", False)]
)
def test_eyes_and_photographs_have_their_own_modalities(code: str, modality: str, fits: bool) -> None:
    assert (of_method(code, modality) == []) == fits


def test_a_row_of_the_configuration_replaces_ours_and_an_empty_one_switches_it_off() -> None:
    assert of_method("GD1AD", "OT", practice=Practice(method_modalities={"D": ("CT", "OT")})) == []
    assert of_method("GD1AD", "OT", practice=Practice(method_modalities={"GD1??": ("OT",)})) == []
    assert of_method("GD1AD", "OT", practice=Practice(method_modalities={"D": ()})) == []
    assert len(of_method("GD1AD", "CT", practice=Practice(method_modalities={"D": ("OT",)}))) == 1
    assert len(of_method("AA1BG", "CT", practice=Practice(method_modalities={"D": ("OT",)}))) == 1


def test_every_row_of_the_table_names_modalities() -> None:
    assert all(METHODS.values())


# -- ECG-01 ----------------------------------------------------------------------------------------------------------

PERIODS = {
    **look_up(["FP1B5", "1270"]),
    **{
        code: (period(code, "2020-01-01", radiology=False, visible_light=True),) for code in ("FP3A5", "FP4B5", "FP4A5")
    },
    "2063": (period("2063", radiology=False, scheme="1.2.246.537.6.3"),),
}


def waveform(code: str = "FP1B5", **changes: Any) -> Header:
    values: dict[str, Any] = {
        "sop_class_uid": ECG12,
        "modality": "ECG",
        "waveform_items": 1,
        "study_description": code,
        "procedure_codes": (item(code),),
        **changes,
    }
    return header(**values)


def report(code: str = "FP3A5", **changes: Any) -> Header:
    values: dict[str, Any] = {
        "sop_class_uid": PDF,
        "modality": "DOC",
        "mime_type": "application/pdf",
        "document_starts": "%PDF-",
        "waveform_items": 0,
        **changes,
    }
    return waveform(code, **values)


def of_ecg(*headers: Header) -> list[Finding]:
    return found(facts(*headers, code_periods=PERIODS), "ECG-01")


@pytest.mark.parametrize("code", ["FP1B5", "1270"])
@pytest.mark.parametrize("arc", ["1", "2", "4"])
def test_a_resting_ecg_with_samples_passes_in_both_families_of_codes(code: str, arc: str) -> None:
    assert of_ecg(waveform(code, sop_class_uid=ECG12[:-1] + arc)) == []


@pytest.mark.parametrize("code", ["FP3A5", "2063"])
def test_an_exercise_ecg_that_is_a_pdf_passes_in_both_families_of_codes(code: str) -> None:
    assert of_ecg(report(code)) == []
    assert of_ecg(report(code, mime_type="Application/PDF ")) == []


@pytest.mark.parametrize(
    ("ecg", "where", "said"),
    [
        (waveform(waveform_items=0), "WaveformSequence", "has no samples"),
        (waveform(modality="OT"), "Modality", "ECG and not OT"),
        (waveform(sop_class_uid=ECG12[:-1] + "3"), "SOPClassUID", "Ambulatory ECG"),
        (report("FP1B5"), "SOPClassUID", "archived as a waveform"),
        (waveform("FP3A5"), "SOPClassUID", "archived as an encapsulated PDF"),
        (report(mime_type="text/xml"), "MIMEType", "application/pdf and not text/xml"),
        (report(mime_type=""), "MIMEType", "application/pdf and not –"),
        (report(document_starts="<html"), "EncapsulatedDocument", "do not begin with %PDF-"),
        (waveform("FP4B5"), "StudyDescription", "a day or longer"),
        (waveform(modality="SR", sop_class_uid=SR), "SOPClassUID", "there is no waveform"),
        (report(modality="SR", sop_class_uid=SR), "SOPClassUID", "there is no PDF"),
    ],
)
def test_every_other_form_is_held_and_says_what_is_archived(ecg: Header, where: str, said: str) -> None:
    (finding,) = of_ecg(ecg)
    assert finding.severity == "hold"
    assert finding.where.startswith(where)
    assert said in finding.message


def test_companions_of_an_ecg_are_left_alone() -> None:
    assert of_ecg(waveform(), waveform(modality="SR", sop_class_uid=SR, waveform_items=0)) == []


def test_a_blood_pressure_of_a_day_and_images_are_no_ecg() -> None:
    assert of_ecg(waveform("FP4A5")) == []
    assert found(facts(), "ECG-01") == []


@pytest.mark.parametrize(
    ("syntax", "passes"),
    [
        (EXPLICIT, True),
        ("1.2.840.10008.1.2", True),
        ("1.2.840.10008.1.2.4.70", False),
        ("1.2.840.10008.1.2.1.99", False),
    ],
)
@pytest.mark.parametrize("ecg", [waveform, report])
def test_ecg_comes_in_plain_little_endian_only(ecg: Any, syntax: str, passes: bool) -> None:
    study = facts(ecg(transfer_syntax_uid=syntax), code_periods=PERIODS)
    assert (found(study, "TS-01") == []) == passes


# -- UID-03, TS-01 ---------------------------------------------------------------------------------------------------


def test_a_study_uid_under_a_configured_root_passes_and_another_is_a_warning() -> None:
    for roots in ((), ("2.25",), ("1.2.246.10", "2.25.100")):
        assert found(facts(practice=Practice(study_uid_roots=roots)), "UID-03") == []
    for roots in (("2.2",), ("1.2.246.10",), ("2.25.10",)):
        (finding,) = found(facts(practice=Practice(study_uid_roots=roots)), "UID-03")
        assert finding.severity == "warning"
        assert "2.25.100" in finding.message


def test_a_configured_list_of_transfer_syntaxes_replaces_that_of_its_kind_alone() -> None:
    only_implicit = Practice(transfer_syntaxes={"image": frozenset({"1.2.840.10008.1.2"})})
    (finding,) = found(facts(practice=only_implicit), "TS-01")
    assert finding.severity == "hold"
    others = Practice(transfer_syntaxes={"report": frozenset({"1.2.840.10008.1.2"})})
    assert found(facts(practice=others), "TS-01") == []
    assert found(facts(header(transfer_syntax_uid="1.2.840.10008.1.2"), practice=only_implicit), "TS-01") == []
