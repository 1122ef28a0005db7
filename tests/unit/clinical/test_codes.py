"""What a code is, when it is valid, and which code a study names."""

from __future__ import annotations

from datetime import date

import pytest

from kuva_gateway.clinical.codes import (
    LABORATORY,
    PROCEDURES,
    RADIOLOGY,
    CodePeriod,
    CodeSource,
    agreed_code,
    code_sources,
    ecg_kind,
    is_imaging,
    known_scheme,
    looks_like_code,
    method_letter,
    valid_on,
)


def period(code: str = "GD1AA", **changes: object) -> CodePeriod:
    """A radiological code without end."""
    facts: dict[str, object] = {"name": "x", "valid_from": date(1999, 1, 1), "radiology": True, **changes}
    return CodePeriod(code=code, **facts)  # type: ignore[arg-type]


def test_both_ends_of_a_period_are_included() -> None:
    ended = period(valid_to=date(2021, 12, 31))
    assert ended.valid_on(date(1999, 1, 1))
    assert ended.valid_on(date(2021, 12, 31))
    assert not ended.valid_on(date(2022, 1, 1))
    assert not ended.valid_on(date(1998, 12, 31))
    assert period().valid_on(date(2031, 1, 1))


def test_the_period_of_the_day_is_found_among_several() -> None:
    first = period(valid_to=date(2009, 12, 31))
    second = period(valid_from=date(2015, 1, 1))
    assert valid_on((second, first), date(2005, 5, 5)) is first
    assert valid_on((first, second), date(2015, 1, 1)) is second
    assert valid_on((first, second), date(2012, 1, 1)) is None
    assert valid_on((), date(2012, 1, 1)) is None


def test_of_overlapping_periods_the_latest_begun_counts() -> None:
    old, new = period(), period(valid_from=date(2020, 1, 1))
    assert valid_on((new, old), date(2021, 1, 1)) is new


@pytest.mark.parametrize(
    ("code", "letter"),
    [("GD1AA", "A"), ("AA1AD", "D"), ("XX1XW", "W"), ("FP1B5", ""), ("CK2S4", ""), ("ZXH07", ""), ("", "")],
)
def test_the_method_letter_is_the_fifth_of_a_radiological_code(code: str, letter: str) -> None:
    assert method_letter(code) == letter


@pytest.mark.parametrize(
    ("facts", "imaging"),
    [
        (period("AA1AD"), True),
        (period("CK2S4", radiology=False, visible_light=True), True),
        (period("FP1B5", radiology=False, visible_light=True), True),
        (period("ZXH07"), True),
        (period("XX1XW"), False),
        (period("XX9AW"), False),
        (period("CL", radiology=False, visible_light=True, leaf=False), False),
        (period("CL", radiology=False, visible_light=True), False),
        (period("GD1AA", leaf=False), False),
        (period("NFB30", radiology=False), False),
        (period("1270", radiology=False, scheme=LABORATORY), True),
        (period("2063", radiology=False, scheme=LABORATORY), True),
        (period("4520", radiology=False, scheme=LABORATORY), False),
    ],
    ids=lambda value: value.code if isinstance(value, CodePeriod) else str(value),
)
def test_which_codes_are_imaging_codes(facts: CodePeriod, imaging: bool) -> None:
    assert is_imaging(facts) is imaging


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("FP1B5", "rest"),
        ("FP2C5", "rest"),
        ("FP3A5", "stress"),
        ("FP4B5", "long"),
        ("FP4A5", None),
        ("1270", "rest"),
        ("1272", "rest"),
        ("2070", "stress"),
        ("1279", "long"),
        ("2061", None),
        ("FP1B1", None),
        ("GD1AA", None),
    ],
)
def test_which_ecg_a_code_stands_for(code: str, kind: str | None) -> None:
    assert ecg_kind(code) == kind


@pytest.mark.parametrize("text", ["GD1AA", "CK2S4", "FP1B5", "CS424", "ZXH07"])
def test_texts_that_look_like_a_code(text: str) -> None:
    assert looks_like_code(text)


@pytest.mark.parametrize("text", ["THORA", "gd1aa", "GD1A", "GD1AAA", "1D1AA", "G11AA", "", "ÄD1AA", "GD1A\n", "CL"])
def test_texts_that_do_not_look_like_a_code(text: str) -> None:
    assert not looks_like_code(text)


def test_the_first_five_characters_of_the_description_are_a_source() -> None:
    assert code_sources("GD1AA Thoraxin röntgen", ()) == (CodeSource(where="StudyDescription", code="GD1AA"),)
    assert code_sources("GD1AA1", ()) == (CodeSource(where="StudyDescription", code="GD1AA"),)
    assert code_sources("Thorax GD1AA", ()) == ()
    assert code_sources("THORAX PA", ()) == ()


def test_national_schemes_drive_out_local_codes() -> None:
    items = [("XY1ZZ", "LOCAL", "", "a"), ("GD1AA", "", f"{PROCEDURES}.2007", "b")]
    assert code_sources("", items) == (CodeSource(where="b", code="GD1AA"),)


def test_without_a_national_scheme_what_looks_like_a_code_counts() -> None:
    items = [("GD1AA", "L", "", "a"), ("12345", "L", "", "a"), ("CHEST", "99HUS", "1.2.3", "b")]
    assert code_sources("", items) == (CodeSource(where="a", code="GD1AA"),)


def test_a_laboratory_number_counts_only_under_its_own_scheme() -> None:
    assert code_sources("", [("1270", "", LABORATORY, "a")]) == (CodeSource(where="a", code="1270"),)
    assert code_sources("", [("1270", "L", "", "a")]) == ()


def test_the_same_code_in_the_same_place_is_one_source() -> None:
    items = [("GD1AA", "THL", "", "a"), ("GD1AA", "THL", "", "a"), ("GD1AA", "THL", "", "b")]
    assert len(code_sources("", items)) == 2


def test_sources_must_agree() -> None:
    one, other = CodeSource(where="a", code="GD1AA"), CodeSource(where="b", code="GD1AD")
    assert agreed_code((one,)) == "GD1AA"
    assert agreed_code((one, CodeSource(where="b", code="GD1AA"))) == "GD1AA"
    assert agreed_code((one, other)) is None
    assert agreed_code(()) is None


@pytest.mark.parametrize(
    ("designator", "uid", "scheme"),
    [
        ("", "1.2.246.537.6.2", PROCEDURES),
        ("", "1.2.246.537.6.2.2007", PROCEDURES),
        ("", "1.2.246.537.6.4", RADIOLOGY),
        ("1.2.246.537.6.4", "", RADIOLOGY),
        ("THL", "", PROCEDURES),
        ("THL - Toimenpideluokitus", "", PROCEDURES),
        ("Kuntaliitto", "", PROCEDURES),
        ("Kuntaliitto - Laboratoriotutkimusnimikkeistö", "", LABORATORY),
        ("", "1.2.246.537.6.3.2006", LABORATORY),
        ("", "1.2.246.537.6.33", "1.2.246.537.6.33"),
        ("", "1.2.246.537.6.202", None),
        ("", "1.2.246.537.6.22", None),
        ("DCM", "1.2.840.10008.2.16.4", None),
        ("L", "", None),
        ("", "", None),
    ],
)
def test_coding_schemes(designator: str, uid: str, scheme: str | None) -> None:
    assert known_scheme(designator, uid) == scheme
