"""AMD-01, AMD-02, MAP-01 and the issuer of ACC-01; and that what came before amendments is not shown either."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from kuva_gateway.dicom.amendments import Amendment
from tests.unit.validation.known import REAL_HETU, fact_set, facts, found, header


def name(value: str) -> Amendment:
    at = datetime(2026, 11, 23, tzinfo=UTC)
    return Amendment(changes={"PatientName": value}, origin="person", by="anna", at=at)


@pytest.mark.parametrize(
    ("character_set", "value", "holds"),
    [
        ((), "Mäkelä", False),
        (("ISO_IR 192",), "日本", False),
        (("ISO_IR 100",), "日本", True),
        (("ISO_IR 144",), "Mäkelä", True),
        ((), "日本", True),
        (("", "ISO 2022 IR 87"), "Makela", False),
    ],
)
def test_an_amendment_that_the_character_set_cannot_hold_holds(
    character_set: tuple[str, ...], value: str, holds: bool
) -> None:
    study = facts(received=(fact_set(header(character_set=character_set)),), amendments=(name(value),))
    findings = found(study, "AMD-01")
    assert [one.where for one in findings] == ["PatientName (0010,0010)"] * holds
    assert all(one.severity == "hold" and value not in one.message for one in findings)


def test_a_link_that_came_after_delivery_warns() -> None:
    (finding,) = found(facts(linked_late=True), "AMD-02")
    assert finding.severity == "warning"
    assert "studies withdraw" in finding.remedy
    assert found(facts(), "AMD-02") == []


def test_a_local_code_that_the_mapping_lacks_is_named_once() -> None:
    (finding,) = found(facts(unmapped=("THX",)), "MAP-01")
    assert finding.message == "The local code THX is not in the sender's code mapping"


def test_the_id_that_was_replaced_is_shown_no_more_than_the_new_one() -> None:
    study = facts(received=(fact_set(header(patient_id=REAL_HETU)),), unmapped=(f"X {REAL_HETU}",))
    (finding,) = found(study, "MAP-01")
    assert REAL_HETU not in finding.message


def test_an_accession_number_without_its_issuer_warns() -> None:
    (finding,) = found(facts(header(accession_issuer="")), "ACC-01")
    assert (finding.severity, finding.where) == ("warning", "IssuerOfAccessionNumberSequence (0008,0051)")
    assert found(facts(header(accession_issuer="HUS")), "ACC-01") == []
