"""The clock was set: everything that waits waits as long as it would have."""

from __future__ import annotations

from datetime import timedelta

import pytest

from kuva_gateway.catalog import commitments, entries, studies
from kuva_gateway.catalog.waiting import shift
from tests.unit.catalog.making import Hospital

HOURS = (timedelta(hours=-3), timedelta(hours=5), timedelta(days=-9000))


@pytest.mark.parametrize("step", HOURS)
def test_a_lease_holds_and_runs_out_when_it_would_have(hospital: Hospital, step: timedelta) -> None:
    hospital.accept()
    hospital.claimed()
    shift(hospital.catalog, step)
    hospital.clock.at += step
    hospital.clock.forward(seconds=55)
    assert hospital.claim(owner="another") is None
    hospital.clock.forward(seconds=10)
    taken = hospital.claim(owner="another")
    assert taken is not None
    assert taken.resumed


@pytest.mark.parametrize("step", HOURS)
def test_rests_and_patience_and_commitments_stay_as_long(hospital: Hospital, step: timedelta) -> None:
    hospital.accept()
    entry = hospital.deliver()
    now = hospital.clock()
    commitments.ask(hospital.catalog, entry.id, "1.2.99", [1, 2], now + timedelta(hours=1))
    entries.rest(hospital.catalog, "archive", now + timedelta(minutes=3), "X", "away")
    shift(hospital.catalog, step)
    later = entries.destination_state(hospital.catalog, "archive").resting_until
    assert later == now + timedelta(minutes=3) + step
    asked, found = commitments.find(hospital.catalog, "1.2.99"), entries.find(hospital.catalog, entry.id)
    assert asked is not None
    assert found is not None
    assert asked.due_at == now + timedelta(hours=1) + step
    assert found.tried_since == entry.tried_since + step


@pytest.mark.parametrize("step", HOURS)
def test_a_study_settles_as_late_also_one_that_came_with_the_new_time(hospital: Hospital, step: timedelta) -> None:
    quiet, most = timedelta(minutes=1), timedelta(hours=2)
    hospital.send("1.2.1")
    before = hospital.clock()
    hospital.clock.at += step
    hospital.send("1.2.2")  # the receiving process goes by the wall clock
    hospital.clock.at = before
    shift(hospital.catalog, step)
    hospital.clock.at += step
    assert studies.unsettled(hospital.catalog, hospital.clock(), quiet, most) == []
    hospital.clock.forward(seconds=61)
    unsettled = studies.unsettled(hospital.catalog, hospital.clock(), quiet, most)
    assert {one.study_instance_uid for one in unsettled} == {"1.2.1", "1.2.2"}
    assert not any(one.overdue for one in unsettled)


def test_a_study_that_goes_on_after_the_clock_was_set_back_settles_by_the_new_time(hospital: Hospital) -> None:
    quiet, most = timedelta(minutes=1), timedelta(hours=2)
    hospital.accept()
    shift(hospital.catalog, timedelta(hours=-5))
    hospital.clock.at -= timedelta(hours=5)
    hospital.receive(instance=3)
    hospital.index()
    assert hospital.state() == "receiving"
    assert studies.unsettled(hospital.catalog, hospital.clock(), quiet, most) == []
    hospital.clock.forward(seconds=61)
    (one,) = studies.unsettled(hospital.catalog, hospital.clock(), quiet, most)
    assert not one.overdue
