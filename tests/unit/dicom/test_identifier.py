"""Identifiers of queries: what is read of them, and which answer a wrong one gets."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from kuva_gateway.dicom.data_set import DEEPEST, ElementError, read_elements
from kuva_gateway.dicom.identifier import (
    Identifier,
    IdentifierError,
    check_hierarchy,
    read_identifier,
    retrieval_keys,
)
from kuva_gateway.dicom.information_model import (
    MODELS,
    PATIENT_ROOT_FIND,
    STUDY_ROOT_FIND,
    STUDY_ROOT_MOVE,
    Level,
    Negotiated,
    Root,
    Service,
    answer_negotiation,
)

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
BIG = "1.2.840.10008.1.2.2"
STRICT = {"lenient": False, "negotiated": Negotiated()}


def encoded(syntax: str = IMPLICIT, **values: Any) -> bytes:
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = syntax != BIG, syntax == IMPLICIT
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that no UID can have
        write_dataset(stream, item(**values))
    return bytes(stream.getvalue())


def read(root: str = STUDY_ROOT_FIND, syntax: str = IMPLICIT, **values: Any) -> Identifier:
    return read_identifier(encoded(syntax, **values), syntax, root)


def item(**values: Any) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG])
def test_keys_are_read_in_every_uncompressed_syntax(syntax: str) -> None:
    request = item(ScheduledProcedureStepID="SPS1", RequestedProcedureID="")
    found = read(
        syntax=syntax,
        SpecificCharacterSet="ISO_IR 100",
        QueryRetrieveLevel="SERIES",
        PatientName="Mäkelä^Åke ",
        StudyInstanceUID=["1.2", "1.3"],
        SeriesDescription="",
        RequestAttributesSequence=[request],
    )
    assert (found.root, found.level, found.character_set) == (Root.STUDY, Level.SERIES, ("ISO_IR 100",))
    assert found.text(0x00100010) == "Mäkelä^Åke"
    assert found.values(0x0020000D) == ("1.2", "1.3")
    assert found.keys[0x0008103E] == ""
    assert found.keys[0x00400275] == ({0x00400009: "SPS1", 0x00401001: ""},)
    assert 0x00080052 not in found.keys


def test_a_sequence_without_a_length_is_read_as_one_with_it() -> None:
    inner = bytes.fromhex("fe ff 00 e0 ff ff ff ff") + encoded(RequestedProcedureID="R1")
    inner += bytes.fromhex("fe ff 0d e0 00 00 00 00 fe ff dd e0 00 00 00 00")
    data = encoded(QueryRetrieveLevel="STUDY") + bytes.fromhex("40 00 75 02 ff ff ff ff") + inner
    assert read_identifier(data, IMPLICIT, STUDY_ROOT_FIND).keys[0x00400275] == ({0x00401001: "R1"},)


def test_a_lone_star_is_universal_and_no_list_of_uids() -> None:
    found = read(QueryRetrieveLevel="STUDY", StudyInstanceUID="*")
    assert found.values(0x0020000D) == ()


@pytest.mark.parametrize(
    ("root", "values", "offending"),
    [
        (STUDY_ROOT_FIND, {}, 0x00080052),
        (STUDY_ROOT_FIND, {"QueryRetrieveLevel": ""}, 0x00080052),
        (STUDY_ROOT_FIND, {"QueryRetrieveLevel": "EXAM"}, 0x00080052),
        (STUDY_ROOT_FIND, {"QueryRetrieveLevel": ["STUDY", "SERIES"]}, 0x00080052),
        (STUDY_ROOT_FIND, {"QueryRetrieveLevel": "PATIENT"}, 0x00080052),
    ],
)
def test_a_level_that_is_missing_or_unknown_is_refused_and_named(
    root: str, values: dict[str, Any], offending: int
) -> None:
    with pytest.raises(IdentifierError) as refused:
        read(root, **values)
    assert (refused.value.status, refused.value.offending) == (0xA900, (offending,))
    assert 0 < len(refused.value.comment) <= 64


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"StudyInstanceUID": "1.2", "PatientID": ""},
        {"StudyInstanceUID": "1.2", "PatientID": "*"},
        {"StudyInstanceUID": "1.2", "PatientID": "12*"},
        {"StudyInstanceUID": ["1.2", "1.3"], "PatientID": "12"},
    ],
)
def test_a_hierarchical_query_needs_one_value_of_each_higher_unique_key(values: dict[str, Any]) -> None:
    found = read(PATIENT_ROOT_FIND, QueryRetrieveLevel="SERIES", **values)
    with pytest.raises(IdentifierError) as refused:
        check_hierarchy(found, **STRICT)
    assert refused.value.status == 0xA900
    assert refused.value.offending in [(0x00100020,), (0x0020000D,)]
    check_hierarchy(found, lenient=True, negotiated=Negotiated())
    check_hierarchy(found, lenient=False, negotiated=Negotiated(relational=True))


def test_a_hierarchical_query_with_its_higher_keys_passes() -> None:
    check_hierarchy(read(QueryRetrieveLevel="STUDY"), **STRICT)
    check_hierarchy(read(QueryRetrieveLevel="IMAGE", StudyInstanceUID="1", SeriesInstanceUID="2"), **STRICT)


def test_retrieval_says_what_it_wants_level_by_level() -> None:
    found = read(STUDY_ROOT_MOVE, QueryRetrieveLevel="SERIES", StudyInstanceUID="1", SeriesInstanceUID=["2", "3"])
    assert retrieval_keys(found, **STRICT) == {Level.STUDY: ("1",), Level.SERIES: ("2", "3")}


@pytest.mark.parametrize("values", [{}, {"SeriesInstanceUID": ""}, {"SeriesInstanceUID": "1.*"}])
def test_retrieval_without_its_own_unique_key_is_refused(values: dict[str, Any]) -> None:
    found = read(STUDY_ROOT_MOVE, QueryRetrieveLevel="SERIES", StudyInstanceUID="1", **values)
    with pytest.raises(IdentifierError) as refused:
        retrieval_keys(found, lenient=True, negotiated=Negotiated())
    assert (refused.value.status, refused.value.offending) == (0xA900, (0x0020000E,))


def test_a_class_of_no_information_model_is_refused() -> None:
    with pytest.raises(IdentifierError) as refused:
        read("1.2.840.10008.1.1", QueryRetrieveLevel="STUDY")
    assert refused.value.status == 0x0122
    assert {model.service for model in MODELS.values()} == set(Service)


@pytest.mark.parametrize(
    "data",
    [
        b"\x08",
        b"\x08\x00\x52\x00\x40\x00\x00\x00STUDY ",
        b"\xfe\xff\x0d\xe0\x00\x00\x00\x00",
        b"\x40\x00\x75\x02\xff\xff\xff\xff",
        b"\x40\x00\x75\x02\x08\x00\x00\x00\x08\x00\x52\x00\x00\x00\x00\x00",
        b"\x40\x00\x75\x02\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff",
        b"\x40\x00\x75\x02\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 2000,
    ],
)
def test_what_is_no_data_set_cannot_be_understood(data: bytes) -> None:
    with pytest.raises(IdentifierError) as refused:
        read_identifier(data, IMPLICIT, STUDY_ROOT_FIND)
    assert refused.value.status == 0xC000


def test_nesting_ends_before_the_interpreter_does() -> None:
    made = item(RequestedProcedureID="R")
    for _ in range(DEEPEST + 1):
        made = item(RequestAttributesSequence=[made])
    with pytest.raises(ElementError, match="deep"):
        read_elements(encoded(RequestAttributesSequence=made.RequestAttributesSequence), IMPLICIT)


@given(st.binary(max_size=200), st.sampled_from([IMPLICIT, EXPLICIT, BIG]))
def test_any_bytes_are_an_identifier_or_a_refusal(data: bytes, syntax: str) -> None:
    for more in (data, encoded(syntax, QueryRetrieveLevel="STUDY") + data):
        try:
            assert read_identifier(more, syntax, STUDY_ROOT_FIND).level is Level.STUDY
        except IdentifierError as refused:
            assert refused.status in (0xA900, 0xC000)


@pytest.mark.parametrize(
    ("proposed", "service", "answered"),
    [
        (b"\1\1\1\1\1", Service.FIND, b"\1\1\0\0\0"),
        (b"\0\1", Service.FIND, b"\0\1"),
        (b"\1", Service.FIND, b"\1"),
        (b"", Service.FIND, b""),
        (b"\1\1", Service.MOVE, b"\1\0"),
    ],
)
def test_of_what_is_negotiated_we_agree_to_what_we_do(proposed: bytes, service: Service, answered: bytes) -> None:
    assert answer_negotiation(proposed, service) == answered
    agreed = Negotiated.read(answered, service)
    assert agreed.relational == (answered[:1] == b"\1")
    assert agreed.combined_date_time == (service is Service.FIND and answered[1:2] == b"\1")
