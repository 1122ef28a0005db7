"""Personal identity codes, temporary ids and OIDs. Every id here is fictional, published as such."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kuva_gateway.clinical.identifiers import (
    IdentifierError,
    is_oid,
    is_organisation_oid,
    is_register_keeper_oid,
    is_temporary_id,
    normalise_hetu,
    parse_hetu,
)

FICTIONAL = (
    "010594Y9032", "010594Y9021", "020594X903P", "020594X902N", "030594W903B", "030694W9024", "040594V9030",
    "040594V902Y", "050594U903M", "050594U902L", "010516B903X", "010516B902W", "020516C903K", "020516C902J",
    "030516D9037", "030516D9026", "010501E9032", "020502E902X", "020503F9037", "020504A902E", "020504B904H",
    "030875-999Y",
)  # fmt: skip
CHECK = "0123456789ABCDEFHJKLMNPRSTUVWXY"


def made(birth: date, separator: str, number: int) -> str:
    """A code with the right check character."""
    digits = f"{birth:%d%m%y}{number:03}"
    return f"{digits[:6]}{separator}{digits[6:]}{CHECK[int(digits) % 31]}"


@pytest.mark.parametrize("value", FICTIONAL)
def test_every_published_fictional_code_is_read_as_temporary(value: str) -> None:
    hetu = parse_hetu(value)
    assert hetu.value == value
    assert hetu.temporary
    assert hetu.sex == ("M" if int(value[7:10]) % 2 else "F")
    assert hetu.birth_date.strftime("%d%m%y") == value[:6]


@pytest.mark.parametrize(
    ("separators", "century"), [("+", 1800), ("-YXWVU", 1900), ("ABCDEF", 2000)], ids=["1800s", "1900s", "2000s"]
)
def test_every_separator_gives_its_century(separators: str, century: int) -> None:
    for separator in separators:
        hetu = parse_hetu(made(date(century + 50, 3, 4), separator, 905))
        assert hetu.birth_date == date(century + 50, 3, 4)
        assert hetu.value[6] == separator


def test_the_separator_is_part_of_the_identity() -> None:
    assert parse_hetu("010594Y9032") != parse_hetu("010594-9032")


@pytest.mark.parametrize("value", ["010190-999K", "010190Y999K"])
def test_the_press_illustration_has_a_wrong_check_character(value: str) -> None:
    with pytest.raises(IdentifierError, match="check character") as caught:
        parse_hetu(value)
    assert caught.value.fault == "check"


@pytest.mark.parametrize(("number", "temporary"), [(2, False), (899, False), (900, True), (999, True)])
def test_the_900_series_is_temporary_and_below_it_real(number: int, temporary: bool) -> None:
    assert parse_hetu(made(date(1980, 2, 29), "-", number)).temporary is temporary


@pytest.mark.parametrize("number", [0, 1])
def test_the_numbers_000_and_001_are_never_given(number: int) -> None:
    with pytest.raises(IdentifierError) as caught:
        parse_hetu(made(date(1980, 1, 1), "-", number))
    assert caught.value.fault == "number"


@pytest.mark.parametrize("value", ["310294-9031", "290283-903X", "000190-9031", "011390-9031"])
def test_a_birth_date_that_does_not_exist_is_refused(value: str) -> None:
    with pytest.raises(IdentifierError) as caught:
        parse_hetu(value)
    assert caught.value.fault == "date"


@pytest.mark.parametrize(
    "value",
    ["", "010516", "010516B903", "010516B903XX", "010516G903X", "010516 903X", "０10516B903X", "010516B9O3X", "x"],
)
def test_another_form_is_refused(value: str) -> None:
    with pytest.raises(IdentifierError) as caught:
        parse_hetu(value)
    assert caught.value.fault == "form"


def test_case_and_spaces_are_normalised_and_nothing_else() -> None:
    assert parse_hetu(" 010516b903x ").value == "010516B903X"
    assert normalise_hetu("010516 b903x") == "010516B903X"
    assert normalise_hetu("010594Y9032") == "010594Y9032"


@settings(deadline=None)
@given(st.text(max_size=14))
def test_no_error_repeats_the_value_and_nothing_else_escapes(value: str) -> None:
    try:
        hetu = parse_hetu(value)
    except IdentifierError as error:
        # Other text may be a word of the error itself.
        if sum(one.isdigit() for one in value) > 2:
            assert value.strip() not in str(error)
    else:
        assert hetu.value == normalise_hetu(value)


@settings(deadline=None)
@given(
    st.dates(min_value=date(1800, 1, 1), max_value=date(2099, 12, 31)),
    st.integers(2, 999),
    st.integers(0, 30),
)
def test_exactly_one_check_character_is_right(birth: date, number: int, which: int) -> None:
    separator = {18: "+", 19: "-", 20: "A"}[birth.year // 100]
    right = made(birth, separator, number)
    tried = right[:-1] + CHECK[which]
    if tried == right:
        assert parse_hetu(tried).birth_date == birth
    else:
        with pytest.raises(IdentifierError):
            parse_hetu(tried)


def test_a_code_does_not_show_itself_when_printed() -> None:
    assert "010516" not in repr(parse_hetu("010516B903X"))


@pytest.mark.parametrize(
    ("issuer", "temporary"),
    [
        ("1.2.246.10.2048198.22.2024", True),
        (" 1.2.246.10.2048198.22.2024 ", True),
        ("1.2.246.21", False),
        ("1.2.246.10.2048198.22", False),
        ("1.2.246.10.02048198.22.2024", False),
        ("1.2.246.10.2048198.22.2024.1", False),
        ("1.2.246.10.2048198.19.2024", False),
        ("", False),
    ],
)
def test_roots_of_temporary_ids(issuer: str, temporary: bool) -> None:
    assert is_temporary_id(issuer) is temporary


@pytest.mark.parametrize(
    ("value", "well_formed"),
    [
        ("1.2.246.21", True),
        ("0.0", True),
        ("2.25.0", True),
        ("1", False),
        ("1.02", False),
        ("1..2", False),
        (".1.2", False),
        ("1.2.", False),
        ("1.2a", False),
        ("1.2\n", False),
        ("１.2", False),
        ("1." + "2" * 62, True),
        ("1." + "2" * 63, False),
    ],
)
def test_form_of_oids(value: str, well_formed: bool) -> None:
    assert is_oid(value) is well_formed


def test_organisations_and_register_keepers() -> None:
    assert is_organisation_oid("1.2.246.10.2048198")
    assert is_organisation_oid("1.2.246.10.2048198.10.0")
    assert not is_organisation_oid("1.2.246.10")
    assert not is_organisation_oid("1.2.246.100.1")
    assert not is_organisation_oid("1.2.246.10.02048198")
    assert is_register_keeper_oid("1.2.246.10.2048198.19.0")
    assert not is_register_keeper_oid("1.2.246.10.2048198.10.0")
    assert not is_register_keeper_oid("1.2.246.10.2048198.19")
