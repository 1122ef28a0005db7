"""ORG-01, ORG-02, OSV-01, OSV-02, OSV-03 and what documents say of their register keepers."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from kuva_gateway.catalog.records import KeptAuthorization
from kuva_gateway.clinical.providers import Provider
from kuva_gateway.validation.facts import StudyFacts
from kuva_gateway.validation.parties import Parties, Sender
from kuva_gateway.validation.rules import judge
from tests.authorizations import KEEPER, ORGANISER, PRODUCER, authorization
from tests.unit.validation.known import HETU, OTHER_HETU, TODAY, document, facts, found, header

OTHER_KEEPER = "1.2.246.10.555.19.0"
OSV = ("OSV-01", "OSV-02", "OSV-03")
ORG = ("ORG-01", "ORG-02")
NOW_VALID = ("20240101", "20261231")


def kept(*, current: bool = True, invalidated: bool = False, **changes: Any) -> KeptAuthorization:
    made = authorization(**{"valid": NOW_VALID, **changes})
    return KeptAuthorization(authorization=made, current=current, invalidated=invalidated)


def papers(keeper: str = KEEPER, register: str = "2", **changes: Any) -> tuple[Any, ...]:
    values = {"register_keeper": keeper, "register": register, **changes}
    return (document("request", **values), document("examination_entry", **values))


def parties(*authorizations: KeptAuthorization, producer: str = PRODUCER, keeper: str = "", **changes: Any) -> Parties:
    sender = Sender(peer="ct1", producer=producer, register_keeper=keeper)
    return Parties(senders=(sender,), authorizations=authorizations, **changes)


def study(*authorizations: KeptAuthorization, **changes: Any) -> StudyFacts:
    """A study that a producer sent, whose documents lie in the organiser's public register."""
    documents = changes.pop("documents", papers())
    own = {name: changes.pop(name) for name in ("headers", "today") if name in changes}
    return facts(
        *own.get("headers", ()),
        documents=documents,
        parties=parties(*authorizations, **changes),
        today=own.get("today", TODAY),
    )


def said(one: StudyFacts, *rules: str) -> list[tuple[str, str]]:
    return [(finding.rule, finding.severity) for finding in found(one, *rules)]


# -- OSV-01 ------------------------------------------------------------------------------------------------------------


def test_a_producer_with_an_authorization_for_that_register_passes() -> None:
    assert found(study(kept())) == []


def test_without_one_the_study_is_held_and_told_who_needs_what() -> None:
    (finding,) = found(study())
    assert (finding.rule, finding.severity) == ("OSV-01", "hold")
    assert PRODUCER in finding.message
    assert f"{KEEPER} (register 2)" in finding.message
    assert "authorizations/incoming" in finding.remedy


def test_within_one_organisation_nothing_is_needed() -> None:
    assert found(study(producer=ORGANISER)) == []


def test_a_peer_without_a_producer_is_not_asked() -> None:
    assert found(study(producer="")) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"producer": f"{PRODUCER}.5"},
        {"register": "3"},
        {"keeper": OTHER_KEEPER},
        {"organiser": "1.2.246.10.555.10.0"},
    ],
    ids=["subcontractor", "another register", "another keeper", "another organiser"],
)
def test_one_for_something_else_is_none(changes: Any) -> None:
    assert said(study(kept(**changes))) == [("OSV-01", "hold")]


@pytest.mark.parametrize(
    "one", [kept(current=False), kept(invalidated=True), kept(status="1")], ids=["replaced", "invalidated", "draft"]
)
def test_one_that_no_longer_counts_is_told_apart_from_none(one: KeptAuthorization) -> None:
    (finding,) = found(study(one))
    assert finding.rule == "OSV-01"
    assert "replaced, invalidated or is not ready" in finding.message


def test_documents_without_a_register_leave_only_the_keeper_to_compare() -> None:
    assert found(study(kept(register="3"), documents=papers(register=""))) == []


def test_documents_that_name_no_keeper_hold_what_a_producer_sent() -> None:
    (finding,) = found(study(kept(), documents=papers(keeper="")))
    assert "names its register keeper" in finding.message


def test_without_documents_and_without_a_configured_keeper_nothing_lets_a_producers_study_go() -> None:
    """Where a site has switched off DOC-01 and DOC-02, nothing else would hold it."""
    assert said(study(documents=()), "OSV-01") == [("OSV-01", "hold")]


def test_without_documents_the_configured_keeper_counts() -> None:
    assert said(study(documents=(), keeper=KEEPER), *OSV) == [("OSV-01", "hold")]
    assert said(study(kept(), documents=(), keeper=KEEPER), *OSV) == []


def test_each_producer_that_sent_needs_its_own() -> None:
    second = Sender(peer="ct2", producer="1.2.246.10.777.10.0")
    both = Parties(senders=(Sender(peer="ct1", producer=PRODUCER), second), authorizations=(kept(),))
    (finding,) = found(facts(documents=papers(), parties=both))
    assert second.producer in finding.message


# -- OSV-03 ------------------------------------------------------------------------------------------------------------


def test_one_for_this_patient_passes_and_one_for_another_holds() -> None:
    assert found(study(kept(patient=HETU))) == []
    (finding,) = found(study(kept(patient=OTHER_HETU)))
    assert (finding.rule, finding.severity) == ("OSV-03", "hold")
    assert "other patients" in finding.message
    assert OTHER_HETU not in finding.message


def test_a_patient_who_differs_only_in_the_separator_is_told_so() -> None:
    (finding,) = found(study(kept(patient=HETU.replace("B", "C"))))
    assert (finding.rule, "only in the separator" in finding.message) == ("OSV-03", True)


def test_in_occupational_health_care_the_specifier_must_be_the_same() -> None:
    of_company = papers(register="4", register_specifier="1234567-1")
    assert found(study(kept(register="4", specifier="1234567-1"), documents=of_company)) == []
    (finding,) = found(study(kept(register="4", specifier="7654321-2"), documents=of_company))
    assert (finding.rule, "another specifier" in finding.message) == ("OSV-03", True)


def test_elsewhere_a_specifier_does_not_matter() -> None:
    assert found(study(kept(specifier="7654321-2"))) == []


# -- OSV-02 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("valid", "severities"),
    [
        (("20240304", "20270101"), []),
        (("20240101", "20240304"), ["warning"]),
        (("20240305", "20270101"), ["hold"]),
        (("20240101", "20240303"), ["hold", "warning"]),
    ],
    ids=["first day", "last day", "day before", "day after"],
)
def test_by_default_the_study_date_holds_and_the_day_of_delivery_warns(valid: Any, severities: list[str]) -> None:
    assert said(study(kept(valid=valid)), *OSV) == [("OSV-02", severity) for severity in severities]


@pytest.mark.parametrize(
    ("valid_on", "severities"), [("delivery_date", ["hold"]), ("both", ["hold"]), ("study_date", ["warning"])]
)
def test_which_day_must_be_valid_is_configured(valid_on: str, severities: list[str]) -> None:
    over = kept(valid=("20240101", "20240304"))
    assert said(study(over, valid_on=valid_on), *OSV) == [("OSV-02", severity) for severity in severities]


def test_with_the_day_of_delivery_alone_an_older_study_only_warns() -> None:
    assert said(study(kept(valid=("20260101", "20261231")), valid_on="delivery_date")) == [("OSV-02", "warning")]


def test_on_the_day_on_which_it_begins_it_is_valid() -> None:
    one = kept(valid=("20240101", "20261122"))
    assert found(study(one, valid_on="both", today=date(2026, 11, 22))) == []
    assert said(study(one, valid_on="both", today=date(2026, 11, 23))) == [("OSV-02", "hold")]


@pytest.mark.parametrize(
    ("valid", "day"),
    [
        (("20240101", "20261231"), date(2027, 1, 1)),
        (("20261201", "20261231"), date(2026, 12, 1)),
        (("20240101", "20261121"), None),
        (("20240101", "99991231"), None),
    ],
    ids=["when it is over", "when it begins", "over already", "for ever"],
)
def test_the_study_is_judged_again_on_the_day_on_which_an_authorization_turns(valid: Any, day: date | None) -> None:
    assert judge(study(kept(valid=valid))).look_again_on == day


def test_no_day_of_another_patients_authorization_or_of_one_that_does_not_count_matters() -> None:
    one = study(kept(patient=OTHER_HETU), kept(invalidated=True), kept(producer="1.2.246.10.777.10.0"))
    assert judge(one).look_again_on is None


def test_the_finding_names_the_day_and_the_validity() -> None:
    finding = found(study(kept(valid=("20240305", "20270101"))))[0]
    assert "2024-03-04" in finding.message
    assert "2024-03-05–2027-01-01" in finding.message


@pytest.mark.parametrize("text", ["", "20240230"])
def test_a_study_without_a_date_that_exists_is_held(text: str) -> None:
    one = study(kept(), headers=(header(study_date=text),))
    assert said(one, "OSV-02") == [("OSV-02", "hold")]


def test_two_validities_together_may_cover_two_study_dates() -> None:
    headers = (header(), header(study_date="20240305", series_instance_uid="2.25.100.3"))
    first = kept(valid=("20240101", "20240304"))
    second = kept(valid=("20240305", "20270101"), oid="1.2.246.10.1.5")
    assert said(study(first, second, headers=headers), *OSV) == []
    assert said(study(second, headers=headers), *OSV) == [("OSV-02", "hold")]


# -- ORG-01 and ORG-02 -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "severities"), [("", []), ("1.2.246.10.99999984.10.1", []), ("KUVA1", ["warning"]), ("1.2.3", ["warning"])]
)
def test_an_institution_code_that_is_no_organisations_oid_warns(code: str, severities: list[str]) -> None:
    one = facts(header(institution_code=code))
    assert said(one, "ORG-01") == [("ORG-01", severity) for severity in severities]


@pytest.mark.parametrize("keeper", ["1.2.246.11.5", "1.2.246.10.01.19.0"])
def test_a_register_keeper_that_is_no_organisations_oid_holds(keeper: str) -> None:
    one = facts(documents=papers(keeper=keeper))
    (finding,) = found(one, "ORG-01")
    assert (finding.severity, keeper in finding.message) == ("hold", True)


def test_a_register_keeper_that_is_not_served_holds_where_that_is_configured() -> None:
    here = papers()
    assert said(facts(documents=here, parties=Parties(known_keepers=frozenset({KEEPER}))), *ORG) == []
    assert said(facts(documents=here, parties=Parties(known_keepers=frozenset({OTHER_KEEPER}))), *ORG) == [
        ("ORG-01", "hold")
    ]
    assert said(facts(documents=here), *ORG) == []


@pytest.mark.parametrize(
    ("oid", "joined", "severities"),
    [
        (KEEPER, date(2026, 11, 22), []),
        (KEEPER, date(2026, 11, 23), ["info"]),
        ("1.2.246.10.99999984", date(2026, 11, 23), ["info"]),
        ("1.2.246.10.9999998", date(2026, 11, 23), []),
        (None, date(2026, 11, 23), []),
    ],
    ids=["joined today", "joins tomorrow", "by its organisation", "another organisation", "not mapped"],
)
def test_a_provider_that_has_not_joined_is_told(oid: str | None, joined: date, severities: list[str]) -> None:
    provider = Provider(name="Testin hyvinvointialue", sector="public", joined=joined, oid=oid)
    one = facts(documents=papers(), parties=Parties(providers=(provider,)))
    findings = found(one, *ORG)
    assert judge(one).look_again_on == (joined if severities else None)
    assert [finding.severity for finding in findings] == severities
    assert all("Testin hyvinvointialue" in finding.message for finding in findings)


# -- documents' register keepers ---------------------------------------------------------------------------------------


def test_documents_in_registers_of_different_keepers_hold() -> None:
    request, entry = papers()[0], papers(OTHER_KEEPER)[1]
    (finding,) = found(facts(documents=(request, entry)))
    assert (finding.rule, finding.where) == ("DOC-04", entry.document.oid)
    assert OTHER_KEEPER in finding.message


def test_documents_of_another_keeper_than_the_senders_hold() -> None:
    one = facts(documents=papers(), parties=parties(producer="", keeper=OTHER_KEEPER))
    findings = found(one)
    assert {finding.rule for finding in findings} == {"DOC-04"}
    assert all("the images of this sender" in finding.message for finding in findings)
    assert found(facts(documents=papers(), parties=parties(producer="", keeper=KEEPER))) == []


def test_documents_that_name_no_keeper_do_not_disagree() -> None:
    assert found(facts(documents=(papers()[0], document("examination_entry")))) == []


def test_a_report_that_counts_is_shown_and_none_is_missed() -> None:
    report = document("report", version=3)
    assert said(facts(documents=(*papers(), report))) == [("DOC-03", "info")]
    assert said(facts(documents=(*papers(), document("report", ready=False))), "DOC-03") == []
