"""The JSON objects that operators' scripts hang on (DESIGN section 7)."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from kuva_gateway.catalog import commitments, entries, studies
from kuva_gateway.catalog.shapes import iso_date
from kuva_gateway.catalog.stats import stats
from kuva_gateway.errors import NotFoundError
from tests.unit.catalog.making import ARCHIVE, CT, HETU, NOTE, Hospital


def test_a_study_has_the_members_of_the_contract(hospital: Hospital) -> None:
    hospital.send()
    hospital.settle()
    hospital.judge("1.2.1", NOTE)
    hospital.add_document()
    entry = hospital.claimed()
    entries.defer(
        hospital.catalog,
        entry.id,
        hospital.clock() + timedelta(minutes=1),
        hospital.attempt("deferred", code="A700", meaning="out of resources", comment="full"),
    )
    shown = studies.show(hospital.catalog, "1.2.1")
    size = hospital.column("SELECT SUM(size) FROM instances")[0]
    assert json.loads(json.dumps(shown)) == {
        "study_instance_uid": "1.2.1",
        "patient_id": HETU,
        "accession_number": "A1",
        "study_date": "2024-01-05",
        "modalities": ["CT"],
        "procedure_code": "GD1AD",
        "state": "accepted",
        "revision": 1,
        "series": 1,
        "instances": 2,
        "bytes": int(size),
        "peer": "ct1",
        "first_arrival": "2026-11-22T03:00:00.000000Z",
        "last_arrival": "2026-11-22T03:00:00.000000Z",
        "findings": [
            {
                "rule": "COD-04",
                "severity": "warning",
                "where": "study",
                "message": "odd scheme",
                "remedy": "",
                "overridden": None,
            }
        ],
        "documents": [
            {
                "id": "1.9.1",
                "kind": "examination_entry",
                "version": 1,
                "current": True,
                "ready": True,
                "received_at": "2026-11-22T03:00:00.000000Z",
                "linked_by": "accession",
                "invalidated": None,
            }
        ],
        "amendments": [],
        "entries": [
            {
                "id": entry.id,
                "study_instance_uid": "1.2.1",
                "destination": "archive",
                "state": "deferred",
                "revision": 1,
                "priority": 0,
                "attempts": 1,
                "created_at": "2026-11-22T03:00:00.000000Z",
                "next_attempt_at": "2026-11-22T03:01:00.000000Z",
                "first_attempt_at": "2026-11-22T02:59:59.000000Z",
                "last_attempt_at": "2026-11-22T03:00:00.000000Z",
                "last_error": {
                    "at": "2026-11-22T03:00:00.000000Z",
                    "code": "A700",
                    "meaning": "out of resources",
                    "comment": "full",
                },
                "remedy": None,
                "sent": 0,
                "committed": 0,
            }
        ],
    }
    assert studies.listing(hospital.catalog) == [shown]
    assert entries.listing(hospital.catalog, destination="archive", state="deferred") == shown["entries"]
    assert entries.listing(hospital.catalog, destination="elsewhere") == []


def test_a_study_that_is_not_here_is_not_found(hospital: Hospital) -> None:
    with pytest.raises(NotFoundError):
        studies.show(hospital.catalog, "9.9.9")
    with pytest.raises(NotFoundError):
        studies.trace(hospital.catalog, "9.9.9")
    with pytest.raises(NotFoundError):
        studies.view(hospital.catalog, "9.9.9")
    assert studies.find(hospital.catalog, "9.9.9") is None


def test_studies_are_listed_the_newest_arrival_first_and_by_what_is_asked(hospital: Hospital) -> None:
    hospital.hold("1.2.1")
    later = hospital.clock.forward(hours=1)
    hospital.send("1.2.2", peer="ct2", AccessionNumber="A2")

    def listed(**wanted: object) -> list[str]:
        return [one["study_instance_uid"] for one in studies.listing(hospital.catalog, **wanted)]  # type: ignore[arg-type]

    assert listed() == ["1.2.2", "1.2.1"]
    assert listed(limit=1) == ["1.2.2"]
    assert listed(state="held") == ["1.2.1"]
    assert listed(rule="DOC-02") == ["1.2.1"]
    assert listed(rule="PID-01") == []
    assert listed(peer="ct2") == ["1.2.2"]
    assert listed(accession="A1") == ["1.2.1"]
    assert listed(since=later) == ["1.2.2"]
    assert listed(state="held", peer="ct2") == []


def test_findings_of_an_older_revision_are_not_the_studys_findings(hospital: Hospital) -> None:
    hospital.hold()
    hospital.receive(instance=3)
    hospital.index()
    assert studies.show(hospital.catalog, "1.2.1")["findings"] == []
    assert studies.listing(hospital.catalog, rule="DOC-02") == []


def test_a_trace_tells_the_whole_story_in_order(hospital: Hospital) -> None:
    hospital.hold()
    hospital.clock.forward(seconds=1)
    hospital.add_document()
    hospital.judge()
    hospital.clock.forward(seconds=1)
    entry = hospital.deliver()
    ids = hospital.column("SELECT id FROM instances")
    commitments.ask(hospital.catalog, entry.id, "2.25.1", ids, hospital.clock() + timedelta(hours=1))
    hospital.clock.forward(seconds=1)
    done = [(CT, f"1.2.1.1.{number}") for number in (1, 2)]
    commitments.record_result(hospital.catalog, "2.25.1", "archive", done, [], hospital.clock())
    told = studies.trace(hospital.catalog, "1.2.1")
    assert [(event["event"], event["what"]) for event in told] == [
        ("arrived", "study"),
        ("settled", "study"),
        ("failed", "study"),
        ("document_linked", "document 1.9.1"),
        ("facts_changed", "study"),
        ("passed", "study"),
        ("attempt", "entry 1 archive"),
        ("claimed", "entry 1 archive"),
        ("delivered", "entry 1 archive"),
        ("commitment_asked", "entry 1 archive"),
        ("commitment_answered", "entry 1 archive"),
        ("committed", "entry 1 archive"),
        ("all_complete", "study"),
    ]
    assert all(set(event) == {"at", "event", "what", "by", "detail"} for event in told)
    assert [event["at"] for event in told] == sorted(event["at"] for event in told)
    assert told[2]["detail"] == {"from": "settled", "to": "held", "revision": 1, "rules": ["DOC-02"]}
    json.dumps(told)


def test_figures_have_the_members_of_the_contract(hospital: Hospital) -> None:
    assert stats(hospital.catalog) == {
        "studies": {},
        "entries": {},
        "instances": 0,
        "bytes": 0,
        "documents": 0,
        "codes": 0,
        "oldest_unarchived_at": None,
        "resting": [],
    }
    hospital.accept(instances=3, destinations=(ARCHIVE,))
    hospital.clock.forward(seconds=5)
    hospital.hold("1.2.2")
    entries.rest(hospital.catalog, "archive", hospital.clock(), "no-answer", "refused")
    figures = stats(hospital.catalog)
    assert figures["studies"] == {"accepted": 1, "held": 1}
    assert figures["entries"] == {"queued": 1}
    assert figures["instances"] == 5
    assert figures["bytes"] == sum(hospital.column("SELECT size FROM instances"))
    assert figures["oldest_unarchived_at"] == "2026-11-22T03:00:00.000000Z"
    assert figures["resting"][0]["destination"] == "archive"
    json.dumps(figures)


@pytest.mark.parametrize(
    ("received", "shown"),
    [("20240105", "2024-01-05"), ("2024.01.05", "2024-01-05"), ("", None), ("2024", None), ("2024AB01", None)],
)
def test_a_date_is_shown_as_iso_or_not_at_all(received: str, shown: str | None) -> None:
    assert iso_date(received) == shown
