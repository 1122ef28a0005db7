"""Ten refusals in a row over at least three studies are the destination's matter."""

from __future__ import annotations

from kuva_gateway.forward.outcome import Scope, classify
from kuva_gateway.queue.streak import Streak, refuses_all


def test_ten_refusals_over_three_studies_in_a_row_trip_it() -> None:
    streak = Streak()
    told = [streak.refused(study) for study in (*"aaaabbbcc", "c")]
    assert told == [False] * 9 + [True]
    assert streak.refused("a"), "and so does each one more"


def test_one_bad_study_however_large_is_not_the_destinations_fault() -> None:
    streak = Streak()
    assert not any(streak.refused("a") or streak.refused("b") for _ in range(500))
    assert streak.refused("c")


def test_something_stored_between_begins_it_anew() -> None:
    streak = Streak()
    for study in "abcabcabc":
        assert not streak.refused(study)
    streak.stored()
    assert not any(streak.refused(study) for study in "abcabcabc")
    assert streak.refused("a")


def test_one_that_was_refusing_everything_before_a_restart_still_does() -> None:
    streak = Streak(tripped=True)
    assert streak.refused("a")
    streak.stored()
    assert not streak.refused("a")


def test_the_outcome_is_the_destinations_and_quotes_the_last_answer() -> None:
    found = refuses_all(classify(0xC000, "no room for MR"))
    assert found.scope is Scope.DESTINATION
    assert "no room for MR" in found.comment
