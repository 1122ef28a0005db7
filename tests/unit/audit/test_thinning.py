"""The trail held to its limits: what goes, what never does, and that the chain still holds."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kuva_gateway.audit.thinning import Limits, anchors, thin
from kuva_gateway.audit.trail import REMOVED, Trail, files, verify
from kuva_gateway.errors import DamageError

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
TINY = Limits(keep_bytes=1)


@pytest.fixture
def trail(tmp_path: Path) -> Trail:
    """Ten records, a day apart, two in a file."""
    trail = Trail(tmp_path, file_bytes=300)
    for day in range(10):
        trail.append([(BEGIN + timedelta(days=day), f"<m{day}/>")])
    assert [int(path.stem) for path in files(tmp_path)] == [1, 3, 5, 7, 9]
    return trail


def left(folder: Path) -> list[int]:
    return [record.number for record in verify(folder, anchors(folder))]


@pytest.mark.parametrize(
    ("limits", "delivered", "first", "waits"),
    [
        (Limits(), None, 1, False),
        (TINY, None, 9, False),
        (TINY, 10, 9, False),
        (TINY, 5, 5, True),
        (TINY, 1, 1, True),
        (Limits(keep_for=timedelta(days=7)), None, 3, False),
        (Limits(keep_for=timedelta(days=7)), 0, 1, True),
        (Limits(keep_for=timedelta(days=7), keep_bytes=1), None, 9, False),
        (Limits(keep_for=timedelta(days=100), keep_bytes=1 << 30), 0, 1, False),
    ],
)
def test_the_oldest_go_whole_once_the_collector_has_them(
    tmp_path: Path, trail: Trail, limits: Limits, delivered: int | None, first: int, waits: bool
) -> None:
    done = thin(tmp_path, limits, BEGIN + timedelta(days=9, hours=1), delivered)
    assert (left(tmp_path), done.waits) == (list(range(first, 11)), waits)
    assert done.files == (first - 1) // 2
    trail.append([(BEGIN, "<next/>")])
    assert left(tmp_path)[-1] == 11
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_a_beginning_that_was_exchanged_after_others_went_shows(tmp_path: Path, trail: Trail) -> None:
    thin(tmp_path, TINY, BEGIN, None)
    (path,) = files(tmp_path)
    path.unlink()
    (tmp_path / "forged").mkdir()
    forger = Trail(tmp_path / "forged", file_bytes=1 << 20)
    forger.append([(BEGIN, f"<f{number}/>") for number in range(10)])
    lines = files(tmp_path / "forged")[0].read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[8:]))
    with pytest.raises(DamageError, match="record 9 was not written after the one before it"):
        left(tmp_path)


class KilledError(Exception):
    """Nothing after it was done."""


@pytest.mark.parametrize("step", range(4))
def test_after_a_kill_at_any_step_the_chain_holds_and_the_rest_goes_the_next_time(
    tmp_path: Path, trail: Trail, step: int
) -> None:
    calls = iter(range(4))

    def unlink(path: Path) -> None:
        if next(calls) == step:
            raise KilledError
        os.unlink(path)

    with pytest.raises(KilledError):
        thin(tmp_path, TINY, BEGIN, None, unlink=unlink)
    assert left(tmp_path) == list(range(1 + 2 * step, 11))
    thin(tmp_path, TINY, BEGIN, None)
    assert left(tmp_path) == [9, 10]


def test_an_anchor_that_a_crash_cut_short_is_none(tmp_path: Path, trail: Trail) -> None:
    (tmp_path / REMOVED).write_bytes(b'{"n":2,"ha')
    assert list(anchors(tmp_path)) == []
    assert left(tmp_path) == list(range(1, 11))
    thin(tmp_path, TINY, BEGIN, None)
    assert left(tmp_path) == [9, 10]
    assert [end.number for end in anchors(tmp_path)] == [2, 4, 6, 8]
