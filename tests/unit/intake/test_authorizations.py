"""Authorizations from files into a real catalog, by command and by drop folder."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from kuva_gateway.catalog import authorizations as catalog_authorizations
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.clinical.authorizations import AuthorizationError
from kuva_gateway.errors import RefusedError
from kuva_gateway.intake.authorizations import authorization_drop_folder, import_authorization
from kuva_gateway.intake.drop_folder import DropFolder
from tests.authorizations import build_authorization

NOW = datetime(2024, 3, 4, 10, 15, tzinfo=UTC)


def write(folder: Path, data: bytes, name: str = "one.xml") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_bytes(data)
    return path


def kept(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]


def test_an_imported_file_is_in_the_catalog_and_its_bytes_are_kept(catalog: Catalog, tmp_path: Path) -> None:
    data = build_authorization()
    added = import_authorization(catalog, write(tmp_path, data), kept_in=tmp_path / "accepted", now=lambda: NOW)
    assert added.new
    assert [one["id"] for one in catalog_authorizations.listing(catalog)] == [added.id]
    assert kept(tmp_path / "accepted") == [data]


@pytest.mark.parametrize("data", [b"<a>", build_authorization(valid=("20240101", ""))])
def test_a_bad_file_changes_nothing(catalog: Catalog, tmp_path: Path, data: bytes) -> None:
    with pytest.raises(AuthorizationError):
        import_authorization(catalog, write(tmp_path, data), kept_in=tmp_path / "accepted")
    assert catalog_authorizations.listing(catalog) == []
    assert not (tmp_path / "accepted").exists()


def test_other_content_under_a_known_oid_is_refused_and_not_kept(catalog: Catalog, tmp_path: Path) -> None:
    import_authorization(catalog, write(tmp_path, build_authorization()), kept_in=tmp_path / "accepted")
    other = write(tmp_path, build_authorization(valid=("20240101", "20300101")))
    with pytest.raises(RefusedError, match="a new version with an OID of its own"):
        import_authorization(catalog, other, kept_in=tmp_path / "accepted")
    assert kept(tmp_path / "accepted") == [build_authorization()]


def dropping_into(catalog: Catalog, folder: Path) -> DropFolder:
    """The drop folder ``incoming``, with ``accepted`` and ``rejected`` beside it."""
    return authorization_drop_folder(
        catalog,
        folder / "incoming",
        kept_in=folder / "accepted",
        rejected=folder / "rejected",
        now=lambda: NOW,
    )


def test_a_dropped_file_with_faults_lies_in_the_rejected_folder_with_a_line_for_each(
    catalog: Catalog, tmp_path: Path
) -> None:
    dropping = dropping_into(catalog, tmp_path)
    write(tmp_path / "incoming", build_authorization(valid=("20240101", ""), without=(9,)), "bad.xml")
    write(tmp_path / "incoming", build_authorization(), "good.xml")
    with (tmp_path / "incoming" / "huge.xml").open("wb") as stream:
        stream.truncate(500 * 1024 * 1024)
    dropping.scan()
    outcomes = {one.path.name: one.what for one in dropping.scan()}
    assert outcomes == {"bad.xml": "rejected", "good.xml": "accepted", "huge.xml": "rejected"}
    assert len(catalog_authorizations.listing(catalog)) == 1
    assert (tmp_path / "rejected" / "bad.xml.reason").read_text().splitlines() == [
        "2024-03-04T10:15:00+00:00 line 21: field 6 (the validity) has no end",
        "field 9 (the organiser's name) is missing",
    ]
    assert "longer than 2097152 bytes" in (tmp_path / "rejected" / "huge.xml.reason").read_text()


BAD = {
    "reversed.xml": (
        build_authorization(valid=("20240102", "20240101")),
        "field 6 (the validity) ends before it starts",
    ),
    "endless.xml": (build_authorization(valid=("20240101", "")), "field 6 (the validity) has no end"),
    "truncated.xml": (build_authorization()[:-40], "the XML is not well-formed"),
    "half-utf-16.xml": (build_authorization().decode().encode("utf-16")[:-41], "the XML is not well-formed"),
    "dtd.xml": (b"<!DOCTYPE a><a/>", "a document type declaration (DTD) is not allowed"),
    "encrypted.xml": (b'<EncryptedData xmlns="http://www.w3.org/2001/04/xmlenc#"/>', "the document is encrypted"),
    "html.xml": (b"<html/>", "the root element is not ClinicalDocument"),
    "empty.xml": (b"", "the file is empty"),
}


def test_each_bad_authorization_gets_one_line_in_the_rejected_folder_and_changes_nothing(
    catalog: Catalog, tmp_path: Path
) -> None:
    dropping = dropping_into(catalog, tmp_path)
    for name, (data, _) in BAD.items():
        write(tmp_path / "incoming", data, name)
    dropping.scan()
    assert {one.path.name: one.what for one in dropping.scan()} == dict.fromkeys(BAD, "rejected")
    for name, (data, why) in BAD.items():
        (line,) = (tmp_path / "rejected" / f"{name}.reason").read_text().splitlines()
        assert why in line, name
        assert (tmp_path / "rejected" / name).read_bytes() == data
    assert kept(tmp_path / "incoming") == []
    assert not (tmp_path / "accepted").exists()
    assert catalog_authorizations.listing(catalog) == []
