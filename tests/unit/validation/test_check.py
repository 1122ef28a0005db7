"""``check`` on real files: what a program and a person see of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kuva_gateway.cli import main
from tests.authorizations import PRODUCER, build_authorization
from tests.studies import document, make_study

Json = Any


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "kuva-gateway.yaml"
    path.write_text(
        "environment: test\npeers: [{name: ct1, ae_title: CT1, rules: {DOC-01: warning, DOC-02: warning}}]\n"
    )
    return str(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "files"
    path.mkdir()
    return path


def put(folder: Path, study: Any, *kinds: str, **changes: Any) -> None:
    """A study's files and its documents in one folder."""
    study.write(folder / study.order.accession)
    for kind in kinds:
        (folder / f"{study.order.accession}-{kind}.xml").write_bytes(document(study, kind, **changes))


BOTH = ("request", "examination_entry")


def run(config: str, capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, Json, list[str]]:
    status = main(["check", "--json", "--config", config, *map(str, arguments)])
    printed = capsys.readouterr()
    return status, json.loads(printed.out), printed.err.splitlines()


@pytest.mark.parametrize("kind", ["ct", "mr", "ecg"])
def test_a_complete_study_passes(kind: str, config: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = make_study(kind=kind, series=2, instances=3)
    put(folder, study, *BOTH)
    status, studies, errors = run(config, capsys, folder)
    assert (status, errors) == (0, [])
    (one,) = studies
    assert one["study_instance_uid"] == study.uid
    assert one["passed"] is True
    assert one["findings"] == []
    assert one["instances"] == 6


def test_what_would_be_held_is_told_with_its_remedy_and_status_1(
    config: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(folder, make_study(accession="GOOD"), *BOTH)
    bad = make_study(accession="BAD", code="AA1BD")
    put(folder, bad, "request")
    status, studies, errors = run(config, capsys, folder)
    assert status == 1
    assert errors == ["kuva-gateway: 1 of 2 studies would be held or refused"]
    (held,) = [one for one in studies if not one["passed"]]
    assert held["study_instance_uid"] == bad.uid
    assert [one["rule"] for one in held["findings"]] == ["COD-03", "DOC-02"]
    assert set(held["findings"][0]) == {"rule", "severity", "where", "message", "remedy", "overridden"}
    assert "use AA1AD" in held["findings"][0]["message"]
    assert bad.order.hetu not in json.dumps(studies)


def test_the_same_for_people_is_a_table(config: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(folder, make_study(accession="GOOD"), *BOTH)
    put(folder, make_study(accession="BAD"), "request")
    assert main(["check", "--config", config, str(folder)]) == 1
    shown = capsys.readouterr().out
    assert "passes" in shown
    assert "DOC-02" in shown
    assert "No examination entry" in shown


def test_findings_are_told_in_the_configured_language(
    config: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(config).write_text("environment: test\nlanguage: fi\n")
    put(folder, make_study(), "request")
    _, studies, _ = run(config, capsys, folder)
    assert "tutkimusmerkintää" in studies[0]["findings"][0]["message"]


def test_a_peers_own_severities_apply_when_it_is_named(
    config: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(folder, make_study())
    assert run(config, capsys, folder)[0] == 1
    assert run(config, capsys, "--peer", "ct1", folder)[0] == 0
    assert main(["check", "--config", config, "--peer", "nobody", str(folder)]) == 1
    assert "no peer called nobody" in capsys.readouterr().err


def test_files_that_cannot_be_read_are_told_each_with_a_line(
    config: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(folder, make_study(accession="GOOD"), *BOTH)
    (folder / "notes.txt").write_text("hello")
    (folder / "broken.xml").write_text("<ClinicalDocument")
    whole = next((folder / "GOOD").iterdir()).read_bytes()
    (folder / "cut.dcm").write_bytes(whole[:1500])
    (folder / ".hidden").write_text("left alone")
    (folder / "DICOMDIR").write_text("left alone")
    status, studies, errors = run(config, capsys, folder)
    assert status == 1
    assert [one["passed"] for one in studies] == [True]
    assert len(errors) == 4
    assert [Path(line.partition(":")[0]).name for line in errors[:3]] == ["broken.xml", "cut.dcm", "notes.txt"]
    assert errors[3] == "kuva-gateway: 3 files could not be read"


def test_a_document_that_belongs_to_no_study_is_told(
    config: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(folder, make_study(), *BOTH)
    (folder / "stray.xml").write_bytes(document(make_study(accession="B9"), "request"))
    status, _, errors = run(config, capsys, folder)
    assert status == 0
    assert errors == [f"{folder / 'stray.xml'}: belongs to none of these studies"]


def test_a_file_named_twice_is_judged_once(config: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = make_study()
    put(folder, study, *BOTH)
    (image,) = (folder / study.order.accession).iterdir()
    (folder / "copy.dcm").write_bytes(image.read_bytes())
    status, studies, _ = run(config, capsys, folder, image)
    assert status == 0
    assert studies[0]["instances"] == 1


def test_other_bytes_under_one_uid_warn(config: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = make_study()
    put(folder, study, *BOTH)
    study.data_sets[0].SeriesDescription = "another object"
    study.write(folder / "again")
    status, studies, _ = run(config, capsys, folder)
    assert status == 0
    assert [one["rule"] for one in studies[0]["findings"]] == ["DUP-01"]


def test_without_images_there_is_nothing_to_judge(
    config: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "request.xml").write_bytes(document(make_study(), "request"))
    status, studies, errors = run(config, capsys, folder)
    assert (status, studies) == (1, [])
    assert errors[-1] == "kuva-gateway: there is no DICOM file to judge"


def test_nothing_is_written(config: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(folder, make_study(), *BOTH)
    before = {path: path.stat().st_mtime_ns for path in folder.parent.rglob("*")}
    run(config, capsys, folder)
    assert {path: path.stat().st_mtime_ns for path in folder.parent.rglob("*")} == before


def test_the_catalogs_code_list_goes_before_the_starter_list(
    config: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = tmp_path / "codes.csv"
    codes.write_text(
        "CodeId;Abbreviation;ShortName;LongName;BeginningDate;ExpiringDate;Status;A:Radiologia\n"
        "AA1AD;;Pään TT;Pään TT;01.01.2025;31.12.2030;1;T\n"
    )
    assert main(["codes", "import", "--config", config, str(codes)]) == 0
    capsys.readouterr()
    put(folder, make_study(), *BOTH)
    status, studies, _ = run(config, capsys, folder)
    assert status == 1
    assert "valid only from 2025-01-01" in studies[0]["findings"][0]["message"]


def test_a_producers_files_are_judged_with_the_authorizations_beside_them(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "kuva-gateway.yaml"
    path.write_text(
        f"environment: test\npeers: [{{name: clinic, ae_title: CLINIC, producer: {PRODUCER}}},"
        " {name: ct1, ae_title: CT1}]\n"
    )
    put(folder, make_study(kind="ct"), *BOTH)
    status, (one,), _ = run(str(path), capsys, folder, "--peer", "clinic")
    assert (status, [finding["rule"] for finding in one["findings"]]) == (1, ["OSV-01"])
    assert run(str(path), capsys, folder, "--peer", "ct1")[0] == 0
    first = build_authorization(valid=("20240101", "20401231"))
    (folder / "authorization.xml").write_bytes(first)
    assert run(str(path), capsys, folder, "--peer", "clinic")[0] == 0
    ended = {"oid": "1.2.246.10.99999984.10.0.91.2024.2", "replaces": "1.2.246.10.99999984.10.0.91.2024.1"}
    (folder / "ended.xml").write_bytes(build_authorization(status="5", version=2, **ended))
    status, (one,), _ = run(str(path), capsys, folder, "--peer", "clinic")
    assert (status, [finding["rule"] for finding in one["findings"]]) == (1, ["OSV-01"])


def test_the_configured_content_classes_hold_what_is_not_open_yet(
    config: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "classes.yaml").write_text(
        "classes:\n  - {id: ct, name: {en: CT, fi: TT}, codes: ['????D'], open_from: 2999-01-01}\n"
    )
    with Path(config).open("a") as stream:
        stream.write(f"archive: {{content_classes: {tmp_path / 'classes.yaml'}}}\n")
    put(folder, make_study(), *BOTH)
    status, studies, _ = run(config, capsys, folder)
    assert status == 1
    assert [one["rule"] for one in studies[0]["findings"]] == ["CON-01"]
    assert "opens on 2999-01-01" in studies[0]["findings"][0]["message"]


def test_a_fault_in_the_content_classes_is_told_with_file_and_line(
    config: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "classes.yaml").write_text("classes:\n  - {id: ct, name: {en: CT, fi: TT}, codes: ['x']}\n")
    with Path(config).open("a") as stream:
        stream.write(f"archive: {{content_classes: {tmp_path / 'classes.yaml'}}}\n")
    put(folder, make_study(), *BOTH)
    assert main(["check", "--config", config, str(folder)]) == 2
    said = capsys.readouterr().err
    assert "classes.yaml: line 2" in said
    assert "no pattern of codes" in said
    assert main(["config", "check", "--config", config]) == 2
    assert "archive.content_classes" in capsys.readouterr().err
