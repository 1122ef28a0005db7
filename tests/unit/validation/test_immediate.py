"""What one instance is refused for before it is kept: status, comment and rule."""

from __future__ import annotations

from typing import Any

import pytest

from kuva_gateway.validation.findings import Refusal
from kuva_gateway.validation.rules import check_instance
from tests.unit.validation.known import CT, HETU, REAL_HETU, header

PRIVATE = "1.2.826.0.1.3680043.9.1.1"


def refusal(severities: dict[str, Any] | None = None, environment: Any = "test", **changes: Any) -> Refusal | None:
    one = header(**changes)
    return check_instance(one, one.sop_class_uid, environment, severities)


def test_a_good_instance_is_taken() -> None:
    assert refusal() is None


@pytest.mark.parametrize("field", ["study_instance_uid", "series_instance_uid", "sop_instance_uid"])
@pytest.mark.parametrize("uid", ["", "1.02", "1..2", "../../etc/passwd", "1." + "2" * 70])
def test_a_bad_uid_is_a900_and_the_comment_names_the_attribute(field: str, uid: str) -> None:
    answer = refusal(**{field: uid})
    assert answer is not None
    assert (answer.status, answer.rule) == (0xA900, "UID-01")
    assert "UID" in answer.comment
    assert "passwd" not in answer.comment


def test_a_missing_uid_is_refused_whatever_is_configured_and_a_malformed_one_is_not() -> None:
    assert refusal({"UID-01": "off"}, study_instance_uid="") is not None
    for field in ("study_instance_uid", "series_instance_uid", "sop_instance_uid"):
        assert refusal({"UID-01": "hold"}, **{field: "1.02"}) is None


def test_a_class_or_instance_other_than_the_commands_is_a900() -> None:
    for keywords in ({"command_class": "1.2.840.10008.5.1.4.1.1.4"}, {"command_instance": "2.25.9"}):
        arguments: dict[str, Any] = {"command_class": CT, "command_instance": "2.25.100.1", **keywords}
        answer = check_instance(header(), environment="test", **arguments)
        assert answer is not None
        assert (answer.status, answer.rule) == (0xA900, "SOP-01")
        assert "differs from the command" in answer.comment
    assert check_instance(header(), CT, "test", command_instance="2.25.100.1") is None


def test_a_class_that_is_not_allowed_is_0122() -> None:
    answer = refusal(sop_class_uid=PRIVATE)
    assert answer is not None
    assert (answer.status, answer.rule) == (0x0122, "SOP-01")
    assert check_instance(header(sop_class_uid=PRIVATE), PRIVATE, "test", private_classes={PRIVATE}) is None


def test_an_object_without_a_study_is_0122_and_not_a_missing_uid() -> None:
    answer = refusal({"SOP-01": "off"}, sop_class_uid="1.2.840.10008.5.1.4.38.1", study_instance_uid="")
    assert answer is not None
    assert answer.status == 0x0122


def test_a_real_person_in_test_is_0124_and_is_not_named() -> None:
    answer = refusal(patient_id=REAL_HETU)
    assert answer is not None
    assert (answer.status, answer.rule) == (0x0124, "PID-03")
    assert "131052" not in answer.comment


@pytest.mark.parametrize("severity", ["hold", "warning", "off"])
def test_a_real_person_in_test_is_taken_where_configured(severity: str) -> None:
    assert refusal({"PID-03": severity}, patient_id=REAL_HETU) is None


def test_real_people_are_taken_in_production_and_test_persons_held_there() -> None:
    assert refusal(environment="production", patient_id=REAL_HETU) is None
    assert refusal(environment="production", patient_id=HETU) is None
    assert refusal({"PID-03": "refuse"}, environment="production", patient_id=HETU) is not None


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        ("PID-01", {"patient_id": "4711"}),
        ("PID-04", {"birth_date": "20000101"}),
        ("ACC-01", {"accession_number": ""}),
        ("TS-01", {"transfer_syntax_uid": "1.2.840.10008.1.2.2"}),
        ("PID-05", {"patient_id": "X", "issuer_universal_id": "1.2.246.10.1.22.2024"}),
    ],
)
def test_rules_that_hold_may_be_configured_to_refuse(rule: str, changes: dict[str, str]) -> None:
    assert refusal(**changes) is None
    answer = refusal({rule: "refuse"}, **changes)
    assert answer is not None
    assert (answer.status, answer.rule) == (0x0124, rule)
    assert answer.comment.startswith(rule)


def test_a_rule_that_needs_the_study_refuses_no_instance() -> None:
    assert refusal({"COD-01": "refuse", "DOC-01": "refuse"}, study_description="") is None


def test_every_comment_fits_its_attribute() -> None:
    answers = [
        refusal(patient_id=REAL_HETU),
        refusal({"PID-04": "refuse"}, birth_date="20000101"),
        refusal(series_instance_uid="1.02"),
        refusal(sop_class_uid=PRIVATE),
    ]
    for answer in answers:
        assert answer is not None
        assert 0 < len(answer.comment) <= 64
        assert answer.comment.isascii()
        assert "\\" not in answer.comment
