"""Documents from files into a real catalog."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kuva_gateway.catalog import documents as catalog_documents
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.clinical.document_profile import Profile
from kuva_gateway.clinical.documents import DocumentError
from kuva_gateway.errors import CatalogUnavailableError, RefusedError
from kuva_gateway.intake.documents import document_drop_folder, import_document, keep
from kuva_gateway.intake.drop_folder import DropFolder
from tests.authorizations import build_authorization
from tests.documents import build_document

NOW = datetime(2024, 3, 4, 10, 15, tzinfo=UTC)
OID = "1.2.246.10.99999984.91.2024.5"


def kept(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "010516B903X.xml"
    path.write_bytes(build_document(oid=OID, study_uid="2.25.1", accession="A1"))
    return path


def test_an_imported_document_is_in_the_catalog_and_its_bytes_are_kept(
    catalog: Catalog, file: Path, tmp_path: Path
) -> None:
    added = import_document(catalog, file, kept_in=tmp_path / "accepted", now=lambda: NOW)
    assert (added.id, added.new) == (OID, True)
    shown = catalog_documents.show(catalog, OID)
    assert (shown["kind"], shown["version"], shown["ready"]) == ("request", 1, True)
    assert shown["received_at"].startswith("2024-03-04T10:15:00")
    (copy,) = kept(tmp_path / "accepted")
    assert copy.read_bytes() == file.read_bytes()
    assert file.exists()


def test_the_kept_files_name_is_made_from_the_digest_alone(catalog: Catalog, file: Path, tmp_path: Path) -> None:
    import_document(catalog, file, kept_in=tmp_path / "accepted")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    (copy,) = kept(tmp_path / "accepted")
    assert copy == tmp_path / "accepted" / digest[:2] / f"{digest}.xml"
    assert copy.stat().st_mode & 0o777 == 0o600


def test_the_same_document_again_changes_nothing(catalog: Catalog, file: Path, tmp_path: Path) -> None:
    import_document(catalog, file, kept_in=tmp_path / "accepted")
    again = import_document(catalog, file, kept_in=tmp_path / "accepted")
    assert not again.new
    assert len(kept(tmp_path / "accepted")) == 1
    assert len(catalog_documents.listing(catalog)) == 1


def test_a_new_version_supersedes_the_old_one(catalog: Catalog, file: Path, tmp_path: Path) -> None:
    import_document(catalog, file, kept_in=tmp_path / "accepted")
    newer = tmp_path / "newer.xml"
    newer.write_bytes(build_document(oid=f"{OID}.2", set_id=OID, version=2, replaces=OID))
    added = import_document(catalog, newer, kept_in=tmp_path / "accepted")
    assert added.superseded == (OID,)
    current = {one["id"]: one["current"] for one in catalog_documents.listing(catalog)}
    assert current == {OID: False, f"{OID}.2": True}


def test_a_bad_document_changes_nothing(catalog: Catalog, tmp_path: Path) -> None:
    bad = tmp_path / "bad.xml"
    bad.write_bytes(b"<a>")
    with pytest.raises(DocumentError):
        import_document(catalog, bad, kept_in=tmp_path / "accepted")
    assert catalog_documents.listing(catalog) == []
    assert not (tmp_path / "accepted").exists()


def test_a_file_that_is_away_or_too_long_is_a_document_error(catalog: Catalog, file: Path, tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="cannot be read: No such file"):
        import_document(catalog, tmp_path / "none", kept_in=tmp_path / "accepted")
    with pytest.raises(DocumentError, match="longer than 100 bytes"):
        import_document(catalog, file, kept_in=tmp_path / "accepted", profile=Profile(maximum_bytes=100))


def test_a_damaged_kept_file_is_healed_by_the_next_import(tmp_path: Path) -> None:
    data = b"<content/>"
    digest = hashlib.sha256(data).hexdigest()
    name = keep(data, digest, tmp_path)
    (tmp_path / name).write_bytes(b"damaged")
    assert keep(data, digest, tmp_path) == name
    assert (tmp_path / name).read_bytes() == data
    assert len(kept(tmp_path)) == 1


def test_a_left_over_part_of_a_broken_start_is_no_hindrance(tmp_path: Path) -> None:
    data = b"<content/>"
    digest = hashlib.sha256(data).hexdigest()
    name = keep(data, digest, tmp_path)
    (tmp_path / name).unlink()

    (tmp_path / name).with_name(f".{digest}.{os.getpid()}.part").write_bytes(b"half")
    keep(data, digest, tmp_path)
    assert [path.read_bytes() for path in kept(tmp_path)] == [data]


def folder(catalog: Catalog, root: Path) -> DropFolder:
    return document_drop_folder(
        catalog, root / "incoming", kept_in=root / "accepted", rejected=root / "rejected", now=lambda: NOW
    )


def test_dropped_documents_are_catalogued_and_leave_the_folder(catalog: Catalog, file: Path, tmp_path: Path) -> None:
    dropping = folder(catalog, tmp_path)
    file.rename(tmp_path / "incoming" / "request.xml")
    (tmp_path / "incoming" / "bad.xml").write_bytes(b"<a>\n")
    dropping.scan()
    assert {outcome.path.name: outcome.what for outcome in dropping.scan()} == {
        "request.xml": "accepted",
        "bad.xml": "rejected",
    }
    assert [one["id"] for one in catalog_documents.listing(catalog)] == [OID]
    assert kept(tmp_path / "incoming") == []
    assert len(kept(tmp_path / "accepted")) == 1
    assert "line 2: the XML is not well-formed" in (tmp_path / "rejected" / "bad.xml.reason").read_text()


def test_a_drop_after_a_stop_between_catalogue_and_removal_is_accepted_again(
    catalog: Catalog, file: Path, tmp_path: Path
) -> None:
    import_document(catalog, file, kept_in=tmp_path / "accepted")
    dropping = folder(catalog, tmp_path)
    file.rename(tmp_path / "incoming" / "request.xml")
    dropping.scan()
    assert [outcome.what for outcome in dropping.scan()] == ["accepted"]
    assert len(catalog_documents.listing(catalog)) == 1


def test_while_the_catalog_is_away_documents_wait_in_the_folder(tmp_path: Path, file: Path) -> None:
    catalog = Catalog.open(None, tmp_path / "catalog.sqlite", busy_timeout=0.05)
    other = Catalog.open(None, tmp_path / "catalog.sqlite")
    try:
        dropping = folder(catalog, tmp_path)
        dropped = file.rename(tmp_path / "incoming" / "request.xml")
        dropping.scan()
        with other.write():
            assert [outcome.what for outcome in dropping.scan()] == ["deferred"]
            with pytest.raises(CatalogUnavailableError):
                import_document(catalog, dropped, kept_in=tmp_path / "accepted")
        assert dropped.exists()
        assert [outcome.what for outcome in dropping.scan()] == ["accepted"]
        assert len(catalog_documents.listing(catalog)) == 1
    finally:
        other.close()
        catalog.close()


BILLION_LAUGHS = b'<!DOCTYPE a [<!ENTITY b "bbbb">]><ClinicalDocument xmlns="urn:hl7-org:v3">&b;</ClinicalDocument>'
BAD = {
    "empty.xml": (b"", "the file is empty"),
    "words.xml": (b"not XML at all", "line 1: the XML is not well-formed"),
    "pdf.xml": (b"%PDF-1.4", "line 1: the XML is not well-formed"),
    "html.xml": (b"<html/>", "line 1: the root element is not ClinicalDocument"),
    "encrypted.xml": (
        b'<EncryptedData xmlns="http://www.w3.org/2001/04/xmlenc#"/>',
        "line 1: the document is encrypted; only plain ones can be read",
    ),
    "dtd.xml": (b"<!DOCTYPE a><a/>", "line 1: a document type declaration (DTD) is not allowed"),
    "entities.xml": (BILLION_LAUGHS, "line 1: a document type declaration (DTD) is not allowed"),
    "truncated.xml": (build_document(oid=OID)[:-40], "the XML is not well-formed"),
    "half-utf-16.xml": (build_document(oid=OID).decode().encode("utf-16")[:-41], "the XML is not well-formed"),
    "authorization.xml": (build_authorization(), "this is a service-purchase authorization"),
}


def test_each_bad_document_gets_one_line_in_the_rejected_folder_and_changes_nothing(
    catalog: Catalog, tmp_path: Path
) -> None:
    dropping = folder(catalog, tmp_path)
    for name, (data, _) in BAD.items():
        (tmp_path / "incoming" / name).write_bytes(data)
    with (tmp_path / "incoming" / "huge.xml").open("wb") as stream:
        stream.truncate(500 * 1024 * 1024)
    dropping.scan()
    assert {one.what for one in dropping.scan()} == {"rejected"}
    for name, why in [*((name, why) for name, (_, why) in BAD.items()), ("huge.xml", "the file is longer than")]:
        (line,) = (tmp_path / "rejected" / f"{name}.reason").read_text().splitlines()
        assert why in line, name
        assert (tmp_path / "rejected" / name).exists()
    assert kept(tmp_path / "incoming") == []
    assert not (tmp_path / "accepted").exists()
    assert catalog_documents.listing(catalog) == []


def test_utf_16_is_an_encoding_like_any_other(catalog: Catalog, tmp_path: Path) -> None:
    dropping = folder(catalog, tmp_path)
    (tmp_path / "incoming" / "a.xml").write_bytes(build_document(oid=OID, encoding="UTF-16"))
    dropping.scan()
    assert [one.what for one in dropping.scan()] == ["accepted"]
    assert catalog_documents.show(catalog, OID)["kind"] == "request"


def test_other_bytes_under_a_known_oid_are_refused_and_what_was_read_before_stays(
    catalog: Catalog, file: Path, tmp_path: Path
) -> None:
    import_document(catalog, file, kept_in=tmp_path / "accepted")
    file.write_bytes(build_document(oid=OID, kind="report", study_uid="2.25.1", accession="A1"))
    with pytest.raises(RefusedError, match=f"the document {OID} is here with other content"):
        import_document(catalog, file, kept_in=tmp_path / "accepted")
    assert catalog_documents.show(catalog, OID)["kind"] == "request"
    assert len(kept(tmp_path / "accepted")) == 1
