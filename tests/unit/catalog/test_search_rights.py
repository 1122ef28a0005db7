"""OSV-04: what a producer sees when it asks, on both databases."""

from __future__ import annotations

import hashlib
from datetime import date
from typing import Any

import pytest

from kuva_gateway.catalog import authorizations, visibility
from kuva_gateway.catalog.search_rights import search_right
from tests.authorizations import KEEPER, ORGANISER, PRODUCER, authorization
from tests.unit.catalog.making import HETU, Hospital

OTHER_HETU = "010516B903X"
EVENT = f"{ORGANISER}.14.2024.7"
TODAY = date(2026, 11, 22)


@pytest.fixture
def organisers(hospital: Hospital) -> Hospital:
    """One study in the organiser's public register, sent by the organiser's own modality."""
    hospital.add_document(register_keeper=KEEPER, register="2", service_event=EVENT)
    hospital.send()
    return hospital


def grant(hospital: Hospital, **changes: Any) -> None:
    made = authorization(**{"valid": ("20260101", "20261231"), **changes})
    digest = hashlib.sha256(authorizations.to_json(made).encode()).hexdigest()
    authorizations.add(hospital.catalog, made, f"{made.oid}.xml", digest, hospital.clock())


def seen(hospital: Hospital, *own: str, producer: str = PRODUCER, today: date = TODAY) -> list[str]:
    condition = visibility.studies(search_right(producer, own, today))
    found = hospital.rows(f"SELECT s.uid FROM studies s WHERE {condition.sql} ORDER BY s.uid", *condition.values)
    return [row["uid"] for row in found]


def test_without_an_authorization_others_studies_are_hidden(organisers: Hospital) -> None:
    assert seen(organisers) == []


def test_a_search_right_shows_them(organisers: Hospital) -> None:
    grant(organisers)
    assert seen(organisers) == ["1.2.1"]
    assert seen(organisers, producer="1.2.246.10.777.10.0") == []


def test_what_the_producer_sent_itself_stays_visible(organisers: Hospital) -> None:
    organisers.send("1.2.2", AccessionNumber="A2", peer="clinic")
    assert seen(organisers, "clinic") == ["1.2.2"]


def test_what_lies_in_its_own_organisations_register_stays_visible(organisers: Hospital) -> None:
    assert seen(organisers, producer=ORGANISER) == ["1.2.1"]
    assert seen(organisers, producer="1.2.246.10.9999998.10.0") == []


@pytest.mark.parametrize(
    "changes",
    [
        {"search": ""},
        {"search": "3"},
        {"keeper": "1.2.246.10.555.19.0"},
        {"organiser": "1.2.246.10.555.10.0"},
        {"status": "1"},
        {"patient": OTHER_HETU},
        {"valid": ("20260101", "20261121")},
        {"valid": ("20261123", "20271231")},
        {"everything": False, "span": ("20240106", "")},
        {"everything": False, "span": ("", "20240104")},
        {"everything": False, "events": (f"{EVENT}1",)},
    ],
    ids=[
        *("no search right", "another register", "another keeper", "another organiser", "a draft", "another patient"),
        *("ended yesterday", "begins tomorrow", "later documents", "earlier documents", "other events"),
    ],
)
def test_a_right_to_something_else_shows_nothing(organisers: Hospital, changes: Any) -> None:
    grant(organisers, **changes)
    assert seen(organisers) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"patient": HETU},
        {"valid": ("20261122", "20261122")},
        {"everything": False, "span": ("20240105", "20240105")},
        {"everything": False, "events": (EVENT,)},
    ],
    ids=["this patient", "this day alone", "the study's day alone", "this event"],
)
def test_a_right_that_just_covers_it_shows_it(organisers: Hospital, changes: Any) -> None:
    grant(organisers, **changes)
    assert seen(organisers) == ["1.2.1"]


def test_one_that_is_invalidated_shows_nothing_any_more(organisers: Hospital) -> None:
    grant(organisers)
    authorizations.invalidate(organisers.catalog, f"{ORGANISER}.91.2024.1", by="anna", reason="ended")
    assert seen(organisers) == []


def test_in_occupational_health_care_the_specifier_must_be_the_same(hospital: Hospital) -> None:
    hospital.add_document(register_keeper=KEEPER, register="4", register_specifier="1234567-1")
    hospital.send()
    grant(hospital, search="4", register="4", specifier="7654321-2")
    assert seen(hospital) == []
    grant(hospital, oid="1.2.246.10.5.5", search="4", register="4", specifier="1234567-1")
    assert seen(hospital) == ["1.2.1"]


def test_a_document_that_was_replaced_gives_no_right(organisers: Hospital) -> None:
    grant(organisers)
    organisers.add_document(
        "1.9.2", set_id="1.9.1", version=2, replaces=("1.9.1",), register_keeper="1.2.246.10.555.19.0", register="2"
    )
    assert seen(organisers) == []
