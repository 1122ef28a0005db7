"""ACC-01: the accession number."""

from __future__ import annotations

import pytest

from tests.unit.validation.known import facts, found, header


@pytest.mark.parametrize("number", ["A", "A" * 16, "2024-ÄÖ/1 x"])
def test_a_number_of_one_to_sixteen_characters_passes(number: str) -> None:
    assert found(facts(header(accession_number=number)), "ACC-01") == []


@pytest.mark.parametrize(
    ("number", "says"),
    [
        ("", "missing"),
        ("   ", "missing"),
        ("A" * 17, "17 characters"),
        ("A\\B", "control character or a backslash"),
        ("A\tB", "control character or a backslash"),
        ("A\x7f", "control character or a backslash"),
        ("A\n", "control character or a backslash"),
    ],
)
def test_any_other_holds(number: str, says: str) -> None:
    (finding,) = found(facts(header(accession_number=number)), "ACC-01")
    assert (finding.severity, finding.where) == ("hold", "AccessionNumber (0008,0050)")
    assert says in finding.message


def test_too_long_and_with_a_backslash_are_two_findings() -> None:
    assert len(found(facts(header(accession_number="A\\" * 9)), "ACC-01")) == 2


def test_a_companion_without_a_number_is_no_fault() -> None:
    assert found(facts(header(), header(accession_number="")), "ACC-01") == []
