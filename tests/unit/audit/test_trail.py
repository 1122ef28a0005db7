"""The trail's files: appended to by many, broken by nobody unseen."""

from __future__ import annotations

import json
import multiprocessing
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kuva_gateway.audit.trail import Place, Trail, files, last_number, records, verify
from kuva_gateway.errors import DamageError

AT = datetime(2026, 11, 22, 3, 4, 5, 678, UTC)


def told(*texts: str) -> list[tuple[datetime, str]]:
    return [(AT, text) for text in texts]


def numbers(folder: Path, after: int = 0) -> list[int]:
    return [record.number for record in records(folder, after=after)]


def test_what_is_appended_is_read_again_in_order(tmp_path: Path) -> None:
    trail = Trail(tmp_path / "audit")
    trail.append(told("<a/>"))
    end = Trail(tmp_path / "audit").append(told("<b ä='\n'/>", "<c/>"))
    found = list(verify(tmp_path / "audit"))
    assert [(one.number, one.at, one.message) for one in found] == [
        (1, AT, "<a/>"),
        (2, AT, "<b ä='\n'/>"),
        (3, AT, "<c/>"),
    ]
    assert (end.number, end.hash) == (3, found[-1].hash)
    assert numbers(tmp_path / "audit", after=1) == [2, 3]
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "audit").iterdir()} == {0o600}


def test_a_full_file_is_followed_by_another_and_the_chain_goes_on(tmp_path: Path) -> None:
    trail = Trail(tmp_path, file_bytes=400)
    for number in range(10):
        trail.append(told(f"<m{number}/>"))
    assert len(files(tmp_path)) > 2
    assert [one.number for one in verify(tmp_path)] == list(range(1, 11))
    assert numbers(tmp_path, after=4) == [5, 6, 7, 8, 9, 10]


def append_many(folder: Path, who: int) -> None:
    for number in range(40):
        Trail(folder, file_bytes=4000).append(told(f"<m who='{who}' n='{number}'/>"))


def test_processes_that_write_at_once_take_turns(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=append_many, args=(tmp_path, who)) for who in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    found = [one.message for one in verify(tmp_path)]
    assert len(found) == 120
    for who in range(3):
        own = [one for one in found if f"who='{who}'" in one]
        assert own == [f"<m who='{who}' n='{number}'/>" for number in range(40)]


def first_line(path: Path, change: dict[str, object]) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    told = {**json.loads(lines[0]), **change}
    path.write_bytes(json.dumps(told, separators=(",", ":")).encode() + b"\n" + b"".join(lines[1:]))


def test_a_record_that_was_changed_shows(tmp_path: Path) -> None:
    Trail(tmp_path).append(told("<a/>", "<b/>"))
    first_line(files(tmp_path)[0], {"message": "<x/>"})
    with pytest.raises(DamageError, match=r"line 1: record 1 was changed"):
        list(verify(tmp_path))


def test_a_record_that_was_written_anew_with_its_hash_shows_by_the_next_one(tmp_path: Path) -> None:
    Trail(tmp_path / "other").append(told("<x/>"))
    Trail(tmp_path / "own").append(told("<a/>", "<b/>"))
    other, own = (files(tmp_path / name)[0] for name in ("other", "own"))
    own.write_bytes(other.read_bytes() + own.read_bytes().splitlines(keepends=True)[1])
    with pytest.raises(DamageError, match=r"line 2: record 2 was not written after the one before it"):
        list(verify(tmp_path / "own"))


@pytest.mark.parametrize("taken", [0, 1])
def test_a_record_that_was_taken_out_shows(tmp_path: Path, taken: int) -> None:
    Trail(tmp_path).append(told("<a/>", "<b/>", "<c/>"))
    path = files(tmp_path)[0]
    lines = path.read_bytes().splitlines(keepends=True)
    del lines[taken]
    path.write_bytes(b"".join(lines))
    with pytest.raises(DamageError, match=rf"record {taken + 2} instead of {taken + 1}"):
        list(verify(tmp_path))


def test_a_file_that_was_taken_out_shows_unless_it_was_the_oldest(tmp_path: Path) -> None:
    trail = Trail(tmp_path, file_bytes=1)
    for name in "abcd":
        trail.append(told(f"<{name}/>"))
    every = files(tmp_path)
    every[0].unlink()
    assert [one.number for one in verify(tmp_path)] == [2, 3, 4]
    every[2].unlink()
    with pytest.raises(DamageError, match="records between them are missing"):
        list(verify(tmp_path))


@pytest.mark.parametrize("line", [b"\n", b"[]\n", b"{}\n", b'{"n":1}\n', b"\xff\xfe\n"])
def test_what_is_no_record_is_told_with_its_place(tmp_path: Path, line: bytes) -> None:
    Trail(tmp_path).append(told("<a/>"))
    with files(tmp_path)[0].open("ab") as file:
        file.write(line)
    with pytest.raises(DamageError, match="line 2: this is no record"):
        list(verify(tmp_path))
    with pytest.raises(DamageError):
        Trail(tmp_path).append(told("<b/>"))


@pytest.mark.parametrize("long", [0, 100_000])
def test_what_a_crash_left_of_a_record_is_cut_off(tmp_path: Path, long: int) -> None:
    trail = Trail(tmp_path)
    trail.append(told("<a/>", f"<b>{'b' * long}</b>"))
    path = files(tmp_path)[0]
    whole = path.read_bytes()
    with path.open("ab") as file:
        file.write(whole[: len(whole) // 2].replace(b"\n", b" "))
    assert numbers(tmp_path) == [1, 2]
    trail.append(told("<c/>"))
    assert [one.number for one in verify(tmp_path)] == [1, 2, 3]
    assert path.read_bytes().startswith(whole)


def test_a_crash_in_the_first_record_of_a_new_file_leaves_the_chain_whole(tmp_path: Path) -> None:
    trail = Trail(tmp_path, file_bytes=1)
    trail.append(told("<a/>"))
    (tmp_path / "000000000002.jsonl").write_bytes(b'{"n":2,"at"')
    trail.append(told("<b/>"))
    assert [one.message for one in verify(tmp_path)] == ["<a/>", "<b/>"]


def test_a_disk_that_refuses_leaves_no_half_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trail = Trail(tmp_path)
    trail.append(told("<a/>"))
    before = files(tmp_path)[0].read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            trail.append(told("<b/>"))
    assert files(tmp_path)[0].read_bytes() == before
    trail.append(told("<c/>"))
    assert [one.message for one in verify(tmp_path)] == ["<a/>", "<c/>"]


def test_an_empty_trail_has_nothing_and_is_sound(tmp_path: Path) -> None:
    assert list(verify(tmp_path / "none")) == []
    assert numbers(tmp_path / "none") == []


def test_who_reads_on_does_not_read_again_what_stands_before(tmp_path: Path) -> None:
    trail = Trail(tmp_path, file_bytes=700)
    for name in "abcdef":
        trail.append(told(f"<{name}/>"))
    every = list(records(tmp_path))
    assert len(files(tmp_path)) > 1
    for number, record in enumerate(every, 1):
        assert [one.number for one in records(tmp_path, after=number, behind=record.place)] == list(
            range(number + 1, 7)
        )
    first = files(tmp_path)[0]
    first.write_bytes(first.read_bytes().replace(b"<a/>", b"<x/>"))
    assert numbers_behind(tmp_path, every[0].place) == [2, 3, 4, 5, 6]
    with pytest.raises(DamageError, match="record 1 was changed"):
        numbers(tmp_path)


def numbers_behind(folder: Path, place: Place) -> list[int]:
    return [record.number for record in records(folder, after=1, behind=place)]


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100_000,
        b'{"n":1e999,"at":"2026-01-01","before":"","message":"","hash":""}',
        b'{"n":Infinity,"at":"2026-01-01","before":"","message":"","hash":""}',
    ],
    ids=["nested", "too large", "infinite"],
)
def test_json_that_no_record_has_is_damage_and_no_more(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "000000000001.jsonl").write_bytes(line + b"\n")
    for attempt in (lambda: list(records(tmp_path)), lambda: list(verify(tmp_path)), lambda: last_number(tmp_path)):
        with pytest.raises(DamageError, match="this is no record"):
            attempt()
    with pytest.raises(DamageError):
        Trail(tmp_path).append(told("<a/>"))
    assert (tmp_path / "000000000001.jsonl").read_bytes() == line + b"\n"


def test_the_last_number_is_that_of_the_last_whole_record(tmp_path: Path) -> None:
    assert last_number(tmp_path) == 0
    assert last_number(tmp_path / "not there") == 0
    trail = Trail(tmp_path, file_bytes=400)
    for number in range(1, 8):
        trail.append(told(f"<m{number}/>"))
        assert last_number(tmp_path) == number
    trail.append(told("<long>" + "x" * 300_000 + "</long>"))
    assert last_number(tmp_path) == 8
    with files(tmp_path)[-1].open("ab") as file:
        file.write(b'{"n":9,"at":')  # it is being written
    assert last_number(tmp_path) == 8


def test_the_last_number_is_in_the_file_before_one_that_has_none_yet(tmp_path: Path) -> None:
    Trail(tmp_path).append(told("<a/>", "<b/>"))
    (tmp_path / "000000000003.jsonl").write_bytes(b'{"n":3')
    assert last_number(tmp_path) == 2
