"""Status codes belong to exactly one family, and comments fit their element."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.status import STORAGE_SERVICE_CLASS_STATUS, code_to_category

from kuva_gateway.dicom import statuses


@given(st.integers(min_value=0, max_value=0xFFFF))
def test_a_code_has_one_family_and_words(code: int) -> None:
    families = [
        statuses.is_success(code),
        statuses.is_warning(code),
        statuses.is_failure(code),
        statuses.is_pending(code),
        code == statuses.CANCELLED,
    ]
    assert families.count(True) == 1
    assert statuses.meaning(code)


def test_families_of_storage_codes_agree_with_pynetdicom() -> None:
    assert len(STORAGE_SERVICE_CLASS_STATUS) > 100
    for code in STORAGE_SERVICE_CLASS_STATUS:
        category = code_to_category(code)
        assert statuses.is_success(code) == (category == "Success"), code
        assert statuses.is_warning(code) == (category == "Warning"), code
        assert statuses.is_failure(code) == (category == "Failure"), code


def test_unknown_codes_are_described_by_their_family() -> None:
    assert statuses.meaning(0xC123) == "cannot understand"
    assert statuses.meaning(0xA7FE) == "out of resources"
    assert "0999" in statuses.meaning(0x0999)
    assert statuses.meaning(0xA777) == "no patient ID from a trusted assigning authority"


@given(st.text())
def test_a_comment_is_a_long_string_of_the_default_repertoire(text: str) -> None:
    made = statuses.comment(text)
    assert len(made) <= 64
    assert made.isascii()
    assert "\\" not in made
    assert all(letter.isprintable() for letter in made)
    assert made == made.strip()


def test_a_comment_keeps_its_words() -> None:
    assert statuses.comment("bad UID in (0008,0018)") == "bad UID in (0008,0018)"
    assert statuses.comment("Pääte puuttuu\n\\x") == "Paate puuttuu /x"
    assert statuses.comment("x" * 65) == "x" * 61 + "..."
    assert statuses.comment("日") == "?"
