"""A header's way through JSON, and what of it makes up a study's facts."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kuva_gateway.dicom.header import CodeItem, Header, HeaderError, from_json, to_json

TEXT = st.text(max_size=12)
NUMBERS = st.integers(min_value=0, max_value=2**31 - 1)
CODES = st.builds(CodeItem, value=TEXT, scheme=TEXT, scheme_uid=TEXT, meaning=TEXT)
PER_INSTANCE = {
    "sop_instance_uid",
    "series_instance_uid",
    "series_number",
    "series_description",
    "series_date",
    "instance_number",
    "rows",
    "columns",
    "number_of_frames",
    "body_part",
    "laterality",
    "series_time",
    "requests",
}


def _strategy(name: str, kind: str) -> st.SearchStrategy[object]:
    return {
        "str": TEXT,
        "int": NUMBERS,
        "tuple[str, ...]": st.lists(TEXT, max_size=3).map(tuple),
        "tuple[CodeItem, ...]": st.lists(CODES, max_size=3).map(tuple),
        "CodeItem | None": st.none() | CODES,
        "tuple[tuple[str, str, str], ...]": st.lists(st.tuples(TEXT, TEXT, TEXT), max_size=2).map(tuple),
    }[kind]


HEADERS = st.builds(Header, **{field.name: _strategy(field.name, str(field.type)) for field in fields(Header)})


@given(HEADERS)
def test_a_header_comes_back_from_json_as_it_was(header: Header) -> None:
    assert from_json(to_json(header)) == header


@given(HEADERS, HEADERS)
def test_equal_headers_and_only_they_give_equal_text(one: Header, other: Header) -> None:
    assert (to_json(one) == to_json(other)) == (one == other)


def test_defaults_are_left_out() -> None:
    assert to_json(Header()) == "{}"
    assert to_json(Header(modality="CT", rows=512)) == '{"modality":"CT","rows":512}'
    assert from_json("{}") == Header()


def test_names_of_another_version_are_passed_over() -> None:
    assert from_json('{"modality":"CT","phase_of_moon":"full"}') == Header(modality="CT")


@pytest.mark.parametrize("text", ["", "[]", "1", "{", '{"procedure_codes":[["a"]]}', '{"procedure_codes":1}'])
def test_damaged_json_is_a_header_error(text: str) -> None:
    with pytest.raises(HeaderError):
        from_json(text)


@given(HEADERS)
def test_facts_keep_what_the_study_shares_and_blank_the_rest(header: Header) -> None:
    facts = header.facts()
    blank = Header()
    for field in fields(Header):
        expected = blank if field.name in PER_INSTANCE else header
        assert getattr(facts, field.name) == getattr(expected, field.name), field.name


@given(HEADERS, TEXT)
def test_instances_of_one_study_have_the_same_facts(header: Header, text: str) -> None:
    other = replace(header, sop_instance_uid=text, instance_number=text, series_instance_uid=text, rows=3)
    assert other.facts() == header.facts()


@given(HEADERS, HEADERS, st.sampled_from(sorted(field.name for field in fields(Header))))
def test_headers_have_the_same_key_exactly_when_they_say_the_same(one: Header, other: Header, name: str) -> None:
    near = replace(one, **{name: getattr(other, name)})
    for second in (other, near):
        assert (one.facts_key() == second.facts_key()) == (one.facts() == second.facts())
