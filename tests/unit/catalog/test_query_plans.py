"""What the daemon asks every second, and what people ask often, reads no table from end to end (SQLite)."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kuva_gateway.catalog import commitments, entries, flow, studies
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.figures import unarchived_bytes
from kuva_gateway.catalog.reconcile import reconcile
from kuva_gateway.catalog.records import DestinationPlan
from kuva_gateway.catalog.session import Session
from kuva_gateway.catalog.stats import stats

NOW = datetime(2026, 11, 22, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LARGE = r"studies|s|instances|i|entries|e|ledger|l|history|h|receipts|fact_sets|series|commitments|c|findings|f"
ASKED: dict[str, Callable[[Catalog], Any]] = {
    "unsettled studies": lambda catalog: studies.unsettled(catalog, NOW, MINUTE, 60 * MINUTE),
    "studies to judge": lambda catalog: studies.to_judge(catalog, 200),
    "an entry that is due": lambda catalog: entries.claim(catalog, "archive", NOW, MINUTE, "worker"),
    "when the next one is due": lambda catalog: entries.next_due(catalog, "archive"),
    "overdue commitments": lambda catalog: commitments.overdue(catalog, "archive", NOW, limit=10),
    "figures": stats,
    "bytes that wait for the archive": unarchived_bytes,
    "the flow of a day": lambda catalog: flow.flow(catalog, NOW),
    "what a rule holds": lambda catalog: flow.held(catalog, "DOC-02", 100),
    "what has a number": lambda catalog: flow.found(catalog, "A1", 100),
    "the newest studies": studies.listing,
    "held studies": lambda catalog: studies.listing(catalog, state="held"),
    "studies of a peer": lambda catalog: studies.listing(catalog, peer="ct1"),
    "studies of an order": lambda catalog: studies.listing(catalog, accession="A1"),
    "studies by rule": lambda catalog: studies.listing(catalog, rule="DOC-02"),
    "entries in line": lambda catalog: entries.listing(catalog, state="queued"),
    "what the configuration changes": lambda catalog: reconcile(catalog, [DestinationPlan(name="archive")]),
}
IN_ORDER = ("unsettled studies", "studies to judge", "an entry that is due")
"""These may not sort what they find either: it can be all that there is."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[Any, ...]]]:
    """Every statement that sessions run."""
    run = Session.execute
    seen: list[tuple[str, tuple[Any, ...]]] = []

    def execute(session: Session, sql: str, *values: Any) -> Any:
        seen.append((sql, values))
        return run(session, sql, *values)

    monkeypatch.setattr(Session, "execute", execute)
    return seen


def plan(catalog: Catalog, statements: list[tuple[str, tuple[Any, ...]]]) -> list[str]:
    with catalog.read() as session:
        return [
            row["detail"]
            for sql, values in list(statements)
            if sql.lstrip().startswith("SELECT")
            for row in session.rows(f"EXPLAIN QUERY PLAN {sql}", *values)
        ]


@pytest.mark.parametrize("question", ASKED)
def test_no_large_table_is_read_from_end_to_end(
    question: str, tmp_path: Path, asked: list[tuple[str, tuple[Any, ...]]]
) -> None:
    with closing(Catalog.open(None, tmp_path / "catalog.sqlite")) as catalog:
        asked.clear()
        ASKED[question](catalog)
        steps = plan(catalog, asked)
    assert steps
    # An index that is walked in order until enough is found, or that has only what is open, is no such reading.
    walked = {"studies_last_arrival", "studies_to_judge", "studies_unarchived", "entries_due", "entries_next"}
    for step in steps:
        scan = re.match(rf"SCAN ({LARGE})\b(?: USING (?:COVERING )?INDEX (\w+))?", step)
        assert scan is None or scan[2] in walked, step
        assert question not in IN_ORDER or "TEMP B-TREE" not in step, step


def test_a_reading_from_end_to_end_would_be_noticed(tmp_path: Path, asked: list[tuple[str, tuple[Any, ...]]]) -> None:
    with closing(Catalog.open(None, tmp_path / "catalog.sqlite")) as catalog:
        with catalog.read() as session:
            asked.clear()
            session.value("SELECT SUM(bytes) FROM studies")
        assert plan(catalog, asked) == ["SCAN studies"]
