"""What the doctor finds in installations that are well, and in sick ones."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import re
import socket
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme

from kuva_gateway import parts
from kuva_gateway.catalog import codes, health
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.cli import main
from kuva_gateway.clinical.codes import CodePeriod
from kuva_gateway.config import Configuration
from kuva_gateway.control import ControlServer
from kuva_gateway.doctor import (
    Diagnosis,
    Level,
    Subject,
    database,
    disk,
    examination,
    machine,
    network,
    records,
    service,
)
from kuva_gateway.lock import StateLock, holder
from kuva_gateway.parts import checking
from kuva_gateway.spool import mounts
from tests.certificates import Authority, pem
from tests.postgresql import PostgresqlServer
from tests.stand_in import StandIn
from tests.support import ROOT, free_port
from tests.unit.catalog.making import Clock, Hospital

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
Examination = Callable[[Subject], Iterator[Diagnosis]]


def subject(folder: Path, *, now: datetime = NOW, daemon: int | None = None, **keys: Any) -> Subject:
    """An installation in ``folder``."""
    configuration = Configuration.model_validate(
        {"environment": "test", "state_directory": folder / "var", "spool": {"minimum_free": "1MiB"}, **keys}
    )
    path = folder / "kuva-gateway.yaml"
    path.write_text("environment: test\n")
    path.chmod(0o600)
    return Subject(configuration=configuration, config_path=path, now=now, daemon=daemon)


def says(examination: Examination, given: Subject) -> list[tuple[Level, str]]:
    """Levels and messages; whatever is not well says what to do."""
    found = list(examination(given))
    assert all(bool(one.remedy) is (one.level is not Level.WELL) for one in found)
    return [(one.level, one.message) for one in found]


def make_catalog(given: Subject, now: Callable[[], datetime] | None = None) -> Catalog:
    """The installation's own catalog, empty."""
    parts.make_state_directory(given.configuration.state_directory)
    return parts.open_catalog(given.configuration, create=True, now=now)


def pad(catalog: Catalog) -> None:
    """Fill pages that no query ever reads."""
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)"
    with contextlib.closing(catalog), catalog.write() as session:
        session.execute(f"CREATE TABLE padding AS {numbers} SELECT i, i || ' is padding' AS text FROM n")


# -- machine ---------------------------------------------------------------------------------------------------------


def test_the_program_that_runs_here_is_well_installed(tmp_path: Path) -> None:
    ((level, message),) = says(machine.installation, subject(tmp_path))
    assert level is Level.WELL
    assert sqlite3.sqlite_version in message


def test_an_old_sqlite_and_an_absent_library_are_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.sqlite3, "sqlite_version_info", (3, 34, 1))
    monkeypatch.setattr(machine, "_LIBRARIES", ("pydicom", "no-such-library"))
    assert [level for level, _ in says(machine.installation, subject(tmp_path))] == [Level.FAULT, Level.FAULT]


@pytest.mark.parametrize(("state", "level"), [(0, Level.WELL), (5, Level.WARNING), (None, Level.WARNING)])
def test_a_clock_that_follows_nobody_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: int | None, level: Level
) -> None:
    monkeypatch.setattr(machine, "clock_state", lambda: state)
    assert [one for one, _ in says(machine.clock, subject(tmp_path))] == [level]


def test_the_kernel_tells_of_its_clock() -> None:
    assert machine.clock_state() in range(6)  # TIME_OK to TIME_ERROR


# -- configuration and daemon ----------------------------------------------------------------------------------------


def test_a_sound_configuration_is_well_and_a_broken_one_names_its_faults(tmp_path: Path) -> None:
    well = subject(tmp_path, destinations=[{"name": "a", "ae_title": "A", "host": "h", "port": 1}])
    assert [level for level, _ in says(service.configuration, well)] == [Level.WELL]
    broken = subject(tmp_path, rules={"NO-01": "hold"}, listen={"port": None})
    assert [level for level, _ in says(service.configuration, broken)] == [Level.FAULT, Level.FAULT]


def test_what_the_configuration_wants_and_this_machine_does_not_have_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "find_spec", lambda name: None)
    given = subject(tmp_path, destinations=[{"name": "a", "ae_title": "A", "host": "h", "port": 1, "decompress": True}])
    ((level, message),) = says(service.configuration, given)
    assert level is Level.WARNING
    assert "decoders are not installed" in message


def test_a_configuration_that_others_may_write_is_a_fault(tmp_path: Path) -> None:
    given = subject(tmp_path, destinations=[{"name": "a", "ae_title": "A", "host": "h", "port": 1}])
    given.config_path.chmod(0o666)
    assert [level for level, _ in says(service.configuration, given)] == [Level.WELL, Level.FAULT]


def test_a_daemon_that_does_not_run_is_a_warning_and_one_that_does_not_answer_a_fault(tmp_path: Path) -> None:
    assert [level for level, _ in says(service.daemon, subject(tmp_path))] == [Level.WARNING]
    found = says(service.daemon, subject(tmp_path, daemon=os.getpid()))
    assert found[0][0] is Level.FAULT
    assert str(os.getpid()) in found[0][1]


def test_a_daemon_that_answers_is_well(tmp_path: Path) -> None:
    given = subject(tmp_path, daemon=os.getpid())
    given.configuration.state_directory.mkdir()
    control = ControlServer(given.configuration.state_directory / "control.sock", {"live": lambda request: {}})
    control.start()
    try:
        assert says(service.daemon, given)[0] == (Level.WELL, f"runs as process {os.getpid()}")
    finally:
        control.stop()


def test_too_few_descriptors_are_a_warning(tmp_path: Path) -> None:
    found = says(service.daemon, subject(tmp_path, daemon=os.getpid(), limits={"associations": 10_000_000}))
    assert [level for level, message in found if "files" in message] == [Level.WARNING]


def test_who_holds_the_lock_is_seen_without_taking_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert holder(path) is None
    with StateLock(path):
        assert holder(path) == os.getpid()
    assert holder(path) is None
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nobody else has it, and asking has not taken it


# -- disk ------------------------------------------------------------------------------------------------------------


def test_a_state_directory_that_is_the_gateways_alone_is_well(tmp_path: Path) -> None:
    given = subject(tmp_path)
    assert [level for level, _ in says(disk.permissions, given)] == [Level.WARNING]
    make_catalog(given).close()
    assert [level for level, _ in says(disk.permissions, given)] == [Level.WELL]


def test_what_everybody_can_read_or_somebody_else_owns_is_named(tmp_path: Path) -> None:
    given = subject(tmp_path)
    make_catalog(given).close()
    state = given.configuration.state_directory
    (state / "spool" / "arrived").mkdir(parents=True)
    (state / "spool" / "arrived").chmod(0o755)
    (state / "catalog.sqlite").chmod(0o644)
    (state / "link").symlink_to("/etc/passwd")
    wanted = {f"{state / 'spool'}/arrived can be read by everybody", f"{state}/catalog.sqlite can be read by everybody"}
    if os.geteuid() == 0:
        (state / "left").touch(0o600)
        os.chown(state / "left", 12345, 12345)
        wanted.add(f"{state}/left belongs to user 12345")
    (state / "spool").chmod(0o700)
    found = says(disk.permissions, given)
    assert {message for _, message in found} == wanted
    assert {level for level, _ in found} == {Level.FAULT}


def test_many_wrong_files_are_counted_and_not_all_listed(tmp_path: Path) -> None:
    given = subject(tmp_path)
    given.configuration.state_directory.mkdir(mode=0o700)
    for number in range(15):
        (given.configuration.state_directory / str(number)).touch()
        (given.configuration.state_directory / str(number)).chmod(0o604)
    found = says(disk.permissions, given)
    assert len(found) == 11
    assert found[-1][1].startswith("5 more")


def test_a_memory_file_system_is_a_fault() -> None:
    if mounts.file_system(Path("/dev/shm")) != "tmpfs":
        pytest.skip("/dev/shm is no tmpfs here")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        ((level, message),) = says(disk.file_system, subject(Path(folder)))
    assert level is Level.FAULT
    assert "tmpfs" in message


@pytest.mark.parametrize(
    ("kind", "options", "levels"),
    [
        ("ext4", {"rw", "relatime"}, []),
        ("xfs", {"rw", "nobarrier"}, [Level.FAULT]),
        ("ext4", {"rw", "data=writeback", "barrier=0"}, [Level.FAULT, Level.FAULT]),
        ("nfs4", {"rw"}, [Level.FAULT]),
        ("zfs", {"rw"}, [Level.WARNING]),
        ("", set(), [Level.WARNING]),
    ],
)
def test_file_systems_and_options_that_break_promises_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, options: set[str], levels: list[Level]
) -> None:
    monkeypatch.setattr(mounts, "file_system", lambda path: kind)
    monkeypatch.setattr(mounts, "mount_options", lambda path: frozenset(options))
    *found, last = says(disk.file_system, subject(tmp_path))
    assert [level for level, _ in found] == levels
    assert "fsync takes" in last[1]
    assert [path.name for path in tmp_path.iterdir()] == ["kuva-gateway.yaml"], "nothing is left behind"


def test_a_slow_fsync_is_a_warning_and_an_unwritable_folder_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "SLOW_FSYNC", 0.0)
    assert says(disk.file_system, subject(tmp_path))[-1][0] is Level.WARNING
    monkeypatch.setattr(disk, "_place", lambda configuration: Path("/proc"))
    assert says(disk.file_system, subject(tmp_path))[-1] == (Level.FAULT, "/proc cannot be written")


@pytest.mark.parametrize(
    ("keys", "level"),
    [
        ({"retention": {"low_water": "0%"}}, Level.WELL),
        ({"retention": {"low_water": "100%"}}, Level.WARNING),
        ({"spool": {"minimum_free": "1000TiB"}}, Level.FAULT),
    ],
)
def test_the_room_that_is_left_is_measured_by_the_configuration(tmp_path: Path, keys: Any, level: Level) -> None:
    assert says(disk.room, subject(tmp_path, **keys))[0][0] is level


def test_a_file_system_on_which_few_files_can_still_be_made_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = os.statvfs(tmp_path)
    few = SimpleNamespace(
        f_bavail=usual.f_blocks, f_frsize=usual.f_frsize, f_blocks=usual.f_blocks, f_files=1000, f_favail=49
    )
    monkeypatch.setattr(disk.os, "statvfs", lambda path: few)
    ((room, _), (level, message)) = says(disk.room, subject(tmp_path))
    assert (room, level) == (Level.WELL, Level.FAULT)
    assert message.startswith("49 files can still be made on ")


def test_a_drop_folder_that_the_gateway_cannot_use_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = subject(tmp_path)
    folder = given.configuration.path(given.configuration.documents.drop_folder)
    folder.mkdir(parents=True)
    monkeypatch.setattr(disk.os, "access", lambda path, mode: path != folder)
    assert says(disk.drop_folders, given)[0] == (Level.FAULT, f"{folder} cannot be read and written")


def test_who_is_not_the_gateways_user_is_told_as_whom_to_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = subject(tmp_path)
    make_catalog(given).close()
    monkeypatch.setattr(disk.os, "geteuid", lambda: 54321)
    (found, _) = list(disk.permissions(given))
    assert (found.level, found.remedy.split()[:6]) == (
        Level.WARNING,
        ["Run", "commands", "as", "that", "user:", "sudo"],
    )


def test_rejected_files_wait_for_somebody(tmp_path: Path) -> None:
    given = subject(tmp_path)
    assert says(disk.drop_folders, given) == [(Level.WELL, "nothing rejected waits there")]
    rejected = given.configuration.path(Path("adt/rejected"))
    rejected.mkdir(parents=True)
    (rejected / "one.hl7").touch()
    (rejected / "one.hl7.reason").touch()
    assert says(disk.drop_folders, given) == [(Level.WARNING, f"1 rejected files in {rejected}")]


def test_what_was_set_aside_waits_to_be_sent_again(tmp_path: Path) -> None:
    given = subject(tmp_path)
    assert says(records.set_aside, given) == [(Level.WELL, "no damaged file")]
    folder = given.configuration.state_directory / "spool" / "corrupt"
    folder.mkdir(parents=True)
    (folder / "one").touch()
    (folder / "one.reason").touch()
    assert says(records.set_aside, given) == [(Level.WARNING, f"1 damaged or unreadable files in {folder}")]


def test_what_only_grows_is_measured_and_a_tenth_of_the_disk_is_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = subject(tmp_path)
    assert says(records.records, given) == []
    for name in ("journal", "audit"):
        (given.configuration.state_directory / name).mkdir(parents=True)
    (given.configuration.state_directory / "journal" / "00000001.journal").write_bytes(bytes(4096))
    assert says(records.records, given) == [(Level.WELL, "0.00 GiB in 1 files")]
    monkeypatch.setattr(records, "MUCH", 0.0)
    ((level, message),) = says(records.records, given)
    assert level is Level.WARNING
    assert message.endswith("% of its disk")


# -- catalog ---------------------------------------------------------------------------------------------------------


def test_a_catalog_is_looked_at_and_none_is_made(tmp_path: Path) -> None:
    given = subject(tmp_path)
    assert says(database.catalog, given) == [(Level.WARNING, "there is none yet")]
    assert says(database.code_list, given) == []
    assert not given.configuration.state_directory.exists()
    make_catalog(given).close()
    assert says(database.catalog, given) == [(Level.WELL, "SQLite, 0 studies")]


def test_damaged_pages_are_a_fault(tmp_path: Path) -> None:
    given = subject(tmp_path)
    pad(make_catalog(given))
    with parts.catalog_path(given.configuration).open("r+b") as file:
        file.seek(-10 * 4096, os.SEEK_END)
        file.write(b"\xff" * 4096)
    ((level, message),) = says(database.catalog, given)
    assert level is Level.FAULT
    assert "the database is damaged" in message


def test_a_file_that_is_no_database_is_a_fault(tmp_path: Path) -> None:
    given = subject(tmp_path)
    make_catalog(given).close()
    parts.catalog_path(given.configuration).write_bytes(b"no database at all" * 1000)
    assert [level for level, _ in says(database.catalog, given)] == [Level.FAULT]


def test_a_newer_schema_is_a_fault(tmp_path: Path) -> None:
    given = subject(tmp_path)
    with contextlib.closing(make_catalog(given)) as catalog, catalog.write() as session:
        session.execute(
            "INSERT INTO schema_migration (name, applied) VALUES (?, ?)", "9999_from_the_future", "2099-01-01 00:00:00"
        )
    ((level, message),) = says(database.catalog, given)
    assert level is Level.FAULT
    assert "newer" in message


def test_a_look_at_the_pages_ends_when_its_time_is_over(tmp_path: Path) -> None:
    given = subject(tmp_path)
    pad(make_catalog(given))
    with contextlib.closing(make_catalog(given)) as catalog:
        found = health.look(catalog, patience=0.0)
        assert (found.damage, found.whole) == ("", False)
        assert health.look(catalog).whole, "the connection is as it was before"


def test_a_clock_that_was_set_back_is_a_fault(tmp_path: Path) -> None:
    clock = Clock()
    given = subject(tmp_path, now=clock.at - timedelta(hours=3))
    with contextlib.closing(make_catalog(given, now=clock)) as catalog:
        Hospital(catalog, parts.open_spool(given.configuration), clock).accept("1.2.1")
    assert says(database.catalog, given) == [
        (Level.FAULT, "the newest event of the catalog is 3.0 h ahead: the clock was set back"),
        (Level.WELL, "SQLite, 1 studies"),
    ]


def test_postgresql_that_forgets_and_its_clock_are_told(tmp_path: Path, postgresql: PostgresqlServer) -> None:
    with postgresql.database() as url:
        forgetful = f"{url}{'&' if '?' in url else '?'}options=-c%20synchronous_commit%3Doff"
        given = subject(tmp_path, catalog={"url": forgetful}, now=datetime.now(UTC) + timedelta(hours=2))
        make_catalog(given).close()
        found = says(database.catalog, given)
    told = "PostgreSQL runs with {} = off: a power cut may cost what was catalogued"
    # The tests' own server runs without fsync.
    assert found[:2] == [(Level.FAULT, told.format(name)) for name in ("fsync", "synchronous_commit")]
    assert found[2] == (Level.WARNING, "the database's clock is 2.0 h behind")
    assert [level for level, _ in found[3:]] == [Level.WELL]


@pytest.mark.parametrize(
    ("newest", "level"),
    [(None, Level.FAULT), (date(2025, 1, 1), Level.WARNING), (NOW.date() - timedelta(days=400), Level.WELL)],
)
def test_the_code_list_ages(tmp_path: Path, newest: date | None, level: Level) -> None:
    given = subject(tmp_path)
    catalog = make_catalog(given)
    if newest is not None:
        codes.store(catalog, [CodePeriod(code="AA1AA", scheme="1.2.246", name="x", valid_from=newest)])
    catalog.close()
    assert [one for one, _ in says(database.code_list, given)] == [level]


# -- network ---------------------------------------------------------------------------------------------------------


def test_a_port_is_free_taken_or_answers(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        down, up = (subject(tmp_path, listen={"port": port}, daemon=daemon) for daemon in (None, os.getpid()))
        assert says(network.ports, down) == [
            (Level.FAULT, f"listen.port 127.0.0.1:{port} cannot be had: Address already in use")
        ]
        assert says(network.ports, up) == [(Level.WELL, f"listen.port 127.0.0.1:{port} answers")]
    assert says(network.ports, down) == [(Level.WELL, f"listen.port 127.0.0.1:{port} is free")]
    assert says(network.ports, up) == [
        (Level.FAULT, f"nobody answers at listen.port 127.0.0.1:{port}: Connection refused")
    ]


@pytest.mark.parametrize(
    ("days", "level"), [(-1, Level.FAULT), (29, Level.WARNING), (31, Level.WELL)], ids=["over", "soon", "long"]
)
def test_a_certificate_is_told_of_before_it_expires(tmp_path: Path, days: int, level: Level) -> None:
    certificate = trustme.CA().issue_cert("gateway.example", not_after=NOW + timedelta(days=days, hours=1))
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "own.pem")
    given = subject(tmp_path, tls={"certificate": str(tmp_path / "own.pem"), "key": "own.key"})
    assert [one for one, _ in says(network.certificates, given)] == [level]


def test_a_key_that_everybody_can_read_is_a_fault(tmp_path: Path) -> None:
    own = Authority().issue("gateway.example").write(tmp_path / "own.pem")
    given = dataclasses.replace(subject(tmp_path, tls={"key": str(own)}), now=datetime.now(UTC))
    own.chmod(0o640)
    assert says(network.certificates, given) == []
    own.chmod(0o644)
    ((level, message),) = says(network.certificates, given)
    assert (level, "own.pem can be read by everybody" in message) == (Level.FAULT, True)


@pytest.mark.parametrize(
    ("days", "told"),
    [((-1, 7), [Level.WELL]), ((-6, 1), [Level.WARNING]), ((-9, -1), [Level.FAULT])],
)
def test_a_list_of_withdrawn_certificates_is_told_of_before_it_expires(
    tmp_path: Path, days: tuple[float, float], told: list[Level]
) -> None:
    authority = Authority()
    ca, lists = authority.write(tmp_path / "ca.pem"), authority.write_list(tmp_path / "list", days=days)
    given = dataclasses.replace(subject(tmp_path, tls={"ca": str(ca), "revocation": str(lists)}), now=datetime.now(UTC))
    assert [one for one, _ in says(network.revocation, given)] == told
    ca.write_bytes(ca.read_bytes() + pem(Authority("Other CA").certificate))
    assert [one for one, _ in says(network.revocation, given)] == [*told, Level.WARNING]


def test_destinations_and_peers_are_called(tmp_path: Path) -> None:
    nobody = free_port()
    with StandIn() as archive:
        there = {"ae_title": "ARCHIVE", "host": "127.0.0.1", "port": archive.port}
        away = {"ae_title": "ARCHIVE", "host": "127.0.0.1", "port": nobody}
        given = subject(
            tmp_path,
            destinations=[{"name": "a", **there}, {"name": "b", **away}, {"name": "c", "required": False, **away}],
            peers=[{"name": "ct", **away}, {"name": "mr", "ae_title": "MR"}],
        )
        found = list(network.peers(given))
    assert [(one.check, one.level, one.message.split(" ")[0]) for one in found] == [
        ("destinations", Level.WELL, "a"),
        ("destinations", Level.FAULT, "b"),
        ("destinations", Level.WARNING, "c"),
        ("peers", Level.WARNING, "ct"),
    ]
    assert list(network.peers(dataclasses.replace(given, call=False))) == []


def test_an_installation_without_peers_and_destinations_is_told_so(tmp_path: Path) -> None:
    assert [level for level, _ in says(network.peers, subject(tmp_path))] == [Level.WARNING, Level.WARNING]


# -- all of it -------------------------------------------------------------------------------------------------------


def test_an_examination_that_breaks_down_does_not_keep_the_others_from_looking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(given: Subject) -> Iterator[Diagnosis]:
        raise ZeroDivisionError("a secret")
        yield

    def denied(given: Subject) -> Iterator[Diagnosis]:
        raise PermissionError(13, "Permission denied", "/root/x")
        yield

    sick = (("one", broken), ("two", denied), ("disk", disk.room))
    monkeypatch.setattr(examination, "EXAMINATIONS", sick)
    found = list(examination.examine(subject(tmp_path)))
    assert [(one.check, one.level) for one in found[:2]] == [("one", Level.FAULT), ("two", Level.FAULT)]
    assert found[2].check == "disk"
    assert "secret" not in "".join(one.message + one.remedy for one in found)


def test_the_command_says_what_to_do_and_its_status_whether_there_is_a_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "kuva-gateway.yaml"
    path.write_text("environment: test\nspool: {minimum_free: 1}\nretention: {low_water: 0%}\n")
    path.chmod(0o600)
    arguments = ["--config", str(path), "doctor", "--no-calls"]
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {one["check"] for one in found} >= {"installation", "configuration", "disk", "file system", "ports"}
    assert all(set(one) == {"check", "level", "message", "remedy"} for one in found)
    page = (ROOT / "docs" / "doctor.rst").read_text(encoding="utf-8")
    assert {one["check"] for one in found} <= set(re.findall(r"^``([a-z ]+)`` ", page, re.MULTILINE))
    path.write_text("environment: test\nspool: {minimum_free: 1000TiB}\n")
    assert main(arguments) == 1
    printed = capsys.readouterr().out
    assert "FAULT" in printed
    assert "-> Make room on the disk" in printed
    assert not (tmp_path / "var").exists(), "a look makes nothing"
