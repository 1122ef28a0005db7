"""A folder into which other systems drop files: what is read when, and what becomes of the rest."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kuva_gateway.errors import CatalogUnavailableError, DeferredError, RefusedError
from kuva_gateway.intake import moves
from kuva_gateway.intake.drop_folder import DropFolder, Outcome

NOW = datetime(2024, 3, 4, 10, 15, tzinfo=UTC)


class Reader:
    """Takes files in, or raises what it is told to."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, bytes]] = []
        self.error: BaseException | None = None
        self.meanwhile: Callable[[Path], None] | None = None

    def __call__(self, path: Path, data: bytes) -> None:
        if self.meanwhile is not None:
            self.meanwhile(path)
        if self.error is not None:
            raise self.error
        self.taken.append((path.name, data))


class Box:
    """A drop folder with its reader and its other folders."""

    def __init__(self, root: Path, **changes: Any) -> None:
        self.path, self.rejected, self.accepted = root / "incoming", root / "rejected", root / "accepted"
        self.reader = Reader()
        self.told: list[Outcome] = []
        facts: dict[str, Any] = {"read": self.reader, "now": lambda: NOW, "on_outcome": self.told.append, **changes}
        self.folder = DropFolder(self.path, rejected=self.rejected, **facts)

    def drop(self, name: str, data: bytes = b"x", *, modified: int | None = None) -> Path:
        path = self.path / name
        path.write_bytes(data)
        if modified is not None:
            os.utime(path, ns=(modified, modified))
        return path

    def scan(self, times: int = 2) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for _ in range(times):
            outcomes = self.folder.scan()
        return outcomes

    def names(self, folder: Path) -> list[str]:
        return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_a_file_is_read_when_two_scans_agree(box: Box) -> None:
    path = box.drop("a.xml", b"content")
    assert box.scan(1) == []
    assert box.reader.taken == []
    assert box.scan(1) == [Outcome(path=path, what="accepted")]
    assert box.reader.taken == [("a.xml", b"content")]
    assert not path.exists()
    assert box.scan(3) == []


@pytest.mark.parametrize("change", ["size", "time", "replaced"])
def test_a_file_that_changes_between_scans_is_not_read(box: Box, change: str) -> None:
    path = box.drop("a.xml", b"1", modified=10**18)
    box.scan(1)
    if change == "size":
        box.drop("a.xml", b"12", modified=10**18)
    elif change == "time":
        box.drop("a.xml", b"1", modified=10**18 + 1)
    else:
        other = box.drop(".b", b"2", modified=10**18)
        other.rename(path)
    assert box.scan(1) == []
    assert box.reader.taken == []
    assert [outcome.what for outcome in box.scan(1)] == ["accepted"]


@pytest.mark.parametrize("name", [".hidden.xml", "a.xml.part", "a.tmp", ".part"])
def test_names_of_unfinished_files_are_left_alone(box: Box, name: str) -> None:
    path = box.drop(name)
    assert box.scan(3) == []
    assert path.exists()


def test_a_finished_file_is_read_after_its_rename(box: Box) -> None:
    part = box.drop("a.xml.part", b"whole")
    box.scan(2)
    part.rename(box.path / "a.xml")
    box.scan(2)
    assert box.reader.taken == [("a.xml", b"whole")]


def test_older_files_are_read_before_newer_ones(box: Box) -> None:
    for name, modified in [("a", 3), ("b", 1), ("c", 2)]:
        box.drop(name, modified=modified * 10**9)
    box.scan()
    assert [name for name, _ in box.reader.taken] == ["b", "c", "a"]


def test_a_refused_file_moves_to_rejected_with_its_reason(box: Box) -> None:
    box.reader.error = RefusedError("line 3: not well-formed")
    path = box.drop("a.xml", b"bad")
    (outcome,) = box.scan()
    assert outcome == Outcome(
        path=path, what="rejected", reason="line 3: not well-formed", now_at=box.rejected / "a.xml"
    )
    assert (box.rejected / "a.xml").read_bytes() == b"bad"
    assert (box.rejected / "a.xml.reason").read_text() == "2024-03-04T10:15:00+00:00 line 3: not well-formed\n"
    assert not path.exists()
    assert box.told == [outcome]


def test_rejected_files_of_one_name_never_overwrite_each_other(box: Box) -> None:
    box.reader.error = RefusedError("no")
    for content in (b"1", b"2", b"3"):
        box.drop("a.xml", content)
        box.scan()
    assert {path.read_bytes() for path in box.rejected.glob("*.xml")} == {b"1", b"2", b"3"}
    assert box.names(box.rejected) == [
        "a-2.xml",
        "a-2.xml.reason",
        "a-3.xml",
        "a-3.xml.reason",
        "a.xml",
        "a.xml.reason",
    ]


@pytest.mark.parametrize("first", ["a", "a.reason"])
def test_a_file_does_not_take_the_name_of_another_ones_reason(box: Box, first: str) -> None:
    box.reader.error = RefusedError("no")
    box.drop("a", b"1", modified=(1 if first == "a" else 2) * 10**9)
    box.drop("a.reason", b"2", modified=(2 if first == "a" else 1) * 10**9)
    box.scan()
    contents = {path.name: path.read_bytes() for path in box.rejected.iterdir()}
    assert sorted(content for content in contents.values() if content in (b"1", b"2")) == [b"1", b"2"]
    assert sum(content.endswith(b"no\n") for content in contents.values()) == 2
    assert len(contents) == 4


@pytest.mark.parametrize(
    "error",
    [CatalogUnavailableError("the database is locked"), DeferredError("later"), OSError(errno.ENOSPC, "No space left")],
)
def test_what_may_work_later_stays_and_is_tried_in_the_next_scan(box: Box, error: Exception) -> None:
    box.reader.error = error
    path = box.drop("a.xml")
    (outcome,) = box.scan()
    assert (outcome.what, path.exists()) == ("deferred", True)
    assert outcome.reason
    box.reader.error = None
    (outcome,) = box.scan(1)
    assert outcome.what == "accepted"


def test_a_fault_of_ours_rejects_the_file_without_its_content_and_the_next_is_read(box: Box) -> None:
    box.reader.error = KeyError("010516B903X")
    box.drop("a.xml")
    (outcome,) = box.scan()
    assert outcome.what == "rejected"
    assert "KeyError at test_drop_folder.py:" in outcome.reason
    assert "010516" not in outcome.reason
    box.reader.error = None
    box.drop("b.xml")
    assert [one.what for one in box.scan()] == ["accepted"]


def test_one_bad_file_does_not_stop_the_others(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []

    def read(path: Path, _: bytes) -> None:
        if path.name == "b":
            raise RefusedError("bad")
        taken.append(path.name)

    monkeypatch.setattr(box.folder, "_read", read)
    for name in ("a", "b", "c"):
        box.drop(name, modified=ord(name) * 10**9)
    assert [outcome.what for outcome in box.scan()] == ["accepted", "rejected", "accepted"]
    assert taken == ["a", "c"]


def test_folders_are_ignored_and_not_entered(box: Box) -> None:
    (box.path / "folder").mkdir()
    (box.path / "folder" / "a.xml").write_bytes(b"x")
    assert box.scan(3) == []
    assert (box.path / "folder" / "a.xml").exists()


def test_a_symbolic_link_is_rejected_and_its_target_neither_read_nor_moved(box: Box, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    (box.path / "a.xml").symlink_to(secret)
    (outcome,) = box.scan()
    assert (outcome.what, outcome.reason) == ("rejected", "it is not a regular file")
    assert box.reader.taken == []
    assert secret.read_bytes() == b"secret"
    assert (box.rejected / "a.xml").is_symlink()


def test_pipes_and_sockets_do_not_stop_a_scan(box: Box) -> None:
    os.mkfifo(box.path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(box.path / "socket"))
        assert {outcome.what for outcome in box.scan()} == {"rejected"}
    assert box.reader.taken == []


def test_a_huge_file_is_rejected_without_being_read(tmp_path: Path) -> None:
    box = Box(tmp_path, maximum_bytes=1000)
    path = box.drop("huge.xml")
    os.truncate(path, 1 << 40)
    (outcome,) = box.scan()
    assert (outcome.what, outcome.reason) == ("rejected", "the file is longer than 1000 bytes")
    assert (box.rejected / "huge.xml").stat().st_size == 1 << 40


def test_an_empty_file_is_offered_to_the_reader(box: Box) -> None:
    box.drop("a.xml", b"")
    box.scan()
    assert box.reader.taken == [("a.xml", b"")]


def faulty_open(monkeypatch: pytest.MonkeyPatch, name: str, code: int) -> None:
    """Opening a file of this name for reading fails; the tests may run as root, whom permissions do not stop."""
    real = os.open

    def fail(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        if not flags & os.O_CREAT and os.fspath(path).endswith(name):
            raise OSError(code, os.strerror(code))
        return real(path, flags, *rest, **named)

    monkeypatch.setattr(os, "open", fail)


def test_a_file_that_may_not_be_read_is_rejected(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box.drop("a.xml", b"kept")
    faulty_open(monkeypatch, "a.xml", errno.EACCES)
    (outcome,) = box.scan()
    assert (outcome.what, outcome.reason) == ("rejected", "the file cannot be read: Permission denied")
    monkeypatch.undo()
    assert (box.rejected / "a.xml").read_bytes() == b"kept"


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EIO, errno.ENOMEM])
def test_a_file_that_cannot_be_read_now_stays(box: Box, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    path = box.drop("a.xml")
    faulty_open(monkeypatch, "a.xml", code)
    assert [outcome.what for outcome in box.scan()] == ["deferred"]
    monkeypatch.undo()
    assert path.exists()
    assert [outcome.what for outcome in box.scan(1)] == ["accepted"]


def test_a_file_that_goes_before_it_is_read_is_nothing(box: Box) -> None:
    first, second = box.drop("a", modified=10**9), box.drop("b", modified=2 * 10**9)
    box.scan(1)
    box.reader.meanwhile = lambda path: second.unlink(missing_ok=True)
    assert [outcome.path for outcome in box.scan(1)] == [first]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ["pipe", "link", "other file"])
def test_a_file_that_becomes_something_else_before_it_is_read_is_not_read(box: Box, tmp_path: Path, kind: str) -> None:
    box.drop("a", modified=10**9)
    second = box.drop("b", modified=2 * 10**9)
    (tmp_path / "secret").write_bytes(b"secret")
    box.scan(1)

    def exchange(_: Path) -> None:
        box.reader.meanwhile = None
        second.unlink()
        if kind == "pipe":
            os.mkfifo(second)
        elif kind == "link":
            second.symlink_to(tmp_path / "secret")
        else:
            second.write_bytes(b"another")

    box.reader.meanwhile = exchange
    assert [outcome.path.name for outcome in box.scan(1)] == ["a"]
    assert [name for name, _ in box.reader.taken] == ["a"]
    assert os.path.lexists(second)


def test_what_is_dropped_under_the_name_while_it_is_read_is_not_removed(box: Box) -> None:
    path = box.drop("a.xml", b"old")
    box.scan(1)

    def replace(path: Path) -> None:
        box.drop(".new", b"new version").rename(path)
        box.reader.meanwhile = None

    box.reader.meanwhile = replace
    assert [outcome.what for outcome in box.scan(1)] == ["accepted"]
    assert path.read_bytes() == b"new version"
    box.scan(2)
    assert [data for _, data in box.reader.taken] == [b"old", b"new version"]


def test_accepted_files_move_under_unique_names_where_a_folder_is_given(tmp_path: Path) -> None:
    box = Box(tmp_path, accepted=tmp_path / "accepted")
    for content in (b"1", b"2"):
        box.drop("a.xml", content)
        box.scan()
    assert box.names(box.accepted) == ["a-2.xml", "a.xml"]
    assert [outcome.now_at for outcome in box.told] == [box.accepted / "a.xml", box.accepted / "a-2.xml"]


@pytest.mark.parametrize("name", ["x" * 255, "x" * 251 + ".xml", "ä" * 127, "a." + "x" * 250, "name with\nnewline"])
def test_the_strangest_names_can_be_rejected(box: Box, name: str) -> None:
    box.reader.error = RefusedError("no")
    for content in (b"1", b"2"):
        box.drop(name, content)
        assert [outcome.what for outcome in box.scan()] == ["rejected"]
    assert sorted(path.read_bytes()[:1] for path in box.rejected.iterdir()) == [b"1", b"2", b"2", b"2"]


def test_a_name_that_is_no_text_can_be_rejected(box: Box) -> None:
    box.reader.error = RefusedError("no")
    with open(os.path.join(os.fsencode(box.path), b"\xe4.xml"), "wb") as stream:
        stream.write(b"1")
    assert [outcome.what for outcome in box.scan()] == ["rejected"]
    assert b"\xe4.xml.reason" in os.listdir(os.fsencode(box.rejected))


def test_a_rejection_that_cannot_be_moved_leaves_the_file_where_it_is(box: Box) -> None:
    box.reader.error = RefusedError("no")
    path = box.drop("a.xml", b"x")
    box.rejected.rmdir()
    box.rejected.write_bytes(b"a file stands where the folder was")
    (outcome,) = box.scan()
    assert outcome.what == "deferred"
    assert outcome.reason.startswith("no; it cannot be moved: ")
    assert path.read_bytes() == b"x"


def test_between_file_systems_the_bytes_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = Box(tmp_path)
    box.reader.error = RefusedError("no")
    path = box.drop("a.xml", b"content")

    def replace(self: Path, target: Path) -> Path:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(Path, "replace", replace)
    assert [outcome.what for outcome in box.scan()] == ["rejected"]
    assert (box.rejected / "a.xml").read_bytes() == b"content"
    assert not path.exists()


def test_a_failed_move_leaves_no_reserved_name_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x")
    (tmp_path / "into").mkdir()

    def replace(self: Path, target: Path) -> Path:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(OSError, match="Input/output"):
        moves.move_uniquely(path, tmp_path / "into")
    assert path.read_bytes() == b"x"
    assert list((tmp_path / "into").iterdir()) == []


def test_a_folder_that_is_away_is_deferred_and_comes_back(box: Box) -> None:
    box.drop("a.xml")
    box.scan(1)
    moved = box.path.rename(box.path.with_name("gone"))
    with pytest.raises(DeferredError, match="drop folder cannot be read"):
        box.scan(1)
    moved.rename(box.path)
    box.scan(2)
    assert [name for name, _ in box.reader.taken] == ["a.xml"]


def test_the_folders_are_made_private(tmp_path: Path) -> None:
    box = Box(tmp_path / "deep" / "er")
    assert {path.stat().st_mode & 0o777 for path in (box.path, box.rejected)} == {0o700}
