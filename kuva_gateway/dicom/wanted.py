"""Which elements of a data set the gateway reads, and the :class:`Header` that is made of their bytes.

Keeps one table, :data:`TOP`, that the walk over a data set follows; nothing outside that table is copied out of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeAlias

from kuva_gateway.dicom.charsets import DEFAULT, code_string, codecs_of, number_string, person_name, text
from kuva_gateway.dicom.header import CodeItem, Header
from kuva_gateway.dicom.sop_classes import STORAGE_CLASSES

Plan: TypeAlias = dict[int, Any]
"""Tag to bytes to keep of its value at most (an int), or to the plan for a sequence's items."""

Found: TypeAlias = dict[int, Any]
"""Tag to the bytes of its value, or to the list of what was found in a sequence's items."""

WHOLE = 0x10000
"""Bytes of a wanted text value at most; a longer one makes the data set one that cannot be understood."""

DOCUMENT_START = 5
"""Bytes of an encapsulated document that are kept: enough for ``%PDF-``."""

CHARACTER_SET = 0x00080005
SOP_CLASS = 0x00080016
LAST_GROUP = 0x0042
LAST_WAVEFORM_GROUP = 0x5400

_CODE: Plan = {
    CHARACTER_SET: WHOLE,
    0x00080100: WHOLE,  # Code Value
    0x00080102: WHOLE,  # Coding Scheme Designator
    0x00080104: WHOLE,  # Code Meaning
    0x0008010C: WHOLE,  # Coding Scheme UID
    0x00080119: WHOLE,  # Long Code Value
    0x00080120: WHOLE,  # URN Code Value
}
_ISSUER: Plan = {
    CHARACTER_SET: WHOLE,
    0x00400031: WHOLE,  # Local Namespace Entity ID
    0x00400032: WHOLE,  # Universal Entity ID
    0x00400033: WHOLE,  # Universal Entity ID Type
}
_ISSUER_OF_ACCESSION_NUMBER = 0x00080051
_INSTITUTION_CODE = 0x00080082
_PROCEDURE_CODE = 0x00081032
_ISSUER_QUALIFIERS = 0x00100024
_ROWS, _COLUMNS, _FRAMES = 0x00280010, 0x00280011, 0x00280008
_REQUESTED_PROCEDURE_CODE = 0x00321064
_REQUEST_ATTRIBUTES = 0x00400275
_REQUEST_TEXTS = (0x00401001, 0x00400009, 0x00080050)
"""Requested Procedure ID, Scheduled Procedure Step ID, Accession Number."""
_CONCEPT_NAME = 0x0040A043
_DOCUMENT = 0x00420011
_WAVEFORM, _WAVEFORM_DATA = 0x54000100, 0x54001010

_STRINGS: dict[int, str] = {
    0x00080016: "sop_class_uid",
    0x00080018: "sop_instance_uid",
    0x00080020: "study_date",
    0x00080021: "series_date",
    0x00080030: "study_time",
    0x00080031: "series_time",
    0x00080060: "modality",
    0x00100030: "birth_date",
    0x00100040: "sex",
    0x00180015: "body_part",
    0x0020000D: "study_instance_uid",
    0x0020000E: "series_instance_uid",
    0x00200060: "laterality",
}
"""Elements of the default character repertoire (UI, DA, TM, CS)."""

_TEXTS: dict[int, str] = {
    0x00080050: "accession_number",
    0x00080080: "institution_name",
    0x00081030: "study_description",
    0x0008103E: "series_description",
    0x00100020: "patient_id",
    0x00100021: "issuer_of_patient_id",
    0x00200010: "study_id",
    0x00401003: "request_priority",
    0x00420012: "mime_type",
}
"""Elements in the data set's own character set (SH, LO)."""

_NAMES: dict[int, str] = {0x00080090: "referring_physician", 0x00100010: "patient_name"}
_NUMBERS: dict[int, str] = {0x00200011: "series_number", 0x00200013: "instance_number"}

TOP: Plan = {
    **dict.fromkeys((CHARACTER_SET, *_STRINGS, *_TEXTS, *_NAMES, *_NUMBERS), WHOLE),
    **dict.fromkeys((_ROWS, _COLUMNS, _FRAMES), WHOLE),
    _ISSUER_OF_ACCESSION_NUMBER: _ISSUER,
    _ISSUER_QUALIFIERS: _ISSUER,
    _INSTITUTION_CODE: _CODE,
    _PROCEDURE_CODE: _CODE,
    _REQUESTED_PROCEDURE_CODE: _CODE,
    _REQUEST_ATTRIBUTES: {
        CHARACTER_SET: WHOLE,
        _REQUESTED_PROCEDURE_CODE: _CODE,
        **dict.fromkeys(_REQUEST_TEXTS, WHOLE),
    },
    _CONCEPT_NAME: _CODE,
    _DOCUMENT: DOCUMENT_START,
    _WAVEFORM: {_WAVEFORM_DATA: 1},
}
"""What is read of a data set."""

_LARGEST_NUMBER = 2**31 - 1
_LONGEST_CHARACTER_SET = 256
"""Bytes of Specific Character Set that are looked at; its VR allows 16 in each of a few values."""

_WAVEFORM_CLASSES = "1.2.840.10008.5.1.4.1.1.9."
_WITHOUT_WAVEFORMS = frozenset(uid for uid in STORAGE_CLASSES if not uid.startswith(_WAVEFORM_CLASSES))


def last_group(sop_class: bytes) -> int:
    """The last group that holds anything wanted in objects of a class: only waveforms have some as far back as 5400."""
    return LAST_GROUP if code_string(sop_class) in _WITHOUT_WAVEFORMS else LAST_WAVEFORM_GROUP


def assemble(found: Found, transfer_syntax: str, *, big_endian: bool) -> Header:
    """The :class:`Header` for what was found in a data set.

    Images of a series differ in few values: where the rest is what the thread's last data set had, its texts are taken.
    """
    own = {tag: found.pop(tag) for tag in _OF_EACH_INSTANCE if tag in found}
    last = _last.read
    if last is None or last[0] != transfer_syntax or last[1] != found:
        last = _last.read = (transfer_syntax, found, _shared(found, transfer_syntax, big_endian=big_endian))
    values = dict(last[2])
    for tag, value in own.items():
        name, convert = _OF_EACH_INSTANCE[tag]
        values[name] = convert(value)
    return Header(**values)


def _shared(found: Found, transfer_syntax: str, *, big_endian: bool) -> dict[str, Any]:
    """The header's values for everything but :data:`_OF_EACH_INSTANCE`."""
    character_set, codecs = _character_set(found, DEFAULT)
    values: dict[str, Any] = {"transfer_syntax_uid": transfer_syntax, "character_set": character_set}
    for tag, value in found.items():
        if tag in _STRINGS:
            values[_STRINGS[tag]] = code_string(value)
        elif tag in _IN_CHARACTER_SET:
            name, convert = _IN_CHARACTER_SET[tag]
            values[name] = convert(value, codecs)
        elif tag in _NUMBERS:
            values[_NUMBERS[tag]] = number_string(value)
        elif tag in _SPECIAL:
            values.update(_SPECIAL[tag](value, codecs))
    for tag, name in ((_ROWS, "rows"), (_COLUMNS, "columns")):
        if tag in found:
            values[name] = int.from_bytes(found[tag][:2], "big" if big_endian else "little")
    if _REQUESTED_PROCEDURE_CODE in found or _REQUEST_ATTRIBUTES in found:
        values["requested_procedure_codes"] = _requested_codes(found, codecs)
        values["requests"] = _requests(found.get(_REQUEST_ATTRIBUTES, []), codecs)
    return values


def _character_set(found: Mapping[int, Any], inherited: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The values of Specific Character Set and the codecs that they mean; an item without one has its parent's."""
    value = found.get(CHARACTER_SET)
    return _terms(value[:_LONGEST_CHARACTER_SET]) if value else ((), inherited)


@lru_cache(maxsize=256)
def _terms(value: bytes) -> tuple[tuple[str, ...], tuple[str, ...]]:
    terms = tuple(term.strip() for term in code_string(value).split("\\"))
    return ((), DEFAULT) if terms == ("",) else (terms, codecs_of(terms))


def _codes(items: list[Found], codecs: tuple[str, ...]) -> tuple[CodeItem, ...]:
    return tuple(_code(item, codecs) for item in items)


def _code(item: Found, codecs: tuple[str, ...]) -> CodeItem:
    _terms, codecs = _character_set(item, codecs)
    values = (text(item.get(tag, b""), codecs) for tag in (0x00080100, 0x00080119, 0x00080120))
    return CodeItem(
        value=next(filter(None, values), ""),
        scheme=text(item.get(0x00080102, b""), codecs),
        scheme_uid=code_string(item.get(0x0008010C, b"")),
        meaning=text(item.get(0x00080104, b""), codecs),
    )


def _requested_codes(found: Found, codecs: tuple[str, ...]) -> tuple[CodeItem, ...]:
    """(0032,1064) at the top, then those of each request (0040,0275)."""
    codes = list(_codes(found.get(_REQUESTED_PROCEDURE_CODE, []), codecs))
    for request in found.get(_REQUEST_ATTRIBUTES, []):
        _terms, own = _character_set(request, codecs)
        codes.extend(_codes(request.get(_REQUESTED_PROCEDURE_CODE, []), own))
    return tuple(codes)


def _requests(items: list[Found], codecs: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """What each request is called."""
    said = []
    for item in items:
        _terms, own = _character_set(item, codecs)
        said.append(tuple(text(item.get(tag, b""), own) for tag in _REQUEST_TEXTS))
    return tuple(said)


def _issuer(items: list[Found], codecs: tuple[str, ...]) -> tuple[str, str, str]:
    """Local namespace, universal id and its type of the first item."""
    if not items:
        return "", "", ""
    item = items[0]
    _terms, codecs = _character_set(item, codecs)
    local, universal = (text(item.get(tag, b""), codecs) for tag in (0x00400031, 0x00400032))
    return local, universal, code_string(item.get(0x00400033, b""))


def _accession_issuer(items: list[Found], codecs: tuple[str, ...]) -> dict[str, Any]:
    local, universal, _kind = _issuer(items, codecs)
    return {"accession_issuer": universal or local}


def _issuer_qualifiers(items: list[Found], codecs: tuple[str, ...]) -> dict[str, Any]:
    _local, universal, kind = _issuer(items, codecs)
    return {"issuer_universal_id": universal, "issuer_universal_type": kind}


def _institution_code(items: list[Found], codecs: tuple[str, ...]) -> dict[str, Any]:
    return {"institution_code": _code(items[0], codecs).value} if items else {}


def _procedure_codes(items: list[Found], codecs: tuple[str, ...]) -> dict[str, Any]:
    return {"procedure_codes": _codes(items, codecs)}


def _title(items: list[Found], codecs: tuple[str, ...]) -> dict[str, Any]:
    return {"document_title_code": _code(items[0], codecs)} if items else {}


def _document(value: bytes, _codecs: tuple[str, ...]) -> dict[str, Any]:
    return {"document_starts": value.decode("latin-1").replace("\0", "\ufffd")}


def _waveforms(items: list[Found], _codecs: tuple[str, ...]) -> dict[str, Any]:
    return {"waveform_items": sum(1 for item in items if item.get(_WAVEFORM_DATA))}


def _frames(value: bytes, _codecs: tuple[str, ...]) -> dict[str, Any]:
    """(0028,0008) Number of Frames as a number; 0 for what is none."""
    written = number_string(value).partition("\\")[0]
    try:
        number = int(float(written))
    except (ValueError, OverflowError):
        return {}
    return {"number_of_frames": number if 0 <= number <= _LARGEST_NUMBER else 0}


_OF_EACH_INSTANCE: dict[int, tuple[str, Callable[[bytes], str]]] = {
    0x00080018: ("sop_instance_uid", code_string),
    0x00200013: ("instance_number", number_string),
}


class _Last(threading.local):
    """Transfer syntax, what was found and the header's values of the data set before, of each thread."""

    read: tuple[str, Found, dict[str, Any]] | None = None


_last = _Last()

_IN_CHARACTER_SET: dict[int, tuple[str, Callable[[bytes, tuple[str, ...]], str]]] = {
    **{tag: (name, text) for tag, name in _TEXTS.items()},
    **{tag: (name, person_name) for tag, name in _NAMES.items()},
}

_SPECIAL: dict[int, Any] = {
    _ISSUER_OF_ACCESSION_NUMBER: _accession_issuer,
    _ISSUER_QUALIFIERS: _issuer_qualifiers,
    _INSTITUTION_CODE: _institution_code,
    _PROCEDURE_CODE: _procedure_codes,
    _CONCEPT_NAME: _title,
    _DOCUMENT: _document,
    _WAVEFORM: _waveforms,
    _FRAMES: _frames,
}
