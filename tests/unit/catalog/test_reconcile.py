"""No entry waits because of a configuration that is no more."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from kuva_gateway.catalog import entries, studies
from kuva_gateway.catalog.reconcile import Reconciled, reconcile
from kuva_gateway.catalog.records import DestinationPlan
from tests.unit.catalog.making import ARCHIVE, Hospital

COPY = DestinationPlan(name="copy", required=True, commitment=False)
NOTHING = Reconciled(changed=0, planned=0, orphaned=0)


def test_a_configuration_that_did_not_change_changes_nothing(hospital: Hospital) -> None:
    hospital.accept()
    assert reconcile(hospital.catalog, (ARCHIVE,)) == NOTHING


def test_a_study_accepted_without_destinations_goes_to_the_one_that_is_added(hospital: Hospital) -> None:
    hospital.accept(destinations=())
    assert hospital.claim() is None
    assert reconcile(hospital.catalog, (ARCHIVE,)).planned == 1
    assert hospital.claim() is not None
    assert reconcile(hospital.catalog, (ARCHIVE,)) == NOTHING


def test_an_archive_that_no_longer_offers_commitment_completes_what_was_sent(hospital: Hospital) -> None:
    hospital.accept()
    hospital.deliver()
    assert hospital.state() == "accepted"
    assert reconcile(hospital.catalog, (replace(ARCHIVE, commitment=False),)).changed == 1
    assert hospital.state() == "archived"


def test_an_entry_of_a_destination_that_was_taken_away_says_so_and_holds_no_study_up(hospital: Hospital) -> None:
    hospital.accept(destinations=(ARCHIVE, COPY))
    assert reconcile(hospital.catalog, (ARCHIVE,)) == Reconciled(changed=0, planned=0, orphaned=1)
    (orphan,) = entries.listing(hospital.catalog, destination="copy")
    assert orphan["last_error"]["code"] == "no-destination"
    assert reconcile(hospital.catalog, (ARCHIVE,)) == NOTHING
    assert reconcile(hospital.catalog, (ARCHIVE, COPY)).changed == 1
    assert hospital.claim("copy") is not None


def test_archived_studies_are_left_alone(hospital: Hospital) -> None:
    hospital.accept(destinations=(replace(ARCHIVE, commitment=False),))
    hospital.deliver()
    assert hospital.state() == "archived"
    assert reconcile(hospital.catalog, (ARCHIVE, COPY)).planned == 0
    assert len(studies.show(hospital.catalog, "1.2.1")["entries"]) == 1


def test_a_destination_that_was_taken_away_while_it_rested_rests_no_more(hospital: Hospital) -> None:
    later = hospital.catalog.now() + timedelta(hours=1)
    for name in ("archive", "gone"):
        entries.rest(hospital.catalog, name, later, "unreachable", "no connection")
    reconcile(hospital.catalog, [ARCHIVE])
    assert entries.destination_state(hospital.catalog, "gone").resting_until is None
    assert entries.destination_state(hospital.catalog, ARCHIVE.name).resting_until == later
