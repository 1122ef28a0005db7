"""``authorizations`` and ``providers`` as they are typed, and ``documents explain`` of what cannot be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kuva_gateway.cli import main
from kuva_gateway.intake.shipped import STARTER_CODES, shipped_file
from tests.authorizations import HETU, ORGANISER, build_authorization

BY = ("--by", "anna", "--reason", "contract ended")
OID = "1.2.246.10.1234567.19.0"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "kuva-gateway.yaml"
    path.write_text("environment: test\n")
    monkeypatch.setenv("KUVA_GATEWAY_CONFIG", str(path))
    (tmp_path / "good.xml").write_bytes(build_authorization(patient=HETU))
    (tmp_path / "bad.xml").write_bytes(build_authorization(valid=("20240102", "20240101"), without=(9,)))
    return tmp_path


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_an_import_says_each_fault_of_a_bad_file_and_takes_the_good_one(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["authorizations", "import", str(folder / "bad.xml"), str(folder / "good.xml"), "--json"]) == 1
    said = capsys.readouterr()
    assert said.err.splitlines() == [
        f"{folder / 'bad.xml'}: line 21: field 6 (the validity) ends before it starts",
        f"{folder / 'bad.xml'}: field 9 (the organiser's name) is missing",
    ]
    assert [("id" in one, "error" in one) for one in json.loads(said.out)] == [(False, True), (True, False)]
    (listed,) = printed(capsys, "authorizations", "list")
    assert listed["has_patient"] is True
    assert HETU not in json.dumps(listed)


def test_an_authorization_is_invalidated_by_somebody_for_a_reason(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["authorizations", "import", str(folder / "good.xml")]) == 0
    identifier = f"{ORGANISER}.91.2024.1"
    assert main(["authorizations", "invalidate", identifier, "--by", "anna"]) == 2
    assert printed(capsys, "authorizations", "invalidate", identifier, *BY) == {"id": identifier, "studies": 0}
    assert main(["authorizations", "invalidate", identifier, *BY]) == 1
    assert main(["authorizations", "list"]) == 0
    (listed,) = printed(capsys, "authorizations", "list")
    assert listed["invalidated"]["by"] == "anna"


def test_the_shipped_providers_are_known_before_a_daemon_ever_ran(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["codes", "import", str(shipped_file(STARTER_CODES))]) == 0  # makes the catalog
    assert len(printed(capsys, "providers", "list")) == 30
    assert printed(capsys, "providers", "set", "HUS-yhtymä", "--oid", OID)["joined"] == "2020-10-14"


def test_providers_are_added_given_oids_and_listed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    added = printed(capsys, "providers", "add", "Uusi Oy", "--joined", "2026-01-01", "--sector", "private")
    assert added == {"name": "Uusi Oy", "sector": "private", "joined": "2026-01-01", "oid": None}
    assert printed(capsys, "providers", "set", "Uusi Oy", "--oid", OID)["oid"] == OID
    assert {"name": "Uusi Oy", "sector": "private", "joined": "2026-01-01", "oid": OID} in printed(
        capsys, "providers", "list"
    )


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["set", "HUS-yhtymä"], 2, "give --oid or --joined"),
        (["set", "HUS-yhtymä", "--oid", "1.2.3"], 2, "under 1.2.246.10"),
        (["set", "Ei ole", "--oid", OID], 1, "no provider of this name"),
        (["add", " ", "--joined", "2026-01-01"], 2, "name is empty"),
        (["add", "Uusi Oy", "--joined", "1.1.2026"], 2, "--joined"),
        (["add", "Uusi Oy"], 2, "--joined"),
    ],
)
def test_what_is_wrong_about_a_provider_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, says: str
) -> None:
    assert main(["providers", "add", "Vanha Oy", "--joined", "2020-01-01"]) == 0
    capsys.readouterr()
    assert main(["providers", *arguments]) == status
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line


def test_explaining_a_file_that_is_no_document_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    huge = folder / "huge.xml"
    with huge.open("wb") as stream:
        stream.truncate(500 * 1024 * 1024)
    assert main(["documents", "explain", str(huge)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "longer than" in line
