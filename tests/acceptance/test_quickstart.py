"""The first of the two commands keeps its promises, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import ROOT, wait_until

COMMAND = [sys.executable, str(ROOT / "scripts" / "quickstart.py")]


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_without_a_terminal_it_shows_the_three_stories_and_ends_well_within_a_minute(tmp_path: Path) -> None:
    started = time.monotonic()
    done = subprocess.run(
        COMMAND,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    seconds = time.monotonic() - started
    assert done.returncode == 0, done.stdout + done.stderr
    for story in ("A0001", "A0002", "A0003", "A0004"):
        assert re.search(rf"{story}.* archived", done.stdout), story
    assert re.search(r"A0004.* held", done.stdout)
    assert re.search(r"A0005.* held.*AA1AD|A0005 is held by COD-03.*AA1AD", done.stdout)
    assert list(tmp_path.iterdir()) == []
    assert seconds < 60, f"{seconds:.0f} s"


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_it_ends_its_children_when_it_is_ended(tmp_path: Path) -> None:
    started = subprocess.Popen(
        COMMAND,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert started.stdout is not None
    with started.stdout:
        line = started.stdout.readline()
        ports = re.findall(r"127\.0\.0\.1:(\d+)", line)
        assert len(ports) == 2, line
        started.send_signal(signal.SIGTERM)
        started.stdout.read()
        assert started.wait(timeout=60) == 143
    wait_until(lambda: list(tmp_path.iterdir()) == [], what="an empty temporary folder")
    listening = subprocess.run(["ss", "-ltn"], capture_output=True, text=True, check=False).stdout
    assert not any(f":{port} " in listening for port in ports)
