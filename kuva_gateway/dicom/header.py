"""What the gateway knows of one instance: the few attributes of its data set that identify, describe and judge it.

A :class:`Header` is made by :mod:`kuva_gateway.dicom.scanner` and kept as JSON in the catalog. It promises text without
padding and without NUL characters, and values as they were received otherwise: nothing is corrected here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import Any

from kuva_gateway.errors import GatewayError


class HeaderError(GatewayError):
    """The bytes are no data set (or Part 10 file) that can be understood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeItem:
    """One item of a code sequence (PS3.3 8): value, scheme designator, scheme UID and meaning; "" when absent."""

    value: str = ""
    scheme: str = ""
    scheme_uid: str = ""
    meaning: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The attributes of one data set that the gateway works with; "" or 0 or () where the data set has none.

    Text is decoded by its specific character set, its padding is removed, several values keep their backslash.
    """

    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    transfer_syntax_uid: str = ""
    character_set: tuple[str, ...] = ()
    patient_id: str = ""
    issuer_of_patient_id: str = ""
    issuer_universal_id: str = ""
    """(0010,0024) > (0040,0032), its form in ``issuer_universal_type`` (0040,0033)."""
    issuer_universal_type: str = ""
    patient_name: str = ""
    """The component groups as they stand: alphabetic=ideographic=phonetic."""
    birth_date: str = ""
    sex: str = ""
    accession_number: str = ""
    accession_issuer: str = ""
    """(0008,0051): its universal entity id (0040,0032), else its local namespace (0040,0031)."""
    study_date: str = ""
    study_time: str = ""
    study_id: str = ""
    study_description: str = ""
    referring_physician: str = ""
    modality: str = ""
    series_number: str = ""
    series_description: str = ""
    series_date: str = ""
    series_time: str = ""
    body_part: str = ""
    laterality: str = ""
    institution_name: str = ""
    institution_code: str = ""
    """The code value of the first item of (0008,0082)."""
    instance_number: str = ""
    number_of_frames: int = 0
    rows: int = 0
    columns: int = 0
    procedure_codes: tuple[CodeItem, ...] = ()
    """(0008,1032) Procedure Code Sequence."""
    requested_procedure_codes: tuple[CodeItem, ...] = ()
    """(0032,1064), first at the top, then inside the items of (0040,0275) Request Attributes Sequence."""
    waveform_items: int = 0
    """Items of (5400,0100) Waveform Sequence that hold waveform data."""
    mime_type: str = ""
    document_starts: str = ""
    """The first five bytes of (0042,0011) Encapsulated Document, each as one character."""
    document_title_code: CodeItem | None = None
    """(0040,A043) at the top: the title of a key object selection or report."""
    request_priority: str = ""
    requests: tuple[tuple[str, str, str], ...] = ()
    """Items of (0040,0275): Requested Procedure ID, Scheduled Procedure Step ID, Accession Number."""

    def facts(self) -> Header:
        """The same without what differs per instance or series, so that few distinct values remain per study."""
        return replace(self, **_BLANK)

    def facts_key(self) -> tuple[object, ...]:
        """What :meth:`facts` says, as a value to look up: equal keys, equal facts. Made in a tenth of the time."""
        key: tuple[object, ...] = _said(self)
        return key


_BLANK: dict[str, Any] = {
    "sop_instance_uid": "",
    "series_instance_uid": "",
    "series_number": "",
    "series_description": "",
    "series_date": "",
    "series_time": "",
    "requests": (),
    "instance_number": "",
    "rows": 0,
    "columns": 0,
    "number_of_frames": 0,
    "body_part": "",
    "laterality": "",
}

_said = attrgetter(*(field.name for field in fields(Header) if field.name not in _BLANK))
_DEFAULTS: dict[str, Any] = {field.name: field.default for field in fields(Header)}
_CODE_LISTS = ("procedure_codes", "requested_procedure_codes")
_NAMES = tuple(_DEFAULTS)
_values = attrgetter(*_NAMES)
_CODES = [_NAMES.index(name) for name in _CODE_LISTS]
_TITLE = _NAMES.index("document_title_code")
_code_values = attrgetter("value", "scheme", "scheme_uid", "meaning")


def _code_from_list(parts: Sequence[str]) -> CodeItem:
    value, scheme, scheme_uid, meaning = parts
    return CodeItem(value=value, scheme=scheme, scheme_uid=scheme_uid, meaning=meaning)


def to_plain(header: Header) -> tuple[Any, ...]:
    """The header's values in the order of its fields, made of tuples, text and numbers only."""
    values = _values(header)
    if header.procedure_codes or header.requested_procedure_codes or header.document_title_code is not None:
        changed = list(values)
        for place in _CODES:
            changed[place] = tuple(_code_values(code) for code in changed[place])
        if changed[_TITLE] is not None:
            changed[_TITLE] = _code_values(changed[_TITLE])
        return tuple(changed)
    return values


def from_plain(plain: tuple[Any, ...]) -> Header:
    """The header that :func:`to_plain` took apart, in the same version of this program."""
    values = dict(zip(_NAMES, plain, strict=True))
    for name in _CODE_LISTS:
        if values[name]:
            values[name] = tuple(_code_from_list(parts) for parts in values[name])
    if values["document_title_code"] is not None:
        values["document_title_code"] = _code_from_list(values["document_title_code"])
    return Header(**values)


def to_json(header: Header) -> str:
    """``header`` as compact JSON, fields at their default left out; equal headers give equal text."""
    kept: dict[str, Any] = {}
    for name, default in _DEFAULTS.items():
        value = getattr(header, name)
        if value == default:
            continue
        if name in _CODE_LISTS:
            value = [_code_values(code) for code in value]
        elif isinstance(value, CodeItem):
            value = _code_values(value)
        kept[name] = value
    return json.dumps(kept, separators=(",", ":"))


def from_json(text: str) -> Header:
    """The header that :func:`to_json` wrote; names that this version does not know are passed over.

    Raises
    ------
    HeaderError
        ``text`` is nothing that :func:`to_json` writes.
    """
    try:
        kept = {name: value for name, value in json.loads(text).items() if name in _DEFAULTS}
        for name in _CODE_LISTS:
            if name in kept:
                kept[name] = tuple(_code_from_list(parts) for parts in kept[name])
        if kept.get("document_title_code") is not None:
            kept["document_title_code"] = _code_from_list(kept["document_title_code"])
        if "requests" in kept:
            kept["requests"] = tuple((str(one[0]), str(one[1]), str(one[2])) for one in kept["requests"])
        if "character_set" in kept:
            kept["character_set"] = tuple(kept["character_set"])
        return Header(**kept)
    except (ValueError, TypeError, AttributeError, IndexError) as error:
        raise HeaderError("the stored header cannot be read") from error
