"""File systems that nobody expects below a spool: each works, or is refused at the start with a line that says why."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.gateway import Done, Gateway
from tests.disks.disk import MAKE, MIB, SMALLEST, let_go, mounted, need_root, run, small_disk
from tests.disks.stream import Stream, assert_nothing_lost
from tests.support import ROOT, program, skip_or_fail, wait_until


def make_gateway(tmp_path: Path) -> Gateway:
    return Gateway(tmp_path / "gateway", spool={"minimum_free": "0B"}, rules={"DOC-01": "off", "DOC-02": "off"})


def refusal(gateway: Gateway) -> Done:
    """How ``run`` ends that is not let start."""
    done = subprocess.run(
        [sys.executable, "-m", "kuva_gateway", "run", "--config", str(gateway.config)],
        cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return Done(status=done.returncode, stdout=done.stdout, stderr=done.stderr)


def receive_kill_and_receive(gateway: Gateway) -> None:
    """Images before and after a kill are all there."""
    with gateway:
        with Stream(gateway.port) as before:
            before.wait_for(0, count=5)
        gateway.kill()
        gateway.start()
        with Stream(gateway.port) as after:
            after.wait_for(0, count=5)
        assert_nothing_lost(gateway, before, after)


@pytest.mark.slow
def test_a_state_directory_in_memory_works_like_any_other(tmp_path: Path) -> None:
    gateway = make_gateway(tmp_path)
    with mounted(gateway.state, "tmpfs", "size=128m,mode=0700"):
        receive_kill_and_receive(gateway)


@pytest.mark.slow
def test_a_state_directory_on_an_overlay_works_like_any_other(tmp_path: Path) -> None:
    gateway = make_gateway(tmp_path)
    for name in ("lower", "upper", "work"):
        (tmp_path / name).mkdir(mode=0o700)
    layers = f"lowerdir={tmp_path / 'lower'},upperdir={tmp_path / 'upper'},workdir={tmp_path / 'work'}"
    with mounted(gateway.state, "overlay", layers, "overlay"):
        receive_kill_and_receive(gateway)


@contextmanager
def exfat(tmp_path: Path, point: Path) -> Iterator[Path]:
    """exFAT by way of FUSE: no hard links, and no rename that spares what is there."""
    need_root()
    if not Path("/dev/fuse").exists():
        skip_or_fail("this kernel has no FUSE")
    image = tmp_path / "exfat.img"
    with image.open("wb") as file:
        file.truncate(SMALLEST["exfat"])
    command, *options = MAKE["exfat"]
    run(program(command), *options, image)
    losetup = program("losetup")
    command_line = [losetup, "-f", "--show", str(image)]
    found = subprocess.run(command_line, capture_output=True, text=True, check=True, timeout=60)
    device = found.stdout.strip()
    try:
        point.mkdir(parents=True)
        run(program("mount.exfat-fuse"), device, point)
        try:
            yield point
        finally:
            let_go(point)
    finally:
        run(losetup, "-d", device)


def test_a_spool_without_hard_links_is_refused_at_the_start(tmp_path: Path) -> None:
    gateway = make_gateway(tmp_path)
    with exfat(tmp_path, gateway.spool):
        done = refusal(gateway)
    assert done.status == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("kuva-gateway: ")]
    assert "the spool cannot be on this file system (fuseblk): " in line
    assert "Operation not permitted" in line
    assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.parametrize("below", ["spool", ""])
def test_a_read_only_disk_is_refused_at_the_start(tmp_path: Path, below: str) -> None:
    gateway = make_gateway(tmp_path)
    with small_disk(tmp_path, gateway.state / below) as disk:
        disk.read_only()
        done = refusal(gateway)
    assert done.status == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("kuva-gateway: ")]
    assert "Read-only file system" in line
    assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.slow
def test_a_disk_that_was_read_only_before_is_refused_until_it_is_writable_and_keeps_what_it_had(tmp_path: Path) -> None:
    gateway = make_gateway(tmp_path)
    with small_disk(tmp_path, gateway.spool, size=128 * MIB) as disk:
        with gateway, Stream(gateway.port) as stream:
            stream.wait_for(0)
        disk.read_only()
        assert refusal(gateway).status == 1
        disk.writable()
        with gateway:
            wait_until(lambda: not gateway.waiting(), what="an empty arrived/")
            assert_nothing_lost(gateway, stream)
