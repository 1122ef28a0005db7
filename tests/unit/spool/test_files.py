"""The operations themselves, and the seam that makes them fail."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from kuva_gateway.spool import Files
from kuva_gateway.spool import files as files_module
from tests.faults import OPERATIONS, FaultyFiles


@pytest.fixture(params=["renameat2", "link and unlink"])
def real(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Files:
    if request.param != "renameat2":
        monkeypatch.setattr(files_module, "_renameat2", None)
    return Files()


def test_a_rename_moves_the_file(real: Files, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    real.rename_new(tmp_path / "a", tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_rename_never_replaces_anything(real: Files, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"b")
    with pytest.raises(FileExistsError):
        real.rename_new(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == b"a"
    assert (tmp_path / "b").read_bytes() == b"b"


def test_a_rename_of_nothing_is_an_error(real: Files, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        real.rename_new(tmp_path / "a", tmp_path / "b")


def test_a_new_file_is_never_an_old_one(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    with pytest.raises(FileExistsError):
        Files().open_new(tmp_path / "a")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        Files().open_new(tmp_path / "link")


def test_every_operation_can_be_made_to_fail() -> None:
    for name in OPERATIONS:
        assert name in vars(FaultyFiles), f"FaultyFiles passes {name} by"


def test_a_fault_strikes_the_call_it_was_planned_for(tmp_path: Path) -> None:
    faulty = FaultyFiles()
    faulty.fail("free_bytes", errno.EIO, nth=2)
    faulty.free_bytes(tmp_path)
    with pytest.raises(OSError, match="Input/output"):
        faulty.free_bytes(tmp_path)
    faulty.free_bytes(tmp_path)
    faulty.fail("free_bytes", errno.EIO, always=True)
    for _ in range(3):
        with pytest.raises(OSError, match="Input/output"):
            faulty.free_bytes(tmp_path)
    faulty.heal()
    faulty.free_bytes(tmp_path)
