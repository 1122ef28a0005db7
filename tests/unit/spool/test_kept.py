"""What is kept: verified by its digest, removed in steps, put aside where it cannot be trusted."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from kuva_gateway.errors import DamageError
from kuva_gateway.spool import Arrival, Spool
from tests.faults import FaultyFiles
from tests.unit.spool.conftest import Receive, contents


@pytest.fixture
def kept(spool: Spool, receive: Receive) -> Arrival:
    """An instance in ``instances/`` whose arrival is gone."""
    arrival = receive(bytes(range(256)) * 10_000)
    spool.adopt(arrival)
    spool.forget(arrival)
    return arrival


def test_an_intact_instance_verifies_and_opens(spool: Spool, kept: Arrival) -> None:
    spool.verify(kept.digest)
    with spool.open_instance(kept.digest) as stream:
        assert len(stream.read()) == kept.size


def test_one_changed_bit_is_damage(spool: Spool, kept: Arrival) -> None:
    path = spool.instance_path(kept.digest)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamageError, match="other bytes"):
        spool.verify(kept.digest)


def test_a_missing_instance_is_damage(spool: Spool, kept: Arrival) -> None:
    spool.instance_path(kept.digest).unlink()
    with pytest.raises(DamageError, match="No such file"):
        spool.verify(kept.digest)
    with pytest.raises(DamageError, match="No such file"):
        spool.open_instance(kept.digest)


def test_an_instance_that_cannot_be_opened_now_is_no_damage(spool: Spool, files: FaultyFiles, kept: Arrival) -> None:
    files.fail("open_read", errno.EMFILE)
    with pytest.raises(OSError, match="Too many open files"):
        spool.open_instance(kept.digest)
    spool.open_instance(kept.digest).close()


def test_an_instance_that_cannot_be_read_is_damage(spool: Spool, files: FaultyFiles, kept: Arrival) -> None:
    files.fail("open_read", errno.EIO)
    with pytest.raises(DamageError, match="Input/output"):
        spool.verify(kept.digest)
    path = spool.instance_path(kept.digest)
    path.unlink()
    path.mkdir()  # opens, and cannot be read
    with pytest.raises(DamageError, match="Is a directory"):
        spool.verify(kept.digest)


def test_what_holds_other_bytes_is_set_aside_and_the_same_image_takes_its_place_again(
    spool: Spool, kept: Arrival, receive: Receive
) -> None:
    path = spool.instance_path(kept.digest)
    whole = path.read_bytes()
    path.write_bytes(b"\xff" + whole[1:])
    with pytest.raises(DamageError, match=r"other bytes .* in corrupt/ now"):
        spool.verify_or_set_aside(kept.digest)
    assert not path.exists()
    assert (spool.corrupt / kept.digest).exists()
    again = receive(bytes(range(256)) * 10_000)
    spool.adopt(again)
    spool.forget(again)
    assert path.read_bytes() == whole
    spool.verify_or_set_aside(kept.digest)


def test_what_the_disk_cannot_read_twice_is_set_aside(spool: Spool, files: FaultyFiles, kept: Arrival) -> None:
    files.fail("open_read", errno.EIO)
    spool.verify_or_set_aside(kept.digest)
    files.fail("open_read", errno.EIO, always=True)
    with pytest.raises(DamageError, match=r"Input/output error; it is in corrupt/ now"):
        spool.verify_or_set_aside(kept.digest)
    assert not spool.instance_path(kept.digest).exists()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EACCES, errno.ENOMEM])
def test_what_cannot_be_opened_now_stays_where_it_is(
    spool: Spool, files: FaultyFiles, kept: Arrival, number: int
) -> None:
    files.fail("open_read", number)
    with pytest.raises(DamageError, match="cannot be read"):
        spool.verify_or_set_aside(kept.digest)
    spool.verify_or_set_aside(kept.digest)


def test_damage_that_cannot_be_set_aside_is_told_with_the_reason(
    spool: Spool, files: FaultyFiles, kept: Arrival
) -> None:
    spool.instance_path(kept.digest).write_bytes(b"")
    files.fail("rename_new", errno.EROFS)
    with pytest.raises(DamageError, match="other bytes .*; not set aside: Read-only file system"):
        spool.verify_or_set_aside(kept.digest)
    assert spool.instance_path(kept.digest).exists()


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "A" * 64, "a" * 63, "a" * 65])
def test_only_a_digest_names_an_instance(spool: Spool, digest: str) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        spool.instance_path(digest)


def test_a_retired_instance_is_out_of_sight_until_restored(spool: Spool, kept: Arrival) -> None:
    spool.retire(kept.digest)
    assert contents(spool) == {"removing": [kept.digest]}
    assert list(spool.instances()) == []
    assert list(spool.retired()) == [kept.digest]
    assert spool.restore(kept.digest)
    assert not spool.restore(kept.digest)
    spool.verify(kept.digest)
    assert contents(spool) == {"instances": [kept.digest]}


def test_removal_may_be_repeated_at_each_step(spool: Spool, kept: Arrival) -> None:
    for _ in range(2):
        spool.retire(kept.digest)
    for _ in range(2):
        spool.purge(kept.digest)
    assert contents(spool) == {}
    assert not spool.restore(kept.digest)


def test_the_same_bytes_arriving_during_a_removal_are_kept(spool: Spool, kept: Arrival, receive: Receive) -> None:
    spool.retire(kept.digest)
    again = receive(bytes(range(256)) * 10_000)
    spool.adopt(again)
    spool.purge(kept.digest)
    spool.verify(kept.digest)
    spool.retire(kept.digest)
    spool.adopt(again)
    assert spool.restore(kept.digest)
    assert contents(spool).keys() == {"arrived", "instances"}


def test_retiring_twice_with_an_arrival_between_leaves_one_copy(spool: Spool, kept: Arrival, receive: Receive) -> None:
    spool.retire(kept.digest)
    again = receive(bytes(range(256)) * 10_000)
    spool.adopt(again)
    spool.forget(again)
    spool.retire(kept.digest)
    assert contents(spool) == {"removing": [kept.digest]}


def test_quarantine_keeps_every_file_beside_its_reason(spool: Spool, tmp_path: Path) -> None:
    targets = []
    for number in range(3):
        path = tmp_path / "odd"
        path.write_bytes(bytes([number]))
        targets.append(spool.quarantine(path, f"reason {number}"))
        assert not path.exists()
    assert [target.read_bytes() for target in targets] == [b"\0", b"\1", b"\2"]
    assert [target.with_name(target.name + ".reason").read_text() for target in targets] == [
        "reason 0\n",
        "reason 1\n",
        "reason 2\n",
    ]
