"""Between receiving and the catalog: listing, adopting, forgetting, sweeping; each step again, and after a crash."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kuva_gateway.errors import DamageError
from kuva_gateway.spool import Arrival, Receipt, Spool
from tests.faults import FaultyFiles
from tests.support import ROOT, wait_until
from tests.unit.spool.conftest import CT, EXPLICIT, Receive, contents


def test_receipts_sort_by_name_as_they_sort_by_time_and_can_be_read_back() -> None:
    receipts = [
        Receipt(time_ns=time_ns, association=association, number=number)
        for time_ns in (9, 10, 1_795_392_398_337_502_640)
        for association in (2, 11)
        for number in (3, 200)
    ]
    assert sorted(map(str, receipts)) == [str(receipt) for receipt in sorted(receipts)]
    assert [Receipt.parse(str(receipt)) for receipt in receipts] == receipts
    with pytest.raises(ValueError, match="no receipt"):
        Receipt.parse("1-2-3")


def test_arrivals_are_listed_oldest_first_with_everything_that_their_names_say(spool: Spool, receive: Receive) -> None:
    received = [receive(bytes([number]), number=number) for number in range(20)]
    assert list(spool.arrivals()) == [replace(arrival, confirmed=False) for arrival in received]


def test_what_waits_is_counted_from_the_oldest_on(spool: Spool, receive: Receive) -> None:
    assert spool.waiting() == (0, None)
    first, *_ = [receive(bytes([number]), number=number) for number in range(3)]
    (spool.root / "arrived" / "README").write_text("hello")
    assert spool.waiting() == (3, datetime.fromtimestamp(first.receipt.time_ns / 1e9, UTC))
    (spool.root / "arrived").rename(spool.root / "away")
    with pytest.raises(OSError, match="arrived"):
        spool.waiting()


def test_receipts_grow_even_when_the_clock_is_set_back(tmp_path: Path, receive: Receive) -> None:
    times = iter([1, 500, 400, 400, 600])
    spool = Spool(tmp_path / "clock", minimum_free=0, clock_ns=lambda: next(times))
    received = [receive(b"same", into=spool).receipt.time_ns for _ in range(4)]
    assert received == [500, 501, 502, 600]


def test_receipts_follow_a_clock_that_is_set_back_by_hours(tmp_path: Path, receive: Receive) -> None:
    day, hour = 86_400 * 10**9, 3_600 * 10**9
    times = iter([day, day + 5, day - hour, day - hour, day - hour + 9])
    spool = Spool(tmp_path / "clock", minimum_free=0, clock_ns=lambda: next(times))
    received = [receive(b"same", into=spool).receipt.time_ns for _ in range(4)]
    assert received == [day + 5, day - hour, day - hour + 1, day - hour + 9]


def test_files_of_others_in_arrived_are_left_alone(spool: Spool, receive: Receive) -> None:
    arrival = receive(b"data")
    (spool.root / "arrived" / "README").write_text("hello")
    (spool.root / "arrived" / f"{arrival.path.name}.part").write_text("hello")
    assert [found.path for found in spool.arrivals()] == [arrival.path]


def test_what_is_still_being_made_safe_is_not_listed(spool: Spool, files: FaultyFiles, receive: Receive) -> None:
    listed: list[list[Arrival]] = []
    files.call("fsync", lambda: listed.append(list(spool.arrivals())))
    receive(b"data")
    assert listed == [[]]
    assert len(list(spool.arrivals())) == 1


def test_adopting_links_the_bytes_by_digest_and_forgetting_removes_the_arrival(spool: Spool, receive: Receive) -> None:
    arrival = receive(b"data")
    path = spool.adopt(arrival)
    assert path == spool.root / "instances" / arrival.digest[:2] / arrival.digest
    assert path.samefile(arrival.path)
    spool.forget(arrival)
    assert contents(spool) == {"instances": [arrival.digest]}
    assert list(spool.instances()) == [arrival.digest]


@pytest.mark.parametrize("confirmed", [True, False])
def test_every_step_may_be_repeated(spool: Spool, receive: Receive, confirmed: bool) -> None:
    arrival = replace(receive(b"data"), confirmed=confirmed)
    for _ in range(2):
        spool.adopt(arrival)
    for _ in range(2):
        spool.forget(arrival)
    spool.adopt(arrival)
    assert contents(spool) == {"instances": [arrival.digest]}
    spool.verify(arrival.digest)


def test_the_same_bytes_twice_are_one_instance(spool: Spool, receive: Receive) -> None:
    first, second = receive(b"data"), receive(b"data", peer="mr1")
    for arrival in (first, second):
        spool.adopt(arrival)
        spool.forget(arrival)
    assert contents(spool) == {"instances": [first.digest]}


def test_an_instance_that_was_cut_short_gives_way_to_whole_bytes(spool: Spool, receive: Receive) -> None:
    arrival = receive(b"data")
    path = spool.adopt(arrival)
    path.unlink()
    path.write_bytes(b"short")
    spool.adopt(arrival)
    spool.verify(arrival.digest)
    assert (spool.root / "corrupt" / arrival.digest).read_bytes() == b"short"


@pytest.mark.parametrize("operation", ["link", "make_directory", "fsync_directory", "size"])
def test_a_failing_adoption_loses_nothing_and_works_the_next_time(
    spool: Spool, files: FaultyFiles, receive: Receive, operation: str
) -> None:
    spool.fsync_folders = operation == "fsync_directory"
    arrival = receive(b"data")
    if operation == "size":
        spool.adopt(arrival)
    files.fail(operation, errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        spool.adopt(arrival)
    assert arrival.path.exists()
    spool.adopt(arrival)
    spool.verify(arrival.digest)


def test_a_failing_forget_can_be_repeated(spool: Spool, files: FaultyFiles, receive: Receive) -> None:
    arrival = receive(b"data")
    spool.adopt(arrival)
    files.fail("unlink", errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        spool.forget(arrival)
    spool.forget(arrival)
    assert contents(spool) == {"instances": [arrival.digest]}


def test_strict_durability_makes_the_instances_name_safe_before_the_arrival_may_go(
    tmp_path: Path, files: FaultyFiles, receive: Receive
) -> None:
    spool = Spool(tmp_path / "strict", durability="strict", minimum_free=0, files=files)
    arrival = receive(b"data", into=spool)
    before = files.calls["fsync_directory"]
    spool.adopt(arrival)
    assert files.calls["fsync_directory"] == before + 2, "the new folder's name and the new file's name"


@pytest.mark.parametrize("needed", [True, False])
def test_the_places_of_many_are_made_safe_at_once_where_the_file_system_needs_that(
    spool: Spool, files: FaultyFiles, receive: Receive, needed: bool
) -> None:
    spool.sync_links = needed
    for number in range(3):
        spool.adopt(receive(b"data %d" % number))
    assert files.calls["sync_file_system"] == 0
    spool.settle()
    assert files.calls["sync_file_system"] == int(needed)


# -- what a crash leaves ---------------------------------------------------------------------------------------------


def test_an_arrival_found_at_start_is_read_and_fsynced_before_it_is_adopted(
    spool: Spool, files: FaultyFiles, receive: Receive
) -> None:
    receive(b"data")
    (found,) = spool.arrivals()
    files.fail("fsync", errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        spool.adopt(found)
    assert list(spool.instances()) == []
    assert found.path.exists()


@pytest.mark.parametrize("damage", [b"", b"short", b"\0" * 3000])
def test_a_name_without_its_bytes_after_a_power_cut_is_damage_and_goes_to_corrupt(
    spool: Spool, receive: Receive, damage: bytes
) -> None:
    arrival = receive(b"data")
    arrival.path.write_bytes(damage)
    (found,) = spool.arrivals()
    with pytest.raises(DamageError):
        spool.adopt(found)
    assert contents(spool) == {"corrupt": [arrival.path.name, f"{arrival.path.name}.reason"]}


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.ESTALE, errno.EACCES])
@pytest.mark.parametrize("nth", [1, 2])
def test_a_file_that_cannot_be_opened_now_is_no_damage_and_stays_for_the_next_time(
    spool: Spool, files: FaultyFiles, receive: Receive, number: int, nth: int
) -> None:
    receive(b"data")
    (found,) = spool.arrivals()
    files.fail("open_read", number, nth=nth)
    with pytest.raises(OSError, match=re.escape(os.strerror(number))):
        spool.adopt(found)
    assert contents(spool) == {"arrived": [found.path.name]}
    spool.adopt(found)
    spool.verify(found.digest)


def test_acknowledged_bytes_that_cannot_be_set_aside_are_never_removed(
    spool: Spool, files: FaultyFiles, receive: Receive
) -> None:
    receive(b"data").path.write_bytes(b"other")
    (found,) = spool.arrivals()
    files.fail("rename_new", errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        spool.adopt(found)
    assert contents(spool) == {"arrived": [found.path.name]}
    with pytest.raises(DamageError, match="other bytes"):
        spool.adopt(found)
    assert contents(spool) == {"corrupt": [found.path.name, f"{found.path.name}.reason"]}


def test_an_arrival_that_is_gone_without_an_instance_is_damage(spool: Spool, receive: Receive) -> None:
    arrival = receive(b"data")
    (found,) = spool.arrivals()
    arrival.path.unlink()
    with pytest.raises(DamageError):
        spool.adopt(found)


def test_sweeping_removes_what_a_crash_left_and_keeps_what_was_acknowledged(spool: Spool, receive: Receive) -> None:
    arrival = receive(b"data")
    (spool.root / "incoming" / "1-2-3").write_bytes(b"half")
    (spool.root / "incoming" / "1-2-4").write_bytes(b"")
    assert spool.sweep() == 2
    assert contents(spool) == {"arrived": [arrival.path.name]}


def test_sweeping_by_the_clock_leaves_what_was_written_to_just_now(spool: Spool) -> None:
    left, fresh = (spool.root / "incoming" / name for name in ("1-2-3", "1-2-4"))
    for path in (left, fresh):
        path.write_bytes(b"half")
    os.utime(left, (time.time() - 60, time.time() - 60))
    assert spool.sweep(untouched=30) == 1
    assert os.listdir(spool.root / "incoming") == ["1-2-4"]
    assert spool.sweep(untouched=30) == 0


def test_sweeping_leaves_what_another_process_is_receiving(spool: Spool) -> None:
    incoming = spool.begin(CT, "1.2.3.4", EXPLICIT)
    incoming.write(memoryview(b"data"))
    assert Spool(spool.root, minimum_free=0).sweep() == 0
    arrival = incoming.commit("ct1", 1, 1)
    assert arrival.path.exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from kuva_gateway.spool import Spool
from tests.faults import FaultyFiles

files = FaultyFiles()
files.call(sys.argv[2], lambda: os.kill(os.getpid(), signal.SIGKILL))
spool = Spool(Path(sys.argv[1]), minimum_free=0, files=files)
incoming = spool.begin("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4", "1.2.840.10008.1.2.1")
incoming.write(memoryview(bytes(300_000)))
incoming.commit("ct1", 1, 1)
"""


@pytest.mark.parametrize(
    ("operation", "arrived"), [("open_new", 0), ("write", 0), ("rename_new", 0), ("fsync", 1), ("close", 1)]
)
def test_a_process_killed_at_any_step_leaves_a_whole_arrival_or_nothing(
    spool: Spool, operation: str, arrived: int
) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(spool.root), operation], cwd=ROOT, stdin=subprocess.DEVNULL, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    spool.sweep()
    found = list(spool.arrivals())
    for arrival in found:
        spool.adopt(arrival)
        spool.verify(arrival.digest)
    assert len(found) == arrived
    assert "incoming" not in contents(spool)


def test_a_receiving_process_is_seen_as_alive_until_it_is_killed(spool: Spool) -> None:
    script = KILLED.replace("incoming.commit", "import time; time.sleep(60); incoming.commit")
    process = subprocess.Popen([sys.executable, "-c", script, str(spool.root), "free_bytes"], cwd=ROOT)
    process.wait()  # killed where it measures free space: nothing was begun
    assert spool.sweep() == 0
    process = subprocess.Popen([sys.executable, "-c", script, str(spool.root), "link"], cwd=ROOT)
    try:
        wait_until(lambda: contents(spool).get("incoming"), what="a file in incoming")
        assert spool.sweep() == 0
    finally:
        process.kill()
        process.wait()
    assert spool.sweep() == 1
    assert os.listdir(spool.root / "incoming") == []
