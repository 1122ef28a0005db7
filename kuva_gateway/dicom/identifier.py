"""The identifier of a C-FIND, C-MOVE or C-GET request (PS3.4 C.4.1.1.3): read, and checked against its model.

Promises that any bytes give an :class:`Identifier` or an :class:`IdentifierError` that carries the answer for the peer,
in bounded time: the network bounds the length, :mod:`~kuva_gateway.dicom.data_set` the nesting.

How retrieval uses it::

    identifier = read_identifier(data_set, context.transfer_syntax, command.affected_class)
    keys = retrieval_keys(identifier, lenient=..., negotiated=Negotiated.read(context.extended, service))
    # {Level.STUDY: ("1.2.3",), ...}: what visibility.selection() takes
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from kuva_gateway.dicom import statuses
from kuva_gateway.dicom.charsets import DEFAULT, clean, code_string, codecs_of, decode
from kuva_gateway.dicom.data_set import ElementError, Items, read_elements
from kuva_gateway.dicom.information_model import (
    CHARACTER_SET,
    LEVEL,
    MODELS,
    UNIQUE_KEYS,
    Level,
    Negotiated,
    Root,
)
from kuva_gateway.errors import GatewayError

Value: TypeAlias = "str | tuple[Mapping[int, Value], ...]"
"""A key's value: decoded text, or a sequence's items. "" and () are universal (PS3.4 C.2.2.2.3)."""

_TEXT_VRS = {"SH": "value", "LO": "value", "UC": "value", "PN": "name", "ST": "line", "LT": "line", "UT": "line"}
"""VRs in the Specific Character Set, and where its initial set comes back (:func:`charsets.decode`)."""
_DROPPED = frozenset({LEVEL, CHARACTER_SET})
MOST_VALUES = 10_000
"""UIDs that one key may list: more than 16 bits of length can hold (PS3.5 7.1.2), less than any database takes."""
_LONGEST_CHARACTER_SET = 256
"""Bytes of Specific Character Set that are looked at; its VR allows 16 in each of a few values."""


class IdentifierError(GatewayError):
    """The identifier cannot be answered; says with which status, and which elements are to blame."""

    def __init__(self, status: int, comment: str, *offending: int) -> None:
        super().__init__(comment)
        self.status = status
        self.comment = comment
        self.offending = offending


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifier:
    """A request's identifier, understood."""

    root: Root
    level: Level
    character_set: tuple[str, ...]
    """The terms of Specific Character Set; () when the identifier names none."""
    keys: Mapping[int, Value]
    """Every other element by its tag, in the order of the tags."""

    def text(self, tag: int) -> str:
        """The value of a key; "" when it is missing, empty or a sequence."""
        value = self.keys.get(tag, "")
        return value if isinstance(value, str) else ""

    def values(self, tag: int) -> tuple[str, ...]:
        """The values of a key that may be a list of UIDs; () when it is universal, as a lone ``*`` is too."""
        values = tuple(value for value in self.text(tag).split("\\") if value)
        return () if values == ("*",) else values


def read_identifier(data: bytes, transfer_syntax: str, sop_class: str) -> Identifier:
    """Read an identifier of the information model that ``sop_class`` belongs to.

    Raises
    ------
    IdentifierError
        C000: no data set. A900: the level is missing, unknown, or not one of the model's.
    """
    model = MODELS.get(sop_class)
    if model is None:
        raise IdentifierError(statuses.CLASS_NOT_SUPPORTED, "not a query or retrieve SOP class of ours")
    keys, terms = _read(data, transfer_syntax)
    level = _level(keys.get(LEVEL), model.root)
    return Identifier(
        root=model.root,
        level=level,
        character_set=terms,
        keys={tag: value for tag, value in keys.items() if tag not in _DROPPED},
    )


def read_match(data: bytes, transfer_syntax: str) -> dict[int, Value]:
    """The elements of what somebody else answered to a query, decoded; raises IdentifierError when it is none."""
    keys, _ = _read(data, transfer_syntax)
    return keys


def check_hierarchy(identifier: Identifier, *, lenient: bool, negotiated: Negotiated) -> None:
    """Of a hierarchical query every higher level has its unique key with one value (PS3.4 C.4.1.2.1).

    ``lenient`` or relational queries (C.4.1.3.2.1): a missing one is universal, and it may be a list or a pattern.

    Raises
    ------
    IdentifierError
        A900 with the unique key that is missing or is no single value.
    """
    if lenient or negotiated.relational:
        return
    for level in identifier.root.levels:
        if level >= identifier.level:
            return
        tag = UNIQUE_KEYS[level]
        values = identifier.values(tag)
        if len(values) != 1 or any(sign in values[0] for sign in "*?"):
            comment = f"the unique key of level {level.name} is needed, with one value"
            raise IdentifierError(statuses.DATA_SET_MISMATCH, comment, tag)


def retrieval_keys(identifier: Identifier, *, lenient: bool, negotiated: Negotiated) -> dict[Level, tuple[str, ...]]:
    """What a C-MOVE or C-GET asks for: the unique keys' values of its level and those above (PS3.4 C.4.2.1.4.1).

    () at a level above: any. At the level itself there are one or more values, and for a patient exactly one.

    Raises
    ------
    IdentifierError
        A900 with the unique key that is missing, is a pattern, or has too many values.
    """
    check_hierarchy(identifier, lenient=lenient, negotiated=negotiated)
    found = {}
    for level in identifier.root.levels:
        if level > identifier.level:
            break
        tag = UNIQUE_KEYS[level]
        values = found[level] = identifier.values(tag)
        if level == identifier.level and not values:
            raise IdentifierError(statuses.DATA_SET_MISMATCH, f"the unique key of level {level.name} is missing", tag)
        if any(sign in value for value in values for sign in "*?"):
            raise IdentifierError(statuses.DATA_SET_MISMATCH, "retrieval takes no wildcards", tag)
        if len(values) > MOST_VALUES:
            raise IdentifierError(statuses.DATA_SET_MISMATCH, f"more than {MOST_VALUES} values: ask in parts", tag)
        if level == Level.PATIENT and len(values) > 1:
            raise IdentifierError(statuses.DATA_SET_MISMATCH, "retrieval takes one Patient ID", tag)
    return found


def _level(value: Value | None, root: Root) -> Level:
    if not isinstance(value, str) or not value:
        raise IdentifierError(statuses.DATA_SET_MISMATCH, "Query/Retrieve Level is missing", LEVEL)
    found = next((level for level in Level if level.name == value.strip(" ")), None)
    if found is None:
        raise IdentifierError(statuses.DATA_SET_MISMATCH, "Query/Retrieve Level is none of the standard's", LEVEL)
    if found not in root.levels:
        raise IdentifierError(statuses.DATA_SET_MISMATCH, "Study Root has no level PATIENT", LEVEL)
    return found


# -- bytes ------------------------------------------------------------------------------------------------------------


def _read(data: bytes, transfer_syntax: str) -> tuple[dict[int, Value], tuple[str, ...]]:
    try:
        elements = read_elements(data, transfer_syntax)
    except ElementError as error:
        raise IdentifierError(statuses.CANNOT_UNDERSTAND, f"the identifier cannot be read: {error}") from None
    return _keys(elements, (), DEFAULT)


def _keys(elements: Items, terms: tuple[str, ...], codecs: tuple[str, ...]) -> tuple[dict[int, Value], tuple[str, ...]]:
    """The elements of a data set or item; an item without a character set has its parent's (PS3.5 7.5.3)."""
    _, named = elements.get(CHARACTER_SET, ("", b""))
    if isinstance(named, bytes) and named:
        given = tuple(term.strip() for term in code_string(named[:_LONGEST_CHARACTER_SET]).split("\\"))
        terms, codecs = (given, codecs_of(given)) if any(given) else ((), DEFAULT)
    found: dict[int, Value] = {}
    for tag, (vr, value) in elements.items():
        if not isinstance(value, bytes):
            found[tag] = tuple(_keys(item, terms, codecs)[0] for item in value)
        elif tag & 0xFFFF:  # group lengths say nothing
            text = decode(value, codecs, _TEXT_VRS[vr]) if vr in _TEXT_VRS else code_string(value)
            found[tag] = clean("\\".join(one.strip("\0 ") for one in text.split("\\")))
    return found, terms
