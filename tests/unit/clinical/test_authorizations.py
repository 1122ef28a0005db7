"""Service-purchase authorizations: the real form, what is mandatory in it, and what one lets its producer do."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from kuva_gateway.clinical.authorizations import (
    AuthorizationError,
    Register,
    parse_authorization,
    scope,
    shown_specifier,
)
from tests.authorizations import HETU, KEEPER, ORGANISER, PRODUCER, authorization, build_authorization
from tests.support import shared_data


def faults(data: bytes) -> list[str]:
    with pytest.raises(AuthorizationError) as caught:
        parse_authorization(data)
    return [one.partition(": ")[2] if one.startswith("line ") else one for one in caught.value.faults]


def test_the_published_example_is_read_in_every_field() -> None:
    read = parse_authorization(shared_data("kanta-osva-example.xml").read_bytes())
    occupational = Register(keeper=KEEPER, code="4", specifier="1234567-1", specifier_name="Yritys Oy")
    assert (read.oid, read.version, read.replaces, read.ready) == (f"{ORGANISER}.91.2009.58", 1, (), True)
    assert (read.kind, read.valid_from, read.valid_to) == ("patient", date(2014, 5, 13), date(2014, 10, 9))
    assert (read.register_keeper, read.register_keeper_name) == (KEEPER, "Testi tk")
    assert (read.organiser, read.organiser_name) == (ORGANISER, "Testi tk")
    assert (read.organiser_unit, read.organiser_unit_name) == (
        "1.2.246.10.99999984.10.1",
        "Testi tk pääterveysasema",
    )
    assert (read.producer, read.producer_name) == (PRODUCER, "Testi yksityinen")
    assert read.search == read.storing == occupational
    assert (read.patient_id, read.patient_name, read.patient_birth) == (
        "030875-999Y",
        "Potilas, Testi-Pekka",
        "19750803",
    )
    assert (read.all_documents, read.documents_from, read.service_events) == (True, None, ())
    assert (read.saver_id, read.saver_name, read.saver_unit, read.saved_at) == (
        "290165-980W",
        "Hiille, Tes-Arvi",
        "1.2.246.10.99999984.10.1",
        "201405131044",
    )


def test_a_population_needs_no_patient_no_unit_and_no_scope() -> None:
    read = authorization(without=(10, 11, 26, 30))
    assert (read.kind, read.patient_id, scope(read)) == ("population", "", "all")


UNSCOPED = (
    "field 29 (what is covered) is none of: all documents (30), a range of days with both ends (31),"
    " service events (32)"
)
MANDATORY = {
    4: "field 4 (the type) is missing",
    8: "field 8 (the organiser) is missing",
    9: "field 9 (the organiser's name) is missing",
    13: "field 13 (the producer) is missing",
    14: "field 14 (the producer's name) is missing",
    21: "field 21 (the storing right's register keeper) is missing",
    34: "field 34 (the saver's id) is missing",
    35: "field 35 (the saver's name) is missing",
    36: "field 36 (the saver's unit) is missing",
}


@pytest.mark.parametrize(("field", "line"), MANDATORY.items())
def test_each_missing_mandatory_field_is_told(field: int, line: str) -> None:
    assert faults(build_authorization(without=(field,))) == [line]


@pytest.mark.parametrize(
    ("field", "line"),
    [
        (10, "field 10 (the organiser's unit) is missing"),
        (11, "field 11 (the organiser's unit's name) is missing"),
        (
            30,
            UNSCOPED,
        ),
    ],
)
def test_a_patients_authorization_needs_more(field: int, line: str) -> None:
    assert faults(build_authorization(patient=HETU, without=(field,))) == [line]


def test_a_patients_authorization_without_a_patient_is_told_in_two_lines() -> None:
    assert faults(build_authorization(kind="1")) == [
        "field 26 (the patient's identity code) is missing",
        "field 27 (the patient's name) is missing",
    ]


@pytest.mark.parametrize(
    ("valid", "line"),
    [
        (("20240101", ""), "field 6 (the validity) has no end"),
        (("", "20241231"), "field 6 (the validity) has no start"),
        (("20240102", "20240101"), "field 6 (the validity) ends before it starts"),
        (("20240101", "20240230"), "field 6 (the validity, the end) is not a date (yyyymmdd)"),
        (("1.1.2024", "20241231"), "field 6 (the validity, the start) is not a date (yyyymmdd)"),
    ],
)
def test_a_validity_without_an_end_or_that_ends_before_it_starts_is_refused(valid: Any, line: str) -> None:
    assert faults(build_authorization(valid=valid)) == [line]


def test_one_day_is_a_validity_and_both_its_ends_belong_to_it() -> None:
    one = authorization(valid=("20240304", "20240304"))
    assert [one.valid_on(date(2024, 3, day)) for day in (3, 4, 5)] == [False, True, False]


def test_occupational_health_care_needs_its_specifier_and_its_name() -> None:
    assert faults(build_authorization(register="4", search="")) == [
        "field 23 (the storing right's specifier) is missing; register 4 needs it",
        "field 24 (the storing right's specifier's name) is missing",
    ]


def test_every_fault_is_told_at_once_with_its_line_and_without_a_patient() -> None:
    data = build_authorization(
        patient="010516B903Y", header_patient=HETU, valid=("20240101", ""), organiser="1.2.x", custodian_name=""
    )
    with pytest.raises(AuthorizationError) as caught:
        parse_authorization(data)
    said = str(caught.value)
    assert len(caught.value.faults) == 7
    assert said.count("line 21: ") == 6
    assert "custodian: the register keeper has no name" in said
    assert "wrong check character" in said
    assert "is not that of the header" in said
    assert "010516" not in said


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"", "the file is empty"),
        (b"not XML", "the XML is not well-formed: syntax error"),
        (b"<a/>", "the root element is not ClinicalDocument of urn:hl7-org:v3"),
        (build_authorization()[:900], "the XML is not well-formed: no element found"),
        (b"<!DOCTYPE a><a/>", "a document type declaration (DTD) is not allowed"),
        (
            b"<EncryptedData xmlns='http://www.w3.org/2001/04/xmlenc#'/>",
            "the document is encrypted; only plain ones can be read",
        ),
        (b" " * (2 * 1024 * 1024 + 1), "the file is longer than 2097152 bytes"),
    ],
)
def test_what_is_no_document_at_all_gets_one_line(data: bytes, line: str) -> None:
    assert faults(data) == [line]


def test_another_document_is_no_authorization() -> None:
    data = build_authorization().replace(b'code="362"', b'code="361"')
    assert faults(data) == ["the document is no service-purchase authorization (view 362)"]


def test_utf_16_is_read_like_any_other_encoding() -> None:
    text = build_authorization().decode().replace("UTF-8", "UTF-16")
    assert parse_authorization(text.encode("utf-16")) == authorization()


def test_a_version_that_is_not_ready_ends_what_it_replaces_whatever_its_form_lacks() -> None:
    data = build_authorization(
        oid="1.2.246.10.1.2", version=2, replaces="1.2.246.10.1.1", status="5", without=tuple(range(1, 43))
    )
    read = parse_authorization(data)
    assert (read.ready, read.version, read.replaces) == (False, 2, ("1.2.246.10.1.1",))
    assert not read.stores_into(KEEPER, "2")


def test_it_covers_the_named_register_of_the_organisers_own_keeper_only() -> None:
    one = authorization()
    assert one.stores_into(KEEPER, "2")
    assert not one.stores_into(KEEPER, "3")
    assert not one.stores_into("1.2.246.10.99999984.19.1", "2")
    elsewhere = authorization(organiser="1.2.246.10.555.10.0")
    assert not elsewhere.stores_into(KEEPER, "2")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "all"),
        ({"everything": False, "events": (f"{ORGANISER}.14.2024.1",)}, "events"),
        ({"everything": False, "span": ("20240101", "20240131")}, "range"),
        ({"events": (f"{ORGANISER}.14.2024.1",)}, "all"),
    ],
)
def test_the_scope_is_all_documents_events_or_a_range(changes: Any, expected: str) -> None:
    assert scope(authorization(patient=HETU, **changes)) == expected


def test_a_person_who_is_a_registers_specifier_is_not_shown() -> None:
    assert [shown_specifier(one) for one in ("", "1234567-1", HETU)] == [None, "1234567-1", "***"]


def test_neither_patients_nor_savers_are_in_what_a_debugger_prints() -> None:
    assert "290165" not in repr(authorization(patient=HETU))
    assert HETU not in repr(authorization(patient=HETU))
