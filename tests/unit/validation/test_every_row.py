"""The rules' table, row by row: a study that passes, one that fails with the row's severity, and one at the border.

Each case changes one thing about the study of :mod:`.known`, and is judged by all rules together. What single instances
show when they come in (DUP-01, IOC-01, QUA-02, QUA-03) is handed in as the indexer does, whose own tests are named
below, with those of the parts that see to the rules without findings.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import pytest

from kuva_gateway.catalog.records import InstanceFinding, Neighbour, Rejection
from kuva_gateway.clinical.content_classes import ContentClasses
from kuva_gateway.clinical.providers import Provider
from kuva_gateway.dicom import syntaxes
from kuva_gateway.dicom.amendments import Amendment
from kuva_gateway.validation.facts import StudyFacts
from kuva_gateway.validation.parties import Parties
from kuva_gateway.validation.practice import Practice
from kuva_gateway.validation.rules import RULES, judge
from kuva_gateway.validation.texts.elsewhere import ELSEWHERE
from tests.authorizations import KEEPER, PRODUCER
from tests.support import ROOT
from tests.unit.validation.known import (
    DOCUMENTS,
    HETU,
    OTHER_HETU,
    REAL_HETU,
    TODAY,
    document,
    fact_set,
    facts,
    header,
    item,
    local,
    seen,
)
from tests.unit.validation.test_content import PERIODS as ECG_PERIODS
from tests.unit.validation.test_content import report, waveform
from tests.unit.validation.test_parties import kept, papers
from tests.unit.validation.test_parties import study as producers_study

TEMPORARY = "1.2.246.10.99999984.22.2026"
SWITCHED = HETU.replace("B", "A")
"""The same code with another separator."""


class Row(NamedTuple):
    """One row: the severity that it fails with; at the border the study ``just`` passes, or ``just not``."""

    severity: str
    passes: StudyFacts
    fails: StudyFacts
    just: StudyFacts
    just_not: StudyFacts


def one(**changes: Any) -> StudyFacts:
    """The good study with attributes of its images changed."""
    return facts(header(**changes))


def coded(code: str, **changes: Any) -> StudyFacts:
    """The good study under another code."""
    values = {"study_description": f"{code} x", "procedure_codes": (item(code),), **changes}
    return one(**values)


def with_documents(*documents: Any) -> StudyFacts:
    return facts(documents=documents)


def classes(**changes: Any) -> Practice:
    values = {"id": "ct", "name": {"en": "CT", "fi": "TT"}, "codes": ["????D"], **changes}
    return Practice(content_classes=ContentClasses.model_validate({"classes": [values]}))


def of_class(study_date: str = "20240304", **changes: Any) -> StudyFacts:
    return facts(header(study_date=study_date), practice=classes(**changes))


def rooted(*roots: str) -> StudyFacts:
    return facts(practice=Practice(study_uid_roots=roots))


def ecg(one: Any) -> StudyFacts:
    return facts(one, code_periods=ECG_PERIODS)


def joining(day: date) -> StudyFacts:
    provider = Provider(name="Testin hyvinvointialue", sector="public", joined=day, oid=KEEPER)
    return facts(documents=papers(), parties=Parties(providers=(provider,)))


def beside(key: str) -> StudyFacts:
    return facts(neighbours=(Neighbour(what="study", uid="2.25.7", patient_key=key),))


def observed(*findings: InstanceFinding) -> StudyFacts:
    return facts(instance_findings=findings)


def noted(message: str, severity: str) -> StudyFacts:
    return observed(
        InstanceFinding(rule="IOC-01", severity=severity, where=message, sop_instance_uid="2.25.100.1.1", other_uid="")
    )


def amended(name: str, character_set: tuple[str, ...]) -> StudyFacts:
    change = Amendment(changes={"PatientName": name}, origin="person", by="anna", at=datetime(2026, 11, 22, tzinfo=UTC))
    return facts(received=(fact_set(header(character_set=character_set)),), amendments=(change,))


GOOD = facts()
DISMISSED = Rejection(by="anna", at=datetime(2026, 11, 21, tzinfo=UTC), reason="a phantom")
VIDEO_SYNTAX = "1.2.840.10008.1.2.4.102"
OCCUPATIONAL = papers(register="4", register_specifier="1234567-1")

ROWS: dict[str, Row] = {
    "SOP-01": Row(
        "refuse",
        GOOD,
        one(sop_class_uid="1.2.840.10008.5.1.4.38.1"),  # a hanging protocol belongs to no patient
        facts(header(sop_class_uid="1.2.3.4"), private_classes={"1.2.3.4"}),
        facts(header(sop_class_uid="1.2.3.4"), private_classes={"1.2.3.40"}),
    ),
    "TS-01": Row(
        "hold",
        GOOD,
        one(transfer_syntax_uid=VIDEO_SYNTAX),
        ecg(waveform(transfer_syntax_uid=syntaxes.IMPLICIT_LITTLE)),
        ecg(waveform(transfer_syntax_uid=syntaxes.DEFLATED)),
    ),
    "UID-01": Row(
        "refuse",
        GOOD,
        facts(study_instance_uid="1.2.x"),
        facts(study_instance_uid="1." + "2" * 62),
        facts(study_instance_uid="1." + "2" * 63),
    ),
    "UID-02": Row(
        "hold",
        GOOD,
        observed(seen("UID-02", "hold", "2.25.777")),
        facts(header(), header(patient_id=HETU.lower())),
        facts(header(), header(patient_id=OTHER_HETU, sex="F")),
    ),
    "UID-03": Row("warning", rooted(), rooted("1.2.246.10"), rooted("2.25.100"), rooted("2.25.10")),
    "PID-01": Row(
        "hold",
        GOOD,
        one(patient_id="12345"),
        facts(header(patient_id=f" {HETU.lower()} ")),
        one(patient_id=HETU[:-1] + "Y"),  # the check character
    ),
    "PID-02": Row(
        "hold",
        GOOD,
        one(issuer_of_patient_id="", issuer_universal_id=""),
        one(issuer_of_patient_id="HUS", issuer_universal_id="1.2.246.21"),
        one(issuer_of_patient_id="1.2.246.210", issuer_universal_id="1.2.246.210"),
    ),
    "PID-03": Row(
        "hold",
        GOOD,
        facts(environment="production"),
        facts(header(patient_id="010516B900U"), documents=()),  # the first of the 900 series, in test
        facts(header(patient_id="010516B900U"), documents=(), environment="production"),
    ),
    "PID-04": Row(
        "hold",
        GOOD,
        one(birth_date="19160501"),
        one(birth_date=""),  # what is not told disagrees with nothing
        one(birth_date="20160502"),
    ),
    "PID-05": Row(
        "hold",
        GOOD,
        one(patient_id="T1", issuer_of_patient_id=TEMPORARY, issuer_universal_id=""),
        one(patient_id="T1", issuer_of_patient_id=TEMPORARY[:-2], issuer_universal_id=""),  # no year: PID-02's matter
        one(patient_id=HETU, issuer_of_patient_id=TEMPORARY, issuer_universal_id=""),
    ),
    "PID-06": Row("hold", GOOD, beside(SWITCHED), beside(OTHER_HETU), beside(HETU.replace("B", "C"))),
    "PID-07": Row(
        "hold",
        GOOD,
        facts(header(), header(patient_id=OTHER_HETU, sex="F")),
        facts(header(), header(patient_id="")),
        facts(header(), header(patient_id=SWITCHED)),
    ),
    "ACC-01": Row(
        "hold", GOOD, one(accession_number=""), one(accession_number="A" * 16), one(accession_number="A" * 17)
    ),
    "COD-01": Row(
        "hold",
        GOOD,
        one(study_description="Thorax", procedure_codes=()),
        one(study_description=" GD1AD", procedure_codes=()),
        one(study_description="Thorax GD1AD"),  # the first five characters are the archive's
    ),
    "COD-02": Row(
        "hold",
        GOOD,
        one(procedure_codes=(item("GD1AA"),)),
        one(procedure_codes=(local("THX1"),)),  # a local code is no other source
        facts(header(), header(study_description="GD1AA x", procedure_codes=())),
    ),
    "COD-03": Row(
        "hold",
        GOOD,
        coded("GD0BD"),
        coded("GD1BD", study_date="20161231"),
        coded("GD1BD", study_date="20170101"),
    ),
    "COD-04": Row(
        "warning",
        GOOD,
        one(procedure_codes=(local("GD1AD"),)),
        one(procedure_codes=(item("GD1AD", scheme_uid="", scheme="99THL"),)),
        one(procedure_codes=(item("GD1AD", scheme_uid="", scheme="99LOCAL"),)),
    ),
    "COD-05": Row("hold", GOOD, coded("JA"), coded("GD1AA", modality="DX"), coded("XX1XW")),
    "COD-06": Row("warning", GOOD, one(modality="MR"), one(modality="SEG"), one(modality="")),
    "CON-01": Row(
        "hold",
        of_class(open_from="2018-01-01"),
        of_class(open_from="2018-01-01", closed=True),
        of_class(open_from=TODAY.isoformat()),
        of_class(open_from="2026-11-23"),
    ),
    "ECG-01": Row(
        "hold",
        ecg(waveform()),
        ecg(report("FP1B5")),
        ecg(report(mime_type="Application/PDF ")),
        ecg(report(document_starts="%pdf-")),
    ),
    "DOC-01": Row(
        "hold",
        GOOD,
        with_documents(DOCUMENTS[1]),
        with_documents(*DOCUMENTS, document("request", 2, current=False)),
        with_documents(document("request", current=False), DOCUMENTS[1]),
    ),
    "DOC-02": Row(
        "hold",
        GOOD,
        with_documents(DOCUMENTS[0]),
        with_documents(*DOCUMENTS, document("examination_entry", 2, ready=False)),
        with_documents(DOCUMENTS[0], document("examination_entry", ready=False)),
    ),
    "DOC-03": Row(
        "info",
        GOOD,
        with_documents(*DOCUMENTS, document("report")),
        with_documents(*DOCUMENTS, document("report", ready=False)),
        with_documents(*DOCUMENTS, document("report", version=2)),
    ),
    "DOC-04": Row(
        "hold",
        GOOD,
        with_documents(document("request", patient_id=OTHER_HETU), DOCUMENTS[1]),
        with_documents(document("request", patient_id=HETU.lower(), accessions=()), DOCUMENTS[1]),
        with_documents(document("request", patient_id=SWITCHED), DOCUMENTS[1]),
    ),
    "DOC-05": Row(
        "hold",
        GOOD,
        with_documents(document("request", ready=False, record_status="1"), DOCUMENTS[1]),
        with_documents(*DOCUMENTS, document("request", 2, ready=False, record_status="1")),
        with_documents(document("request", current=False), DOCUMENTS[1]),
    ),
    "ORG-01": Row(
        "hold",
        GOOD,
        facts(documents=papers("1.2.246.11.5")),
        facts(documents=papers(), parties=Parties(known_keepers=frozenset({KEEPER}))),
        facts(documents=papers(), parties=Parties(known_keepers=frozenset({f"{KEEPER}.1"}))),
    ),
    "ORG-02": Row("info", GOOD, joining(date(2030, 1, 1)), joining(TODAY), joining(date(2026, 11, 23))),
    "OSV-01": Row(
        "hold",
        producers_study(kept()),
        producers_study(),
        producers_study(producer=KEEPER),  # the same organisation needs none
        producers_study(kept(producer=f"{PRODUCER}.5")),
    ),
    "OSV-02": Row(
        "hold",
        producers_study(kept()),
        producers_study(kept(valid=("20250101", "20261231"))),
        producers_study(kept(valid=("20240304", "20261231"))),
        producers_study(kept(valid=("20240305", "20261231"))),
    ),
    "OSV-03": Row(
        "hold",
        producers_study(kept(patient=HETU)),
        producers_study(kept(patient=OTHER_HETU)),
        producers_study(kept(register="4", specifier=" 1234567-1 "), documents=OCCUPATIONAL),
        producers_study(kept(register="4", specifier="1234567-2"), documents=OCCUPATIONAL),
    ),
    "DUP-01": Row(
        "warning",
        GOOD,
        observed(seen("DUP-01", "warning")),
        GOOD,
        observed(seen("DUP-01", "warning"), seen("DUP-01", "hold")),
    ),
    "IOC-01": Row("hold", GOOD, noted("foreign", "hold"), noted("no such message", "hold"), noted("release", "hold")),
    "QUA-02": Row("warning", GOOD, observed(seen("QUA-02", "warning")), GOOD, observed(seen("QUA-02", "warning"))),
    "QUA-03": Row("hold", GOOD, observed(seen("QUA-03", "hold")), GOOD, observed(seen("QUA-03", "hold"))),
    "REJ-01": Row("hold", GOOD, facts(rejection=DISMISSED), GOOD, facts(rejection=DISMISSED)),
    "AMD-01": Row(
        "hold",
        amended("Virtanen", ()),
        amended("日本", ()),
        amended("Mäkelä", ("ISO_IR 100",)),
        amended("Mäkelä", ("ISO_IR 144",)),
    ),
    "AMD-02": Row("warning", GOOD, facts(linked_late=True), GOOD, facts(linked_late=True)),
    "MAP-01": Row("warning", GOOD, facts(unmapped=("THX",)), facts(unmapped=()), facts(unmapped=("THX", "ABD"))),
}
"""By rule id."""

ELSEWHERES: dict[str, dict[str, str]] = {
    "OSV-04": {
        "passes": "catalog/test_search_rights.py::test_a_search_right_shows_them",
        "fails": "catalog/test_search_rights.py::test_without_an_authorization_others_studies_are_hidden",
        "border": "catalog/test_search_rights.py::test_a_right_that_just_covers_it_shows_it",
    },
    "CPL-01": {
        "passes": "queue/test_admission.py::test_a_study_that_never_rests_is_settled_after_the_longest_time",
        "fails": "queue/test_admission.py::test_a_study_in_the_middle_of_a_message_is_waited_for",
        "border": "queue/test_admission.py::test_a_study_is_left_alone_while_it_may_still_grow",
    },
    "FWD-01": {
        "passes": "forward/test_outcome.py::test_warnings_mean_stored",
        "fails": "forward/test_outcome.py::test_what_cannot_succeed_is_for_a_person",
        "border": "forward/test_outcome.py::test_every_status_has_an_outcome_and_an_unknown_one_is_temporary",
    },
    "STC-01": {
        "passes": "catalog/test_commitments.py::test_a_commitment_to_everything_archives_entry_and_study",
        "fails": "catalog/test_commitments.py::test_an_instance_that_the_archive_lacks_is_sent_again_and_nothing_else",
        "border": "forward/test_outcome.py::test_each_reason_against_commitment_has_its_own_cure",
    },
    "QUA-01": {
        "passes": "spool/test_kept.py::test_an_intact_instance_verifies_and_opens",
        "fails": "spool/test_kept.py::test_one_changed_bit_is_damage",
        "border": "spool/test_kept.py::test_an_instance_that_cannot_be_opened_now_is_no_damage",
    },
}
"""Of rules without findings on a study: the tests of the part that sees to them."""


def of_rule(rule: str, study: StudyFacts) -> list[str]:
    return [found.severity for found in judge(study).findings if found.rule == rule]


def test_every_rule_has_its_row() -> None:
    assert ROWS.keys() | {"OSV-04"} == RULES.keys()
    assert ELSEWHERES.keys() == {*ELSEWHERE, "OSV-04"}
    assert all(kinds.keys() == {"passes", "fails", "border"} for kinds in ELSEWHERES.values())


@pytest.mark.parametrize("rule", ROWS)
def test_the_study_that_passes_has_no_finding_of_the_rule(rule: str) -> None:
    assert of_rule(rule, ROWS[rule].passes) == []


@pytest.mark.parametrize("rule", ROWS)
def test_the_study_that_fails_has_the_rows_severity_in_both_languages_and_says_what_to_do(rule: str) -> None:
    study = ROWS[rule].fails
    assert ROWS[rule].severity in of_rule(rule, study)
    english, finnish = (
        [found for found in judge(study, language=language).findings if found.rule == rule] for language in ("en", "fi")
    )
    for one, other in zip(english, finnish, strict=True):
        assert one.message != other.message
        assert one.remedy != other.remedy
        assert one.remedy
        assert not {HETU, OTHER_HETU, REAL_HETU, SWITCHED} & set(re.findall(r"[\w+-]{11}", one.message + other.message))


@pytest.mark.parametrize("rule", ROWS)
def test_at_the_border_the_rule_speaks_on_one_side_only(rule: str) -> None:
    assert of_rule(rule, ROWS[rule].just) == []
    assert ROWS[rule].severity in of_rule(rule, ROWS[rule].just_not)


@pytest.mark.parametrize("severity", ["refuse", "hold", "warning", "info", "off"])
@pytest.mark.parametrize("rule", ROWS)
def test_each_can_be_given_another_severity(rule: str, severity: Any) -> None:
    verdict = judge(ROWS[rule].fails, {rule: severity})
    found = [one.severity for one in verdict.findings if one.rule == rule]
    assert set(found) == (set() if severity == "off" else {severity})
    assert not (found and verdict.passed and severity in ("refuse", "hold"))


@pytest.mark.parametrize("place", [f"{rule} {kind}" for rule, kinds in ELSEWHERES.items() for kind in kinds])
def test_rules_that_other_parts_see_to_have_tests_there(place: str) -> None:
    rule, kind = place.split(" ")
    file, _, name = ELSEWHERES[rule][kind].partition("::")
    assert f"def {name}(" in (ROOT / "tests" / "unit" / file).read_text(encoding="utf-8")
