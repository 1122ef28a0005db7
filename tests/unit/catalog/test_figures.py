"""Figures for monitoring, on both databases."""

from __future__ import annotations

from datetime import timedelta

from kuva_gateway.catalog import commitments, destinations, entries, studies
from kuva_gateway.catalog.figures import CatalogFigures, figures, unarchived_bytes
from tests.unit.catalog.making import ARCHIVE, COPY, MISSING, NOTE, Hospital

HOUR = {"archive": timedelta(hours=1)}


def seen(hospital: Hospital) -> CatalogFigures:
    return figures(hospital.catalog, HOUR)


def test_an_empty_catalog_has_figures(hospital: Hospital) -> None:
    found = seen(hospital)
    assert (found.at, found.studies, found.entries, found.held, found.failed) == (hospital.clock(), {}, {}, 0, 0)
    assert (found.oldest_held, found.oldest_unarchived, found.overdue) == (None, None, {"archive": 0})


def test_held_studies_are_counted_with_each_rule_that_holds_them(hospital: Hospital) -> None:
    began = hospital.clock()
    hospital.hold("1.2.1", MISSING, NOTE)
    hospital.clock.forward(hours=1)
    other = MISSING.__class__(rule="PID-01", severity="hold", where="study", message="no id", remedy="amend it")
    hospital.hold("1.2.2", MISSING, other)
    found = seen(hospital)
    assert found.held == 2
    assert found.held_by_rule == {"DOC-02": 2, "PID-01": 1}
    assert found.oldest_held == found.oldest_unarchived == began
    assert (found.instances, found.bytes > 0) == (4, True)


def test_entries_are_counted_by_destination_and_state(hospital: Hospital) -> None:
    hospital.accept("1.2.1", destinations=(ARCHIVE, COPY))
    hospital.accept("1.2.2", destinations=(ARCHIVE,))
    assert seen(hospital).entries == {("archive", "queued"): 2, ("copy", "queued"): 1}
    entry = hospital.claimed()
    entries.fail(hospital.catalog, entry.id, hospital.attempt("refused", code="A900"))
    hospital.deliver("copy")
    found = seen(hospital)
    assert found.entries == {("archive", "failed"): 1, ("archive", "queued"): 1, ("copy", "sent"): 1}
    assert found.failed == 1
    assert found.untold == 1


def test_a_commitment_that_was_asked_again_is_overdue_from_the_first_time_on(hospital: Hospital) -> None:
    hospital.accept()
    entry = hospital.deliver()
    ids = [one.instance_id for one in entries.unconfirmed_instances(hospital.catalog, entry)]
    commitments.ask(hospital.catalog, entry.id, "2.25.1", ids, hospital.clock() + timedelta(hours=1))
    hospital.clock.forward(minutes=50)
    commitments.close(hospital.catalog, "2.25.1", hospital.clock())
    commitments.ask(hospital.catalog, entry.id, "2.25.2", ids, hospital.clock() + timedelta(hours=1))
    assert seen(hospital).overdue == {"archive": 0}
    hospital.clock.forward(minutes=11)
    assert seen(hospital).overdue == {"archive": 1}
    commitments.record_result(
        hospital.catalog,
        "2.25.2",
        "archive",
        [("1.2.840.10008.5.1.4.1.1.2", f"1.2.1.1.{number}") for number in (1, 2)],
        [],
        hospital.clock(),
    )
    assert seen(hospital).overdue == {"archive": 0}
    assert seen(hospital).oldest_unarchived is None


def test_who_rests_is_told_with_since_when(hospital: Hospital) -> None:
    began = hospital.clock()
    destinations.rest(hospital.catalog, "archive", began + timedelta(minutes=1), "unreachable", "nobody answers")
    hospital.clock.forward(minutes=1)
    destinations.rest(hospital.catalog, "archive", began + timedelta(minutes=5), "unreachable", "nobody answers")
    rest = seen(hospital).resting["archive"]
    assert (rest.since, rest.until, rest.code) == (began, began + timedelta(minutes=5), "unreachable")


def test_bytes_that_wait_for_the_archive_are_told_by_peer(hospital: Hospital) -> None:
    assert unarchived_bytes(hospital.catalog) == {}
    hospital.hold("1.2.1", MISSING)
    hospital.accept("1.2.2", destinations=(ARCHIVE,))
    found = seen(hospital)
    assert sum(unarchived_bytes(hospital.catalog).values()) == found.bytes
    studies.reject(hospital.catalog, "1.2.1", by="a", reason="b")
    assert 0 < sum(unarchived_bytes(hospital.catalog).values()) < found.bytes
