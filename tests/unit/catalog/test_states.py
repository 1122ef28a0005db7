"""Every state and every event: what the tables know happens with its history, everything else is refused."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from kuva_gateway.catalog import states
from kuva_gateway.catalog.states import ENTRY, LEDGER, STUDY, apply, move_ledger
from kuva_gateway.errors import NotFoundError, StateError
from tests.unit.catalog.making import Hospital

Table = Mapping[tuple[str, str], str]


def pairs(table: Table) -> list[tuple[str, str]]:
    """Every state of a table with every event that it knows anywhere."""
    known = sorted({state for state, _ in table} | set(table.values()))
    return list(itertools.product(known, sorted({event for _, event in table})))


def put(hospital: Hospital, table: str, state: str) -> int:
    """Put the only row of ``table`` into ``state``, by the back door; returns its id."""
    hospital.by_hand = True
    with hospital.catalog.write() as session:
        session.execute(f"UPDATE {table} SET state = ?", state)
        return int(session.value(f"SELECT id FROM {table}"))


def check(hospital: Hospital, what: str, table: str, known: Table) -> None:
    for state, event in pairs(known):
        row_id = put(hospital, table, state)
        before = hospital.column("SELECT COUNT(*) FROM history")[0]
        expected = known.get((state, event))
        if expected is None:
            with pytest.raises(StateError), hospital.catalog.write() as session:
                apply(session, what, row_id, event)
            expected = state
        else:
            with hospital.catalog.write() as session:
                assert apply(session, what, row_id, event, by="anna", detail={"reason": "r"}) == expected
            newest = hospital.rows("SELECT * FROM history ORDER BY id DESC")[0]
            assert (newest["what"], newest["from_state"], newest["event"], newest["to_state"], newest["actor"]) == (
                *(what, state, event, expected),
                "anna",
            )
            before += 1
        assert hospital.column(f"SELECT state FROM {table}") == [expected], (state, event)
        assert hospital.column("SELECT COUNT(*) FROM history")[0] == before, (state, event)


def test_studies_follow_their_table(hospital: Hospital) -> None:
    hospital.send()
    assert len(pairs(STUDY)) == 80
    check(hospital, "study", "studies", STUDY)


def test_entries_follow_their_table(hospital: Hospital) -> None:
    hospital.accept()
    assert len(pairs(ENTRY)) == 9 * 13
    check(hospital, "entry", "entries", ENTRY)


def test_ledger_rows_follow_their_table(hospital: Hospital) -> None:
    hospital.accept(instances=1)
    study, instance = (hospital.column(f"SELECT {name}_id FROM ledger")[0] for name in ("study", "instance"))
    for state, event in pairs(LEDGER):
        with hospital.catalog.write() as session:
            session.execute("UPDATE ledger SET state = ?", state)
            changed = move_ledger(session, event, study, "archive", [instance])
        expected = LEDGER.get((state, event))
        assert changed == (expected is not None), (state, event)
        assert hospital.column("SELECT state FROM ledger") == [expected or state], (state, event)


def test_one_event_leads_ledger_rows_to_one_state() -> None:
    for event in {event for _, event in LEDGER}:
        assert len({LEDGER[state, known] for state, known in LEDGER if known == event}) == 1


def test_row_and_history_are_written_together_or_not_at_all(hospital: Hospital) -> None:
    hospital.send()
    study = hospital.column("SELECT id FROM studies")[0]

    def apply_and_fail() -> None:
        with hospital.catalog.write() as session:
            apply(session, "study", study, "settled")
            raise StateError("afterwards")

    before = hospital.rows("SELECT * FROM history")
    with pytest.raises(StateError):
        apply_and_fail()
    assert hospital.state() == "receiving"
    assert hospital.rows("SELECT * FROM history") == before


def test_what_is_not_there_knows_no_event(hospital: Hospital) -> None:
    with pytest.raises(NotFoundError), hospital.catalog.write() as session:
        apply(session, "study", 99, "settled")


def test_no_other_file_of_the_program_writes_a_state() -> None:
    writing = re.compile(r"UPDATE (studies|entries) SET (?:(?!WHERE)[^\"])*\bstate = ")
    assert writing.search('"UPDATE studies SET judge = 0, state = ? WHERE id = ?"')
    folder = Path(states.__file__).parent
    assert [path.name for path in folder.glob("*.py") if writing.search(path.read_text())] == []
