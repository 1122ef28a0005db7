"""Receiving: what is committed is whole, safe and named; what is not leaves nothing behind."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import random
import stat
import tracemalloc
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kuva_gateway.dicom.part10 import preamble_and_meta, read_meta
from kuva_gateway.errors import NoSpaceError
from kuva_gateway.spool import Spool, StorageError
from kuva_gateway.spool.incoming import HEAD
from tests.faults import FaultyFiles
from tests.unit.spool.conftest import CT, EXPLICIT, Receive, contents, write_all

MIB = 1 << 20


@pytest.mark.parametrize("size", [0, 1, 8 * 1024, 65_536, HEAD - 1, HEAD, HEAD + 1, 3 * MIB + 17])
def test_the_file_is_the_part_10_file_of_the_bytes_and_its_name_their_digest(receive: Receive, size: int) -> None:
    data = os.urandom(size)
    arrival = receive(data)
    stored = arrival.path.read_bytes()
    assert stored == preamble_and_meta(CT, "1.2.3.4", EXPLICIT) + data
    assert arrival.digest == hashlib.sha256(stored).hexdigest()
    assert arrival.size == len(stored)
    assert arrival.path.name == f"{arrival.receipt}.ct1.{arrival.digest}"
    assert stored[read_meta(BytesIO(stored)).dataset_offset :] == data


def test_equal_data_sets_from_different_peers_give_equal_digests(receive: Receive) -> None:
    data = os.urandom(5000)
    assert receive(data, peer="ct1").digest == receive(data, peer="mr1", association=8).digest


@pytest.mark.parametrize("step", [1, 7, 4096, 70_000, 300_000, MIB])
def test_pieces_of_any_size_make_the_same_file(spool: Spool, step: int) -> None:
    data = os.urandom(400_000 if step > 7 else 3000)
    incoming = spool.begin(CT, "1.2.3.4", EXPLICIT)
    write_all(incoming, data, step)
    assert incoming.size == len(data)
    assert bytes(incoming.head) == data[:HEAD]
    assert incoming.whole is (len(data) <= HEAD)
    arrival = incoming.commit("ct1", 1, 1)
    assert arrival.path.read_bytes().endswith(data)
    spool.verify(spool.adopt(arrival).name)


@pytest.mark.parametrize("before", [1, 4096, 65_000])
def test_a_piece_that_ends_where_the_head_ends_stays_before_what_follows(spool: Spool, before: int) -> None:
    data = os.urandom(HEAD + 100_000)
    incoming = spool.begin(CT, "1.2.3.4", EXPLICIT)
    for start, end in ((0, HEAD - before), (HEAD - before, HEAD), (HEAD, len(data))):
        incoming.write(memoryview(data)[start:end])
    assert incoming.commit("ct1", 1, 1).path.read_bytes().endswith(data)


def test_the_data_set_can_be_read_from_the_file_while_it_is_still_coming_in(spool: Spool) -> None:
    data = os.urandom(10_000)
    incoming = spool.begin(CT, "1.2.3.4", EXPLICIT)
    incoming.write(memoryview(data))
    stream, offset = incoming.open_data_set()
    with stream:
        stream.seek(offset)
        assert stream.read() == data
    incoming.write(memoryview(data))
    assert incoming.commit("ct1", 1, 1).path.read_bytes().endswith(data * 2)


def test_memory_does_not_grow_with_the_object(spool: Spool) -> None:
    piece = memoryview(bytes(256 * 1024))
    tracemalloc.start()
    try:
        incoming = spool.begin(CT, "1.2.3.4", EXPLICIT)
        for _ in range(256):
            incoming.write(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        incoming.abandon()
    assert peak < MIB


def test_files_and_folders_are_for_our_own_user_only(spool: Spool, receive: Receive) -> None:
    arrival = receive(b"data")
    assert stat.S_IMODE(arrival.path.stat().st_mode) == 0o600
    for folder in ("incoming", "arrived", "instances", "removing", "fetched", "corrupt"):
        assert stat.S_IMODE((spool.root / folder).stat().st_mode) == 0o700


def test_abandoning_leaves_nothing_and_may_be_repeated(spool: Spool) -> None:
    incoming = spool.begin(CT, "1.2.3.4", EXPLICIT)
    incoming.write(memoryview(bytes(300_000)))
    assert contents(spool).keys() == {"incoming"}
    incoming.abandon()
    incoming.abandon()
    assert contents(spool) == {}


def test_an_abandoned_data_set_takes_no_more_bytes(spool: Spool) -> None:
    incoming = spool.begin(CT, "1.2.3.4", EXPLICIT)
    incoming.abandon()
    with pytest.raises(ValueError, match="ended"):
        incoming.write(memoryview(bytes(300_000)))


def test_nothing_that_a_peer_sends_becomes_part_of_a_name(spool: Spool) -> None:
    incoming = spool.begin("../../x", "../../../etc/passwd", "../y")
    arrival = incoming.commit("ct1", 1, 1)
    assert arrival.path.parent == spool.root / "arrived"
    with pytest.raises(ValueError, match="peer's name"):
        spool.begin(CT, "1.2.3.4", EXPLICIT).commit("../peer", 1, 1)
    assert "incoming" not in contents(spool)


# -- the order of the steps, and each of them failing --------------------------------------------------------------


def test_the_file_is_fsynced_under_its_new_name_and_before_commit_returns(
    spool: Spool, files: FaultyFiles, receive: Receive
) -> None:
    seen: list[dict[str, list[str]]] = []
    files.call("fsync", lambda: seen.append(contents(spool)))
    arrival = receive(b"data")
    assert seen == [{"arrived": [arrival.path.name]}]
    assert files.calls["fsync"] == 1


@pytest.mark.parametrize(("durability", "folders"), [("auto", 0), ("strict", 1)])
def test_strict_durability_fsyncs_the_folder_as_well(
    tmp_path: Path, files: FaultyFiles, receive: Receive, durability: str, folders: int
) -> None:
    spool = Spool(tmp_path / durability, durability=durability, minimum_free=0, files=files)
    spool.fsync_folders = spool.fsync_folders and durability == "strict"  # whatever this machine's file system is
    receive(b"data", into=spool)
    assert files.calls["fsync_directory"] == folders


def test_a_file_that_cannot_be_made_is_an_error_and_leaves_nothing(spool: Spool, files: FaultyFiles) -> None:
    files.fail("open_new", errno.EMFILE)
    with pytest.raises(StorageError) as caught:
        spool.begin(CT, "1.2.3.4", EXPLICIT)
    assert caught.value.code == "EMFILE"
    assert contents(spool) == {}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("operation", ["open_new", "write", "rename_new"])
def test_a_full_file_system_is_no_space_and_leaves_nothing(
    spool: Spool, files: FaultyFiles, receive: Receive, operation: str, number: int
) -> None:
    files.fail(operation, number)
    with pytest.raises(NoSpaceError) as caught:
        receive(bytes(10_000))
    assert caught.value.code == errno.errorcode[number]
    assert contents(spool) == {}


def test_a_write_that_fails_late_leaves_nothing_and_cannot_be_committed(spool: Spool, files: FaultyFiles) -> None:
    files.fail("write", errno.EIO, nth=3)
    incoming = spool.begin(CT, "1.2.3.4", EXPLICIT)
    with pytest.raises(StorageError):
        write_all(incoming, bytes(2_000_000), 200_000)
    assert contents(spool) == {}
    with pytest.raises(ValueError, match="ended"):
        incoming.commit("ct1", 1, 1)
    assert contents(spool) == {}


def test_a_rename_that_fails_leaves_nothing(spool: Spool, files: FaultyFiles, receive: Receive) -> None:
    files.fail("rename_new", errno.EIO)
    with pytest.raises(StorageError):
        receive(b"data")
    assert contents(spool) == {}


def test_an_arrival_is_never_named_over_another_file(spool: Spool, files: FaultyFiles) -> None:
    """Whoever put a file there, it stays as it is; the newcomer is refused."""

    def occupy() -> None:
        source = next((spool.root / "incoming").iterdir())
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        (spool.root / "arrived" / f"{5:020d}-0000000001-0000000001.ct1.{digest}").write_bytes(b"was here first")

    spool._clock_ns = lambda: 5
    files.call("rename_new", occupy)
    with pytest.raises(StorageError) as caught:
        spool.begin(CT, "1.2.3.4", EXPLICIT).commit("ct1", 1, 1)
    assert caught.value.code == "EEXIST"
    (kept,) = (spool.root / "arrived").iterdir()
    assert kept.read_bytes() == b"was here first"


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_a_failed_fsync_sends_the_file_to_corrupt_and_is_never_tried_again(
    spool: Spool, files: FaultyFiles, receive: Receive, number: int
) -> None:
    files.fail("fsync", number)
    with pytest.raises(StorageError) as caught:
        receive(b"data")
    assert caught.value.code == errno.errorcode[number]
    assert files.calls["fsync"] == 1
    assert contents(spool).keys() == {"corrupt"}
    kept, reason = sorted(contents(spool)["corrupt"], key=len)
    assert reason == f"{kept}.reason"
    assert "fsync" in (spool.root / "corrupt" / reason).read_text()


def test_a_failed_fsync_of_the_folder_counts_as_one_of_the_file(
    spool: Spool, files: FaultyFiles, receive: Receive
) -> None:
    spool.fsync_folders = True
    files.fail("fsync_directory", errno.EIO)
    with pytest.raises(StorageError):
        receive(b"data")
    assert contents(spool).keys() == {"corrupt"}


def test_an_unsafe_file_is_removed_where_even_the_rename_to_corrupt_fails(
    spool: Spool, files: FaultyFiles, receive: Receive
) -> None:
    files.fail("fsync", errno.EIO)
    files.fail("rename_new", errno.EIO, nth=2)
    with pytest.raises(StorageError):
        receive(b"data")
    assert contents(spool) == {}


def test_after_a_failed_fsync_the_next_data_set_is_received_as_ever(
    spool: Spool, files: FaultyFiles, receive: Receive
) -> None:
    files.fail("fsync", errno.EIO)
    with pytest.raises(StorageError):
        receive(b"data")
    arrival = receive(b"data")
    assert arrival.path.exists()


def test_a_failing_close_after_the_fsync_changes_nothing(files: FaultyFiles, receive: Receive) -> None:
    files.fail("close", errno.EIO)
    assert receive(b"data").path.exists()


def test_errors_name_no_file_and_no_peer_data(files: FaultyFiles, receive: Receive) -> None:
    files.fail("write", errno.EIO)
    with pytest.raises(StorageError) as caught:
        receive(b"data")
    assert str(caught.value) == "writing failed: Input/output error"


def test_descriptors_are_given_back_whatever_happens(spool: Spool, files: FaultyFiles, receive: Receive) -> None:
    def open_descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = open_descriptors()
    for operation in ("open_new", "write", "rename_new", "fsync"):
        files.fail(operation, errno.EIO)
        with pytest.raises(StorageError):
            receive(b"data")
    receive(b"data")
    spool.begin(CT, "1.2.3.4", EXPLICIT).abandon()
    assert open_descriptors() == before


@settings(max_examples=60, deadline=None)
@given(ends=st.lists(st.integers(0, 4 * HEAD // 2), max_size=12), seed=st.integers(0, 255))
def test_any_cut_into_pieces_gives_the_bytes_in_their_order(
    tmp_path_factory: pytest.TempPathFactory, ends: list[int], seed: int
) -> None:
    data = random.Random(seed).randbytes(2 * HEAD)
    spool = Spool(tmp_path_factory.mktemp("spool"), minimum_free=0)
    incoming = spool.begin(CT, "1.2.3.4", EXPLICIT)
    cuts = sorted({0, len(data), *(end for end in ends if end < len(data)), HEAD, HEAD - 1 - seed})
    for start, end in itertools.pairwise(cuts):
        incoming.write(memoryview(data)[start:end])
    assert incoming.commit("ct1", 1, 1).path.read_bytes().endswith(data)


def test_a_long_object_is_on_its_way_to_the_disk_before_its_end(tmp_path: Path) -> None:
    begun: list[tuple[int, int]] = []

    class Watched(FaultyFiles):
        def start_writing(self, descriptor: int, offset: int, length: int) -> None:
            begun.append((offset, offset + length))
            super().start_writing(descriptor, offset, length)

    files = Watched()
    files.fail("start_writing", errno.EIO, nth=2)  # which nobody minds
    spool = Spool(tmp_path, minimum_free=0, files=files)
    data = os.urandom(18 * MIB)
    incoming = spool.begin(CT, "1.2.3.4", EXPLICIT)
    for start in range(0, len(data), 200_000):
        incoming.write(memoryview(data)[start : start + 200_000])
    assert len(begun) == 4
    assert begun[0][0] == 0
    assert all(before[1] == after[0] for before, after in itertools.pairwise(begun))
    spool.verify(spool.adopt(incoming.commit("ct1", 1, 1)).name)
