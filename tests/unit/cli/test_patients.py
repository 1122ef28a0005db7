"""``patients link`` and ``studies amend`` as they are typed: values never come from arguments."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from kuva_gateway.cli import main

HETU = "010594Y9032"
BY = ("--by", "anna", "--reason", "seen")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "kuva-gateway.yaml"
    path.write_text("environment: test\n")
    monkeypatch.setenv("KUVA_GATEWAY_CONFIG", str(path))
    codes = tmp_path / "codes.csv"
    codes.write_text("CodeId;LongName;BeginningDate;A:Radiologia\nGD1AD;Thoraxin TT;1.1.1997;T\n")
    assert main(["codes", "import", str(codes)]) == 0
    return path


def typed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def test_ids_are_read_from_standard_input_or_a_file(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    typed(monkeypatch, f"T-1\n{HETU}\n")
    capsys.readouterr()
    assert main(["patients", "link", *BY, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"amended": [], "delivered": []}
    ids = tmp_path / "ids.txt"
    ids.write_text(f"\ufeffT-2\r\n{HETU}\r\n", encoding="utf-8")
    assert main(["patients", "link", f"@{ids}", *BY]) == 0


@pytest.mark.parametrize(
    ("arguments", "text", "status", "says"),
    [
        (["T-1"], "", 2, "never from an argument"),
        ([], "T-1\n", 2, "expected 2 lines"),
        ([], f"{HETU}\n{HETU.lower()}\n", 1, "are the same"),
        ([], "T-1\n4711\n", 1, "needs its issuer"),
        (["--new-issuer", "HUS"], "T-1\n4711\n", 1, "no OID"),
        (["@/nowhere"], "", 1, "No such file"),
    ],
)
def test_what_cannot_be_linked_is_said_in_a_line_without_ids(
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    text: str,
    status: int,
    says: str,
) -> None:
    typed(monkeypatch, text)
    assert main(["patients", "link", *arguments, *BY]) == status
    error = capsys.readouterr().err
    assert says in error
    assert HETU not in error
    assert "4711" not in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("settings", "status", "says"),
    [
        (["PatientID=010594Y9032"], 2, "never from an argument"),
        (["PatientID"], 2, "TAG=@FILE"),
        (["PatientID=-", "PatientName=-"], 2, "only one value"),
        (["Modality=-"], 1, "may not be amended"),
        (["PatientID=-"], 1, "no study with this UID"),
    ],
)
def test_what_cannot_be_amended_is_said_in_a_line(
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    settings: list[str],
    status: int,
    says: str,
) -> None:
    typed(monkeypatch, HETU)
    options = [part for one in settings for part in ("--set", one)]
    assert main(["studies", "amend", "1.2.3", *options, *BY]) == status
    error = capsys.readouterr().err
    assert says in error
    assert len(error.strip().splitlines()) == 1


def test_config_check_names_every_fault_of_a_mapping_file_and_codes_that_are_not_listed(
    config: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    mapping = tmp_path / "ct1.csv"
    config.write_text(f"environment: test\npeers: [{{name: ct1, ae_title: CT1, code_mapping: {mapping}}}]\n")
    mapping.write_text("local;code\nA;GD1AD\nA;GD1AD\nB;x\n")
    assert main(["config", "check"]) == 2
    error = capsys.readouterr().err
    assert f"peers.ct1.code_mapping: {mapping}, line 3: the local code stands in line 2 already" in error
    assert f"{mapping}, line 4: 'x' has not the form of a national code" in error
    mapping.write_text("local;code\nA;GD1AD\nB;ZZ9ZZ\n")
    assert main(["config", "check"]) == 0
    assert f"{mapping}, line 3: the code ZZ9ZZ is not in the code list" in capsys.readouterr().err


def test_on_a_terminal_both_ids_are_asked_for(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(f"T-9\n{HETU}\n"))
    capsys.readouterr()
    assert main(["patients", "link", *BY]) == 0
    shown = capsys.readouterr()
    assert shown.out.endswith("linked: 0 studies amended, 0 delivered before\n")
    assert "old id" in shown.out + shown.err
    assert "new id" in shown.out + shown.err
