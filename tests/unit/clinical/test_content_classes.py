"""Content classes: the shipped file, and what is said about one with faults."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
import yaml

from kuva_gateway.clinical.content_classes import ContentClass, ContentClasses, read_content_classes
from kuva_gateway.errors import ConfigurationError
from tests.support import ROOT

SHIPPED = ROOT / "conf" / "content-classes.yaml"
GOOD = {"id": "ct", "name": {"en": "CT", "fi": "TT"}, "codes": ["????D"], "open_from": "2018-01-01"}


@pytest.fixture(scope="module")
def shipped() -> ContentClasses:
    return read_content_classes(SHIPPED)


@pytest.mark.parametrize(
    ("class_id", "opens", "closed", "codes"),
    [
        ("native-xray", 2018, False, "GD1AA GD1QA AA1AA NA1AA NA3AA ND1AA NG1AA JN3AA HA1AA HA1HA"),
        ("oral-xray", 2018, False, "EB1HA EB1JA EB1MA EB1CI EB1DI EE1HA"),
        ("intraoral", 2024, False, "EB1AA EB1CA EB1SA EB1VA EB2VA"),
        ("ultrasound", 2018, False, "JN3AE BA1AE FM1AE PH2AE"),
        ("ct", 2018, False, "AA1AD GD1AD JN3AD JN4AD FB1BD FB1AD FN1AD"),
        ("mr", 2018, False, "AA1BG AA1CG NA3BG NG1BG"),
        ("angiography", 2018, False, "PA2AC FN1AC PC1AC"),
        ("interventional", 2018, False, "PA2AT GD1CT FM1AT FN2AA"),
        ("fluoroscopy", 2018, False, "GD1LA JX1LA KH1LA NK6LA XX9LA"),
        ("resting-ecg", 2021, False, "FP1A5 FP1B5 FP1C5 FP1D5 FP1E5 FP2A5 FP2B5 FP2C5 1270 1271 1272"),
        ("exercise-ecg", 2021, False, "FP3A5 2063 2064 2065 2068 2069 2070"),
        ("long-ecg", None, True, "FP4B5 1279"),
        ("clinical-physiology", None, True, "FP4A5"),
        ("screening", None, True, "HA1CA CL2S4"),
        ("eye", None, True, "CK2S4 CK2X4 CD2S4"),
        ("visible-light", None, True, "QB5S1 EB1S1 EJ2V2"),
    ],
)
def test_the_shipped_classes_have_the_known_codes_and_days(
    shipped: ContentClasses, class_id: str, opens: int | None, closed: bool, codes: str
) -> None:
    one = next(one for one in shipped.classes if one.id == class_id)
    assert (one.open_from, one.closed) == (None if opens is None else date(opens, 1, 1), closed)
    assert {code: shipped.of(code) for code in codes.split()} == dict.fromkeys(codes.split(), one)
    assert shipped.ids_of(codes.split()) == (class_id,)


def test_every_class_of_the_shipped_file_writes_every_key() -> None:
    for one in yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))["classes"]:
        assert set(one) == set(ContentClass.model_fields)


def test_every_key_of_a_class_is_told_at_the_head_of_the_shipped_file() -> None:
    head = SHIPPED.read_text(encoding="utf-8").partition("\nclasses:")[0]
    for key in ContentClass.model_fields:
        assert f"#   {key} " in head


def test_a_class_opens_on_its_first_day_and_not_the_day_before() -> None:
    one = ContentClass.model_validate(GOOD)
    assert not one.is_open(date(2017, 12, 31))
    assert one.opens_on(date(2017, 12, 31)) == date(2018, 1, 1)
    assert one.is_open(date(2018, 1, 1))
    assert one.opens_on(date(2018, 1, 1)) is None


def test_a_closed_class_opens_on_no_day() -> None:
    one = ContentClass.model_validate({**GOOD, "closed": True, "open_from": "2030-01-01"})
    assert not one.is_open(date(2031, 1, 1))
    assert one.opens_on(date(2026, 1, 1)) is None


def test_a_class_without_a_day_is_not_open() -> None:
    one = ContentClass.model_validate({**GOOD, "open_from": None})
    assert not one.is_open(date(2031, 1, 1))


def test_many_codes_are_no_leak(shipped: ContentClasses) -> None:
    for number in range(10_000):
        shipped.of(f"A{number:04}")
    assert len(shipped._by_code) <= 4096
    assert shipped.of("GD1AD") is not None


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("classes: []\n", 1, "at least 1"),
        ("nothing: 1\nclasses:\n  - id: ct\n    name: {en: CT, fi: TT}\n    codes: [A]\n", 1, "unknown key"),
        ("classes:\n  - id: ct\n    name: {en: CT, fi: TT}\n    codes: ['????d']\n", 4, "no pattern of codes"),
        ("classes:\n  - id: ct\n    name: {en: CT, fi: TT}\n    codes: []\n", 4, "at least 1"),
        ("classes:\n  - id: C T\n    name: {en: CT, fi: TT}\n    codes: [A]\n", 2, "an id has"),
        ("classes:\n  - id: ct\n    codes: [A]\n", 2, "must be written"),
        ("classes:\n  - id: ct\n    name: {en: CT, fi: TT}\n    codes: [A]\n    open_from: 2018-13-01\n", 5, "month"),
        ("classes:\n  - id: ct\n    name: {en: CT, fi: TT}\n    codes: [A]\n    open: true\n", 5, "unknown key"),
        ("classes:\n  - id: ct\n    id: mr\n    name: {en: CT, fi: TT}\n    codes: [A]\n", 3, "stands twice"),
        ("classes: [\n", 2, ""),
    ],
)
def test_a_fault_is_told_with_its_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    path = tmp_path / "classes.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        read_content_classes(path)
    assert [(one.line, said in one.message) for one in caught.value.problems] == [(line, True)]
    assert str(path) in str(caught.value)


def test_an_id_that_stands_twice_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "classes.yaml"
    path.write_text(yaml.safe_dump({"classes": [GOOD, GOOD]}))
    with pytest.raises(ConfigurationError, match="the id ct stands twice"):
        read_content_classes(path)


def test_a_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        read_content_classes(tmp_path / "none.yaml")
