"""Amendments applied to a data set while it is sent: what changes is made anew, everything else is copied.

Promises that every byte of an element that no amendment names stays as it was received, pixel data first of all; that
memory does not grow with the object; that group lengths that are there stay right; and that Original Attributes
Sequence (0400,0561) says what stood there before, who changed it, when and why (PS3.3 C.12.1.1.9).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from kuva_gateway.dicom.amendments import ATTRIBUTES, ITEM_ATTRIBUTES, Amendment, Value
from kuva_gateway.dicom.charsets import encode
from kuva_gateway.dicom.elements import Element, Elements, Read
from kuva_gateway.dicom.encoding import Encoding
from kuva_gateway.dicom.header import HeaderError
from kuva_gateway.dicom.walk import UNDEFINED
from kuva_gateway.dicom.wanted import CHARACTER_SET
from kuva_gateway.errors import RefusedError

MODIFYING_SYSTEM: Final = "kuva_gateway"
ORIGINAL_ATTRIBUTES: Final = 0x04000561
_MODIFIED_ATTRIBUTES: Final = 0x04000550
_MODIFIED_AT: Final = 0x04000562
_MODIFIED_BY: Final = 0x04000563
_SOURCE: Final = 0x04000564
_REASON: Final = 0x04000565
_LONGEST_REPLACED: Final = 1 << 20
"""Bytes of an element that is replaced at most: it is kept in memory and goes into the sequence."""
_MOST_ELEMENTS: Final = 65_536

_TAGS: Final = frozenset({CHARACTER_SET, ORIGINAL_ATTRIBUTES} | {one.tag for one in ATTRIBUTES.values()})
_VRS: Final = {CHARACTER_SET: "CS", **{one.tag: one.vr for one in ATTRIBUTES.values()}}
_GROUPS: Final = frozenset(tag >> 16 for tag in _TAGS)


class AmendingError(RefusedError):
    """The data set cannot be amended; the text says why and quotes nothing of it."""


class Range(NamedTuple):
    """Bytes of the received data set; ``end`` None: to its end."""

    start: int
    end: int | None


Piece: TypeAlias = bytes | Range


@dataclass(slots=True)
class _Found:
    """What the walk saw: elements by tag, and for every tag of ours where it would have to stand."""

    elements: dict[int, Element]
    places: dict[int, int]
    values: dict[int, bytes]
    """Whole elements of ours, as bytes."""


def amend(
    read: Read, amendments: Sequence[Amendment], character_set: tuple[str, ...], encoding: Encoding
) -> list[Piece]:
    """The amended data set as a list of bytes and of ranges of the received one.

    Parameters
    ----------
    read
        Reads the received data set, inflated if it was deflated.
    amendments
        Those that apply to this instance, in order (:func:`~kuva_gateway.dicom.amendments.applying`).
    character_set
        The received data set's own.

    Raises
    ------
    AmendingError
        It cannot be read element by element, or a value cannot be written in its character set.
    """
    try:
        found = _look(read, encoding)
    except HeaderError as error:
        raise AmendingError(f"the data set cannot be amended: {error}") from error
    current: dict[int, bytes | None] = {tag: found.values.get(tag) for tag in _TAGS}
    items = b""
    for one in amendments:
        changes, character_set = _encoded(one, character_set, encoding)
        before = {tag: current[tag] for tag, after in changes.items() if current[tag] != after}
        current.update(changes)
        if before:
            items += encoding.item(_original(before, one, encoding))
    edits = [
        edit
        for tag, after in current.items()
        if after is not None and after != found.values.get(tag)
        for edit in [_replacement(found, tag, after)]
    ]
    if items:
        edits.append(_appended(found, items, encoding))
    return _pieces([*edits, *_group_lengths(found, edits, encoding)])


class _Edit(NamedTuple):
    """``data`` in place of what stands from ``start`` to ``end``; ``order`` puts insertions at one place in order."""

    start: int
    end: int
    order: int
    data: bytes


def _look(read: Read, encoding: Encoding) -> _Found:
    elements = Elements(read, implicit=encoding.implicit, big_endian=encoding.big_endian)
    found = _Found({}, {}, {})
    waiting = sorted(_TAGS)
    position = 0
    for count, element in enumerate(elements.until(ORIGINAL_ATTRIBUTES)):
        if count > _MOST_ELEMENTS:
            raise HeaderError("it has too many elements")
        while waiting and element.tag > waiting[0]:
            found.places[waiting.pop(0)] = element.start
        if element.tag in _TAGS or (element.tag & 0xFFFF == 0 and element.tag >> 16 in _GROUPS):
            _keep(found, element, elements)
        position = element.end
    found.places.update(dict.fromkeys(waiting, position))
    return found


def _keep(found: _Found, element: Element, elements: Elements) -> None:
    if element.tag in found.elements:
        raise HeaderError("one of its elements stands twice")
    if element.end - element.start > _LONGEST_REPLACED:
        raise HeaderError("what is to be replaced is too long")
    found.elements[element.tag] = element
    data = elements.peek(element.start, element.end - element.start)
    if len(data) < element.end - element.start:
        raise HeaderError("it is cut off")
    found.values[element.tag] = data


def _encoded(
    amendment: Amendment, character_set: tuple[str, ...], encoding: Encoding
) -> tuple[dict[int, bytes], tuple[str, ...]]:
    """The amendment's elements as bytes, and the character set that they need."""
    changes: dict[int, bytes] = {}
    named = character_set
    for keyword, value in amendment.changes.items():
        one = ATTRIBUTES[keyword]
        try:
            data, named = _value(value, named, encoding)
        except UnicodeEncodeError:
            raise AmendingError(f"the new {keyword} cannot be written in the data set's character set") from None
        changes[one.tag] = encoding.element(one.tag, one.vr, data)
    if named != character_set:
        changes[CHARACTER_SET] = encoding.element(CHARACTER_SET, "CS", "\\".join(named).encode("ascii"))
    return changes, named


def _value(value: Value, character_set: tuple[str, ...], encoding: Encoding) -> tuple[bytes, tuple[str, ...]]:
    if isinstance(value, str):
        return encode(value, character_set)
    items = b""
    for item in value:
        content = b""
        for one in sorted((ITEM_ATTRIBUTES[keyword] for keyword in item), key=lambda one: one.tag):
            data, character_set = encode(item[one.keyword], character_set)
            content += encoding.element(one.tag, one.vr, data)
        items += encoding.item(content)
    return items, character_set


def _original(before: dict[int, bytes | None], amendment: Amendment, encoding: Encoding) -> bytes:
    """One item of Original Attributes Sequence; what was absent stands there without a value."""
    replaced = b"".join(
        data if data is not None else encoding.element(tag, _VRS[tag], b"") for tag, data in sorted(before.items())
    )
    texts = (
        (_MODIFIED_AT, "DT", amendment.at.strftime("%Y%m%d%H%M%S.%f%z")),
        (_MODIFIED_BY, "LO", MODIFYING_SYSTEM),
        (_SOURCE, "LO", ""),
        (_REASON, "CS", amendment.kind),
    )
    return encoding.element(_MODIFIED_ATTRIBUTES, "SQ", encoding.item(replaced)) + b"".join(
        encoding.element(tag, vr, text.encode("ascii")) for tag, vr, text in texts
    )


def _replacement(found: _Found, tag: int, data: bytes) -> _Edit:
    element = found.elements.get(tag)
    if element is not None:
        return _Edit(element.start, element.end, tag, data)
    return _Edit(found.places[tag], found.places[tag], tag, data)


def _appended(found: _Found, items: bytes, encoding: Encoding) -> _Edit:
    """Our items behind those that the sender, or others before it, put into the sequence."""
    element = found.elements.get(ORIGINAL_ATTRIBUTES)
    if element is None:
        return _replacement(found, ORIGINAL_ATTRIBUTES, encoding.element(ORIGINAL_ATTRIBUTES, "SQ", items))
    if element.vr not in (b"", b"SQ"):
        raise AmendingError("the data set's Original Attributes Sequence is in an encoding that cannot be amended")
    present = found.values[ORIGINAL_ATTRIBUTES][element.value - element.start :]
    if element.length == UNDEFINED:
        present = present[:-8]
    return _replacement(found, ORIGINAL_ATTRIBUTES, encoding.element(ORIGINAL_ATTRIBUTES, "SQ", present + items))


def _group_lengths(found: _Found, edits: Iterable[_Edit], encoding: Encoding) -> list[_Edit]:
    """(gggg,0000) of the groups that grow or shrink, where the sender wrote one (retired, PS3.5 7.2)."""
    grown: dict[int, int] = {}
    for edit in edits:
        group = edit.order >> 16
        grown[group] = grown.get(group, 0) + len(edit.data) - (edit.end - edit.start)
    changed = []
    for group, by in grown.items():
        element = found.elements.get(group << 16)
        if element is not None and element.length == 4 and by:
            data = found.values[group << 16]
            length = encoding.number(data[-4:]) + by
            changed.append(_Edit(element.start, element.end, element.tag, data[:-4] + encoding.long(max(length, 0))))
    return changed


def _pieces(edits: list[_Edit]) -> list[Piece]:
    pieces: list[Piece] = []
    position = 0
    for edit in sorted(edits, key=lambda one: (one.start, one.order)):
        if edit.start > position:
            pieces.append(Range(position, edit.start))
        if edit.data and pieces and isinstance(pieces[-1], bytes):
            pieces[-1] += edit.data
        elif edit.data:
            pieces.append(edit.data)
        position = edit.end
    return [*pieces, Range(position, None)]
