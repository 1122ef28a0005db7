"""A catalog that the script fills is the one that the gateway would have written for the same images and events."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from stdnum.fi import hetu as stdnum_hetu

from kuva_gateway.catalog import commitments, entries, studies
from kuva_gateway.catalog.batch import Item, write_batch
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.records import AttemptRecord, DestinationPlan, FindingRecord
from kuva_gateway.catalog.session import moment
from kuva_gateway.catalog.stats import stats
from kuva_gateway.cli.main import main
from kuva_gateway.dicom.header import Header
from kuva_gateway.spool.receipt import Arrival, Receipt
from tests.conftest import OpenCatalog
from tests.studies import load_script

for _name in ("synthetic_modalities", "synthetic_patients", "synthetic_studies", "catalog_rows"):
    load_script(_name)
script = load_script("fill_catalog")
COLUMNS: dict[str, tuple[str, ...]] = load_script("catalog_rows").COLUMNS
plan = load_script("synthetic_studies").plan
UNTIL = date(2026, 11, 1)
ARCHIVE = DestinationPlan(name="national-archive")


def rows_of(catalog: Catalog) -> dict[str, list[dict[str, Any]]]:
    with catalog.read() as session:
        rows = {table: session.rows(f"SELECT * FROM {table} ORDER BY 1, 2, 3") for table in COLUMNS}
    rows["totals"] = [row for row in rows["totals"] if row["number"]]
    return rows


def fill(catalog: Catalog, number: int = 300, seed: int = 5) -> dict[str, list[dict[str, Any]]]:
    script.fill(catalog, seed=seed, studies=number, until=UNTIL)
    return rows_of(catalog)


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Catalog]:
    with closing(Catalog.open(None, tmp_path / "filled.sqlite")) as catalog:
        fill(catalog)
        yield catalog


# -- the gateway's own way to the same rows ----------------------------------------------------------------------------


class Replay:
    """Leads studies through the gateway's own functions, at the moments that the filled catalog tells."""

    def __init__(self, path: Path, wanted: dict[str, list[dict[str, Any]]]) -> None:
        self.at = 0
        self.wanted = wanted
        self.catalog = Catalog.open(None, path, now=lambda: moment(self.at))
        self._receipts = {row["instance_id"]: row for row in wanted["receipts"]}

    def study(self, study: Any, row: dict[str, Any]) -> None:
        """One study from its first image to where it stands."""
        history = [one for one in self.wanted["history"] if one["study_id"] == row["id"]]
        events: dict[str, Callable[[dict[str, Any], Any], None]] = {
            "arrived": lambda event, _: self._index(study, row["id"]),
            "settled": lambda event, _: self._settle(study.uid),
            "passed": lambda event, _: self._judge(study.uid, []),
            "failed": lambda event, _: self._judge(study.uid, self._findings(row["id"])),
            "rejected": lambda event, detail: studies.reject(
                self.catalog, study.uid, by=event["actor"], reason=detail["reason"]
            ),
            "claimed": lambda event, _: self._claim(event["entry_id"]),
            "deferred": lambda event, _: self._defer(event["entry_id"]),
            "delivered": lambda event, _: self._deliver(event["entry_id"]),
            "committed": lambda event, _: self._commit(event["entry_id"]),
            "all_complete": lambda event, _: None,  # with the commitment
        }
        for event in history:
            self.at = event["at"]
            events[event["event"]](event, json.loads(event["detail"]))

    def _index(self, study: Any, study_id: int) -> None:
        rows = iter([one for one in self.wanted["instances"] if one["study_id"] == study_id])
        items = []
        for series in study.series:
            for number in range(1, series.images + 1):
                row = next(rows)
                header: Header = series.header(row["uid"], number)
                receipt = self._receipts[row["id"]]
                arrival = Arrival(
                    receipt=Receipt(
                        time_ns=receipt["time_ns"], association=receipt["association"], number=receipt["number"]
                    ),
                    peer=row["peer"],
                    digest=bytes(row["digest"]).hex(),
                    path=Path("none"),
                    size=row["size"],
                )
                items.append(Item(arrival, header))
        assert next(rows, None) is None
        with self.catalog.write() as session:
            write_batch(session, items, duplicates="newest")

    def _settle(self, uid: str) -> None:
        assert studies.settle(self.catalog, uid, 1)

    def _findings(self, study_id: int) -> list[FindingRecord]:
        return [
            FindingRecord(
                rule=row["rule"],
                severity=row["severity"],
                where=row["place"],
                message=row["message"],
                remedy=row["remedy"],
            )
            for row in self.wanted["findings"]
            if row["study_id"] == study_id
        ]

    def _judge(self, uid: str, findings: list[FindingRecord]) -> None:
        view = studies.view(self.catalog, uid)
        assert studies.record_verdict(self.catalog, view, not findings, findings, [ARCHIVE])

    def _claim(self, entry_id: int) -> None:
        later = moment(self.at + 60_000_000)
        entry = entries.claim(self.catalog, ARCHIVE.name, moment(self.at), later - moment(self.at), "worker")
        assert entry is not None
        assert entry.id == entry_id

    def _attempt(self, entry_id: int) -> AttemptRecord:
        (row,) = [one for one in self.wanted["attempts"] if one["entry_id"] == entry_id and one["ended_at"] == self.at]
        names = ("outcome", "scope", "code", "meaning", "comment", "sent", "warnings", "failed")
        return AttemptRecord(
            started_at=moment(row["started_at"]),
            ended_at=moment(row["ended_at"]),
            **{name: row[name] for name in names},
        )

    def _defer(self, entry_id: int) -> None:
        due = next(
            one["at"]
            for one in self.wanted["history"]
            if one["entry_id"] == entry_id and one["event"] == "claimed" and one["at"] > self.at
        )
        entries.defer(self.catalog, entry_id, moment(due), self._attempt(entry_id))

    def _deliver(self, entry_id: int) -> None:
        entry = entries.find(self.catalog, entry_id)
        assert entry is not None
        pending = [one.instance_id for one in entries.pending_instances(self.catalog, entry)]
        entries.mark_sent(self.catalog, entry_id, pending, moment(self.at))
        entries.delivered(self.catalog, entry_id, self._attempt(entry_id))
        (asked,) = [one for one in self.wanted["commitments"] if one["entry_id"] == entry_id]
        self.at = asked["asked_at"]
        commitments.ask(self.catalog, entry_id, asked["transaction_uid"], pending, moment(self.at))

    def _commit(self, entry_id: int) -> None:
        (asked,) = [one for one in self.wanted["commitments"] if one["entry_id"] == entry_id]
        record = commitments.find(self.catalog, asked["transaction_uid"])
        assert record is not None
        committed = [(one.sop_class, one.sop_instance) for one in record.waiting]
        commitments.record_result(self.catalog, record.transaction_uid, ARCHIVE.name, committed, [], moment(self.at))


def test_the_rows_are_those_that_the_gateway_writes_for_the_same_images_and_events(tmp_path: Path) -> None:
    number = 120
    with closing(Catalog.open(None, tmp_path / "filled.sqlite")) as catalog:
        wanted = fill(catalog, number)
    assert {row["state"] for row in wanted["studies"]} == {
        "receiving",
        "settled",
        "accepted",
        "held",
        "rejected",
        "archived",
    }
    replay = Replay(tmp_path / "replayed.sqlite", wanted)
    with closing(replay.catalog):
        planned = plan(5, UNTIL, studies=number, series=number * 5 // 2, instances=number * 5)
        for study, row in zip(planned, wanted["studies"], strict=True):
            replay.study(study, row)
        made = rows_of(replay.catalog)
    for table in COLUMNS:
        assert made[table] == wanted[table], table


# -- what the filled catalog promises ----------------------------------------------------------------------------------


def indexes_of(catalog: Catalog) -> list[Any]:
    query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE ? ORDER BY name"
    if catalog.postgresql:
        query = (
            "SELECT conname AS name, pg_get_constraintdef(oid) AS sql FROM pg_constraint WHERE contype IN ('p', 'f') "
            "UNION SELECT indexname, indexdef FROM pg_indexes WHERE indexname NOT LIKE ? ORDER BY 1, 2"
        )
    with catalog.read() as session:
        return session.rows(query, "sqlite_stat" + "%")


def test_the_same_seed_gives_the_same_catalog_on_both_databases(
    open_catalog: OpenCatalog, filled: Catalog, tmp_path: Path
) -> None:
    catalog = open_catalog()
    schema = indexes_of(catalog)
    again = fill(catalog)
    assert indexes_of(catalog) == schema
    for table, rows in rows_of(filled).items():
        same = [{name: bytes(v) if isinstance(v, memoryview) else v for name, v in row.items()} for row in again[table]]
        assert same == rows, table
    with closing(Catalog.open(None, tmp_path / "other.sqlite")) as other:
        assert fill(other, seed=6)["instances"] != again["instances"]


def test_totals_are_those_asked_for(filled: Catalog) -> None:
    figures = stats(filled)
    with filled.read() as session:
        assert sum(figures["studies"].values()) == session.value("SELECT COUNT(*) FROM studies") == 300
        assert session.value("SELECT COUNT(*) FROM series") == 750
        assert figures["instances"] == session.value("SELECT COUNT(*) FROM instances") == 1500
        assert figures["bytes"] == session.value("SELECT SUM(size) FROM instances")
        assert session.value("SELECT COUNT(*) FROM receipts") == 1500


def test_summaries_are_what_the_images_add_up_to(filled: Catalog) -> None:
    counted = (
        "SELECT s.id FROM studies s JOIN (SELECT study_id, COUNT(*) AS n, COUNT(DISTINCT series_id) AS series, "
        "SUM(size) AS bytes, MIN(received_at) AS first, MAX(received_at) AS last FROM instances GROUP BY study_id) i "
        "ON i.study_id = s.id AND i.n = s.instances AND i.series = s.series AND i.bytes = s.bytes "
        "AND i.first = s.first_arrival AND i.last = s.last_arrival"
    )
    with filled.read() as session:
        assert len(session.rows(counted)) == 300


def test_sqlite_finds_nothing_wrong_with_it(filled: Catalog) -> None:
    with filled.read() as session:
        assert session.value("PRAGMA integrity_check") == "ok"
        assert session.rows("PRAGMA foreign_key_check") == []
        assert session.value("PRAGMA journal_mode") == "wal"
        assert session.value("PRAGMA synchronous") == 2


def test_the_gateway_goes_on_where_the_filled_catalog_ends(open_catalog: OpenCatalog) -> None:
    catalog = open_catalog()
    fill(catalog, 60)
    with catalog.read() as session:
        uid = session.value("SELECT uid FROM studies WHERE state = 'settled'")
    view = studies.view(catalog, uid)
    assert studies.record_verdict(catalog, view, True, [], [ARCHIVE])
    assert [entry["state"] for entry in studies.show(catalog, uid)["entries"]] == ["queued"]


def test_nobodys_identity_code_is_used(filled: Catalog) -> None:
    with filled.read() as session:
        codes = {row["patient_id"] for row in session.rows("SELECT patient_id FROM studies")}
    assert len(codes) > 80
    assert all(stdnum_hetu.is_valid(code, allow_temporary=True) and code[7] == "9" for code in codes)


def test_a_catalog_that_holds_studies_is_not_filled(filled: Catalog) -> None:
    with pytest.raises(ValueError, match="studies already"):
        script.fill(filled, studies=10)


def test_commands_show_what_was_filled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "kuva-gateway.yaml"
    config.write_text("environment: test\nstate_directory: ./var\n")
    assert script.main(["--config", str(config), "--studies", "50"]) == 0
    capsys.readouterr()

    def ask(*words: str) -> Any:
        assert main([*words, "--json", "--config", str(config)]) == 0
        return json.loads(capsys.readouterr().out)

    assert len(ask("studies", "list")) == 50
    assert sum(ask("stats")["studies"].values()) == 50
    shown = ask("studies", "show", ask("studies", "list", "--state", "archived")[0]["study_instance_uid"])
    assert shown["entries"][0]["state"] == "archived"
    assert shown["entries"][0]["committed"] == shown["instances"]
    told = [event["event"] for event in ask("studies", "trace", shown["study_instance_uid"])]
    assert told[:2] == ["arrived", "settled"]
    assert told[-1] == "all_complete"
