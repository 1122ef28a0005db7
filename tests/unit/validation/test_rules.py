"""The verdict: when a study passes, in which order things are said, and what is never said."""

from __future__ import annotations

from dataclasses import fields
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kuva_gateway.catalog.records import FactSet, InstanceFinding
from kuva_gateway.clinical.codes import CodePeriod
from kuva_gateway.clinical.documents import ImagingDocument
from kuva_gateway.dicom.header import CodeItem, Header
from kuva_gateway.validation.discretion import Discretion
from kuva_gateway.validation.facts import DocumentFacts, StudyFacts
from kuva_gateway.validation.findings import SEVERITIES
from kuva_gateway.validation.rules import RULES, check_instance, judge
from tests.unit.validation.known import (
    HETU,
    NAME,
    OTHER_HETU,
    REAL_HETU,
    changed,
    document,
    facts,
    found,
    header,
    item,
    local,
    seen,
)


def test_a_study_without_findings_passes() -> None:
    verdict = judge(facts())
    assert verdict.passed
    assert verdict.findings == ()


@pytest.mark.parametrize(("severity", "passes"), [("refuse", 0), ("hold", 0), ("warning", 1), ("info", 1), ("off", 1)])
def test_a_study_passes_when_nothing_holds_or_refuses(severity: Any, passes: int) -> None:
    verdict = judge(changed(accession_number="\\"), {"ACC-01": severity, "DOC-04": "off"})
    assert verdict.passed == bool(passes)
    assert [one.severity for one in verdict.findings] == ([] if severity == "off" else [severity])


def test_the_gravest_finding_comes_first() -> None:
    study = facts(header(sex="F", accession_number="", sop_class_uid=""), documents=(document("report", ready=False),))
    severities = [SEVERITIES.index(one.severity) for one in judge(study).findings]
    assert severities == sorted(severities)
    assert len(set(severities)) == 4


def test_the_same_facts_give_the_same_verdict() -> None:
    study = facts(header(patient_id="x", study_description="ZZ1ZZ"), header(patient_id="y"), documents=())
    assert judge(study) == judge(study)


def test_finnish_and_english_say_the_same_of_the_same_things() -> None:
    study = facts(header(patient_id="x", study_description="GD1BD"), documents=())
    english, finnish = judge(study, None, "en").findings, judge(study, None, "fi").findings
    assert [(one.rule, one.severity, one.where) for one in english] == [
        (one.rule, one.severity, one.where) for one in finnish
    ]
    assert all(one.message != other.message for one, other in zip(english, finnish, strict=True))
    assert "GD1BD päättyi 2016-12-31; käytä GD1AD" in [one.message.partition(" (")[0] for one in finnish]


def test_a_severity_that_nobody_knows_changes_nothing() -> None:
    odd: Any = {"ACC-01": "terrible", "XYZ-99": "hold"}
    assert judge(changed(accession_number=""), odd) == judge(changed(accession_number=""))


FAULTY = [
    facts(header(patient_id=HETU, accession_number=HETU, study_description=f"{HETU} x"), documents=()),
    facts(header(study_description="Esimerkki Eero", procedure_codes=(item(HETU), item("Olavi")))),
    facts(header(study_date="20160501x", procedure_codes=(item("20160501"),))),
    facts(header(), header(patient_id=OTHER_HETU)),
    facts(header(patient_id=REAL_HETU, accession_number=f"A\\{REAL_HETU}"), documents=()),
    facts(header(patient_id="LOCAL-4711", study_description="LOCAL-4711", procedure_codes=(local("LOCAL-4711"),))),
    facts(documents=(document("request", patient_id=OTHER_HETU, procedure_codes=(OTHER_HETU,), record_status=HETU),)),
    facts(instance_findings=(seen("UID-02", "hold", HETU, HETU),)),
    facts(header(accession_number="131052 - 308T", patient_id="131052-308T"), documents=()),
]


@pytest.mark.parametrize("study", FAULTY)
@pytest.mark.parametrize("language", ["en", "fi"])
def test_no_finding_shows_a_patient(study: StudyFacts, language: Any) -> None:
    findings = judge(study, None, language).findings
    assert findings
    said = " ".join(f"{one.where} {one.message} {one.remedy}" for one in findings)
    secrets = {one.header.patient_id for one in study.sets} | {linked.document.patient_id for linked in study.documents}
    secrets |= {"20160501", "Esimerkki", "Olavi", "19521013", "131052 - 308T"}
    for secret in secrets:
        assert secret.casefold() not in said.casefold(), said


def test_uids_stay_whole_even_with_a_birth_date_inside() -> None:
    uid = "1.2.840.20160501.7"
    study = facts(
        documents=(
            document("request", linked_by="accession", study_uids=(uid, "2.25.5")),
            document("examination_entry"),
        )
    )
    (finding,) = found(study)
    assert f"({uid}, 2.25.5)" in finding.message


def test_a_name_inside_a_longer_word_is_blotted() -> None:
    (finding,) = found(changed(procedure_codes=(item("XESIMERKKIX"),)), "COD-01")
    assert "The code X***X is not in the code list" in finding.message


@pytest.mark.parametrize("description", [f"{HETU} x", "Esimerkki Eero", "Xesimerkki", "20160501", "2-20160501"])
def test_not_even_the_first_characters_of_a_patient_are_shown(description: str) -> None:
    (finding,) = found(changed(study_description=description, procedure_codes=()), "COD-01")
    assert "starts with '" in finding.message
    shown = finding.message.split("'")[1]
    assert "***" in shown
    assert not shown.strip("Xx*2- ")


def test_a_study_date_that_holds_a_patient_is_not_shown() -> None:
    (finding,) = found(changed(study_date="of the 12 " + HETU), "COD-03")
    assert "'of the 12 ***'" in finding.message


def test_short_words_of_a_name_do_not_blot_other_words() -> None:
    study = facts(header(patient_name="Thor^Eha", study_description="Thorax"))
    (finding,) = found(study, "COD-01")
    assert "Study Description" in finding.message
    assert NAME not in finding.message


@pytest.mark.parametrize(
    ("changes", "value", "shown"),
    [
        ({"patient_id": "4711"}, "x4711y", "x***y"),
        ({"patient_id": "471"}, "x471y", "x471y"),
        ({"patient_name": "Aho^Eva-Li"}, "Aho", "***"),
        ({"patient_name": "Aho^Eva-Li"}, "Ahonen Eva-Lix", "Ahonen ***x"),
        ({"patient_name": "Li^Bo"}, "Li Bo", "Li Bo"),
        ({"patient_name": "Yamada^Tarou=山田^太郎丸一"}, "太郎丸一 tarou", "*** ***"),
        ({}, "x" * 200, "x" * 200),
        ({}, "x" * 201, "x" * 199 + "…"),
    ],
)
def test_what_is_blotted_and_what_is_not(changes: dict[str, str], value: str, shown: str) -> None:
    assert Discretion(changed(**changes)).show(value) == shown


def test_control_characters_are_not_passed_on() -> None:
    (finding,) = found(changed(study_description="\x1b[31mX", procedure_codes=()), "COD-01")
    assert "\x1b" not in finding.message


TEXT = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["", HETU, REAL_HETU, "GD1AD", "GD1AD x", "GD1BD", "1270", "20240304", "1.2.3", "M", "A\\B", "{x}", "{", "%s"]
    ),
)
ITEMS = st.lists(st.builds(CodeItem, value=TEXT, scheme=TEXT, scheme_uid=TEXT, meaning=TEXT), max_size=3).map(tuple)
_TEXTS = [one.name for one in fields(Header) if one.default == "" and one.type == "str"]
HEADERS = st.builds(
    Header,
    procedure_codes=ITEMS,
    requested_procedure_codes=ITEMS,
    **dict.fromkeys(_TEXTS, TEXT),
)
DAYS = st.dates(date(1990, 1, 1), date(2030, 1, 1))
PERIODS = st.builds(
    CodePeriod,
    code=TEXT,
    name=TEXT,
    valid_from=DAYS,
    valid_to=st.none() | DAYS,
    replaced_by=st.lists(TEXT, max_size=3).map(tuple),
    radiology=st.booleans(),
    visible_light=st.booleans(),
    leaf=st.booleans(),
)
DOCUMENTS = st.builds(
    DocumentFacts,
    document=st.builds(
        ImagingDocument,
        oid=TEXT,
        set_id=TEXT,
        kind=st.sampled_from(["request", "examination_entry", "report", "other"]),
        patient_id=TEXT,
        ready=st.booleans(),
        record_status=TEXT,
        study_uids=st.lists(TEXT, max_size=3).map(tuple),
        accessions=st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple),
        procedure_codes=st.lists(TEXT, max_size=3).map(tuple),
    ),
    current=st.booleans(),
    linked_by=st.sampled_from(["study_uid", "accession"]),
)
STUDIES = st.builds(
    StudyFacts,
    study_instance_uid=TEXT,
    sets=st.lists(
        st.builds(
            FactSet, header=HEADERS, instances=st.integers(1, 5), example_sop_instance_uid=TEXT, peers=st.just(())
        ),
        max_size=3,
    ).map(tuple),
    documents=st.lists(DOCUMENTS, max_size=3).map(tuple),
    code_periods=st.dictionaries(TEXT, st.lists(PERIODS, max_size=3).map(tuple), max_size=4),
    instance_findings=st.lists(
        st.builds(
            InstanceFinding,
            rule=st.sampled_from([*RULES, "XYZ-99"]),
            severity=st.sampled_from(["hold", "warning", "?"]),
            where=TEXT,
            sop_instance_uid=TEXT,
            other_uid=TEXT,
        ),
        max_size=4,
    ).map(tuple),
    environment=st.sampled_from(["test", "production"]),
    private_classes=st.just(frozenset({"1.2.3"})),
    today=DAYS,
)
OVERRIDES = st.dictionaries(st.sampled_from(list(RULES)), st.sampled_from(SEVERITIES), max_size=4)
UNHURRIED = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@UNHURRIED
@given(study=STUDIES, severities=OVERRIDES, language=st.sampled_from(["en", "fi"]))
def test_judging_never_raises_and_keeps_its_promises(study: StudyFacts, severities: Any, language: Any) -> None:
    verdict = judge(study, severities, language)
    assert verdict.passed == (not {"hold", "refuse"} & {one.severity for one in verdict.findings})
    for finding in verdict.findings:
        assert finding.rule in RULES
        assert finding.message
        assert finding.remedy
        assert severities.get(finding.rule, finding.severity) == finding.severity != "off"


@UNHURRIED
@given(one=HEADERS, severities=OVERRIDES, environment=st.sampled_from(["test", "production"]), command=TEXT)
def test_checking_an_instance_never_raises(one: Header, severities: Any, environment: Any, command: str) -> None:
    answer = check_instance(one, command, environment, severities, command_instance=one.sop_instance_uid)
    if answer is not None:
        assert answer.rule in RULES
        assert 0 < len(answer.comment) <= 64


@UNHURRIED
@given(
    description=st.text(max_size=5),
    patient_id=st.from_regex(r"[A-Z]{2}[0-9]{6,8}", fullmatch=True),
    place=st.sampled_from(["accession_number", "study_description", "study_date", "modality", "study_id"]),
)
def test_a_local_patient_id_is_shown_from_nowhere(description: str, patient_id: str, place: str) -> None:
    changes = {"study_description": description, "patient_id": patient_id, "birth_date": "", place: patient_id}
    study = facts(
        header(**changes, procedure_codes=(item(patient_id),)), documents=(document("request", patient_id=HETU),)
    )
    for one in judge(study).findings:
        assert patient_id not in one.message


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("Kelvin^Aino", "\u212aelvin", "***"),  # the Kelvin sign is a k
        ("\u212aelvin^Aino", "kelvin", "***"),
        ("S\u017f\u017fna^Aino", "sssna", "***"),  # the long s is an s
        ("\u00c4rj\u00e4^Aino", "\u00c4RJ\u00c4", "***"),
        ("Virtanen^Aino", "AINOVIRTANEN A1", "AINO*** A1"),
        ("Virtanen^Aino", "A i n o", "A i n o"),
    ],
)
def test_letters_that_are_alike_do_not_give_a_name_away(name: str, value: str, shown: str) -> None:
    assert Discretion(changed(patient_name=name)).show(value) == shown
