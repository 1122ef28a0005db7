"""Removal of files: rows and history stay, nothing else goes, and a process that dies on the way is made good."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from kuva_gateway.catalog import instances, rebuild, removal, studies
from kuva_gateway.catalog.recalled import Recalled
from kuva_gateway.catalog.remover import HELPING
from kuva_gateway.errors import NotFoundError, StateError
from kuva_gateway.journal import Journal
from tests.faults import FaultyFiles
from tests.support import wait_until
from tests.unit.catalog.making import Hospital


class Killed(BaseException):
    """The process ends here."""


def kill() -> None:
    raise Killed


def rejected(hospital: Hospital, study: str = "1.2.1") -> list[str]:
    """A study that a person rejected; returns the digests of its files."""
    hospital.hold(study)
    studies.reject(hospital.catalog, study, by="aino", reason="wrong patient")
    return [
        bytes(one).hex()
        for one in hospital.column(
            "SELECT i.digest FROM instances i JOIN studies s ON s.id = i.study_id WHERE s.uid = ?", study
        )
    ]


def removed(hospital: Hospital, study: str = "1.2.1") -> list[str]:
    digests = rejected(hospital, study)
    assert studies.remove_study(hospital.catalog, study, by="aino", reason="kept long enough") == len(digests)
    return digests


def test_the_files_of_a_removed_study_go_and_its_rows_and_history_stay(hospital: Hospital) -> None:
    others = rejected(hospital, "1.2.2")
    digests = removed(hospital)
    assert hospital.indexer().remove_all() == len(digests)
    assert sorted(hospital.spool.instances()) == sorted(others)
    assert list(hospital.spool.retired()) == []
    shown = studies.show(hospital.catalog, "1.2.1")
    assert (shown["state"], shown["instances"]) == ("removed", len(digests))
    told = {one["event"]: one for one in studies.trace(hospital.catalog, "1.2.1")}
    assert (told["removed"]["by"], told["removed"]["detail"]["reason"]) == ("aino", "kept long enough")
    assert told["files_removed"]["detail"] == {"from": "removed", "to": "removed", "files": len(digests), "left": 0}
    assert sorted(instances.digests(hospital.catalog)) == sorted(others)
    assert hospital.indexer().remove_all() == 0


def test_only_rejected_and_withdrawn_studies_can_be_removed(hospital: Hospital) -> None:
    hospital.hold()
    with pytest.raises(StateError, match=r"held cannot be removed"):
        studies.remove_study(hospital.catalog, "1.2.1", by="aino", reason="no")
    with pytest.raises(NotFoundError):
        studies.remove_study(hospital.catalog, "1.2.9", by="aino", reason="no")
    assert removal.pending(hospital.catalog, 10) == []
    assert hospital.indexer().remove_all() == 0


@pytest.mark.parametrize(
    ("operation", "nth"), [("rename_new", 1), ("rename_new", 2), ("unlink", 1), ("unlink", 2), ("open_directory", 1)]
)
def test_a_process_killed_between_any_two_steps_is_made_good_by_the_next(
    hospital: Hospital, files: FaultyFiles, operation: str, nth: int
) -> None:
    others = rejected(hospital, "1.2.2")
    removed(hospital)
    files.call(operation, kill, nth=nth)
    with pytest.raises(Killed):
        hospital.indexer().remove_all()
    files.heal()
    assert hospital.indexer().remove_all() == 2
    assert sorted(hospital.spool.instances()) == sorted(others)
    assert list(hospital.spool.retired()) == []
    assert hospital.column("SELECT COUNT(*) FROM instances WHERE purged_at IS NULL") == [len(others)]


def test_a_process_killed_before_the_last_row_is_made_good_by_the_next(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed(hospital)
    monkeypatch.setattr(removal, "mark_purged", lambda *arguments: kill())
    with pytest.raises(Killed):
        hospital.indexer().remove_all()
    monkeypatch.undo()
    assert hospital.indexer().remove_all() == 2
    assert hospital.column("SELECT COUNT(*) FROM instances WHERE purged_at IS NULL") == [0]
    assert len([one for one in studies.trace(hospital.catalog, "1.2.1") if one["event"] == "files_removed"]) == 1


def test_bytes_that_come_again_before_the_removal_are_kept(hospital: Hospital) -> None:
    hospital.receive(instance=1)
    digests = removed(hospital)
    hospital.receive(instance=1)
    hospital.index()
    assert hospital.indexer().remove_all() == 1
    assert len(list(hospital.spool.instances())) == 1 == len(list(instances.digests(hospital.catalog)))
    assert set(hospital.spool.instances()) < set(digests)


def test_bytes_that_come_again_after_the_removal_are_kept_and_known(hospital: Hospital) -> None:
    removed(hospital)
    hospital.indexer().remove_all()
    arrival, _ = hospital.receive(instance=1)
    hospital.index()
    hospital.spool.verify(arrival.digest)
    assert list(instances.digests(hospital.catalog)) == [arrival.digest]
    assert hospital.indexer().remove_all() == 0


def test_bytes_that_come_again_in_the_middle_of_a_removal_are_kept(hospital: Hospital, files: FaultyFiles) -> None:
    removed(hospital)
    files.call("unlink", kill, nth=1)
    with pytest.raises(Killed):
        hospital.indexer().remove_all()
    files.heal()
    arrival, _ = hospital.receive(instance=1)
    hospital.index()
    assert hospital.indexer().remove_all() == 1
    hospital.spool.verify(arrival.digest)
    assert list(hospital.spool.instances()) == [arrival.digest]
    assert list(hospital.spool.retired()) == []


def test_an_arrival_that_was_indexed_before_the_removal_and_is_found_again_is_known(
    hospital: Hospital, files: FaultyFiles
) -> None:
    arrival, _ = hospital.receive(instance=1)
    files.call("unlink", kill, nth=1)
    with pytest.raises(Killed):
        hospital.index()
    files.heal()
    hospital.settle()
    view = studies.view(hospital.catalog, "1.2.1")
    studies.record_verdict(hospital.catalog, view, False, (), ())
    studies.reject(hospital.catalog, "1.2.1", by="aino", reason="wrong patient")
    studies.remove_study(hospital.catalog, "1.2.1", by="aino", reason="gone")
    assert hospital.indexer().remove_all() == 1
    hospital.index()
    hospital.spool.verify(arrival.digest)
    assert list(instances.digests(hospital.catalog)) == [arrival.digest]


def test_a_file_in_removing_that_nobody_asked_for_goes_back(hospital: Hospital) -> None:
    digests = rejected(hospital)
    hospital.spool.retire(digests[0])
    hospital.indexer().remove_all()
    assert sorted(hospital.spool.instances()) == sorted(digests)


def test_a_removal_that_fails_delays_no_arrival_and_is_tried_again(hospital: Hospital, files: FaultyFiles) -> None:
    removed(hospital)
    files.fail("rename_new", errno.EIO)
    indexer = hospital.indexer()
    indexer.start()
    try:
        wait_until(lambda: bool(hospital.problems), what="the failure")
        assert hospital.problems[0][0] == "removal"
        indexer.notify(*hospital.receive("1.2.5"))
        assert indexer.drain(20)
        indexer.remove()
        wait_until(lambda: removal.pending(hospital.catalog, 1) == [], what="the second try")
    finally:
        indexer.stop()
    assert len(list(hospital.spool.instances())) == 1


def test_many_files_are_removed_in_helpings(hospital: Hospital) -> None:
    hospital.send(instances=HELPING + 6)
    hospital.settle()
    studies.record_verdict(hospital.catalog, studies.view(hospital.catalog, "1.2.1"), False, (), ())
    studies.reject(hospital.catalog, "1.2.1", by="aino", reason="wrong patient")
    studies.remove_study(hospital.catalog, "1.2.1", by="aino", reason="gone")
    indexer = hospital.indexer()
    indexer.start()
    try:
        wait_until(lambda: removal.pending(hospital.catalog, 1) == [], what="the removal")
    finally:
        indexer.stop()
    assert list(hospital.spool.instances()) == []


def test_completing_a_catalog_misses_nothing_that_was_removed(hospital: Hospital, tmp_path: Path) -> None:
    removed(hospital)
    hospital.indexer().remove_all()
    with Recalled(Journal(tmp_path / "journal"), tmp_path / "recalled.sqlite") as recalled:
        assert rebuild.complete(hospital.catalog, hospital.spool, recalled).bad == ()
