"""The catalog made again from the spool alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kuva_gateway.catalog import patients, studies
from kuva_gateway.catalog import rebuild as rebuilding
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.decisions_kept import read_kept, write_kept
from kuva_gateway.catalog.recalled import Recalled
from kuva_gateway.catalog.records import RebuildSummary
from kuva_gateway.errors import StateError
from kuva_gateway.journal import Journal
from kuva_gateway.spool import Spool
from tests.unit.catalog.making import HETU, Hospital

SAME = ("study_instance_uid", "patient_id", "accession_number", "modalities", "series", "instances", "bytes")


def summary(catalog: Catalog) -> list[dict[str, object]]:
    rows = [{name: study[name] for name in SAME} for study in studies.listing(catalog)]
    return sorted(rows, key=lambda row: str(row["study_instance_uid"]))


def rebuild(url: None, path: Path, spool: Spool, **keywords: Any) -> RebuildSummary:
    """Without a journal."""
    with Recalled(Journal(path.with_name("journal")), path.with_name("recalled.sqlite")) as recalled:
        return rebuilding.rebuild(url, path, spool, recalled, **keywords)


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return tmp_path / "new.sqlite3"


def test_a_rebuilt_catalog_knows_what_is_stored_and_what_waits(hospital: Hospital, new: Path) -> None:
    hospital.accept("1.2.1", instances=3)
    hospital.send("1.2.2")
    hospital.receive("1.2.2", instance=9, peer="ct2")
    seen: list[int] = []
    found = rebuild(None, new, hospital.spool, progress=seen.append)
    assert (found.instances, found.studies, found.arrivals, found.bad) == (5, 2, 1, ())
    assert seen == [5]
    hospital.receive("1.2.2", instance=9, peer="ct2")
    hospital.index()
    catalog = Catalog.open(None, new)
    try:
        assert summary(catalog) == summary(hospital.catalog)
        assert {study["state"] for study in studies.listing(catalog)} == {"receiving"}
        with catalog.read() as session:
            assert session.value("SELECT COUNT(*) FROM receipts") == 1
            assert {row["peer"] for row in session.rows("SELECT peer FROM instances")} == {"", "ct2"}
    finally:
        catalog.close()
    assert list(hospital.spool.arrivals()) == []


def test_a_file_that_cannot_be_read_is_told_and_stops_nothing(hospital: Hospital, new: Path) -> None:
    hospital.send(instances=3)
    digest = next(iter(hospital.spool.instances()))
    path = hospital.spool.instance_path(digest)
    path.chmod(0o600)
    path.write_bytes(b"rust")
    found = rebuild(None, new, hospital.spool)
    assert (found.instances, list(found.bad)) == (2, [digest])


def test_a_catalog_that_holds_studies_is_not_built_over(hospital: Hospital, new: Path) -> None:
    hospital.send()
    rebuild(None, new, hospital.spool)
    with pytest.raises(StateError):
        rebuild(None, new, hospital.spool)


def test_of_two_objects_with_one_uid_the_later_file_counts(hospital: Hospital, new: Path) -> None:
    import os

    first, _ = hospital.receive(ImageComments="FIRST")
    hospital.index()
    second, _ = hospital.receive(ImageComments="SECOND")
    hospital.index()
    for when, arrival in ((1, first), (2, second)):
        os.utime(hospital.spool.instance_path(arrival.digest), (when, when))
    rebuild(None, new, hospital.spool)
    catalog = Catalog.open(None, new)
    with catalog.read() as session:
        current = session.value("SELECT digest FROM instances WHERE current = 1")
    catalog.close()
    assert bytes(current).hex() == second.digest


def test_amendments_and_links_of_people_are_carried_over(hospital: Hospital, new: Path) -> None:
    hospital.send("1.2.1", PatientID="T-1")
    studies.amend(hospital.catalog, "1.2.1", {"AccessionNumber": "B7"}, by="anna", reason="typed wrongly")
    patients.link(hospital.catalog, "T-1", {"PatientID": HETU}, by="anna", reason="found out")
    kept = read_kept(hospital.catalog)
    rebuild(None, new, hospital.spool)
    catalog = Catalog.open(None, new)
    try:
        assert write_kept(catalog, kept) == 3
        assert write_kept(catalog, kept) == 0
        assert summary(catalog) == summary(hospital.catalog)
        assert studies.show(catalog, "1.2.1")["amendments"] == studies.show(hospital.catalog, "1.2.1")["amendments"]
        assert studies.view(catalog, "1.2.1").links == studies.view(hospital.catalog, "1.2.1").links
    finally:
        catalog.close()
