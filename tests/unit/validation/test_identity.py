"""PID-01 to PID-07 and UID-02: who the patient is."""

from __future__ import annotations

import pytest

from kuva_gateway.catalog.records import Neighbour
from tests.unit.validation.known import (
    DOCUMENTS,
    HETU,
    OTHER_HETU,
    REAL_HETU,
    changed,
    document,
    facts,
    found,
    header,
    only,
)

FEMALE = {"patient_id": OTHER_HETU, "sex": "F"}
TEMPORARY_ROOT = "1.2.246.10.99999984.22.2024"


@pytest.mark.parametrize(
    ("patient_id", "says"),
    [
        ("", "is missing"),
        ("12345", "form"),
        ("010516-903", "form"),
        ("010516*903X", "form"),
        ("320516B903X", "date of birth that does not exist"),
        ("290201A903X", "date of birth that does not exist"),
        ("010516B001N", "number that is never given"),
        ("010516B903Y", "wrong check character"),
    ],
)
def test_a_patient_id_that_is_no_identity_code_holds_with_the_kind_of_fault(patient_id: str, says: str) -> None:
    finding = only_of("PID-01", patient_id=patient_id)
    assert (finding.severity, finding.where) == ("hold", "PatientID (0010,0020)")
    assert says in finding.message
    assert "(instances: 10)" in finding.message
    assert not patient_id or patient_id not in finding.message


def only_of(rule: str, **changes: str):  # type: ignore[no-untyped-def]
    (finding,) = found(facts(header(**changes), documents=()), rule)
    return finding


@pytest.mark.parametrize("patient_id", [HETU, HETU.lower(), f" {HETU} ", "010516 B903X"])
def test_case_and_blanks_of_an_identity_code_do_not_matter(patient_id: str) -> None:
    assert found(changed(patient_id=patient_id)) == []


@pytest.mark.parametrize("patient_id", ["010594Y9032", "020594X903P", "030694W9024", "040594V9030", "020502E902X"])
def test_the_separators_since_2023_pass(patient_id: str) -> None:
    assert found(facts(header(patient_id=patient_id), documents=()), "PID-01") == []


def test_a_test_person_in_production_holds() -> None:
    study = facts(environment="production")
    finding = only(study)
    assert (finding.rule, finding.severity) == ("PID-03", "hold")


def test_a_real_person_in_test_is_refused_unless_configured_to_hold() -> None:
    study = facts(header(patient_id=REAL_HETU, birth_date="19521013", sex="F"), documents=())
    (finding,) = found(study, "PID-03")
    assert finding.severity == "refuse"
    (finding,) = found(study, "PID-03", severities={"PID-03": "hold"})
    assert finding.severity == "hold"


def test_each_person_in_the_right_place_passes() -> None:
    real = header(patient_id=REAL_HETU, birth_date="19521013", sex="F")
    assert found(facts(real, documents=(), environment="production"), "PID-01", "PID-03", "PID-04") == []
    assert found(facts(), "PID-03") == []


def test_a_faulty_identity_code_is_no_real_person() -> None:
    assert found(changed(patient_id="131052-308U"), "PID-03") == []


@pytest.mark.parametrize("birth_date", ["20160502", "19160501"])
def test_another_birth_date_holds_and_is_not_shown(birth_date: str) -> None:
    finding = only(changed(birth_date=birth_date))
    assert (finding.rule, finding.severity, finding.where) == ("PID-04", "hold", "PatientBirthDate (0010,0030)")
    assert birth_date not in finding.message


@pytest.mark.parametrize("birth_date", ["2016", "20161301", "2016-05-01", "١٢٣٤٥٦٧٨"])
def test_a_birth_date_that_is_no_date_holds(birth_date: str) -> None:
    assert "no date" in only(changed(birth_date=birth_date)).message


@pytest.mark.parametrize("sex", ["F", "O", "x"])
def test_another_sex_warns(sex: str) -> None:
    finding = only(changed(sex=sex))
    assert (finding.rule, finding.severity, finding.where) == ("PID-04", "warning", "PatientSex (0010,0040)")


def test_an_absent_birth_date_or_sex_disagrees_with_nothing() -> None:
    assert found(changed(birth_date="", sex="")) == []


def test_a_configured_severity_holds_for_both_halves_of_a_rule() -> None:
    study = changed(birth_date="20160502", sex="F")
    assert [one.severity for one in found(study, severities={"PID-04": "info"})] == ["info", "info"]
    assert found(study, severities={"PID-04": "off"}) == []


@pytest.mark.parametrize("issuer", ["issuer_of_patient_id", "issuer_universal_id"])
def test_a_temporary_id_waits_and_is_no_faulty_identity_code(issuer: str) -> None:
    changes = {"issuer_of_patient_id": "", "issuer_universal_id": "", issuer: TEMPORARY_ROOT}
    study = facts(header(patient_id="ABC12345678", **changes), documents=())
    (finding,) = found(study, "PID-01", "PID-05")
    assert (finding.rule, finding.severity) == ("PID-05", "hold")
    assert TEMPORARY_ROOT in finding.message


def test_two_patients_in_one_study_hold_by_both_rules() -> None:
    study = facts(header(), header(**FEMALE))
    patient, uid = found(study)
    assert {patient.rule, uid.rule} == {"PID-07", "UID-02"}
    assert {patient.severity, uid.severity} == {"hold"}
    (finding,) = found(study, "PID-07")
    assert "2 patient ids (10 + 10)" in finding.message
    assert "2.25.100.1.1" in finding.message


def test_one_patient_written_in_two_ways_is_one() -> None:
    assert found(facts(header(), header(patient_id=HETU.lower()))) == []


def test_a_differing_separator_is_a_differing_patient_and_is_named() -> None:
    (finding,) = found(facts(header(), header(patient_id=HETU.replace("B", "A"))), "PID-07")
    assert "only in the separator" in finding.message


def test_instances_without_an_id_are_no_second_patient() -> None:
    study = facts(header(), header(patient_id=""))
    assert {one.rule for one in found(study)} == {"PID-01"}


def test_one_local_id_of_two_issuers_is_two_patients() -> None:
    study = facts(
        header(patient_id="4711", issuer_universal_id="1.2.3"), header(patient_id="4711", issuer_universal_id="1.2.4")
    )
    (finding,) = found(study, "PID-07")
    assert "2 issuers" in finding.message
    assert found(facts(header(issuer_universal_id="1.2.3"), header(issuer_universal_id="1.2.4")), "PID-07") == []


def test_one_local_id_of_one_issuer_is_one_patient() -> None:
    study = facts(header(patient_id="4711"), header(patient_id="4711", issuer_universal_id="", issuer_of_patient_id=""))
    assert found(study, "PID-07") == []


@pytest.mark.parametrize(
    ("issuer", "universal"),
    [("1.2.246.21", ""), ("", "1.2.246.21"), ("HUS", "1.2.246.21"), (" 1.2.246.21 ", "1.2.246.21")],
)
def test_an_issuer_in_either_place_is_enough_and_a_name_does_not_matter_beside_it(issuer: str, universal: str) -> None:
    assert found(changed(issuer_of_patient_id=issuer, issuer_universal_id=universal), "PID-02") == []


@pytest.mark.parametrize(
    ("issuer", "universal", "says"),
    [
        ("", "", "is missing"),
        ("HUS", "", "is HUS, neither"),
        ("1.2.246.210", "", "is 1.2.246.210, neither"),
        ("1.2.246.10.99999984.22.99", "", "neither"),
        ("1.2.246.21", "1.2.246.10.1.2", "is 1.2.246.10.1.2, neither"),
        ("1.2.246.10.99999984.22.2024", "1.2.246.21", "name two issuers"),
    ],
)
def test_an_absent_or_unknown_issuer_holds_and_is_named(issuer: str, universal: str, says: str) -> None:
    (finding,) = found(changed(issuer_of_patient_id=issuer, issuer_universal_id=universal), "PID-02")
    assert (finding.severity, finding.where) == ("hold", "IssuerOfPatientID (0010,0021)")
    assert says in finding.message


def test_a_temporary_root_is_an_issuer_and_no_patient_id_needs_none() -> None:
    temporary = changed(patient_id="T1", issuer_of_patient_id=TEMPORARY_ROOT, issuer_universal_id="")
    assert found(temporary, "PID-02") == []
    assert found(changed(patient_id="", issuer_of_patient_id="", issuer_universal_id=""), "PID-02") == []


def test_every_instance_needs_its_issuer() -> None:
    study = facts(header(), header(issuer_of_patient_id="", issuer_universal_id=""))
    (finding,) = found(study, "PID-02")
    assert "(instances: 10)" in finding.message


@pytest.mark.parametrize("what", ["study", "document"])
def test_a_code_that_differs_only_in_the_separator_holds_what_shares_the_accession_number(what: str) -> None:
    neighbour = Neighbour(what=what, uid="2.25.7", patient_key=HETU.replace("B", "A"))
    (finding,) = found(facts(neighbours=(neighbour,)), "PID-06")
    assert finding.severity == "hold"
    assert "2.25.7" in finding.message + finding.where
    assert HETU[:6] not in finding.message


@pytest.mark.parametrize("key", [OTHER_HETU, HETU, "T1", "", HETU.replace("B", "A") + "X"])
def test_another_patient_with_the_accession_number_is_no_matter_of_separators(key: str) -> None:
    neighbour = Neighbour(what="study", uid="2.25.7", patient_key=key)
    assert found(facts(neighbours=(neighbour,)), "PID-06") == []


def test_a_linked_document_with_another_separator_holds_and_a_superseded_one_does_not() -> None:
    other = document("report", patient_id=HETU.replace("B", "A"))
    assert [one.where for one in found(facts(documents=(*DOCUMENTS, other)), "PID-06")] == [other.document.oid]
    old = document("report", patient_id=HETU.replace("B", "A"), current=False)
    assert found(facts(documents=(*DOCUMENTS, old)), "PID-06") == []
