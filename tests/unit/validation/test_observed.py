"""DUP-01, UID-02 and QUA-02 as the indexer hands them in."""

from __future__ import annotations

from kuva_gateway.catalog.records import InstanceFinding
from tests.unit.validation.known import STUDY, facts, found, only, seen


def test_other_bytes_before_delivery_warn() -> None:
    finding = only(facts(instance_findings=(seen("DUP-01", "warning"),)))
    assert (finding.rule, finding.severity, finding.where) == ("DUP-01", "warning", "SOPInstanceUID (0008,0018)")
    assert "before delivery" in finding.message


def test_other_bytes_after_delivery_hold() -> None:
    finding = only(facts(instance_findings=(seen("DUP-01", "hold"),)))
    assert finding.severity == "hold"
    assert "they are not sent" in finding.message


def test_many_instances_are_one_finding_with_their_number() -> None:
    many = tuple(seen("DUP-01", "warning", sop_instance=f"2.25.{number}") for number in range(1, 1001))
    finding = only(facts(instance_findings=many))
    assert "instances: 1000" in finding.message
    assert "2.25.1)" in finding.message


def test_the_same_instance_under_another_study_names_that_study() -> None:
    finding = only(facts(instance_findings=(seen("UID-02", "hold", "2.25.777"),)))
    assert (finding.rule, finding.severity) == ("UID-02", "hold")
    assert "2.25.777" in finding.message


def test_the_same_instance_in_another_series_of_the_study_is_told_apart() -> None:
    for other in (STUDY, ""):
        assert "another series" in only(facts(instance_findings=(seen("UID-02", "hold", other),))).message


def test_an_event_that_the_state_does_not_know_warns() -> None:
    event = InstanceFinding(
        rule="QUA-02",
        severity="warning",
        where="study removed, event instance_arrived",
        sop_instance_uid="",
        other_uid="",
    )
    finding = only(facts(instance_findings=(event,)))
    assert (finding.severity, finding.where) == ("warning", "study removed, event instance_arrived")


def test_a_configured_severity_goes_before_what_was_seen() -> None:
    study = facts(instance_findings=(seen("DUP-01", "hold"), seen("DUP-01", "warning")))
    assert [one.severity for one in found(study, severities={"DUP-01": "info"})] == ["info", "info"]


def test_what_no_rule_knows_is_left_out() -> None:
    assert found(facts(instance_findings=(seen("XYZ-99", "hold"), seen("PID-01", "hold")))) == []
