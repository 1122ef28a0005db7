"""Mapping files of local codes: columns by name, every fault with its line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kuva_gateway.clinical.code_mapping import CodeMappingError, read_code_mapping


def test_a_local_code_is_found_by_its_scheme_before_any_and_whatever_its_case() -> None:
    text = "\ufefflocal;scheme;code;description\nTHX;99RIS;GD1AD;Thoraxin TT\nthx;;GD1AA;\n\nKNEE;;NG1AA;Polvi\n"
    mapping = read_code_mapping(text.encode())
    found = mapping.find("thx", "99ris")
    assert found is not None
    assert (found.code, found.description, found.line) == ("GD1AD", "Thoraxin TT", 2)
    anywhere = mapping.find(" THX ")
    assert anywhere is not None
    assert anywhere.code == "GD1AA"
    assert mapping.find("KNEE", "OTHER") is not None
    assert mapping.find("HAND") is None


def test_commas_and_quotes_and_other_orders_of_columns_are_read() -> None:
    found = read_code_mapping(b'code,local\r\ngd1ad,"CT, chest"\r\n1270,EKG\r\n')
    assert found.find("ct, chest") is not None
    assert found.find("EKG") is not None


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "line 1: the column code is missing; line 1: the column local is missing"),
        (b"local;cod\nA;GD1AD\n", "the column code is missing; line 1: there is no column 'cod'"),
        (b"local;code;code\nA;GD1AD;GD1AD\n", "the column code stands twice"),
        (b"local;code\nA;GD1AD;x\nB\n", "line 2: expected 2 columns, found 3; line 3: expected 2 columns, found 1"),
        (b"local;code\nA;GD1AD\na;GD1AA\n", "line 3: the local code stands in line 2 already"),
        (b"local;code\nA;thorax\n", "line 2: 'thorax' has not the form of a national code"),
        (b"local;code\n;GD1AD\n", "line 2: the local code is empty"),
        (b"local;code\nA;GD1AD\n\xff;GD1AD\n", "line 3: this is no UTF-8"),
        (b'local;code\n"A;GD1AD\n', "this is no CSV"),
        (b"local;code;description\nA;GD1AD;" + b"x" * 59, "more than 58 characters"),
    ],
)
def test_every_fault_is_told_with_its_line(data: bytes, says: str) -> None:
    with pytest.raises(CodeMappingError) as caught:
        read_code_mapping(data)
    assert says in str(caught.value)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for whole in (data, b"local;code\n" + data):
        try:
            read_code_mapping(whole)
        except CodeMappingError as error:
            assert error.faults
