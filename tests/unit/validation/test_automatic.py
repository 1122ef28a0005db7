"""What is amended without a person: issuers and local codes of senders, links of patient ids."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from kuva_gateway.catalog.records import FactSet, PatientLink, StudyRecord, StudyView
from kuva_gateway.clinical.code_mapping import read_code_mapping
from kuva_gateway.dicom.amendments import Amendment, amended
from kuva_gateway.dicom.header import Header
from kuva_gateway.validation.automatic import Sender, following, unmapped
from tests.unit.validation.known import HETU, fact_set, header, item, local, look_up

NOW = datetime(2026, 11, 23, tzinfo=UTC)
MAPPING = read_code_mapping(b"local;scheme;code;description\nTHX;;GD1AD;Thoraxin TT\nKNEE;99LOCAL;GD1AA;\n")
ROOT = "1.2.246.21"
BARE: dict[str, Any] = {"issuer_of_patient_id": "", "issuer_universal_id": "", "issuer_universal_type": ""}


def view(*sets: FactSet, **more: Any) -> StudyView:
    record = StudyRecord(
        id=1,
        study_instance_uid="2.25.100",
        state="settled",
        revision=1,
        facts_version=0,
        patient_id=HETU,
        accession_number="A0001",
        study_date="20240304",
        modalities=("CT",),
        procedure_code=None,
        series=1,
        instances=1,
        bytes=1,
        peer="ct1",
        first_arrival=NOW,
        last_arrival=NOW,
        delivered=False,
    )
    return StudyView(
        study=record,
        facts=sets,
        received=sets,
        documents=(),
        instance_findings=(),
        revision=1,
        facts_version=0,
        delivered=False,
        **more,
    )


def of(*headers: Header, peers: tuple[str, ...] = ("ct1",)) -> StudyView:
    return view(*(replace(fact_set(one, number=n), peers=peers) for n, one in enumerate(headers, start=1)))


def asked(study: StudyView, **senders: Sender) -> tuple[Amendment, ...]:
    return following(study, lambda name: senders.get(name, Sender()), look_up, NOW)


def after(study: StudyView, **senders: Sender) -> list[Header]:
    found = asked(study, **senders)
    return [amended(one.header, found) for one in study.received]


def test_an_absent_issuer_is_the_senders_and_one_that_is_told_stays() -> None:
    study = of(header(**BARE), header(**{**BARE, "issuer_of_patient_id": "HUS"}))
    filled, kept = after(study, ct1=Sender(issuer=ROOT))
    assert (filled.issuer_of_patient_id, filled.issuer_universal_id) == (ROOT, ROOT)
    assert (kept.issuer_of_patient_id, kept.issuer_universal_id) == ("HUS", "")


def test_nothing_is_filled_in_without_configuration_or_by_senders_that_differ() -> None:
    assert asked(of(header(**BARE))) == ()
    both = of(header(**BARE), peers=("ct1", "mr1"))
    assert asked(both, ct1=Sender(issuer=ROOT), mr1=Sender(issuer="1.2.3")) == ()
    assert asked(of(header(**BARE, patient_id="")), ct1=Sender(issuer=ROOT)) == ()


def test_the_issuer_of_the_accession_number_is_filled_in_too() -> None:
    (filled,) = after(of(header(accession_issuer="")), ct1=Sender(accession_issuer="1.2.246.10.1"))
    assert filled.accession_issuer == "1.2.246.10.1"


def test_a_local_code_becomes_the_national_one_in_description_and_sequence() -> None:
    study = of(header(study_description="CT THORAX", procedure_codes=(local("thx"),)))
    (filled,) = after(study, ct1=Sender(mapping=MAPPING))
    assert filled.study_description == "GD1AD Thoraxin TT"
    (code,) = filled.procedure_codes
    assert (code.value, code.scheme_uid, code.meaning) == ("GD1AD", "1.2.246.537.6.2", "Thoraxin TT")
    (one,) = asked(study, ct1=Sender(mapping=MAPPING))
    assert (one.origin, one.kind) == ("mapping", "COERCE")
    assert one.reason == "code mapping: thx -> GD1AD"


def test_the_description_and_its_first_word_may_be_the_local_code() -> None:
    for description in ("THX", "thx with contrast"):
        (filled,) = after(of(header(study_description=description, procedure_codes=())), ct1=Sender(mapping=MAPPING))
        assert filled.study_description == "GD1AD Thoraxin TT"


def test_companions_without_a_code_get_it_as_well() -> None:
    study = of(header(study_description="THX", procedure_codes=()), header(study_description="", procedure_codes=()))
    assert {one.study_description for one in after(study, ct1=Sender(mapping=MAPPING))} == {"GD1AD Thoraxin TT"}


def test_a_scheme_that_the_mapping_names_has_to_be_the_codes_own() -> None:
    study = of(header(study_description="", procedure_codes=(local("KNEE"),)))
    assert after(study, ct1=Sender(mapping=MAPPING))[0].study_description == "GD1AA GD1AA"
    other = of(header(study_description="KNEE", procedure_codes=()))
    assert asked(other, ct1=Sender(mapping=MAPPING)) == ()


def test_nothing_is_mapped_where_codes_disagree_or_a_national_one_is_named() -> None:
    two = of(
        header(study_description="", procedure_codes=(local("THX"),)),
        header(study_description="", procedure_codes=(local("KNEE"),)),
    )
    national = of(header(study_description="", procedure_codes=(local("THX"), item("GD1AA"))))
    described = of(header(study_description="GD1AA Thorax", procedure_codes=(local("THX"),)))
    for study in (two, national, described):
        assert asked(study, ct1=Sender(mapping=MAPPING)) == ()


def test_a_national_code_that_agrees_gets_its_description() -> None:
    study = of(header(study_description="THX", procedure_codes=(item("GD1AD"),)))
    assert after(study, ct1=Sender(mapping=MAPPING))[0].study_description == "GD1AD Thoraxin TT"


def test_local_codes_that_no_mapping_has_are_told_of_senders_with_a_mapping_only() -> None:
    study = of(header(study_description="", procedure_codes=(local("HAND"),)))
    assert unmapped(study, lambda name: Sender(mapping=MAPPING)) == ("HAND",)
    assert unmapped(study, lambda name: Sender()) == ()
    named = of(header(procedure_codes=(local("HAND"),)))
    assert unmapped(named, lambda name: Sender(mapping=MAPPING)) == ()


def test_a_persons_amendment_comes_before_the_configuration() -> None:
    by_hand = Amendment(
        changes={"StudyDescription": "GD1AA Thorax", "ProcedureCodeSequence": ()},
        origin="person",
        by="anna",
        at=NOW,
    )
    study = of(header(study_description="THX", procedure_codes=()))
    assert asked(replace(study, amendments=(by_hand,)), ct1=Sender(mapping=MAPPING)) == ()


def test_a_link_brings_its_issuer_so_that_none_is_filled_in() -> None:
    link = PatientLink(
        id=1,
        patient="T1",
        issuer="",
        changes={"PatientID": HETU, "IssuerOfPatientID": ROOT},
        by="anna",
        at=NOW,
        reason="",
    )
    study = replace(of(header(**BARE, patient_id="t1")), links=(link,))
    assert [one.origin for one in asked(study, ct1=Sender(issuer="1.2.3"))] == ["link"]
