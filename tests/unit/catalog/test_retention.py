"""Retention: what the archive has for good goes when its time is over, and nothing else ever does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from kuva_gateway.catalog import commitment_requests, rejections, removal, retention, studies
from kuva_gateway.catalog.completion import recount
from kuva_gateway.catalog.instances import digests
from kuva_gateway.catalog.records import DestinationPlan
from kuva_gateway.queue.retention import Retention, Room
from tests.unit.catalog.making import ARCHIVE, COPY, CT, Hospital
from tests.unit.catalog.test_rejections import receive_note
from tests.unit.queue.test_resting import Lines

DAYS_30 = timedelta(days=30)
PLENTY = Room(free=90, total=100)


class Keeper:
    """Retention over a hospital, with as much room as the test says."""

    def __init__(self, hospital: Hospital) -> None:
        self.hospital, self.lines, self.room = hospital, Lines(), PLENTY
        self.indexer = hospital.indexer()
        self.retention = Retention(
            hospital.catalog,
            keep_for=DAYS_30,
            low_water=0.2,
            room=lambda: self.room,
            remove=lambda: None,
            now=hospital.clock,
            log=self.lines,
        )

    def run(self) -> int:
        return self.retention.run()

    def remove(self) -> int:
        return self.indexer.remove_all()

    def files(self) -> int:
        return len(list(self.hospital.spool.instances()))


@pytest.fixture
def keeper(hospital: Hospital) -> Keeper:
    return Keeper(hospital)


def commit(hospital: Hospital, destination: str = "archive") -> None:
    with hospital.catalog.write() as session:
        session.execute("UPDATE ledger SET state = 'committed' WHERE destination = ? AND state = 'sent'", destination)
        for row in session.rows("SELECT id FROM studies"):
            recount(session, row["id"], destination)


def archive(
    hospital: Hospital, study: str = "1.2.1", destinations: Sequence[DestinationPlan] = (ARCHIVE,), **more: Any
) -> None:
    hospital.accept(study, destinations=destinations, **more)
    for plan in destinations:
        hospital.deliver(plan.name)
        if plan.commitment:
            commit(hospital, plan.name)


def test_files_go_when_the_time_since_archiving_is_over_and_rows_and_history_stay(keeper: Keeper) -> None:
    hospital = keeper.hospital
    archive(hospital)
    hospital.clock.forward(days=29)
    assert keeper.run() == 0
    hospital.clock.forward(days=1)
    assert keeper.run() == 2
    assert (keeper.remove(), keeper.files(), keeper.run()) == (2, 0, 0)
    assert hospital.state() == "archived"
    assert hospital.column("SELECT COUNT(*) FROM instances WHERE purged_at IS NOT NULL") == [2]
    assert list(digests(hospital.catalog)) == []  # spool verify misses nothing
    story = [line["event"] for line in studies.trace(hospital.catalog, "1.2.1")]
    assert story.index("retention") < story.index("files_removed")


@pytest.mark.parametrize("step", ["accepted", "sending", "sent", "failed", "held"])
def test_nothing_that_is_not_committed_goes_however_short_the_room(keeper: Keeper, step: str) -> None:
    hospital = keeper.hospital
    if step == "held":
        hospital.hold()
    else:
        hospital.accept()
    if step == "sending":
        hospital.claimed()
    elif step == "sent":
        hospital.deliver()
    elif step == "failed":
        entry = hospital.claimed()
        from kuva_gateway.catalog import entries

        entries.fail(hospital.catalog, entry.id, hospital.attempt("failed", code="A900"))
    keeper.room = Room(free=0, total=10**12)
    hospital.clock.forward(days=400)
    assert keeper.run() == 0
    assert keeper.files() == 2
    assert ("error", "room is short and nothing may be removed: deliver, or add disk") in [
        line[:2] for line in keeper.lines.lines
    ]


def test_every_required_destination_must_have_committed(keeper: Keeper) -> None:
    hospital = keeper.hospital
    second = DestinationPlan(name="second")
    hospital.accept(destinations=(ARCHIVE, second))
    hospital.deliver("archive")
    commit(hospital, "archive")
    hospital.deliver("second")
    hospital.clock.forward(days=31)
    assert keeper.run() == 0
    commit(hospital, "second")
    hospital.clock.forward(days=31)
    assert keeper.run() == 2


def test_where_nobody_commits_nothing_goes(keeper: Keeper) -> None:
    archive(keeper.hospital, destinations=(DestinationPlan(name="store", commitment=False),))
    assert keeper.hospital.state() == "archived"
    keeper.hospital.clock.forward(days=400)
    assert keeper.run() == 0


def test_a_destination_that_is_not_required_gets_its_files_first(keeper: Keeper) -> None:
    hospital = keeper.hospital
    hospital.accept(destinations=(ARCHIVE, COPY))
    hospital.deliver("archive")
    commit(hospital)
    assert hospital.state() == "archived"
    hospital.clock.forward(days=31)
    assert keeper.run() == 0
    hospital.deliver("copy")
    assert keeper.run() == 0  # looked at again in an hour
    hospital.clock.forward(hours=1)
    assert keeper.run() == 2


def test_below_the_low_water_mark_the_longest_archived_go_early_and_only_as_many_as_needed(keeper: Keeper) -> None:
    hospital = keeper.hospital
    for number in (1, 2, 3):
        archive(hospital, f"1.2.{number}", instances=1)
        hospital.clock.forward(hours=1)
    size = hospital.column("SELECT size FROM instances WHERE uid = '1.2.1.1.1'")[0]
    keeper.room = Room(free=20_000 - size - 1, total=100_000)  # one file and a byte are missing
    assert keeper.run() == 2
    assert hospital.column(
        "SELECT s.uid FROM removals r JOIN instances i ON i.id = r.instance_id "
        "JOIN studies s ON s.id = i.study_id ORDER BY s.uid"
    ) == ["1.2.1", "1.2.2"]
    assert keeper.run() == 0  # they are on their way out
    assert ("warning", "room is short: archived files go early") in [line[:2] for line in keeper.lines.lines]


def test_the_same_bytes_again_are_the_known_instance_and_are_not_sent_again(keeper: Keeper) -> None:
    hospital = keeper.hospital
    archive(hospital)
    hospital.clock.forward(days=31)
    keeper.run()
    keeper.remove()
    hospital.receive("1.2.1", instance=1)
    hospital.index()
    assert keeper.files() == 1
    assert hospital.column("SELECT uid FROM instances WHERE purged_at IS NULL") == ["1.2.1.1.1"]
    assert (hospital.state(), hospital.claim()) == ("archived", None)
    hospital.clock.forward(days=29)
    assert keeper.run() == 0
    hospital.clock.forward(days=2)
    assert (keeper.run(), keeper.remove(), keeper.files()) == (1, 1, 0)


def test_an_image_that_comes_after_the_others_have_gone_is_delivered_alone(keeper: Keeper) -> None:
    hospital = keeper.hospital
    archive(hospital)
    hospital.clock.forward(days=31)
    keeper.run()
    keeper.remove()
    hospital.receive("1.2.1", instance=3)
    hospital.index()
    hospital.settle()
    assert hospital.judge()
    hospital.deliver()
    commit(hospital)
    assert hospital.state() == "archived"
    hospital.clock.forward(days=31)
    assert (keeper.run(), keeper.remove(), keeper.files()) == (1, 1, 0)


def test_what_was_never_delivered_of_an_archived_study_stays(keeper: Keeper) -> None:
    hospital = keeper.hospital
    archive(hospital)
    hospital.receive("1.2.1", instance=1, Rows=9)  # other bytes after delivery: DUP-01 holds them
    hospital.index()
    hospital.settle()
    assert hospital.judge()
    hospital.clock.forward(days=31)
    assert (keeper.run(), keeper.remove(), keeper.files()) == (2, 2, 1)
    assert hospital.column("SELECT held FROM instances WHERE purged_at IS NULL") == [1]


def test_a_run_that_is_killed_at_any_step_loses_nothing(keeper: Keeper) -> None:
    hospital = keeper.hospital
    archive(hospital)
    hospital.clock.forward(days=31)
    retention.choose(hospital.catalog, archived_before=hospital.clock(), why="keep_for")
    (first, second) = removal.pending(hospital.catalog, 10)  # killed before a file moved
    assert keeper.files() == 2
    hospital.spool.retire(first.digest)  # killed after a file was moved
    hospital.spool.retire(second.digest)
    hospital.spool.purge(second.digest)  # killed after one was removed, and before its row said so
    assert Keeper(hospital).remove() == 2
    assert hospital.column("SELECT COUNT(*) FROM instances WHERE purged_at IS NULL") == [0]
    assert (keeper.files(), list(hospital.spool.retired())) == (0, [])


def test_bytes_that_come_while_their_removal_is_asked_for_stay(keeper: Keeper) -> None:
    hospital = keeper.hospital
    archive(hospital)
    hospital.clock.forward(days=31)
    keeper.run()
    hospital.receive("1.2.1", instance=1)
    hospital.index()
    assert (keeper.remove(), keeper.files()) == (1, 1)


def test_a_note_that_the_time_is_over_removes_what_is_committed_and_copies_may_come_again(keeper: Keeper) -> None:
    hospital = keeper.hospital
    archive(hospital)
    receive_note(hospital, "113039")
    assert (keeper.remove(), keeper.files()) == (1, 2)  # the other image, and the note
    assert hospital.column(f"SELECT i.uid FROM instances i WHERE {rejections.HIDDEN}") == ["1.2.1.1.1"]
    record = studies.find(hospital.catalog, "1.2.1")
    assert record is not None
    assert record.instances == 1
    hospital.receive("1.2.1", instance=1)
    hospital.index(rejecters={"pacs": False})
    assert hospital.column(f"SELECT i.uid FROM instances i WHERE {rejections.HIDDEN}") == []
    record = studies.find(hospital.catalog, "1.2.1")
    assert record is not None
    assert (record.instances, record.state) == (2, "archived")


def test_what_has_gone_to_the_archive_is_still_committed_to(keeper: Keeper) -> None:
    hospital = keeper.hospital
    archive(hospital)
    hospital.clock.forward(days=31)
    keeper.run()
    keeper.remove()
    (found,) = commitment_requests.stored(hospital.catalog, ["1.2.1.1.1"])["1.2.1.1.1"]
    assert (found.sop_class, found.archived, found.gone) == (CT, True, False)


def test_a_copy_that_comes_again_together_with_a_new_image_is_counted(keeper: Keeper) -> None:
    hospital = keeper.hospital
    archive(hospital)
    receive_note(hospital, "113039")
    keeper.remove()
    hospital.receive("1.2.1", instance=1)
    hospital.receive("1.2.1", instance=3)
    hospital.index(rejecters={"pacs": False})
    record = studies.find(hospital.catalog, "1.2.1")
    assert record is not None
    assert record.instances == 3
