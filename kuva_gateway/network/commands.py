"""DIMSE command sets, encoded and decoded by hand because every instance costs two of them.

Keeps the numbers of PS3.7 annex E and one record, :class:`Command`, for every kind of command. Promises that
:func:`decode` reads any bytes in bounded time and raises nothing but :class:`CommandError`; texts that it returns are
stripped of their padding and never longer than the command set itself.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache, partial
from operator import attrgetter
from typing import Any, Final

from kuva_gateway.network.errors import CommandError

# PS3.7 E.1-1, Command Field (0000,0100). A response is its request with the highest bit set.
C_STORE_RQ = 0x0001
C_STORE_RSP = 0x8001
C_GET_RQ = 0x0010
C_GET_RSP = 0x8010
C_FIND_RQ = 0x0020
C_FIND_RSP = 0x8020
C_MOVE_RQ = 0x0021
C_MOVE_RSP = 0x8021
C_ECHO_RQ = 0x0030
C_ECHO_RSP = 0x8030
N_EVENT_REPORT_RQ = 0x0100
N_EVENT_REPORT_RSP = 0x8100
N_GET_RQ = 0x0110
N_GET_RSP = 0x8110
N_SET_RQ = 0x0120
N_SET_RSP = 0x8120
N_ACTION_RQ = 0x0130
N_ACTION_RSP = 0x8130
N_CREATE_RQ = 0x0140
N_CREATE_RSP = 0x8140
N_DELETE_RQ = 0x0150
N_DELETE_RSP = 0x8150
C_CANCEL_RQ = 0x0FFF

RESPONSE_BIT = 0x8000
REQUESTS = frozenset(
    {
        C_STORE_RQ,
        C_GET_RQ,
        C_FIND_RQ,
        C_MOVE_RQ,
        C_ECHO_RQ,
        N_EVENT_REPORT_RQ,
        N_GET_RQ,
        N_SET_RQ,
        N_ACTION_RQ,
        N_CREATE_RQ,
        N_DELETE_RQ,
    }
)
NAMES = {
    C_STORE_RQ: "C-STORE",
    C_GET_RQ: "C-GET",
    C_FIND_RQ: "C-FIND",
    C_MOVE_RQ: "C-MOVE",
    C_ECHO_RQ: "C-ECHO",
    N_EVENT_REPORT_RQ: "N-EVENT-REPORT",
    N_GET_RQ: "N-GET",
    N_SET_RQ: "N-SET",
    N_ACTION_RQ: "N-ACTION",
    N_CREATE_RQ: "N-CREATE",
    N_DELETE_RQ: "N-DELETE",
    C_CANCEL_RQ: "C-CANCEL",
}

# PS3.7 E.1-1, Priority (0000,0700).
PRIORITY_MEDIUM = 0x0000
PRIORITY_HIGH = 0x0001
PRIORITY_LOW = 0x0002

NO_DATA_SET = 0x0101
HAS_DATA_SET = 0x0001


@dataclass(slots=True, kw_only=True)
class Command:
    """One command set (group 0000), request or response; ``None`` or ``""`` where the element is absent."""

    field: int
    message_id: int | None = None
    responded_to: int | None = None
    affected_class: str = ""
    affected_instance: str = ""
    requested_class: str = ""
    requested_instance: str = ""
    priority: int | None = None
    has_data_set: bool = False
    status: int | None = None
    error_comment: str = ""
    error_id: int | None = None
    offending: tuple[int, ...] = ()
    event_type: int | None = None
    action_type: int | None = None
    move_destination: str = ""
    move_originator: str = ""
    move_originator_id: int | None = None
    remaining: int | None = None
    completed: int | None = None
    failed: int | None = None
    warning: int | None = None
    attributes: tuple[int, ...] = ()

    @property
    def is_response(self) -> bool:
        """Whether the command answers one of ours."""
        return bool(self.field & RESPONSE_BIT)

    @property
    def name(self) -> str:
        """``C-STORE``, ``N-ACTION`` ...: for log lines."""
        return NAMES.get(self.field & ~RESPONSE_BIT, f"{self.field:04X}")


_HEADER = struct.Struct("<HHL")
_US_ELEMENT = struct.Struct("<HHLH")
_UL_ELEMENT = struct.Struct("<HHLL")
_US = struct.Struct("<H")
_TAG = struct.Struct("<HH")

_UID, _TEXT, _NUMBER, _TAGS = range(4)
_PADDING = {_UID: b"\0", _TEXT: b" "}
_DATA_SET_TYPE = 0x0800

# Element number in group 0000, attribute of Command, kind; in the order of the wire (PS3.7 E.1).
_ELEMENTS: tuple[tuple[int, str, int], ...] = (
    (0x0002, "affected_class", _UID),
    (0x0003, "requested_class", _UID),
    (0x0100, "field", _NUMBER),
    (0x0110, "message_id", _NUMBER),
    (0x0120, "responded_to", _NUMBER),
    (0x0600, "move_destination", _TEXT),
    (0x0700, "priority", _NUMBER),
    (_DATA_SET_TYPE, "has_data_set", _NUMBER),
    (0x0900, "status", _NUMBER),
    (0x0901, "offending", _TAGS),
    (0x0902, "error_comment", _TEXT),
    (0x0903, "error_id", _NUMBER),
    (0x1000, "affected_instance", _UID),
    (0x1001, "requested_instance", _UID),
    (0x1002, "event_type", _NUMBER),
    (0x1005, "attributes", _TAGS),
    (0x1008, "action_type", _NUMBER),
    (0x1020, "remaining", _NUMBER),
    (0x1021, "completed", _NUMBER),
    (0x1022, "failed", _NUMBER),
    (0x1023, "warning", _NUMBER),
    (0x1030, "move_originator", _TEXT),
    (0x1031, "move_originator_id", _NUMBER),
)
_values = attrgetter(*(name for _, name, _ in _ELEMENTS))
_BY_NUMBER = {element: (name, kind) for element, name, kind in _ELEMENTS}


def encode(command: Command) -> bytes:
    """The command set as it goes on the wire: implicit little endian with its group length (PS3.7 6.3.1)."""
    parts: list[bytes] = []
    for value, (element, _, kind) in zip(_values(command), _ELEMENTS, strict=True):
        if value is None or (not value and kind != _NUMBER):
            continue
        if kind == _NUMBER:
            if element == _DATA_SET_TYPE:
                value = HAS_DATA_SET if value else NO_DATA_SET
            parts.append(_US_ELEMENT.pack(0, element, 2, value))
            continue
        raw = _tag_bytes(value) if kind == _TAGS else value.encode("ascii", "replace")
        if len(raw) & 1:
            raw += _PADDING[kind]
        parts.append(_HEADER.pack(0, element, len(raw)))
        parts.append(raw)
    body = b"".join(parts)
    return _UL_ELEMENT.pack(0, 0, 4, len(body)) + body


def store(request: Command) -> bytes:
    """A C-STORE-RQ: what :func:`encode` gives, for the request that is made most; of a C-MOVE's, encode gives it."""
    if request.move_originator_id is not None or request.move_originator:
        return encode(request)
    assert request.message_id is not None
    assert request.priority is not None
    numbers = _STORE.pack(*_STORE_START, request.message_id, *_PRIORITY, request.priority, *_DATA_SET, HAS_DATA_SET)
    body = _class_element(request.affected_class) + numbers + _uid_element(0x1000, request.affected_instance)
    return _UL_ELEMENT.pack(0, 0, 4, len(body)) + body


def stored(request: Command) -> bytes:
    """The C-STORE-RSP of status 0000 to ``request``: what :func:`encode` gives, for the answer that is given most."""
    assert request.message_id is not None
    numbers = _STORED.pack(*_STORED_START, request.message_id, *_STORED_END)
    body = _class_element(request.affected_class) + numbers + _uid_element(0x1000, request.affected_instance)
    return _UL_ELEMENT.pack(0, 0, 4, len(body)) + body


_STORE: Final = struct.Struct("<" + "HHLH" * 4)
_STORE_START: Final = (0, 0x0100, 2, C_STORE_RQ, 0, 0x0110, 2)
_PRIORITY: Final = (0, 0x0700, 2)
_DATA_SET: Final = (0, _DATA_SET_TYPE, 2)
_STORED: Final = struct.Struct("<" + "HHLH" * 4)
_STORED_START: Final = (0, 0x0100, 2, C_STORE_RSP, 0, 0x0120, 2)
_STORED_END: Final = (0, _DATA_SET_TYPE, 2, NO_DATA_SET, 0, 0x0900, 2, 0)


def _uid_element(element: int, value: str) -> bytes:
    """A UID as an element of group 0000; nothing when it is empty."""
    raw = value.encode("ascii", "replace")
    if len(raw) & 1:
        raw += _PADDING[_UID]
    return _HEADER.pack(0, element, len(raw)) + raw if raw else b""


_class_element = lru_cache(maxsize=256)(partial(_uid_element, 0x0002))


def decode(data: bytes | bytearray | memoryview) -> Command:
    """Read a command set; elements that no service uses are passed over.

    Raises
    ------
    CommandError
        The bytes are no command set: a group other than 0000, a length past the end, no Command Field or no
        Command Data Set Type, a number that is not two bytes, or a request without its Message ID.
    """
    raw = bytes(data)
    position, end = 0, len(raw)
    values: dict[str, Any] = {}
    unpack = _HEADER.unpack_from
    while position < end:
        if end - position < 8:
            raise CommandError("a command set ends in the middle of an element")
        group, element, length = unpack(raw, position)
        position += 8
        if group:
            raise CommandError(f"a command set holds an element of group {group:04X}")
        if length > end - position:
            raise CommandError(f"element (0000,{element:04X}) is longer than its command set")
        known = _BY_NUMBER.get(element)
        if known is not None:
            values[known[0]] = _value(element, known[1], raw[position : position + length])
        position += length
    if "field" not in values or "has_data_set" not in values:
        raise CommandError("a command set lacks its Command Field or its Command Data Set Type")
    values["has_data_set"] = values["has_data_set"] != NO_DATA_SET
    command = Command(**values)
    _require_ids(command)
    return command


def _value(element: int, kind: int, raw: bytes) -> object:
    if kind == _NUMBER:
        if len(raw) != 2:
            raise CommandError(f"element (0000,{element:04X}) is not one number of two bytes")
        return _US.unpack(raw)[0]
    if kind == _TAGS:
        if len(raw) % 4:
            raise CommandError(f"element (0000,{element:04X}) is no list of tags")
        return tuple(group << 16 | number for group, number in _TAG.iter_unpack(raw))
    return raw.strip(b"\0 ").decode("ascii", "replace")


def _tag_bytes(tags: tuple[int, ...]) -> bytes:
    return b"".join(_TAG.pack(tag >> 16, tag & 0xFFFF) for tag in tags)


def _require_ids(command: Command) -> None:
    if command.field == C_CANCEL_RQ or command.is_response:
        if command.responded_to is None:
            raise CommandError(f"{command.name} does not say which request it belongs to")
        if command.is_response and command.status is None:
            raise CommandError(f"a response to {command.name} has no status")
    elif command.message_id is None:
        raise CommandError(f"{command.name} has no Message ID")
