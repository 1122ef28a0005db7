"""COD-01 to COD-05: the code that a study is archived under."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from kuva_gateway.validation.findings import Finding
from tests.unit.validation.known import facts, found, header, item, local, look_up, period

CODES = ("COD-01", "COD-02", "COD-03", "COD-04", "COD-05")
DESCRIPTION = "StudyDescription (0008,1030)"
SEQUENCE = "ProcedureCodeSequence (0008,1032)"
REQUESTED = "RequestedProcedureCodeSequence (0032,1064)"
SR = "1.2.840.10008.5.1.4.1.1.88.11"


def of_codes(*headers: Any, **changes: Any) -> list[Finding]:
    """What the rules on codes find, whatever the documents say."""
    return found(facts(*headers, **changes), *CODES)


def coded(description: str, *codes: str, **changes: Any) -> Any:
    return header(study_description=description, procedure_codes=tuple(map(item, codes)), **changes)


@pytest.mark.parametrize("description", ["GD1AD", "GD1AD Thoraxin TT", "GD1AD, TT", " GD1AD x"])
def test_a_code_at_the_start_of_the_description_is_enough(description: str) -> None:
    assert of_codes(coded(description)) == []


def test_a_code_only_in_the_sequences_holds_and_says_what_the_archive_looks_at() -> None:
    for description in ("Thoraxin TT", ""):
        (finding,) = of_codes(coded(description, "GD1AD"))
        assert (finding.rule, finding.severity, finding.where) == ("COD-01", "hold", SEQUENCE)
        assert "GD1AD" in finding.message
        assert "first five characters of Study Description" in finding.message


def test_a_code_only_in_the_request_is_named_there() -> None:
    (finding,) = of_codes(header(study_description="", procedure_codes=(), requested_procedure_codes=(item("GD1AD"),)))
    assert finding.where == REQUESTED


def test_no_code_anywhere_holds() -> None:
    (finding,) = of_codes(coded(""))
    assert (finding.rule, finding.where) == ("COD-01", DESCRIPTION)
    assert "names no procedure code" in finding.message


@pytest.mark.parametrize(("description", "start"), [("Thorax PA", "Thora"), ("gd1ad", "gd1ad"), ("GD1", "GD1")])
def test_a_description_without_a_code_shows_how_it_starts(description: str, start: str) -> None:
    (finding,) = of_codes(coded(description))
    assert f"starts with '{start}'" in finding.message


def test_an_unknown_code_holds_and_names_every_place_where_it_stands() -> None:
    (finding,) = of_codes(coded("ZZ1ZZ x", "ZZ1ZZ"))
    assert finding.message.startswith("The code ZZ1ZZ is not in the code list")
    assert finding.where == f"{DESCRIPTION}, {SEQUENCE}"


def test_an_unknown_code_is_counted_where_it_stands() -> None:
    (finding,) = found(facts(coded("ZZ1ZZ x"), coded("GD1AD x")), "COD-01")
    assert "(instances: 10)" in finding.message


def test_several_causes_are_several_findings() -> None:
    findings = of_codes(coded("ZZ1ZZ x", "GD1BD"))
    assert [one.rule for one in findings] == ["COD-01", "COD-02", "COD-03"]
    assert len({one.where for one in findings}) == 2


def test_a_local_code_that_looks_like_a_national_one_does_not_count() -> None:
    assert of_codes(header(procedure_codes=(local("CT123"),))) == []
    (finding,) = of_codes(header(study_description="", procedure_codes=(local("CT123"),)))
    assert "names no procedure code" in finding.message


def test_local_items_beside_a_national_one_do_not_count() -> None:
    assert of_codes(header(procedure_codes=(local("GD1AA"), item("GD1AD")))) == []


def test_a_known_code_without_a_national_scheme_counts_and_warns() -> None:
    (finding,) = of_codes(header(procedure_codes=(local("GD1AD"),)))
    assert (finding.rule, finding.severity, finding.where) == ("COD-04", "warning", SEQUENCE)


@pytest.mark.parametrize("scheme", ["1.2.246.537.6.2", "1.2.246.537.6.2.2007", "1.2.246.537.6.4", "1.2.246.537.6.33"])
def test_a_national_scheme_with_or_without_a_version_does_not_warn(scheme: str) -> None:
    assert of_codes(header(procedure_codes=(item("GD1AD", scheme),))) == []


def test_another_register_below_the_same_root_is_no_code_list() -> None:
    (finding,) = of_codes(header(procedure_codes=(item("GD1AD", "1.2.246.537.6.202", "X"),)))
    assert finding.rule == "COD-04"


def test_description_and_sequence_that_disagree_hold() -> None:
    (finding,) = of_codes(coded("GD1AD x", "GD1AA"))
    assert (finding.rule, finding.severity, finding.where) == ("COD-02", "hold", SEQUENCE)
    assert finding.message == "Study Description says GD1AD, ProcedureCodeSequence says GD1AA"


def test_instances_that_disagree_hold_with_their_numbers() -> None:
    (finding,) = of_codes(coded("GD1AD x"), coded("GD1AA x"))
    assert finding.message == "The instances name different codes: GD1AD (10), GD1AA (10)"


def test_sequences_that_disagree_hold_without_a_description() -> None:
    findings = of_codes(coded("", "GD1AD", "GD1AA"))
    assert [one.rule for one in findings] == ["COD-01", "COD-02"]
    assert findings[1].message == "The sequences name different codes: GD1AD, GD1AA"


def test_a_companion_without_description_codes_or_date_is_no_fault() -> None:
    companion = header(sop_class_uid=SR, modality="SR", study_description="", procedure_codes=(), study_date="")
    assert of_codes(header(), companion) == []


def test_a_companion_with_a_description_of_its_own_holds() -> None:
    (finding,) = of_codes(header(), header(sop_class_uid=SR, study_description="CAD", procedure_codes=()))
    assert "starts with 'CAD'" in finding.message


def test_an_ended_code_names_its_replacement() -> None:
    (finding,) = of_codes(coded("GD1BD x", "GD1BD"))
    assert (finding.rule, finding.severity) == ("COD-03", "hold")
    assert finding.message == "GD1BD ended 2016-12-31; use GD1AD (study date 2024-03-04)"


def test_replacements_that_ended_as_well_are_followed() -> None:
    (finding,) = of_codes(coded("GD0BD x"))
    assert "GD0BD ended 2010-12-31; use GD1AD" in finding.message
    (finding,) = of_codes(coded("GD0BD x", study_date="20150101"))
    assert "use GD1BD" in finding.message


def test_a_replacement_that_the_list_lacks_is_named_all_the_same() -> None:
    periods = {"GD1BD": (period("GD1BD", last="2016-12-31", replaced_by=("QQ1QQ", "QQ2QQ")),)}
    (finding,) = of_codes(coded("GD1BD x"), code_periods=periods)
    assert "use QQ1QQ, QQ2QQ (" in finding.message


def test_many_replacements_are_cut() -> None:
    codes = tuple(f"QQ{number}QQ" for number in range(9))
    (finding,) = of_codes(
        coded("GD1BD x"), code_periods={"GD1BD": (period("GD1BD", last="2016-12-31", replaced_by=codes),)}
    )
    assert "QQ5QQ, … (" in finding.message
    assert "QQ6QQ" not in finding.message


def test_six_replacements_are_named_in_full() -> None:
    codes = tuple(f"QQ{number}QQ" for number in range(6))
    periods = {"GD1BD": (period("GD1BD", last="2016-12-31", replaced_by=codes),)}
    (finding,) = of_codes(coded("GD1BD x"), code_periods=periods)
    assert "QQ5QQ (study date" in finding.message


def test_replacements_in_a_circle_come_to_an_end() -> None:
    periods = {
        "GD1BD": (period("GD1BD", last="2016-12-31", replaced_by=("GD2BD",)),),
        "GD2BD": (period("GD2BD", last="2016-12-31", replaced_by=("GD1BD",)),),
    }
    (finding,) = of_codes(coded("GD1BD x"), code_periods=periods)
    assert "use GD2BD" in finding.message


def test_an_ended_code_without_a_replacement_says_so() -> None:
    (finding,) = of_codes(coded("XX8AD x"))
    assert "names no replacement" in finding.message


@pytest.mark.parametrize(
    ("day", "number"), [("20161231", 0), ("20170101", 1), ("19970101", 0), ("19961231", 1)], ids=str
)
def test_the_first_and_the_last_day_of_validity_are_included(day: str, number: int) -> None:
    assert len(of_codes(coded("GD1BD x", study_date=day))) == number


def test_a_code_that_begins_later_says_when() -> None:
    (finding,) = of_codes(coded("NW1AG x"))
    assert finding.message == "NW1AG is valid only from 2025-01-01 (study date 2024-03-04)"


def test_a_code_with_a_gap_is_judged_on_the_day() -> None:
    periods = {"GD1AD": (period("GD1AD", last="2010-12-31"), period("GD1AD", "2020-01-01"))}
    assert of_codes(coded("GD1AD x", study_date="20240101"), code_periods=periods) == []
    (finding,) = of_codes(coded("GD1AD x", study_date="20150101"), code_periods=periods)
    assert "ended 2010-12-31" in finding.message


@pytest.mark.parametrize("day", ["2024-03-04", "20241301", "2024", "yesterday", "2024030４"])
def test_a_study_date_that_is_no_date_holds(day: str) -> None:
    (finding,) = of_codes(header(study_date=day))
    assert (finding.rule, finding.where) == ("COD-03", "StudyDate (0008,0020)")
    assert "no date of the form" in finding.message


def test_an_absent_study_date_holds() -> None:
    (finding,) = of_codes(header(study_date=""))
    assert "study date is missing" in finding.message


def test_a_study_date_that_has_not_come_holds_but_clocks_may_differ_by_a_day() -> None:
    assert of_codes(header(study_date="20240305"), today=date(2024, 3, 4)) == []
    (finding,) = of_codes(header(study_date="20240306"), today=date(2024, 3, 4))
    assert "has not come yet" in finding.message


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("XX1XW", "a statement, a copy or other work"),
        ("GD1AX", "is a heading"),
        ("FN2AA", "is no imaging code"),
    ],
)
def test_a_code_that_stands_for_no_images_holds(code: str, says: str) -> None:
    (finding,) = of_codes(coded(f"{code} x", code))
    assert (finding.rule, finding.severity) == ("COD-05", "hold")
    assert code in finding.message
    assert says in finding.message


def test_a_code_is_judged_by_the_period_of_the_study_date() -> None:
    periods = {"GD1AD": (period("GD1AD", last="2020-12-31"), period("GD1AD", "2021-01-01", radiology=False))}
    assert of_codes(coded("GD1AD x", study_date="20200101"), code_periods=periods) == []
    (finding,) = of_codes(coded("GD1AD x", study_date="20240101"), code_periods=periods)
    assert finding.rule == "COD-05"


def test_a_heading_in_a_sequence_is_named_as_one() -> None:
    findings = of_codes(header(procedure_codes=(item("JA"),)))
    assert [one.rule for one in findings] == ["COD-02", "COD-05"]
    assert "JA is a heading" in findings[1].message


@pytest.mark.parametrize("description", ["FP1B5 EKG, 12 kytkentää levossa", "1270 Pt-EKG-12", "1270"])
def test_ecg_codes_of_both_families_pass(description: str) -> None:
    code = description.split(maxsplit=1)[0]
    items = (item(code, "1.2.246.537.6.3.2006" if code == "1270" else "1.2.246.537.6.2"),)
    assert of_codes(header(study_description=description, procedure_codes=items)) == []


def test_a_laboratory_number_that_is_no_ecg_is_no_imaging_code() -> None:
    found_codes = of_codes(header(procedure_codes=(item("1234", "1.2.246.537.6.3"),)))
    assert [one.rule for one in found_codes] == ["COD-02", "COD-05"]


def test_the_code_list_is_asked_once_per_step() -> None:
    asked: list[list[str]] = []

    def ask(codes: Any) -> Any:
        asked.append(list(codes))
        return look_up(codes)

    from kuva_gateway.validation.facts import look_up_codes
    from tests.unit.validation.known import fact_set

    periods = look_up_codes([fact_set(coded("GD0BD x", "GD1AA")), fact_set(coded("GD0BD x"))], ask)
    assert asked == [["GD0BD", "GD1AA"], ["GD1BD"], ["GD1AD"]]
    assert set(periods) == {"GD0BD", "GD1AA", "GD1BD", "GD1AD"}
