"""HL7 v2 ADT messages: what of them counts, in which character set, and what is refused with its place."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kuva_gateway.clinical.adt import AdtError, PatientIdentifier, read_adt

HETU = "010594Y9032"
ROOT = "1.2.246.21"
TEMPORARY_ROOT = "1.2.246.10.99999984.22.2024"
TEMPORARY = f"T-1^^^TILAP&{TEMPORARY_ROOT}&ISO"
ID = f"{HETU}^^^VRK&{ROOT}&ISO^SS"


def message(*segments: str, event: str = "A40", charset: str = "UNICODE UTF-8", end: str = "\r") -> bytes:
    header = f"MSH|^~\\&|RIS|HUS|GW|HUS|20261123||ADT^{event}^ADT_A39|1|P|2.5||||||{charset}"
    return end.join([header, f"EVN|{event}|20261123", *segments, ""]).encode()


def pid(ids: str = ID, name: str = "Mäkelä^Anna^Maria^Jr^Dr", birth: str = "19940501", sex: str = "F") -> str:
    return f"PID|1||{ids}||{name}||{birth}|{sex}|||Katu 1^^Turku"


def test_a_merge_tells_the_old_id_the_new_one_and_the_person() -> None:
    read = read_adt(message(pid(), f"MRG|{TEMPORARY}"))
    (one,) = read.identities
    assert (read.event, one.patient) == ("A40", PatientIdentifier(HETU, ROOT))
    assert one.replaced == (PatientIdentifier("T-1", TEMPORARY_ROOT),)
    assert (one.name, one.birth_date, one.sex) == ("Mäkelä^Anna^Maria^Dr^Jr", "19940501", "F")


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_segments_end_in_any_way_and_mllp_does_not_matter(end: str) -> None:
    data = message(pid(), f"MRG|{TEMPORARY}", end=end)
    assert read_adt(b"\x0b" + data + b"\x1c\r") == read_adt(data)


def test_fields_and_segments_that_nobody_knows_are_passed_over() -> None:
    read = read_adt(message("ZZZ|anything|^^~", pid() + "|" * 40 + "more", "PD1|x", f"MRG|{TEMPORARY}|x|y", "PV1||I"))
    assert read.identities[0].replaced[0].value == "T-1"


def test_of_several_ids_the_identity_code_counts_and_those_of_organisations_are_replaced() -> None:
    ids = f"4711^^^LOCAL~{TEMPORARY}~{ID}~88^^^X&1.2.246.10.1.5&ISO"
    (one,) = read_adt(message(pid(ids), event="A08")).identities
    assert one.patient.value == HETU
    assert [old.value for old in one.replaced] == ["T-1", "88"], "an id without an issuer may be anybody's"


def test_a_merge_of_several_patients_has_each_with_its_own_old_id() -> None:
    other = f"020594X902N^^^VRK&{ROOT}&ISO"
    read = read_adt(message(pid(), f"MRG|{TEMPORARY}", pid(other), "MRG|T-2"))
    assert [(one.patient.value, one.replaced[0].value) for one in read.identities] == [
        (HETU, "T-1"),
        ("020594X902N", "T-2"),
    ]


def test_other_separators_and_escapes_are_read() -> None:
    data = "MSH#*!\\?#a#b#c#d#1##ADT*A40#1#P#2.5######UNICODE UTF-8\rPID###" + HETU + "##A\\S\\B*C\rMRG#T\\T\\1\r"
    (one,) = read_adt(data.encode()).identities
    assert (one.name, one.replaced[0].value) == ("A*B^C", "T?1")


@pytest.mark.parametrize(
    ("charset", "codec"), [("UNICODE UTF-8", "utf-8"), ("8859/1", "latin-1"), ("8859/15", "iso8859-15")]
)
def test_the_character_set_is_that_of_msh_18(charset: str, codec: str) -> None:
    data = message(pid(), f"MRG|{TEMPORARY}", charset=charset).decode().encode(codec)
    assert read_adt(data).identities[0].name.startswith("Mäkelä")


def test_an_explicit_null_and_what_is_no_value_are_not_told() -> None:
    (one,) = read_adt(message(pid(name='""', birth="1994", sex="U"), f"MRG|{TEMPORARY}")).identities
    assert (one.name, one.birth_date, one.sex) == ("", "", "")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "does not begin with an MSH"),
        (b"PID|1", "does not begin with an MSH"),
        (b"<ADT/>" * 10, "does not begin with an MSH"),
        (b"MSH|^^\\&|a|b|c|d|1||ADT^A40\rPID", "no separators"),
        (b"MSH|abcd|a|b|c|d|1||ADT^A40\rPID", "no separators"),
        (message(pid(), event="A01"), "neither ADT^A40 nor ADT^A08"),
        (message(pid(), event="A40").replace(b"ADT^", b"ORU^"), "neither ADT^A40"),
        (message(), "no PID segment"),
        (message(pid()), "followed by no MRG"),
        (message(pid(), "MRG|"), "MRG-1 is empty"),
        (message(pid(), f"MRG|{ID}"), "the id of PID-3 itself"),
        (message(pid(ids="")), "PID"),
        (message(pid(), f"MRG|{TEMPORARY}", charset="KOI8"), "MSH-18 names a character set that is not known"),
        (message(pid(), f"MRG|{TEMPORARY}", charset=""), "segment 3 is not in the character set of MSH-18 (ASCII)"),
        (message(pid(), "MRG|T") * 2, "more than one message"),
        (message(pid(), "MRG|" + "9" * 65), "more than 64 characters"),
        (b"MSH|^~\\&|" + b"x" * (1 << 20), "longer than"),
    ],
)
def test_a_message_that_cannot_be_used_is_refused_with_its_place_and_no_value(data: bytes, says: str) -> None:
    with pytest.raises(AdtError) as caught:
        read_adt(data)
    assert says in str(caught.value)
    assert HETU not in str(caught.value)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for whole in (data, b"MSH|^~\\&|" + data, message(pid(), "MRG|T") + data):
        with contextlib.suppress(AdtError):
            read_adt(whole)


def test_a_messages_parts_show_no_patient_in_tracebacks() -> None:
    read = read_adt(message(pid(), f"MRG|{TEMPORARY}"))
    assert HETU not in repr(read)
    assert "kel" not in repr(read)


@pytest.mark.slow
@pytest.mark.timeout(60)  # many times what it takes; when the rest was copied for each it took longer
def test_a_message_of_as_many_patients_as_fit_is_read_in_time() -> None:
    data = message(event="A08") + b"PID|||1\r" * 131_000
    assert len(read_adt(data).identities) == 131_000
