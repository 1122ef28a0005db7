"""What each answer of the archive means (FWD-01, STC-01)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kuva_gateway.forward.outcome import (
    Kind,
    Missing,
    Scope,
    association_rejected,
    classify,
    classify_commitment,
    context_rejected,
    no_answer,
    no_connection,
    tls_failed,
)


def test_success_means_stored() -> None:
    assert classify(0x0000).kind is Kind.DELIVERED
    assert classify(0x0000).stored


@pytest.mark.parametrize("status", [0x0001, 0x0107, 0x0116, 0xB000, 0xB006, 0xB007, 0xBFFF])
def test_warnings_mean_stored(status: int) -> None:
    assert classify(status).kind is Kind.WARNING
    assert classify(status).stored


@pytest.mark.parametrize("status", [0xA700, 0xA77A, 0x0110])
def test_what_passes_by_itself_is_tried_again(status: int) -> None:
    assert classify(status).kind is Kind.TEMPORARY
    assert classify(status).scope is not Scope.DESTINATION


@pytest.mark.parametrize(
    "status", [*range(0xA770, 0xA77A), 0xA77B, 0xA900, 0xA901, 0xC000, 0xC409, 0xC499, 0xCFFF, 0x0122]
)
def test_what_cannot_succeed_is_for_a_person(status: int) -> None:
    assert classify(status).kind is Kind.PERSON
    assert classify(status).scope is not Scope.DESTINATION


def test_a_class_that_is_not_supported_concerns_that_class() -> None:
    assert classify(0x0122).scope is Scope.SOP_CLASS


@pytest.mark.parametrize("status", [0xA777, 0xA778, 0xA779])
def test_what_is_wrong_with_the_patient_concerns_the_study(status: int) -> None:
    assert classify(status).scope is Scope.STUDY


@pytest.mark.parametrize("status", [0xA771, 0xA77B, 0xA900, 0xC000, 0xC409])
def test_what_is_wrong_with_one_object_concerns_that_one(status: int) -> None:
    assert classify(status).scope is Scope.INSTANCE


@pytest.mark.parametrize(
    "outcome",
    [
        classify(0x0124),
        association_rejected(1, 1, 3, ""),
        association_rejected(1, 1, 7, ""),
        association_rejected(2, 3, 2, ""),
        tls_failed(""),
        no_connection(""),
    ],
    ids=str,
)
def test_what_would_meet_every_study_concerns_the_destination(outcome: object) -> None:
    assert outcome.scope is Scope.DESTINATION  # type: ignore[attr-defined]


_FORESEEN = {0x0000, 0x0001, 0x0107, 0x0116, 0x0122, 0x0124, *range(0xA770, 0xA77A), 0xA77B}


@given(st.integers(0, 0xFFFF))
def test_every_status_has_an_outcome_and_an_unknown_one_is_temporary(status: int) -> None:
    outcome = classify(status, "said the archive")
    assert outcome.code == f"{status:04X}"
    assert outcome.comment == "said the archive"
    assert outcome.meaning
    if status not in _FORESEEN and status >> 12 not in (0xB, 0xC) and status >> 8 != 0xA9:
        assert outcome.kind is Kind.TEMPORARY


def test_silence_after_everything_was_sent_is_neither_success_nor_failure() -> None:
    assert no_answer("").kind is Kind.UNKNOWN
    assert not no_answer("").stored


def test_a_rejected_context_names_class_and_syntax() -> None:
    outcome = context_rejected("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.4.70")
    assert outcome.kind is Kind.PERSON
    assert outcome.scope is Scope.INSTANCE
    assert "CT Image Storage" in outcome.comment
    assert "1.2.840.10008.1.2.4.70" in outcome.comment


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (0x0112, Missing.RESEND),
        (0x0110, Missing.ASK_LATER),
        (0x0213, Missing.ASK_LATER),
        (0x0119, Missing.PERSON),
        (0x0122, Missing.PERSON),
        (0x0131, Missing.NEW_TRANSACTION),
        (0x7777, Missing.ASK_LATER),
    ],
)
def test_each_reason_against_commitment_has_its_own_cure(reason: int, expected: Missing) -> None:
    assert classify_commitment(reason) is expected


def test_the_archives_own_words_are_kept_with_the_elements_that_offend() -> None:
    found = classify(0xA900, "wrong class", (0x00080016, 0x00100020))
    assert found.comment == "wrong class; offending element (0008,0016), (0010,0020)"
    assert classify(0xA900, "", (0x00080016,)).comment == "offending element (0008,0016)"
    assert classify(0xA900).comment == ""
    assert len(classify(0xA900, "", range(1000)).comment) < 130
