"""The indexer: nothing acknowledged is lost, whatever fails or ends in the middle, and nothing counts twice."""

from __future__ import annotations

import errno
import sqlite3
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from kuva_gateway.catalog import studies
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.indexer import Indexer
from kuva_gateway.spool import Spool
from tests.faults import FaultyFiles
from tests.support import wait_until
from tests.unit.catalog.making import HETU, Clock, Hospital


class PowerCut(BaseException):
    """The process ends here."""


def cut_power() -> None:
    raise PowerCut


def everything_once(hospital: Hospital, instances: int) -> None:
    """Each instance is in the catalog and in the spool once, and nothing waits."""
    assert hospital.column("SELECT instances FROM studies") == [instances]
    assert hospital.column("SELECT COUNT(*) FROM receipts") == [instances]
    assert hospital.column("SELECT COUNT(*) FROM history WHERE event = 'arrived'") == [1]
    digests = [bytes(digest).hex() for digest in hospital.column("SELECT digest FROM instances")]
    assert sorted(digests) == list(hospital.spool.instances())
    for digest in digests:
        hospital.spool.verify(digest)
    assert list(hospital.spool.arrivals()) == []


@pytest.mark.parametrize("operation", ["link", "unlink", "make_directory", "open_read"])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_power_cut_between_any_two_steps_is_made_good_by_the_next_start(
    hospital: Hospital, files: FaultyFiles, operation: str, nth: int
) -> None:
    for number in (1, 2, 3):
        hospital.receive(instance=number)
    files.call(operation, cut_power, nth=nth)
    with pytest.raises(PowerCut):
        hospital.index(batch=2)
    files.heal()
    hospital.index()
    everything_once(hospital, 3)


def test_a_power_cut_before_the_commit_is_made_good_by_the_next_start(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kuva_gateway.catalog import indexer as module

    for number in (1, 2):
        hospital.receive(instance=number)
    whole = module.write_batch

    def write_and_die(*arguments: object, **keywords: object) -> frozenset[str]:
        whole(*arguments, **keywords)  # type: ignore[arg-type]
        raise PowerCut

    monkeypatch.setattr(module, "write_batch", write_and_die)
    with pytest.raises(PowerCut):
        hospital.index()
    monkeypatch.undo()
    assert len(list(hospital.spool.arrivals())) == 2
    hospital.index()
    everything_once(hospital, 2)


def test_a_file_system_that_fails_for_a_while_delays_and_loses_nothing(hospital: Hospital, files: FaultyFiles) -> None:
    indexer = hospital.indexer()
    indexer.start()
    try:
        files.fail("link", errno.EIO, always=True)
        for number in (1, 2, 3):
            indexer.notify(*hospital.receive(instance=number))
        wait_until(lambda: len(hospital.problems) > 1, what="a second try")
        assert indexer.pending == 3
        files.heal()
        assert indexer.drain(20)
    finally:
        indexer.stop()
    everything_once(hospital, 3)
    assert {kind for kind, _ in hospital.problems} == {"spool"}


def test_a_file_that_cannot_be_read_now_delays_no_other_and_has_not_passed(hospital: Hospital, clock: Clock) -> None:
    arrival, _ = hospital.receive(instance=1)
    whole = arrival.path.read_bytes()
    arrival.path.unlink()
    arrival.path.mkdir()  # opens, and cannot be read: EISDIR
    indexer = hospital.indexer(batch=2)
    indexer.start()
    try:
        for number in range(2, 8):
            indexer.notify(*hospital.receive(instance=number))
        wait_until(lambda: hospital.column("SELECT instances FROM studies") == [6], what="the others' rows")
        assert not indexer.passed(clock() + timedelta(hours=1))
        assert not indexer.drain(0)
        arrival.path.rmdir()
        arrival.path.write_bytes(whole)
        assert indexer.drain(20)
    finally:
        indexer.stop()
    everything_once(hospital, 7)
    assert {kind for kind, _ in hospital.problems} == {"spool"}


def test_what_nobody_foresaw_delays_and_does_not_end_the_indexing(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kuva_gateway.catalog import indexer as module

    whole, faults = module.write_batch, iter([KeyError(HETU), RecursionError()])

    def write_later(*arguments: object, **keywords: object) -> frozenset[str]:
        if (fault := next(faults, None)) is not None:
            raise fault
        return whole(*arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "write_batch", write_later)
    indexer = hospital.indexer()
    indexer.start()
    try:
        for number in (1, 2, 3):
            indexer.notify(*hospital.receive(instance=number))
        assert indexer.drain(20)
    finally:
        indexer.stop()
    everything_once(hospital, 3)
    assert hospital.problems == [("catalog", "an unforeseen KeyError"), ("catalog", "an unforeseen RecursionError")]


def test_at_start_what_is_in_the_spool_is_indexed(hospital: Hospital) -> None:
    for number in range(1, 6):
        hospital.receive(instance=number)
    touched: list[frozenset[str]] = []
    indexer = hospital.indexer(on_indexed=touched.append, batch=2)
    indexer.start()
    try:
        assert indexer.drain(20)
    finally:
        indexer.stop()
    everything_once(hospital, 5)
    assert touched == [frozenset({"1.2.1"})] * 3


def test_what_somebody_else_put_into_the_spool_is_found_when_told_to_look(hospital: Hospital) -> None:
    indexer = hospital.indexer()
    indexer.start()
    try:
        assert indexer.drain(20)
        hospital.receive()
        indexer.rescan()
        assert indexer.drain(20)
    finally:
        indexer.stop()
    everything_once(hospital, 1)


def test_what_is_waiting_has_not_passed(hospital: Hospital, clock: Clock) -> None:
    indexer = hospital.indexer()
    before = clock()
    indexer.start()
    try:
        assert indexer.wait_passed(20, clock.forward(seconds=1))
        first = clock.forward(seconds=1)
        with hospital.catalog.write():
            indexer.notify(*hospital.receive())
            assert indexer.passed(first)
            assert indexer.passed(before)
            assert not indexer.passed(first + timedelta(seconds=1))
            assert not indexer.wait_passed(0.05, first + timedelta(seconds=1))
        assert indexer.wait_passed(20, first + timedelta(seconds=1))
    finally:
        indexer.stop()


def test_before_the_first_look_nothing_has_passed(hospital: Hospital, clock: Clock) -> None:
    indexer = hospital.indexer()
    hospital.receive()
    with hospital.catalog.write():
        indexer.start()
        assert not indexer.passed(clock.forward(seconds=1))
    assert indexer.drain(20)
    assert indexer.passed(clock())
    indexer.stop()


def test_notices_beyond_the_capacity_are_found_again_in_the_spool_and_in_order(
    hospital: Hospital, clock: Clock
) -> None:
    indexer = hospital.indexer(capacity=3, batch=2)
    indexer.start()
    assert indexer.drain(20)
    try:
        with hospital.catalog.write():
            for number in range(1, 21):
                clock.forward(milliseconds=1)
                indexer.notify(*hospital.receive(instance=number))
            assert len(indexer._arrivals._waiting) <= 3
            assert indexer.pending == 20
            assert not indexer.passed(clock.forward(seconds=1))
        assert indexer.drain(20)
    finally:
        indexer.stop()
    everything_once(hospital, 20)
    assert hospital.column("SELECT uid FROM instances ORDER BY id") == [f"1.2.1.1.{n}" for n in range(1, 21)]
    assert indexer.pending == 0


def test_stopping_while_the_database_is_away_is_quick_and_leaves_the_spool(
    hospital: Hospital, open_catalog: object
) -> None:
    catalog: Catalog = open_catalog(busy_timeout=0.05)  # type: ignore[operator]
    problems: list[str] = []
    indexer = Indexer(catalog, hospital.spool, on_problem=lambda kind, text: problems.append(kind))
    with hospital.catalog.write():
        hospital.receive()
        indexer.start()
        wait_until(lambda: len(problems) > 2, what="a third try")
        assert not indexer.drain(0.05)
        indexer.stop()
    assert set(problems) == {"catalog"}
    assert len(list(hospital.spool.arrivals())) == 1


def test_a_database_that_another_program_locks_delays_and_loses_nothing(tmp_path: Path, clock: Clock) -> None:
    """BEGIN EXCLUSIVE by another program; receiving goes on and the order is kept."""
    path = tmp_path / "catalog.sqlite3"
    hospital = Hospital(
        Catalog.open(None, path, now=clock, busy_timeout=0.05), Spool(tmp_path / "s", minimum_free=0), clock
    )
    other = sqlite3.connect(path, isolation_level=None)
    indexer = hospital.indexer(capacity=10)
    indexer.start()
    try:
        assert indexer.drain(20)
        other.execute("BEGIN EXCLUSIVE")
        for number in range(1, 31):
            indexer.notify(*hospital.receive(instance=number))
        wait_until(lambda: len(hospital.problems) > 3, what="several tries")
        assert len(list(hospital.spool.arrivals())) == 30
        other.execute("ROLLBACK")
        assert indexer.drain(30)
        everything_once(hospital, 30)
        assert hospital.column("SELECT uid FROM instances ORDER BY id") == [f"1.2.1.1.{n}" for n in range(1, 31)]
    finally:
        indexer.stop()
        other.close()
        hospital.catalog.close()


def test_several_associations_at_once_lose_nothing(hospital: Hospital) -> None:
    indexer = hospital.indexer(batch=16)
    indexer.start()

    def associate(association: int) -> None:
        from kuva_gateway.dicom.scanner import scan
        from tests.unit.catalog.making import CT, EXPLICIT, data_set, encode

        for number in range(40):
            data = encode(data_set("1.2.1", series=association, instance=number))
            incoming = hospital.spool.begin(CT, "1.2", EXPLICIT)
            incoming.write(memoryview(data))
            indexer.notify(incoming.commit("ct1", association, number), scan(data, EXPLICIT, whole=True))

    threads = [threading.Thread(target=associate, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert indexer.drain(30)
    finally:
        indexer.stop()
    everything_once(hospital, 160)
    study = studies.find(hospital.catalog, "1.2.1")
    assert study is not None
    assert (study.series, study.revision) == (4, 1)
