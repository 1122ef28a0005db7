"""An object that is larger than the memory it may take, while a hundred associations are open."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.studies import load_script

gateway_process = load_script("gateway_process")
flat_sender = load_script("flat_sender")
measure_flat = load_script("measure_flat")

GIB = 1 << 30


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_2_gib_object_with_100_associations_open_needs_no_more_memory_than_the_floor(tmp_path: Path) -> None:
    try:
        memory = measure_flat.measure_memory(tmp_path / "gateway", size=2 * GIB, associations=100)
    finally:
        shutil.rmtree(tmp_path / "gateway")
    assert memory.equal, "what is kept is not what was sent"
    assert memory.size > 2 * GIB
    assert memory.samples > 10
    assert memory.peak <= measure_flat.FLOOR * measure_flat.MIB, memory


@pytest.mark.slow
def test_what_is_measured_is_what_was_sent(tmp_path: Path) -> None:
    """The measurement itself, with an object of 3 MiB; a changed byte would not count as kept."""
    memory = measure_flat.measure_memory(tmp_path / "gateway", size=3 * measure_flat.MIB, associations=4)
    assert memory.equal
    assert 0 < memory.alone <= memory.peak * 1.5
    kept = next(path for path in (tmp_path / "gateway").rglob("instances/*/*") if path.stat().st_size > GIB // 512)
    sent = flat_sender.Sent(sop_instance="1.2", size=3 * measure_flat.MIB, digest="0" * 64)
    assert not measure_flat.keeps(kept.parent.parent, sent)


def test_the_command_line_takes_sizes_with_units(capsys: pytest.CaptureFixture[str]) -> None:
    assert measure_flat.parse(["--size", "300MiB"]).size == 300 * measure_flat.MIB
    with pytest.raises(SystemExit):
        measure_flat.parse(["--size", "300"])
    assert "2GiB" in capsys.readouterr().err
