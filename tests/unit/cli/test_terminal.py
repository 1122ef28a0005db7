"""What is printed on a terminal and nowhere else: colours, and a bar while something takes long."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kuva_gateway.cli import main
from kuva_gateway.cli.invocation import Invocation
from kuva_gateway.cli.output import emit_rows, emit_table
from tests.authorizations import build_authorization
from tests.studies import document, make_study
from tests.support import ROOT

Capture = pytest.CaptureFixture[str]
ESCAPE = "\x1b["


class Screen:
    """A terminal, and what was written to it."""

    def __init__(self, columns: int = 80) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        self.file = open(theirs, "w", encoding="utf-8")  # noqa: SIM115  (closed by text)
        self._pieces: list[bytes] = []
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        try:
            while piece := os.read(self._ours, 65536):
                self._pieces.append(piece)
        except OSError:  # nobody has it open any more
            pass

    def text(self) -> str:
        """All of it; nothing can be written any more."""
        self.file.close()
        self._reading.join()
        os.close(self._ours)
        return b"".join(self._pieces).decode("utf-8")


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch, stream: str, columns: int = 80) -> Iterator[Screen]:
    """A terminal as standard output or standard error."""
    monkeypatch.setenv("TERM", "xterm-256color")
    screen = Screen(columns)
    with monkeypatch.context() as patched:
        patched.setattr(sys, stream, screen.file)
        yield screen


@pytest.fixture(autouse=True)
def without_wishes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)


# -- bars ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gateway's folder with one study in it, and files to be taken in."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "kuva-gateway.yaml").write_text("environment: test\nspool: {minimum_free: 1MiB}\n")
    (folder / "other.yaml").write_text("environment: test\nstate_directory: other\nspool: {minimum_free: 1MiB}\n")
    study = make_study(accession="BAR-1")
    study.write(folder / "images")
    (folder / "request.xml").write_bytes(document(study, "request"))
    (folder / "authorization.xml").write_bytes(build_authorization())
    (folder / "codes.csv").write_bytes((ROOT / "conf" / "procedure-codes.csv").read_bytes())
    assert main(["receive", str(folder / "images"), "--config", str(folder / "kuva-gateway.yaml")]) == 0
    assert main(["backup", str(folder / "backup"), "--config", str(folder / "kuva-gateway.yaml")]) == 0
    return folder


LONG = {
    "receive images": "receiving",
    "check images": "reading",
    "codes import codes.csv": "reading the code list",
    "documents import request.xml": "importing",
    "authorizations import authorization.xml": "importing",
    "spool verify": "verifying",
    "audit verify": "verifying",
    "backup backup": "images",
    "restore backup --config other.yaml": "files",
    "catalog rebuild": "rebuilding",
}


@pytest.mark.parametrize("line", LONG)
def test_long_work_shows_a_bar_on_a_terminal_and_its_result_stays_alone(
    line: str, site: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(site)
    with terminal(monkeypatch, "stderr") as screen:
        main(["--config", "kuva-gateway.yaml", *line.split(), "--json"])
    shown = screen.text()
    assert LONG[line] in shown, shown
    assert ESCAPE in shown
    json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("line", [line for line in LONG if not line.startswith("restore")])
def test_where_no_terminal_is_there_is_no_bar(
    line: str, site: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(site)
    monkeypatch.setenv("FORCE_COLOR", "1")
    main(["--config", "kuva-gateway.yaml", *line.split()])
    captured = capsys.readouterr()
    assert ESCAPE not in captured.out + captured.err
    assert LONG[line] not in captured.err


# -- colours ---------------------------------------------------------------------------------------------------------


def table() -> None:
    emit_table(["study", "state"], [["1.2.3", "failed"], ["1.2.4", "[red]held"]])


def test_a_table_on_a_terminal_has_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch, "stdout") as screen:
        table()
    assert re.search(r"\x1b\[[0-9;]*31m *failed", screen.text())


def test_a_table_in_a_pipe_is_plain_and_its_cells_are_no_markup(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    table()
    shown = capsys.readouterr().out
    assert ESCAPE not in shown
    assert "[red]held" in shown


def test_who_wants_no_colours_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    with terminal(monkeypatch, "stdout") as screen:
        table()
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", screen.text())


@pytest.mark.parametrize(("wish", "colours"), [("", True), ("1", False)])
def test_the_doctor_has_colours_on_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wish: str, colours: bool
) -> None:
    (tmp_path / "a.yaml").write_text("environment: test\n")
    monkeypatch.setenv("NO_COLOR", wish)
    with terminal(monkeypatch, "stdout") as screen:
        main(["doctor", "--no-calls", "--config", str(tmp_path / "a.yaml")])
    assert (ESCAPE in screen.text()) is colours


def test_the_doctor_has_none_in_a_pipe(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "a.yaml").write_text("environment: test\n")
    main(["doctor", "--no-calls", "--config", str(tmp_path / "a.yaml")])
    assert ESCAPE not in capsys.readouterr().out


# -- width -----------------------------------------------------------------------------------------------------------

UID = "2.25." + "7" * 50
WHY = "the archive did not answer within a minute, which it does when it is being mended"
MOMENT = "2026-11-24T02:28:41.172085Z"


def entries() -> None:
    headings = [("id", "entry"), ("uid", "study"), ("at", "next attempt"), ("empty", "remedy"), ("why", "why")]
    rows = [{"id": number, "uid": UID, "at": MOMENT, "empty": None, "why": WHY} for number in (1, 2)]
    emit_rows(Invocation(), rows, headings)


def seen(monkeypatch: pytest.MonkeyPatch, columns: int) -> list[str]:
    with terminal(monkeypatch, "stdout", columns) as screen:
        entries()
    return [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", screen.text()).splitlines()]


def test_where_there_is_room_each_row_is_a_line_and_running_text_is_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = seen(monkeypatch, 140)
    assert sum(UID in line and "2026-11-24 02:28:41Z" in line for line in lines) == 2
    assert max(map(len, lines)) <= 140
    assert "remedy" in lines[1]


def test_an_empty_column_gives_way_first(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = seen(monkeypatch, 124)
    assert sum(UID in line for line in lines) == 2
    assert "remedy" not in lines[1]
    assert max(map(len, lines)) <= 124


@pytest.mark.parametrize("columns", [40, 80])
def test_on_a_narrow_terminal_each_row_is_told_line_by_line_and_nothing_is_torn(
    monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    lines = seen(monkeypatch, columns)
    first = [
        "entry         1",
        f"study         {UID}",
        "next attempt  2026-11-24 02:28:41Z",
        f"why           {WHY}",
        "",
    ]
    assert lines[:5] == first
    assert len(lines) == 10


def test_in_a_pipe_each_row_is_one_line_whatever_its_length(capsys: Capture) -> None:
    entries()
    lines = capsys.readouterr().out.splitlines()
    assert sum(UID in line and WHY in line for line in lines) == 2
