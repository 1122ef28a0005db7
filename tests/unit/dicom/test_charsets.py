"""Text out of bytes: the standard's own examples, and never an exception."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kuva_gateway.dicom.charsets import choose_set, code_string, codecs_of, decode, number_string, person_name, text


@pytest.mark.parametrize(
    ("character_set", "value", "expected"),
    [
        # PS3.5 annexes H.3.1, H.3.2, I.2, J.1, J.2, K.2
        (
            ("", "ISO 2022 IR 87"),
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
        ),
        (
            ("ISO 2022 IR 13", "ISO 2022 IR 87"),
            b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
            "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
        ),
        (
            ("", "ISO 2022 IR 149"),
            b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
            "Hong^Gildong=洪^吉洞=홍^길동",
        ),
        (
            ("ISO_IR 192",),
            b"Wang^XiaoDong=\xe7\x8e\x8b^\xe5\xb0\x8f\xe6\x9d\xb1",
            "Wang^XiaoDong=王^小東",
        ),
        (("GB18030",), b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab", "Wang^XiaoDong=王^小东"),
        (
            ("", "ISO 2022 IR 58"),
            b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab",
            "Zhang^XiaoDong=张^小东",
        ),
        (("ISO_IR 100",), b"H\xe4m\xe4l\xe4inen^P\xe4ivi", "Hämäläinen^Päivi"),
        (("ISO 2022 IR 6", "ISO 2022 IR 100"), b"\x1b-AH\xe4m\xe4l\xe4inen", "Hämäläinen"),
        (("ISO_IR 144",), b"\xbb\xee\xda\xdc\xd5\xd2", "Люкceмбypг"[:2] + "кмев"),
        ((), b"H\xe4m\xe4l\xe4inen", "Hämäläinen"),
        (("ISO_IR 13",), b"ABC\xb1\xb2", "ABCｱｲ"),
    ],
)
def test_names_are_read_in_their_character_set(character_set: tuple[str, ...], value: bytes, expected: str) -> None:
    assert person_name(value, codecs_of(character_set)) == expected


@pytest.mark.parametrize(
    "term", ["KLINGON", "ISO_IR 999", "ISO 2022 IR 999", "hex", "utf-16", "rot13", "\0", "x" * 500]
)
def test_an_unknown_character_set_is_read_as_latin_1(term: str) -> None:
    assert text(b"H\xe4rk\xf6nen ", codecs_of((term,))) == "Härkönen"


@pytest.mark.parametrize("term", ["ISO-IR 100", "ISO IR 100", "ISO 2022-IR 100", "ISO_2022_IR_100"])
def test_usual_misspellings_are_understood(term: str) -> None:
    assert text(b"\xe4", codecs_of((term,))) == "ä"
    assert text(b"\xbb", codecs_of((term.replace("100", "144"),))) == "Л"


def test_a_set_without_extensions_ignores_what_is_named_behind_it() -> None:
    assert codecs_of(("ISO_IR 192", "ISO 2022 IR 87")) == ("utf-8",)
    assert codecs_of(("", "ISO_IR 192", "ISO 2022 IR 149")) == ("latin-1", "euc_kr")


def test_bytes_outside_the_set_become_replacement_characters() -> None:
    assert text(b"H\xe4m", codecs_of(("ISO_IR 192",))) == "H\ufffdm"


def test_a_second_byte_that_looks_like_a_backslash_is_none() -> None:
    assert text(b"\x95\x5c \\A ", codecs_of(("ISO_IR 13",))) == "表\\A"
    assert text("表\\A".encode("gb18030"), codecs_of(("GB18030",))) == "表\\A"


def test_a_line_end_brings_the_first_set_back() -> None:
    codecs = codecs_of(("ISO_IR 100", "ISO 2022 IR 144"))
    assert decode(b"\x1b-L\xbb\r\n\xe4", codecs) == "Л\r\nä"


def test_the_end_of_a_value_or_of_a_names_part_brings_the_first_set_back() -> None:
    """PS3.5 6.1.2.5.3; what ends a value or a part in one VR is a letter in another."""
    codecs = codecs_of(("ISO 2022 IR 100", "ISO 2022 IR 144"))
    assert person_name(b"\x1b-L\xbb^\xe4=\x1b-L\xbb=\xe4\\\x1b-L\xbb\\\xe4", codecs) == "Л^ä=Л=ä\\Л\\ä"
    assert text(b"\x1b-L\xbb^\xbb=\xbb\\\xe4", codecs) == "Л^Л=Л\\ä"
    assert decode(b"\x1b-L\xbb\\\xbb", codecs) == "Л\\Л"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(b"A \0", "A"), (b" A ", " A"), (b"A \\B \\ C", "A\\B\\ C"), (b"A\0B\0", "A\ufffdB"), (b"", ""), (b"\0\0", "")],
)
def test_padding_is_removed_and_the_rest_is_kept(value: bytes, expected: str) -> None:
    assert text(value, codecs_of(())) == expected


def test_each_kind_of_value_has_its_own_padding() -> None:
    assert code_string(b"1.2.3\0") == "1.2.3"
    assert number_string(b" 12 \\ 3\0") == "12\\3"
    assert person_name(b"A^B==", codecs_of(())) == "A^B"
    assert person_name(b"A^B=\\C= ", codecs_of(())) == "A^B\\C"
    assert person_name(b"=B ", codecs_of(())) == "=B"


TERMS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["ISO 2022 IR 87", "ISO 2022 IR 159", "ISO 2022 IR 149", "ISO 2022 IR 58", "ISO_IR 192", "GB18030"]
    ),
)
HOSTILE = st.lists(
    st.one_of(
        st.binary(max_size=8), st.sampled_from([b"\x1b$B", b"\x1b$(D", b"\x1b$)C", b"\x1b$)A", b"\x1b", b"\x1b-L"])
    ),
    max_size=8,
).map(b"".join)


@given(HOSTILE, st.lists(TERMS, max_size=4).map(tuple))
def test_any_bytes_in_any_set_give_a_text_without_nul(value: bytes, character_set: tuple[str, ...]) -> None:
    codecs = codecs_of(character_set)
    for made in (text(value, codecs), person_name(value, codecs), code_string(value), number_string(value)):
        assert "\0" not in made
        made.encode("utf-8")


@pytest.mark.parametrize(
    ("asked", "name", "term"),
    [
        ((), "Mäkelä", "ISO_IR 100"),
        (("",), "Mäkelä", "ISO_IR 100"),
        (("ISO_IR 6",), "Mäkelä", "ISO_IR 100"),
        (("ISO_IR 100",), "Mäkelä", "ISO_IR 100"),
        (("ISO_IR 192",), "Mäkelä", "ISO_IR 192"),
        (("ISO_IR 144",), "Иванов", "ISO_IR 144"),
        (("ISO_IR 144",), "Mäkelä", "ISO_IR 192"),
        (("ISO_IR 100",), "Иванов", "ISO_IR 192"),
        (("ISO 2022 IR 100",), "Mäkelä", "ISO_IR 100"),
        (("ISO 2022 IR 6", "ISO 2022 IR 100"), "Mäkelä", "ISO_IR 100"),
        (("", "ISO 2022 IR 144"), "Иванов", "ISO_IR 144"),
        (("ISO 2022 IR 100", "ISO 2022 IR 144"), "Иванов", "ISO_IR 144"),
        (("ISO_IR 13",), "山田", "ISO_IR 192"),
        (("ISO 2022 IR 13", "ISO 2022 IR 87"), "山田", "ISO_IR 192"),
        (("ISO 2022 IR 149",), "김희중", "ISO_IR 192"),
        (("ISO 2022 IR 58",), "王小东", "ISO_IR 192"),
        (("GB18030",), "王小东", "GB18030"),
        (("nobody knows it",), "Mäkelä", "nobody knows it"),
    ],
)
def test_answers_are_written_in_a_set_that_names_all_its_letters(asked: tuple[str, ...], name: str, term: str) -> None:
    chosen, codec = choose_set([name], asked)
    assert chosen == term
    assert decode(name.encode(codec), codecs_of((chosen,))) == name
    assert not term.startswith("ISO 2022"), "no escape sequences are written"
