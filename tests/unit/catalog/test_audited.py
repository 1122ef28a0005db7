"""What the audit trail is still to be told of."""

from __future__ import annotations

from kuva_gateway.catalog import audited, entries, studies
from tests.unit.catalog.making import HETU, Hospital


def test_what_a_person_decides_waits_for_the_trail_with_who_and_why(hospital: Hospital) -> None:
    hospital.hold()
    assert audited.untold(hospital.catalog) == []
    studies.release(hospital.catalog, "1.2.1", by="anna", reason="seen on paper", destinations=())
    (found,) = audited.untold(hospital.catalog)
    assert (found.event, found.actor, found.reason, found.at) == ("released", "anna", "seen on paper", hospital.clock())
    assert (found.study_instance_uid, found.patient_id, found.accession_number) == ("1.2.1", HETU, "A1")
    assert (found.destination, found.entry, found.sent) == ("", None, 0)


def test_a_decision_about_an_entry_names_it(hospital: Hospital) -> None:
    hospital.accept()
    (entry,) = hospital.column("SELECT id FROM entries")
    entries.hold(hospital.catalog, [entry], by="anna", reason="archive asks")
    (found,) = audited.untold(hospital.catalog)
    assert (found.event, found.entry, found.destination) == ("held", entry, "archive")


def test_a_delivery_waits_with_how_many_went_and_one_that_sent_nothing_does_not(hospital: Hospital) -> None:
    hospital.accept("1.2.1")
    hospital.deliver()
    hospital.accept("1.2.2")
    entry = hospital.claimed()
    entries.defer(hospital.catalog, entry.id, hospital.clock(), hospital.attempt("deferred", code="NET-01"))
    entry = hospital.claimed()
    broken = hospital.attempt("deferred", sent=1, code="NET-02", meaning="aborted")
    entries.defer(hospital.catalog, entry.id, hospital.clock(), broken)
    found = audited.untold(hospital.catalog)
    assert [(one.study_instance_uid, one.destination, one.sent, one.outcome) for one in found] == [
        ("1.2.1", "archive", 2, "delivered"),
        ("1.2.2", "archive", 1, "deferred"),
    ]
    assert found[1].reason == "NET-02 aborted"


def test_what_was_told_is_not_told_again(hospital: Hospital) -> None:
    hospital.accept("1.2.1")
    hospital.deliver()
    hospital.accept("1.2.2")
    hospital.deliver()
    first, second = audited.untold(hospital.catalog)
    audited.told(hospital.catalog, [first.id])
    assert audited.untold(hospital.catalog) == [second]
    audited.told(hospital.catalog, [second.id])
    assert audited.untold(hospital.catalog) == []
    assert hospital.column("SELECT COUNT(*) FROM to_audit") == [0]


def test_many_are_told_some_at_a_time_and_the_oldest_first(hospital: Hospital, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(audited, "AT_ONCE", 2)
    for number in range(3):
        hospital.hold(f"1.2.{number}")
        studies.reject(hospital.catalog, f"1.2.{number}", by="anna", reason=str(number))
    assert [one.reason for one in audited.untold(hospital.catalog)] == ["0", "1"]
