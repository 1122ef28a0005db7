"""Backups taken and restored: what was acknowledged and decided is there again, byte by byte and word by word."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from kuva_gateway import parts
from kuva_gateway.backup.backup import back_up
from kuva_gateway.backup.manifest import digest_of
from kuva_gateway.backup.restore import restore
from kuva_gateway.catalog import copying, entries, studies
from kuva_gateway.catalog.copying import connection_environment
from kuva_gateway.catalog.migrations import HISTORY
from kuva_gateway.cli import main
from kuva_gateway.errors import BusyError, CatalogUnavailableError, DamageError, NotFoundError, RefusedError, StateError
from kuva_gateway.lock import StateLock
from tests.faults import FaultyFiles
from tests.support import ROOT
from tests.unit.backup.conftest import Again, Place, configure, images, told

BringBack = Callable[..., Again]
BOTH = pytest.mark.parametrize(
    "catalog_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True
)


@pytest.fixture
def other_disk() -> FaultyFiles:
    """Files that cannot be linked, as between two file systems."""
    files = FaultyFiles()
    files.fail("link", errno.EXDEV, always=True)
    return files


@BOTH
def test_everything_is_there_again_and_what_waits_is_asked_about_first(place: Place, bring_back: BringBack) -> None:
    hospital = place.hospital
    arrival, _ = hospital.receive("1.2.5")
    done = place.back_up()
    assert (done.studies, done.images, done.damaged, done.copied > 0) == (5, 10, [], True)
    before, stored = told(hospital.catalog), images(place.state)
    again = bring_back(place)
    assert (again.restored.damaged, again.restored.arrivals) == ([], 1)
    assert images(again.configuration.state_directory) == stored | {arrival.digest: arrival.path.read_bytes()}
    after = told(again.catalog)
    assert [one for one in after if one.get("study", {}).get("study_instance_uid") != "1.2.5"] == before
    entry = entries.claim(again.catalog, "archive", hospital.clock(), timedelta(minutes=1), "worker")
    assert entry is not None
    pending = entries.pending_instances(again.catalog, entry)
    assert [one.in_doubt for one in pending] == [True, True]
    assert again.restored.in_doubt == 4


@BOTH
def test_another_disk_gets_copies_and_the_second_time_only_what_is_new(
    place: Place, bring_back: BringBack, other_disk: FaultyFiles
) -> None:
    first = place.back_up(files=other_disk)
    place.hospital.send("1.2.6", instances=1)
    second = place.back_up(files=other_disk)
    assert first.linked == second.linked == 0
    assert (second.images, second.copied - first.copied) == (11, 1 - 10)
    again = bring_back(place, files=other_disk)
    state = again.configuration.state_directory
    assert images(state) == images(place.state)
    assert told(again.catalog) == told(place.hospital.catalog)
    assert {path.stat().st_mode & 0o777 for path in place.backup.rglob("*") if path.is_file()} == {0o600}


def test_what_was_not_written_to_since_the_last_backup_is_not_copied_again(place: Place) -> None:
    trail, dropped = place.state / "audit" / "000000000001.jsonl", place.state / "documents" / "incoming" / "a.xml"
    for path in (trail, dropped):
        path.parent.mkdir(parents=True)
        path.write_text("first\n")
    first = place.back_up()
    before = {path.name: path.stat().st_ino for path in place.backup.glob("*/state/*/**/*") if path.is_file()}
    with trail.open("a") as file:
        file.write("second\n")
    second = place.back_up()
    after = {path.name: path for path in place.backup.glob("*/state/*/**/*") if path.is_file()}
    assert second.copied == first.copied - 1
    assert after["a.xml"].stat().st_ino == before["a.xml"]
    assert after[trail.name].read_text() == "first\nsecond\n"
    rotten, status = after["a.xml"], dropped.stat()
    rotten.write_text("fitst\n")
    os.utime(rotten, ns=(status.st_mtime_ns, status.st_mtime_ns))
    place.back_up()
    (whole,) = place.backup.glob("*/state/documents/incoming/a.xml")
    assert whole.read_text() == "first\n"


def test_the_manifest_is_one_that_every_system_can_check(place: Place) -> None:
    strange = place.state / "documents" / "incoming" / "two\nlines \\ and ä"
    strange.parent.mkdir(parents=True)
    strange.write_text("x")
    place.back_up()
    (manifest,) = place.backup.glob("*/manifest")
    command = ["sha256sum", "--check", "--strict", "--quiet", str(manifest)]
    assert subprocess.run(command, cwd=place.backup, capture_output=True, check=False).returncode == 0
    next((place.backup / "spool").rglob("*/????????*")).write_bytes(b"rust")
    assert subprocess.run(command, cwd=place.backup, capture_output=True, check=False).returncode == 1


def test_what_retention_took_leaves_the_backup_with_the_next_one(place: Place) -> None:
    place.back_up()
    catalog = place.hospital.catalog
    studies.remove_study(catalog, "1.2.3", by="anna", reason="a phantom")
    place.hospital.indexer().remove_all()
    done = place.back_up()
    assert (done.images, done.removed, done.damaged) == (8, 2, [])
    assert set(images(place.backup)) == set(images(place.state))


@BOTH
def test_files_that_go_while_the_backup_runs_are_not_missed(place: Place) -> None:
    files = FaultyFiles()

    def remove() -> None:
        studies.remove_study(place.hospital.catalog, "1.2.3", by="anna", reason="a phantom")
        place.hospital.indexer().remove_all()

    seen: list[str] = []

    def at_catalog(what: str, done: int, total: int | None) -> None:
        if what == "images" and "removed" not in seen:
            seen.append("removed")
            remove()

    done = place.back_up(progress=at_catalog, files=files)
    assert (done.images, done.damaged) == (8, [])


def test_images_the_spool_lost_are_named_and_the_rest_is_saved(place: Place, bring_back: BringBack) -> None:
    gone, rotten = sorted(images(place.state))[:2]
    place.hospital.spool.instance_path(gone).unlink()
    path = place.hospital.spool.instance_path(rotten)
    path.write_bytes(b"rust" * (path.stat().st_size // 4) + b"x" * (path.stat().st_size % 4))
    done = place.back_up()
    assert sorted(name[-64:] for name, _ in done.damaged) == sorted([gone, rotten])
    again = bring_back(place)
    assert again.restored.damaged == []
    assert set(images(again.configuration.state_directory)) == set(images(place.state)) - {rotten}


def test_a_good_copy_is_kept_when_the_original_goes_bad(place: Place, other_disk: FaultyFiles) -> None:
    place.back_up(files=other_disk)
    rotten = sorted(images(place.state))[0]
    place.hospital.spool.instance_path(rotten).write_bytes(b"rust")
    place.back_up(files=other_disk)
    saved = place.backup / "spool" / "instances" / rotten[:2] / rotten
    assert hashlib.sha256(saved.read_bytes()).hexdigest() == rotten


def test_damage_in_a_backup_is_found_by_the_restore(place: Place, bring_back: BringBack) -> None:
    place.back_up(files=None)
    rotten = sorted(images(place.backup))[0]
    path = place.backup / "spool" / "instances" / rotten[:2] / rotten
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.unlink()
    path.write_bytes(content)
    again = bring_back(place)
    assert [name[-64:] for name, _ in again.restored.damaged] == [rotten]
    assert rotten not in images(again.configuration.state_directory)


@pytest.mark.parametrize("what", ["catalog", "manifest", "description"])
def test_a_backup_without_its_catalog_restores_nothing(place: Place, tmp_path: Path, what: str) -> None:
    place.back_up()
    pattern = {"catalog": "*/catalog.*", "manifest": "*/manifest", "description": "backup.json"}[what]
    (path,) = place.backup.glob(pattern)
    path.write_bytes(path.read_bytes()[:-3])
    _, configuration = configure(tmp_path, None, "again")
    with pytest.raises((DamageError, RefusedError)):
        restore(configuration, place.backup)
    assert not (configuration.state_directory / "catalog.sqlite").exists()


# -- refusals ----------------------------------------------------------------------------------------------------------


def test_a_newer_backup_is_not_written_over_and_neither_is_another_gateways(place: Place, tmp_path: Path) -> None:
    hospital = place.hospital
    place.back_up()
    older = place.state / "catalog.older"
    with copying.copied(hospital.catalog, older):
        pass
    hospital.send("1.2.7")
    place.back_up()
    older.replace(place.state / "catalog.sqlite")
    for name in ("catalog.sqlite-wal", "catalog.sqlite-shm"):
        (place.state / name).unlink()
    before = (place.backup / "backup.json").read_bytes()
    with pytest.raises(RefusedError, match="newer than this catalog"):
        place.back_up()
    _, configuration = configure(tmp_path, None, "elsewhere")
    parts.make_state_directory(configuration.state_directory)
    parts.open_catalog(configuration, create=True).close()
    with pytest.raises(RefusedError, match="of another catalog"):
        back_up(configuration, place.config, place.backup, now=hospital.clock())
    assert (place.backup / "backup.json").read_bytes() == before
    assert len(list(place.backup.glob("*/manifest"))) == 1
    assert len(images(place.backup)) == 12


def test_what_is_no_place_for_a_backup_is_refused(place: Place, tmp_path: Path) -> None:
    now = place.hospital.clock()
    for folder in (place.state / "backup", place.state, place.state.parent):
        with pytest.raises(RefusedError):
            back_up(place.configuration, place.config, folder, now=now)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "thesis.doc").touch()
    with pytest.raises(RefusedError, match="other things"):
        back_up(place.configuration, place.config, tmp_path / "theirs", now=now)
    place.backup.mkdir()
    with StateLock(place.backup / "lock"), pytest.raises(BusyError, match="the backup is in use"):
        place.back_up()
    _, nothing = configure(tmp_path, None, "nothing")
    with pytest.raises(NotFoundError):
        back_up(nothing, place.config, tmp_path / "none", now=now)


def test_a_restore_wants_an_empty_place_and_no_daemon(place: Place, tmp_path: Path) -> None:
    place.back_up()
    with pytest.raises(StateError, match="not empty"):
        restore(place.configuration, place.backup)
    _, configuration = configure(tmp_path, None, "again")
    parts.make_state_directory(configuration.state_directory)
    with StateLock(configuration.state_directory / "lock"), pytest.raises(BusyError):
        restore(configuration, place.backup)
    with pytest.raises(NotFoundError):
        restore(configuration, tmp_path / "nowhere")
    with pytest.raises(RefusedError):
        restore(configuration, configuration.state_directory)


def test_newer_forms_newer_schemas_and_other_databases_are_refused_before_anything_is_written(
    place: Place, tmp_path: Path
) -> None:
    place.back_up()
    path = place.backup / "backup.json"
    good = json.loads(path.read_text())
    _, configuration = configure(tmp_path, None, "again")
    for wrong in (
        {"format": 99},
        {"marks": {**good["marks"], "schema": "9999_tomorrow"}},
        {"catalog": "catalog.dump"},
    ):
        path.write_text(json.dumps({**good, **wrong}))
        with pytest.raises(RefusedError):
            restore(configuration, place.backup)
        assert not configuration.state_directory.exists()


@pytest.mark.slow
@pytest.mark.parametrize("catalog_url", ["postgresql"], indirect=True)
def test_a_database_that_is_not_empty_is_not_restored_into(place: Place, tmp_path: Path) -> None:
    place.back_up()
    _, configuration = configure(tmp_path, place.configuration.catalog.url, "again")
    with pytest.raises(StateError, match="database is not empty"):
        restore(configuration, place.backup)


def test_nobody_works_in_a_state_directory_that_is_half_restored(place: Place, bring_back: BringBack) -> None:
    place.back_up()
    again = bring_back(place)
    again.catalog.close()
    (again.configuration.state_directory / parts.RESTORING).touch()
    for use in (parts.open_catalog, parts.open_spool):
        with pytest.raises(StateError, match="did not come to its end"):
            use(again.configuration, **({"create": True} if use is parts.open_catalog else {}))  # type: ignore[operator]


# -- the rest ----------------------------------------------------------------------------------------------------------


@BOTH
def test_a_backup_that_fails_leaves_the_one_before(place: Place, bring_back: BringBack) -> None:
    place.back_up()
    before = told(place.hospital.catalog)
    place.hospital.send("1.2.8")
    files = FaultyFiles()
    files.fail("fsync_directory", errno.EIO)
    files.fail("sync_file_system", errno.ENOSPC, nth=2, always=True)
    with pytest.raises(OSError, match=r"No space|Input/output"):
        place.back_up(files=files)
    again = bring_back(place)
    assert told(again.catalog) == before


def test_no_password_stands_on_a_command_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    url = "postgresql://kuva:secret@db.example:5433/images?sslmode=require&keepalives=1"
    environment = connection_environment(url)
    assert environment["PGPASSWORD"] == "secret"
    assert environment["PGHOST"] == "db.example"
    assert environment["PGSSLMODE"] == "require"
    seen = tmp_path / "seen"
    tool = tmp_path / "pg_dump"
    tool.write_text(f'#!/bin/sh\necho "$@" > {seen}\necho "no luck" >&2\nexit 3\n')
    tool.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CatalogUnavailableError, match="pg_dump failed: no luck"):
        copying.run_tool("pg_dump", url, "--format=custom")
    assert "secret" not in seen.read_text()
    with pytest.raises(CatalogUnavailableError, match="not installed"):
        copying.run_tool("pg_restore", url)


def audited(config: Path, event: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What the audit trail tells of this kind."""
    capsys.readouterr()
    assert main(["audit", "list", "--event", event, "--json", "--config", str(config)]) == 0
    return [told["description"] for told in json.loads(capsys.readouterr().out)]


def test_commands_tell_what_they_did_in_one_line_or_in_json(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["backup", str(place.backup), "--config", str(place.config)]) == 0
    out, err = capsys.readouterr()
    assert (out.count("\n"), err) == (1, "")
    assert "5 studies, 10 images" in out
    assert audited(place.config, "exported", capsys) == ["backup of 5 studies, 10 images"]
    config, _ = configure(tmp_path, None, "again")
    assert main(["restore", str(place.backup), "--config", str(config), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["images"], shown["damaged"], shown["in_doubt"]) == (10, [], 4)
    assert audited(config, "imported", capsys) == ["restored 5 studies, 10 images"]
    assert main(["audit", "verify", "--config", str(config)]) == 0
    assert main(["restore", str(place.backup), "--config", str(config)]) == 1
    assert "not empty" in capsys.readouterr().err
    place.hospital.spool.instance_path(sorted(images(place.state))[0]).unlink()
    (place.backup / "backup.json").unlink()
    for path in (place.backup / "spool").rglob("*"):
        if path.is_file():
            path.unlink()
    assert main(["backup", str(place.backup), "--config", str(place.config)]) == 1
    assert "1 files could not be backed up" in capsys.readouterr().err


def test_a_backup_of_an_older_schema_is_upgraded_by_its_restore(place: Place, bring_back: BringBack) -> None:
    place.back_up()
    description = json.loads((place.backup / "backup.json").read_text())
    folder = place.backup / description["set"]
    with contextlib.closing(sqlite3.connect(folder / "catalog.sqlite")) as older:
        for table in ("to_journal", "renewals"):
            older.execute(f"DROP TABLE {table}")
        older.execute(f"DELETE FROM {HISTORY} WHERE name = '0016_journal'")
        older.commit()
    description["marks"]["schema"] = "0015_entries_by_destination"
    digest, name = digest_of(folder / "catalog.sqlite"), f"{description['set']}/catalog.sqlite"
    lines = (folder / "manifest").read_text().splitlines()
    (folder / "manifest").write_text(
        "".join(f"{digest}  {name}\n" if one.endswith(name) else f"{one}\n" for one in lines)
    )
    description["manifest"] = digest_of(folder / "manifest")
    (place.backup / "backup.json").write_text(json.dumps(description))
    again = bring_back(place)
    assert told(again.catalog) == told(place.hospital.catalog)
    with again.catalog.read() as session:
        assert session.value("SELECT COUNT(*) FROM renewals") == 1


@pytest.mark.slow
def test_a_daemon_does_not_run_on_the_catalog_of_a_newer_program(place: Place) -> None:
    with place.hospital.catalog.write() as session:
        session.execute(f"INSERT INTO {HISTORY} (name, applied) VALUES ('9999_tomorrow', '2040-01-01 00:00:00')")
    command = [sys.executable, "-m", "kuva_gateway", "run", "--config", str(place.config)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "newer than this program (9999_tomorrow)" in done.stderr.splitlines()[-1]
    assert place.hospital.state("1.2.3") == "rejected"
