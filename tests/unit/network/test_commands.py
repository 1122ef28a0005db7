"""Command sets against pynetdicom's, and against anything at all."""

from __future__ import annotations

import contextlib
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.dimse_messages import C_STORE_RQ, N_ACTION_RSP
from pynetdicom.dsutils import decode as decode_data_set

from kuva_gateway.network import Command, CommandError, commands

STORE = Command(
    field=commands.C_STORE_RQ,
    message_id=7,
    affected_class="1.2.840.10008.5.1.4.1.1.2",
    affected_instance="1.2.3",
    priority=0,
    has_data_set=True,
    move_originator="PACS",
    move_originator_id=3,
)


def test_every_element_survives_the_round_trip():
    full = Command(
        field=commands.C_MOVE_RSP,
        message_id=1,
        responded_to=2,
        affected_class="1.2",
        affected_instance="1.2.3",
        requested_class="1.2.4",
        requested_instance="1.2.5",
        priority=2,
        has_data_set=True,
        status=0xB000,
        error_comment="some failed",
        error_id=5,
        offending=(0x00080018, 0x7FE00010),
        event_type=1,
        action_type=2,
        move_destination="DEST",
        move_originator="ORIGIN",
        move_originator_id=9,
        remaining=0,
        completed=2,
        failed=3,
        warning=4,
        attributes=(0x00100010,),
    )
    assert commands.decode(commands.encode(full)) == full


def test_pynetdicom_reads_what_we_write():
    read = decode_data_set(BytesIO(commands.encode(STORE)), True, True)
    message = C_STORE_RQ()
    assert set(read.keys()) <= set(message.command_set.keys())
    assert read.CommandField == 1
    assert read.AffectedSOPInstanceUID == "1.2.3"
    assert read.CommandGroupLength == len(commands.encode(STORE)) - 12
    assert read.MoveOriginatorApplicationEntityTitle == "PACS"


def test_we_read_what_pynetdicom_writes():
    from pynetdicom.dimse_primitives import N_ACTION

    primitive = N_ACTION()
    primitive.MessageIDBeingRespondedTo = 5
    primitive.AffectedSOPClassUID = "1.2.840.10008.1.20.1"
    primitive.AffectedSOPInstanceUID = "1.2.840.10008.1.20.1.1"
    primitive.ActionTypeID = 1
    primitive.Status = 0x0112
    message = N_ACTION_RSP()
    message.primitive_to_message(primitive)
    item = next(message.encode_msg(1, 0)).presentation_data_value_list[0][1]
    command = commands.decode(item[1:])
    assert (command.field, command.responded_to, command.status) == (commands.N_ACTION_RSP, 5, 0x0112)
    assert (command.action_type, command.has_data_set) == (1, False)


def test_texts_lose_their_padding_and_uids_their_null():
    raw = commands.encode(Command(field=commands.C_ECHO_RQ, message_id=1, affected_class="1.2.3", error_comment="odd"))
    assert b"1.2.3\0" in raw
    assert b"odd " in raw
    assert commands.decode(raw).affected_class == "1.2.3"
    assert commands.decode(raw).error_comment == "odd"


def test_an_element_that_no_service_uses_is_passed_over():
    raw = commands.encode(STORE) + b"\0\0\x99\x99\x02\0\0\0ab"
    assert commands.decode(raw) == STORE


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda raw: raw[:-1], "longer than its command set"),
        (lambda raw: raw + b"\0\0", "middle of an element"),
        (lambda raw: raw + b"\x08\0\x18\0\0\0\0\0", "group 0008"),
        (lambda raw: raw + b"\0\0\0\x07\x04\0\0\0\0\0\0\0", "two bytes"),
        (lambda raw: raw + b"\0\0\x01\x09\x02\0\0\0ab", "list of tags"),
        (lambda raw: b"", "lacks its Command Field"),
    ],
)
def test_damage_is_named(damage, why):
    with pytest.raises(CommandError, match=why):
        commands.decode(damage(commands.encode(STORE)))


def test_a_request_needs_its_id_and_a_response_its_request_and_status():
    with pytest.raises(CommandError, match="no Message ID"):
        commands.decode(commands.encode(Command(field=commands.C_ECHO_RQ)))
    with pytest.raises(CommandError, match="which request"):
        commands.decode(commands.encode(Command(field=commands.C_ECHO_RSP, status=0)))
    with pytest.raises(CommandError, match="no status"):
        commands.decode(commands.encode(Command(field=commands.C_ECHO_RSP, responded_to=1)))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_command_or_a_command_error(raw):
    with contextlib.suppress(CommandError):
        assert isinstance(commands.decode(raw), Command)


@given(st.integers(0, 100), st.integers(0, 255))
def test_a_changed_byte_is_a_command_or_a_command_error(where, value):
    raw = bytearray(commands.encode(STORE))
    raw[where % len(raw)] = value
    with contextlib.suppress(CommandError):
        assert isinstance(commands.decode(raw), Command)


@pytest.mark.parametrize("affected_class", ["", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.12.1"])
@pytest.mark.parametrize("affected_instance", ["", "1.2.3", "1.2.34"])
def test_the_answer_that_is_given_most_is_what_encode_gives(affected_class: str, affected_instance: str):
    request = Command(
        field=commands.C_STORE_RQ,
        message_id=40_000,
        affected_class=affected_class,
        affected_instance=affected_instance,
        has_data_set=True,
    )
    response = Command(
        field=commands.C_STORE_RSP,
        responded_to=40_000,
        affected_class=affected_class,
        affected_instance=affected_instance,
        status=0,
    )
    assert commands.stored(request) == commands.encode(response)


@pytest.mark.parametrize("affected_instance", ["1.2.3", "1.2.34", ""])
@pytest.mark.parametrize("priority", [commands.PRIORITY_MEDIUM, commands.PRIORITY_HIGH])
@pytest.mark.parametrize("originator", [{}, {"move_originator": "PACS", "move_originator_id": 7}])
def test_the_request_that_is_made_most_is_what_encode_gives(
    affected_instance: str, priority: int, originator: dict[str, Any]
) -> None:
    request = Command(
        field=commands.C_STORE_RQ,
        message_id=65535,
        affected_class="1.2.840.10008.5.1.4.1.1.2",
        affected_instance=affected_instance,
        priority=priority,
        has_data_set=True,
        **originator,
    )
    assert commands.store(request) == commands.encode(request)
