"""Patients' data stay where they belong: all that a gateway writes is searched for one who is easily told."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Pair
from tests.acceptance.gateway import Gateway
from tests.acceptance.test_retrieve import storescp
from tests.studies import document, load_script, make_study
from tests.support import dcmtk, dcmtk_environment, free_port, wait_until

pytestmark = pytest.mark.slow

HETU = "020516C902J"
TELLTALES = tuple(
    text.encode() for text in (HETU, "Tunnusmerkki", "Kuvitteellinen", "TUNNUSMERKKI", "20160502", "2016-05-02")
)
"""The patient's identity code, names and birth date, in the ways in which they are written."""
MAY_KNOW = ("spool", "documents", "authorizations", "journal", "catalog.sqlite", "catalog.sqlite-wal")
"""What is there to keep patients' data; ``audit`` has ids, which PS3.15 A.5 asks for, and no names."""
QUIET = (
    ("stats",), ("stats", "--json"), ("queue", "list"), ("queue", "list", "--json"), ("peers", "list"), ("doctor",),
    ("config", "check"), ("config", "show"), ("spool", "verify"), ("audit", "verify"), ("providers", "list"),
)  # fmt: skip
"""Commands that have no reason to show who a patient is."""
children = load_script("gateway_process").children


def telltales(content: bytes) -> list[str]:
    """What of the patient is in it."""
    return [found.decode() for found in TELLTALES if found in content]


def command_lines(gateway: Gateway) -> Iterator[tuple[str, bytes]]:
    """What every user of the machine can see of the gateway's processes."""
    assert gateway.process is not None
    for pid in (gateway.process.pid, *children(gateway.process.pid)):
        for name in ("cmdline", "comm"):
            yield f"{pid}/{name}", Path(f"/proc/{pid}/{name}").read_bytes()
        assert [path for path in written_by(pid) if not path.startswith((str(gateway.state), str(gateway.log)))] == []


def written_by(pid: int) -> Iterator[str]:
    """Files that a process has open for writing, those included that have no name any more."""
    for number in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            target = os.readlink(f"/proc/{pid}/fd/{number}")
            told = Path(f"/proc/{pid}/fdinfo/{number}").read_text()
            flags = int(next(line.split()[1] for line in told.splitlines() if line.startswith("flags:")), 8)
            if (
                flags & os.O_ACCMODE
                and target.startswith("/")
                and not target.startswith(("/dev/", "/proc/", "/memfd:"))
            ):
                yield target


def ask(gateway: Gateway, tool: str, *options: str) -> int:
    """A peer's question that names the patient."""
    keys = ["-k", "QueryRetrieveLevel=STUDY", *(word for key in options for word in ("-k", key))]
    extra = ["-aem", "VIEWER"] if tool == "movescu" else []
    command = [dcmtk(tool), "-S", "-aet", "VIEWER", "-aec", "KUVAGW", *extra, *keys, "127.0.0.1", str(gateway.port)]
    return subprocess.run(command, env=dcmtk_environment(), capture_output=True, timeout=60, check=False).returncode


def say_nonsense(gateway: Gateway) -> None:
    """What no peer should say, with the patient in it; and a connection that ends in the middle."""
    for said in (b"GET /" + HETU.encode() + b" HTTP/1.1\r\n\r\n", b"\x01\x00\x00\x00\x00\x40" + TELLTALES[1] * 5):
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as peer:
            peer.sendall(said)


def wrong_images(folder: Path) -> Iterator[Path]:
    """Images whose values are refused, or hold their study, and tell of the patient where nobody expects it."""
    broken: list[tuple[str, Any]] = [
        ("PatientBirthDate", "20160502X"),
        ("PatientID", HETU + "9"),
        ("StudyDate", "Tunnusmerkki"),
        ("AccessionNumber", "Kuvitteellinen\\" + HETU),
        ("SOPInstanceUID", "Tunnusmerkki^Kuvitteellinen"),
        ("StudyInstanceUID", HETU),
    ]
    for number, (keyword, value) in enumerate(broken):
        study = patient_study(f"T-X{number}")
        (path,) = study.write(folder / f"wrong-{number}")
        content = path.read_bytes()
        old = str(getattr(study.data_sets[0], keyword)).encode()
        new = value.encode()[: len(old)].ljust(len(old))
        path.write_bytes(content.replace(old, new) if old else content)
        yield path


def patient_study(accession: str, **changes: Any) -> Any:
    """A study of the patient."""
    name = (("PatientName", "Tunnusmerkki^Kuvitteellinen"), ("PatientComments", f"Tunnusmerkki {HETU}"))
    return make_study(kind="ct", hetu=HETU, accession=accession, extra=name, **changes)


def live(gateway: Gateway, folder: Path) -> Iterator[tuple[str, bytes]]:
    """A day with everything in it: stored, delivered, asked for, held, decided, refused. Yields what is seen."""
    good, held = patient_study("T-1", instances=2), patient_study("T-2")
    gateway.import_documents(good)
    for study in (good, held):
        gateway.send(study)
    gateway.wait_state(good.uid, "archived")
    gateway.wait_state(held.uid, "held")
    assert ask(gateway, "findscu", f"PatientID={HETU}", "PatientName=Tunnusmerkki*", "PatientBirthDate=20160502") == 0
    ask(gateway, "findscu", "PatientBirthDate=Tunnusmerkki", f"StudyInstanceUID={HETU}", f"StudyDate={HETU}")
    assert ask(gateway, "movescu", f"StudyInstanceUID={good.uid}") == 0
    ask(gateway, "movescu", f"StudyInstanceUID={HETU}")
    yield from command_lines(gateway)
    gateway.storescu(wrong_images(folder), "--no-halt", check=False)
    gateway.storescu(held.write(folder / "stranger"), calling="TUNNUSMERKKI"[:2], check=False)
    say_nonsense(gateway)
    incoming = gateway.drop_folder
    (incoming / "torn.xml").write_bytes(document(held, "request")[:-200])
    wait_until(lambda: not (incoming / "torn.xml").exists(), timeout=60, what="the bad document to be put aside")
    yield from decide(gateway, held.uid)
    gateway.kill()
    gateway.start()
    yield from command_lines(gateway)
    address = f"http://127.0.0.1:{gateway.metrics_port}/metrics"  # type: ignore[attr-defined]
    with urllib.request.urlopen(address, timeout=30) as answer:
        yield "metrics", answer.read()


def decide(gateway: Gateway, uid: str) -> Iterator[tuple[str, bytes]]:
    """Commands, their refusals too; what names a patient in an argument is refused without repeating it."""
    why = ("--by", "Test Person", "--reason", "a test")
    for words in (
        ("studies", "reject", uid, *why), ("studies", "release", uid, *why), ("studies", "release", "1.2.3", *why),
        *QUIET,
        ("documents", "import", str(gateway.folder / "sent")), ("check", str(gateway.folder / "sent")),
    ):  # fmt: skip
        done = gateway.quick(*words)
        yield " ".join(words), (done.stdout + done.stderr).encode()


@pytest.fixture
def wide_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A mask that keeps nothing from anybody, and a temporary folder that is watched."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    before = os.umask(0)
    yield temporary
    os.umask(before)


def test_who_the_patient_is_stands_nowhere_but_where_it_belongs(
    start_pair: Callable[..., Pair], wide_open: Path, tmp_path: Path
) -> None:
    viewer, metrics = free_port(), free_port()
    peers = [
        {"name": "ct1", "ae_title": "CT1", "allow": ["echo", "store", "commit"]},
        {"name": "monitor", "ae_title": "MONITOR", "allow": ["echo"]},
        {"name": "viewer", "ae_title": "VIEWER", "host": "127.0.0.1", "port": viewer, "allow": ["find", "move", "get"]},
    ]
    gateway, _ = start_pair(
        peers=peers, processes=1, metrics={"port": metrics}, log={"format": "json", "level": "debug"}
    )
    gateway.metrics_port = metrics  # type: ignore[attr-defined]
    with storescp(tmp_path / "viewer", viewer):
        seen = list(live(gateway, tmp_path))
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGABRT)  # a crash that leaves what every thread was doing in the log
    gateway.process.wait(timeout=60)
    gateway.process = None
    assert "most recent call first" in gateway.said()
    seen.append(("log", gateway.said().encode()))

    audited = b"".join(path.read_bytes() for path in (gateway.state / "audit").iterdir())
    assert HETU.encode() in audited, "the search finds what is there"
    assert [found for found in telltales(audited) if found != HETU] == []
    everything = [path for path in gateway.state.rglob("*") if not path.is_symlink()]
    for path in everything:
        inside = path.relative_to(gateway.state)
        seen.append(("file name", str(inside).encode()))
        if path.is_file() and inside.parts[0] not in (*MAY_KNOW, "audit"):
            seen.append((str(inside), path.read_bytes()))
    assert [(where, found) for where, content in seen if (found := telltales(content))] == []

    modes = {path: path.stat().st_mode & 0o777 for path in (gateway.state, *everything)}
    assert [path for path, mode in modes.items() if mode & 0o077] == []
    assert list(wide_open.iterdir()) == []
