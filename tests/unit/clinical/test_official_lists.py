"""The official export itself, and the shipped starter list compared with it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import date

import pytest

from kuva_gateway.clinical.code_list import CodeList, read_code_list
from kuva_gateway.clinical.codes import LABORATORY, LABORATORY_ECG, CodePeriod, is_imaging, method_letter
from tests.support import ROOT, shared_data

DAY = date(2024, 5, 16)
STARTER = ROOT / "conf" / "procedure-codes.csv"
NATIVE = "GD1AA GD1QA AA1AA NA1AA NA3AA ND1AA NG1AA JN3AA AA3AA CA1AA DM1AA"
ORAL = "EB1AA EB1CA EB1SA EB1VA EB2VA EB1HA EB1JA EB1MA EB1CI EB1DI EE1HA"
OTHERS = "HA1AA HA1CA HA1HA AA1AD GD1AD JN3AD JN4AD FB1BD FB1AD FN1AD AA1BG AA1CG NA3BG NG1BG JN3AE BA1AE FM1AE PH2AE"
CATHETER = "PA2AC FN1AC PC1AC PA2AT GD1CT FM1AT FN2AA GD1LA JX1LA KH1LA NK6LA XX9LA"
VISIBLE = "CK2S4 CL2S4 CK2X4 CD2S4 QB5S1 EB1S1 EJ2V2"
ECG = "FP1A5 FP1B5 FP1C5 FP1D5 FP1E5 FP2A5 FP2B5 FP2C5 FP3A5 FP4B5 FP4A5"
NO_IMAGES = "XX1XW XX9AW"
ENDED = {
    "AA1BD": ("AA1AD",),
    "GD1BD": ("GD1AD",),
    "JN3BD": ("JN3AD",),
    "JN4BD": ("JN4AD",),
    "HA1BA": ("HA1AA",),
    "YX8AD": ("YA1AD", "YL1AD", "YN1AD", "YN7AD", "YJ1AD", "YG1AD"),
}


@pytest.fixture(scope="module", params=["thl-toimenpideluokitus-119.xls", "thl-imaging-codes-2024.csv"])
def official(request: pytest.FixtureRequest) -> CodeList:
    return read_code_list(request.param, shared_data(request.param).read_bytes())


@pytest.fixture(scope="module")
def starter() -> CodeList:
    return read_code_list(STARTER.name, STARTER.read_bytes())


def by_code(listed: CodeList) -> Mapping[str, CodePeriod]:
    return {period.code: period for period in listed.periods}


def test_the_whole_export_is_read_without_a_bad_row_and_quickly() -> None:
    data = shared_data("thl-toimenpideluokitus-119.xls").read_bytes()
    started = time.process_time()
    listed = read_code_list("119.xls", data)
    seconds = time.process_time() - started
    assert (len(listed.periods), listed.bad) == (11_801, ())
    assert seconds < 5


def test_the_imaging_rows_of_2024_are_read_without_a_bad_row() -> None:
    listed = read_code_list("x", shared_data("thl-imaging-codes-2024.csv").read_bytes())
    assert (len(listed.periods), listed.bad) == (2_662, ())


def test_the_known_counts_of_radiology_hold(official: CodeList) -> None:
    radiology = [period for period in official.periods if period.radiology]
    valid = [period for period in radiology if period.valid_on(DAY)]
    assert (len(radiology), len(valid)) == (2_372, 1_669)
    letters = {
        "A": 203,
        "B": 37,
        "C": 62,
        "D": 111,
        "E": 135,
        "G": 198,
        "I": 22,
        "J": 135,
        "N": 97,
        "P": 1,
        "Q": 34,
        "R": 45,
    }
    letters |= {"S": 43, "T": 520, "W": 24, "X": 1, "": 1}
    assert Counter(method_letter(period.code) for period in valid) == letters
    ends = Counter(period.valid_to for period in radiology)
    assert (ends[date(2016, 12, 31)], ends[date(2021, 12, 31)]) == (330, 137)


def test_the_known_counts_of_visible_light_hold(official: CodeList) -> None:
    visible = [period for period in official.periods if period.visible_light]
    assert len(visible) == 290
    assert all(period.valid_on(DAY) for period in visible)
    assert sorted(period.code for period in visible if not is_imaging(period)) == ["CL", "CM", "CS"]


def test_no_code_expires_by_the_sentinel(official: CodeList) -> None:
    assert not any(period.valid_to == date(2030, 12, 31) for period in official.periods)


@pytest.mark.parametrize("codes", [NATIVE, ORAL, OTHERS, CATHETER, VISIBLE, ECG])
def test_the_known_codes_exist_are_valid_and_are_imaging_codes(
    official: CodeList, starter: CodeList, codes: str
) -> None:
    for listed in (by_code(official), by_code(starter)):
        for code in codes.split():
            assert listed[code].valid_on(DAY), code
            assert is_imaging(listed[code]), code


def test_the_known_codes_without_images_are_valid_and_not_imaging_codes(official: CodeList, starter: CodeList) -> None:
    for listed in (by_code(official), by_code(starter)):
        for code in NO_IMAGES.split():
            assert listed[code].valid_on(DAY), code
            assert not is_imaging(listed[code]), code


@pytest.mark.parametrize("code", ENDED)
def test_the_known_ended_codes_name_what_replaces_them(official: CodeList, starter: CodeList, code: str) -> None:
    for listed in (by_code(official), by_code(starter)):
        period = listed[code]
        assert period.replaced_by == ENDED[code]
        assert not period.valid_on(DAY)
        assert period.valid_on(date(2010, 1, 1))
        assert all(listed[other].valid_on(DAY) for other in period.replaced_by)


def test_the_starter_list_has_no_bad_row_and_about_120_codes(starter: CodeList) -> None:
    assert starter.bad == ()
    assert 110 <= len(starter.periods) <= 130
    assert all(period.name and period.abbreviation for period in starter.periods)


def test_the_starter_list_has_the_laboratorys_ecg_numbers(starter: CodeList) -> None:
    laboratory = {period.code: period for period in starter.periods if period.scheme == LABORATORY}
    assert set(laboratory) == LABORATORY_ECG
    assert all(is_imaging(period) and period.valid_on(DAY) for period in laboratory.values())


def test_the_starter_list_says_what_the_official_export_says(official: CodeList, starter: CodeList) -> None:
    truth = by_code(official)
    for period in starter.periods:
        if period.scheme == LABORATORY:
            continue
        # The 2024 extract has no column for headings.
        expected = truth[period.code]
        assert period == (expected if period.leaf == expected.leaf else replace(expected, leaf=False, code=period.code))
        assert period.leaf or period.code == "CL"
