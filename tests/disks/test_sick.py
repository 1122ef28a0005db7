"""A disk that goes read-only, is pulled, or cannot write what it took: 0110, and on as soon as it is well again."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.acceptance.gateway import Gateway
from tests.disks.disk import MIB, SURE_OF_A_PULLED_DISK, fill, mounted, small_disk
from tests.disks.stream import Stream, assert_nothing_lost, corrupt, kept

PROCESSING_FAILURE = 0x0110
STORAGE_FAILED = "the gateway could not store it safely: send again"
EVERY_RULE_OFF = {"DOC-01": "off", "DOC-02": "off"}


def make_gateway(tmp_path: Path) -> Gateway:
    return Gateway(tmp_path / "gateway", spool={"minimum_free": "0B"}, rules=EVERY_RULE_OFF, processes=2)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_a_disk_that_goes_read_only_is_answered_with_0110_until_it_is_writable(tmp_path: Path, kind: str) -> None:
    gateway = make_gateway(tmp_path)
    with small_disk(tmp_path, gateway.spool, kind) as disk, gateway:
        with Stream(gateway.port, pixel_bytes=8192) as stream:
            for _ in range(2):
                stream.wait_for(0)
                disk.read_only()
                answers = stream.wait_for(PROCESSING_FAILURE)
                assert {(one.status, one.comment) for one in answers} <= {(0, ""), (PROCESSING_FAILURE, STORAGE_FAILED)}
                assert stream.acknowledged() <= kept(gateway), "what was acknowledged before can be read"
                disk.writable()
                stream.wait_for(0)
        assert stream.associations == 1, "no association was ended for it"
        assert_nothing_lost(gateway, stream)
        assert corrupt(gateway) == {}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_a_disk_that_is_pulled_and_put_back_has_everything_that_was_acknowledged(tmp_path: Path, kind: str) -> None:
    """Its caches are lost as well: what was not durable is gone, and nobody was told that it was safe."""
    gateway = make_gateway(tmp_path)
    with small_disk(tmp_path, gateway.spool, kind) as disk, gateway:
        with Stream(gateway.port) as first, Stream(gateway.port, pixel_bytes=8192) as second:
            for _ in range(3):
                first.wait_for(0, count=10)
                second.wait_for(0, count=10)
                with ExitStack() as quiet:
                    if not SURE_OF_A_PULLED_DISK[kind]:
                        quiet.enter_context(first.paused())
                        quiet.enter_context(second.paused())
                    disk.shut_down()
                answers = first.wait_for(PROCESSING_FAILURE)
                told = {(one.status, one.comment) for one in answers}
                assert told <= {(0, ""), (PROCESSING_FAILURE, STORAGE_FAILED)}
                disk.again()
                first.wait_for(0)
        assert_nothing_lost(gateway, first, second)


@pytest.mark.slow
def test_what_the_disk_took_and_could_not_write_is_not_acknowledged_and_is_set_aside_with_the_reason(
    tmp_path: Path,
) -> None:
    """The image of the file system lies on one that is full: write(2) succeeds, fsync(2) tells the truth.

    The journal has its room, so that the file system goes on and only data cannot be written.
    """
    gateway = make_gateway(tmp_path)
    with (
        mounted(tmp_path / "outer", "tmpfs", "size=96m") as outer,
        small_disk(outer, gateway.spool, "ext4", size=256 * MIB, firm=32 * MIB) as disk,
        gateway,
    ):
        with Stream(gateway.port) as stream:
            stream.wait_for(0)
            ballast = outer / "ballast"
            fill(ballast)
            answers = stream.wait_for(PROCESSING_FAILURE)
            assert {(one.status, one.comment) for one in answers} <= {(0, ""), (PROCESSING_FAILURE, STORAGE_FAILED)}
            aside = corrupt(gateway)
            assert aside, "the file whose fsync failed is in corrupt/"
            assert set(aside.values()) == {"fsync failed before it was acknowledged\n"}
            ballast.unlink()
            with stream.paused():
                disk.again()  # its journal may have given up
            stream.wait_for(0)
        assert_nothing_lost(gateway, stream)
