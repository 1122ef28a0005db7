"""A disk that runs full while images come in: A700, nothing half-done, and on as soon as there is room."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.gateway import Gateway
from tests.disks.disk import small_disk
from tests.disks.stream import Sent, Stream, assert_nothing_lost, corrupt
from tests.support import wait_until

OUT_OF_RESOURCES = 0xA700
FULL = "the gateway's disk is full: send again later"
EVERY_RULE_OFF = {"DOC-01": "off", "DOC-02": "off"}


def make_gateway(tmp_path: Path, **spool: str) -> Gateway:
    return Gateway(tmp_path / "gateway", spool={"minimum_free": "0B", **spool}, rules=EVERY_RULE_OFF)


def assert_only_full(answers: list[Sent]) -> None:
    assert {(one.status, one.comment) for one in answers} <= {(0, ""), (OUT_OF_RESOURCES, FULL)}


@pytest.mark.slow
@pytest.mark.parametrize("minimum_free", ["0B", "8MiB"])
@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_a_disk_that_runs_full_is_answered_with_a700_until_it_has_room(
    tmp_path: Path, kind: str, minimum_free: str
) -> None:
    gateway = make_gateway(tmp_path, minimum_free=minimum_free)
    with small_disk(tmp_path, gateway.spool, kind) as disk, gateway:
        for _ in range(2):
            with Stream(gateway.port) as first, Stream(gateway.port, pixel_bytes=8192) as second:
                first.wait_for(0)
                disk.fill()
                first.wait_for(OUT_OF_RESOURCES)
                disk.empty()
                second.wait_for(0)
                first.wait_for(0)
            for stream in (first, second):
                assert_only_full(stream.sent)
                assert stream.associations == 1, "no association was ended for it"
            assert_nothing_lost(gateway, first, second)
        assert corrupt(gateway) == {}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_a_full_disk_of_the_catalog_stops_no_image_and_is_made_up_for(tmp_path: Path, kind: str) -> None:
    """The state directory is full, the spool in it has a file system of its own."""
    gateway = make_gateway(tmp_path)
    with (
        small_disk(tmp_path, gateway.state, kind) as disk,
        small_disk(tmp_path, gateway.spool, "ext4", size=256 << 20),
        gateway,
    ):
        with Stream(gateway.port, pixel_bytes=8192) as stream:
            stream.wait_for(0)
            gateway.wait_catalogued()
            disk.fill()
            wait_until(lambda: len(gateway.waiting()) > 300, what="images that wait for the catalog")
            assert {one.status for one in stream.sent} == {0}
            disk.empty()
            wait_until(lambda: len(gateway.waiting()) < 100, what="a catalog that goes on")
            stream.wait_for(0)
        assert {one.status for one in stream.sent} == {0}
        assert_nothing_lost(gateway, stream)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_a_disk_for_everything_may_run_full_and_loses_nothing(tmp_path: Path, kind: str) -> None:
    gateway = make_gateway(tmp_path)
    with small_disk(tmp_path, gateway.state, kind) as disk, gateway:
        with Stream(gateway.port) as stream:
            stream.wait_for(0)
            disk.fill()
            stream.wait_for(OUT_OF_RESOURCES)
            disk.empty()
            stream.wait_for(0)
        assert_only_full(stream.sent)
        assert_nothing_lost(gateway, stream)


@pytest.mark.slow
def test_a_gateway_starts_on_a_full_disk_and_receives_when_it_has_room(tmp_path: Path) -> None:
    gateway = make_gateway(tmp_path)
    with small_disk(tmp_path, gateway.spool) as disk:
        with gateway, Stream(gateway.port) as before:
            before.wait_for(0)
        disk.fill()
        with gateway:
            with Stream(gateway.port) as stream:
                stream.wait_for(OUT_OF_RESOURCES)
                disk.empty()
                stream.wait_for(0)
            assert_nothing_lost(gateway, before, stream)
