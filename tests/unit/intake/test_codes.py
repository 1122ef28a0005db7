"""Code lists from files into a real catalog, and the starter list wherever it is installed."""

from __future__ import annotations

import configparser
import time
from datetime import date
from pathlib import Path

import pytest

from kuva_gateway.catalog import codes as catalog_codes
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.clinical.code_list import CodeListError
from kuva_gateway.errors import CatalogUnavailableError, NotFoundError
from kuva_gateway.intake import codes as intake_codes
from kuva_gateway.intake.codes import import_codes, load_starter_codes
from kuva_gateway.intake.shipped import INSTALLED, STARTER_CODES, shipped_file
from tests.support import ROOT, shared_data

HEADER = "CodeId;LongName;BeginningDate;ExpiringDate;A:Korvaava koodi;A:Radiologia"


def write(folder: Path, *rows: str) -> Path:
    path = folder / "codes.csv"
    path.write_text("\n".join((HEADER, *rows)), encoding="iso-8859-1")
    return path


def counts(done: intake_codes.CodeImport) -> tuple[int, int, int, int, int]:
    return done.added, done.changed, done.ended, done.unchanged, len(done.bad)


def test_an_import_adds_changes_ends_and_leaves_alone(catalog: Catalog, tmp_path: Path) -> None:
    first = write(
        tmp_path,
        "GD1AA;Yksi;01.01.1999;31.12.2030;;T",
        "GD1BD;Kaksi;01.01.1999;31.12.2030;;T",
        "GD1AD;Kolme;01.01.1999;31.12.2030;;T",
    )
    assert counts(import_codes(catalog, first)) == (3, 0, 0, 0, 0)
    second = write(
        tmp_path,
        "GD1AA;Yksi;01.01.1999;31.12.2030;;T",
        "GD1BD;Kaksi;01.01.1999;31.12.2021;GD1AD;T",
        "GD1AD;Kolmas;01.01.1999;31.12.2030;;T",
        "AA1AD;Neljä;01.01.1999;31.12.2030;;T",
    )
    assert counts(import_codes(catalog, second)) == (1, 1, 1, 1, 0)
    (period,) = catalog_codes.periods(catalog, "GD1BD")
    assert (period.valid_to, period.replaced_by) == (date(2021, 12, 31), ("GD1AD",))


def test_bad_rows_are_left_out_and_reported(catalog: Catalog, tmp_path: Path) -> None:
    done = import_codes(catalog, write(tmp_path, "GD1AA;Yksi;01.01.1999;31.12.2030;;T", "GD1BD;x;eilen;;;T"))
    assert counts(done) == (1, 0, 0, 0, 1)
    assert (done.bad[0].line, done.bad[0].why) == (3, "BeginningDate is not a date")


def test_strict_imports_nothing_when_a_row_is_bad(catalog: Catalog, tmp_path: Path) -> None:
    path = write(tmp_path, "GD1AA;Yksi;01.01.1999;31.12.2030;;T", "GD1BD;x;eilen;;;T")
    assert counts(import_codes(catalog, path, strict=True)) == (0, 0, 0, 0, 1)
    assert catalog_codes.count(catalog) == 0


def test_a_file_that_is_no_code_list_changes_nothing(catalog: Catalog, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(CodeListError, match="x: not a code list"):
        import_codes(catalog, path)
    with pytest.raises(CodeListError, match="cannot be read: Is a directory"):
        import_codes(catalog, tmp_path)
    assert catalog_codes.count(catalog) == 0


def test_a_file_beyond_the_bound_is_not_read(catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_codes, "MAXIMUM_BYTES", 10)
    with pytest.raises(CodeListError, match="longer than 10 bytes"):
        import_codes(catalog, write(tmp_path, "GD1AA;Yksi;01.01.1999;31.12.2030;;T"))


def test_nothing_is_imported_while_the_catalog_is_locked(tmp_path: Path) -> None:
    catalog = Catalog.open(None, tmp_path / "catalog.sqlite", busy_timeout=0.05)
    other = Catalog.open(None, tmp_path / "catalog.sqlite")
    try:
        with other.write(), pytest.raises(CatalogUnavailableError):
            import_codes(catalog, write(tmp_path, "GD1AA;Yksi;01.01.1999;31.12.2030;;T"))
        assert catalog_codes.count(catalog) == 0
    finally:
        other.close()
        catalog.close()


def test_the_official_export_is_in_the_catalog_well_within_five_seconds(catalog: Catalog) -> None:
    started = time.process_time()
    done = import_codes(catalog, shared_data("thl-toimenpideluokitus-119.xls"))
    seconds = time.process_time() - started
    assert counts(done) == (11_801, 0, 0, 0, 0)
    assert seconds < 5
    (period,) = catalog_codes.periods(catalog, "AA1BD")
    assert (period.valid_to, period.replaced_by, period.radiology) == (date(2021, 12, 31), ("AA1AD",), True)
    assert counts(import_codes(catalog, shared_data("thl-toimenpideluokitus-119.xls"))) == (0, 0, 0, 11_801, 0)


def test_the_official_export_agrees_with_the_starter_list(catalog: Catalog) -> None:
    load_starter_codes(catalog)
    laboratory = 10
    done = import_codes(catalog, shared_data("thl-toimenpideluokitus-119.xls"))
    assert done.changed == done.ended == 0
    assert done.unchanged == catalog_codes.count(catalog) - done.added - laboratory


def test_the_starter_list_goes_into_an_empty_catalog_only(catalog: Catalog, tmp_path: Path) -> None:
    done = load_starter_codes(catalog)
    assert done is not None
    assert done.added == catalog_codes.count(catalog) > 100
    assert load_starter_codes(catalog, write(tmp_path, "ZZ9ZZ;x;01.01.1999;31.12.2030;;T")) is None
    assert catalog_codes.periods(catalog, "ZZ9ZZ") == ()


def test_in_a_checkout_the_starter_list_is_beside_the_package() -> None:
    assert shipped_file(STARTER_CODES, prefixes=()) == ROOT / "conf" / STARTER_CODES


def test_installed_the_starter_list_is_under_share(tmp_path: Path) -> None:
    package = tmp_path / "site-packages" / "kuva_gateway"
    package.mkdir(parents=True)
    (package.parent / "conf").mkdir()
    (package.parent / "conf" / STARTER_CODES).write_text("somebody else's")
    installed = tmp_path / "prefix" / INSTALLED / STARTER_CODES
    installed.parent.mkdir(parents=True)
    installed.write_text("ours")
    prefixes = (tmp_path / "none", tmp_path / "prefix")
    assert shipped_file(STARTER_CODES, package=package, prefixes=prefixes) == installed


def test_a_starter_list_that_was_not_installed_is_missed_by_name(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=STARTER_CODES):
        shipped_file(STARTER_CODES, package=tmp_path / "kuva_gateway", prefixes=(tmp_path,))


def test_setup_installs_every_shipped_file_where_it_is_looked_for() -> None:

    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    files = setup["options.data_files"][str(INSTALLED)].split()
    assert f"conf/{STARTER_CODES}" in files
    assert all((ROOT / file).is_file() for file in files)
