"""HL7 v2 ADT messages about patients' identities: A40 (merge) and A08 (changed person data), read strictly.

Keeps nothing. What a message does not have to have for this purpose may be there in any form and is passed over. No
error tells a value: the place of the fault is all that a person needs.

Source: HL7 v2.5, chapters 2 (encoding) and 3 (ADT); the archive's use of ADT is known by name only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

from kuva_gateway.clinical.identifiers import HETU_ROOT, IdentifierError, is_oid, parse_hetu
from kuva_gateway.errors import GatewayError

MAXIMUM_BYTES: Final = 1 << 20
EVENTS: Final = ("A40", "A08")
_MLLP: Final = b"\x0b"
_SETS: Final = {
    "": "ascii",
    "ASCII": "ascii",
    "8859/1": "latin-1",
    "8859/15": "iso8859-15",
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    **{f"8859/{number}": f"iso8859-{number}" for number in (2, 3, 4, 5, 6, 7, 8, 9)},
}
_NULL: Final = '""'
_LONGEST: Final = 64


class AdtError(GatewayError):
    """The file is no message that can be used; the text says where and why, without values."""


@dataclass(frozen=True, slots=True)
class PatientIdentifier:
    """One id (CX): its text, and who issued it as an OID ("" where the authority has none)."""

    value: str
    issuer: str

    def __repr__(self) -> str:
        return f"PatientIdentifier(issuer={self.issuer!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One patient of a message.

    Attributes
    ----------
    patient
        The id that counts: a personal identity code if there is one.
    replaced
        Ids that it stands for from now on: MRG-1 of a merge, and the patient's other ids that an organisation issued.
    name, birth_date, sex
        In DICOM's form; "" where the message does not tell.
    """

    patient: PatientIdentifier
    replaced: tuple[PatientIdentifier, ...]
    name: str = ""
    birth_date: str = ""
    sex: str = ""

    def __repr__(self) -> str:
        return f"Identity(replaced={len(self.replaced)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdtMessage:
    """What a message says."""

    event: str
    identities: tuple[Identity, ...]


@dataclass(frozen=True, slots=True)
class _Marks:
    """The separators of one message (MSH-1, MSH-2)."""

    field: str
    component: str
    repetition: str
    escape: str
    subcomponent: str

    def unescape(self, text: str) -> str:
        """A value without escape sequences (2.7); what nobody knows becomes nothing."""
        if self.escape not in text or not self.escape:
            return text
        known = {
            "F": self.field,
            "S": self.component,
            "T": self.subcomponent,
            "R": self.repetition,
            "E": self.escape,
        }
        mark = re.escape(self.escape)
        return re.sub(f"{mark}([^{mark}]*){mark}", lambda match: known.get(match[1], ""), text)


def read_adt(data: bytes) -> AdtMessage:
    """Read one message, as a file holds it: segments end with CR, LF or both; MLLP's own bytes around it do not matter.

    Raises
    ------
    AdtError
        It is no HL7 message, not ADT^A40 or ADT^A08, or lacks what these need.
    """
    if len(data) > MAXIMUM_BYTES:
        raise AdtError(f"the file is longer than {MAXIMUM_BYTES} bytes")
    data = data.removeprefix(_MLLP).rstrip(b"\x1c\r\n \0")
    marks = _marks(data)
    segments = [
        (number, line.split(marks.field))
        for number, line in enumerate(re.split("\r\n|\r|\n", _text(data, marks)), start=1)
        if line.strip()
    ]
    if sum(fields[0] == "MSH" for _, fields in segments) > 1:
        raise AdtError("there is more than one message in the file")
    event = _event(segments[0][1], marks)
    identities = tuple(_identities(segments, marks, event))
    if not identities:
        raise AdtError("there is no PID segment")
    return AdtMessage(event=event, identities=identities)


def _marks(data: bytes) -> _Marks:
    if data[:3] != b"MSH" or len(data) < len("MSH|^~\\&|"):
        raise AdtError("the file does not begin with an MSH segment")
    field = chr(data[3])
    encoding = data[4:12].decode("latin-1").split(field)[0]
    marks = field + encoding
    if not 4 <= len(encoding) <= 5 or len(set(marks)) < len(marks) or any(_is_text(mark) for mark in marks):
        raise AdtError("MSH-1 and MSH-2 are no separators (expected MSH|^~\\&)")
    return _Marks(field, *encoding[:4])


def _is_text(mark: str) -> bool:
    return mark.isalnum() or not mark.isprintable() or not mark.isascii() or mark == " "


def _text(data: bytes, marks: _Marks) -> str:
    """The message as text, in the character set that MSH-18 names (the first of several)."""
    header = re.split(b"[\r\n]", data, maxsplit=1)[0].decode("latin-1").split(marks.field)
    named = header[17].split(marks.repetition)[0].strip().upper() if len(header) > 17 else ""
    codec = _SETS.get(named)
    if codec is None:
        raise AdtError("MSH-18 names a character set that is not known (expected UNICODE UTF-8, 8859/1 ...)")
    try:
        return data.decode(codec)
    except UnicodeDecodeError as error:
        line = len(re.split(b"\r\n|\r|\n", data[: error.start]))
        raise AdtError(f"segment {line} is not in the character set of MSH-18 ({named or 'ASCII'})") from None


def _event(header: list[str], marks: _Marks) -> str:
    kind = (header[8] if len(header) > 8 else "").split(marks.component)
    if kind[0] != "ADT" or len(kind) < 2 or kind[1] not in EVENTS:
        raise AdtError("MSH-9 is neither ADT^A40 nor ADT^A08")
    return kind[1]


def _identities(segments: list[tuple[int, list[str]]], marks: _Marks, event: str) -> Iterator[Identity]:
    """Each PID with the MRG that follows it (a merge may have several, 3.3.40)."""
    for place, (number, fields) in enumerate(segments):
        if fields[0] != "PID":
            continue
        merged = _merged(segments, place + 1)
        if event == "A40" and merged is None:
            raise AdtError(f"segment {number} (PID) is followed by no MRG segment")
        yield _identity(number, fields, merged, marks)


def _merged(segments: list[tuple[int, list[str]]], begin: int) -> tuple[int, list[str]] | None:
    for place in range(begin, len(segments)):
        number, fields = segments[place]
        if fields[0] == "PID":
            return None
        if fields[0] == "MRG":
            return number, fields
    return None


def _identity(number: int, fields: list[str], merged: tuple[int, list[str]] | None, marks: _Marks) -> Identity:
    ids = list(_ids(fields, 3, marks))
    if not ids:
        raise AdtError(f"segment {number} (PID): PID-3 is empty")
    patient = min(ids, key=_rank)
    replaced = [one for one in ids if one != patient and one.issuer]
    if merged is not None:
        old = [one for one in _ids(merged[1], 1, marks) if one != patient]
        if not old:
            raise AdtError(f"segment {merged[0]} (MRG): MRG-1 is empty, or is the id of PID-3 itself")
        replaced = [*old, *(one for one in replaced if one not in old)]
    return Identity(
        patient=patient,
        replaced=tuple(replaced),
        name=_name(_field(fields, 5), marks),
        birth_date=_birth_date(_field(fields, 7)),
        sex={"M": "M", "F": "F", "O": "O"}.get(_field(fields, 8), ""),
    )


def _field(fields: list[str], number: int) -> str:
    value = fields[number] if len(fields) > number else ""
    return "" if value == _NULL else value


def _ids(fields: list[str], number: int, marks: _Marks) -> Iterator[PatientIdentifier]:
    for one in _field(fields, number).split(marks.repetition):
        parts = one.split(marks.component)
        value = marks.unescape(parts[0]).strip()
        authority = parts[3].split(marks.subcomponent) if len(parts) > 3 else []
        issuers = [text for text in (*authority[1:2], *authority[:1]) if is_oid(text)]
        if value and value != _NULL:
            if len(value) > _LONGEST or not value.isprintable() or "\\" in value:
                raise AdtError(f"an id has more than {_LONGEST} characters, a control character or a backslash")
            yield PatientIdentifier(value, issuers[0] if issuers else "")


def _rank(one: PatientIdentifier) -> int:
    """The id that counts: one of the personal identity codes' issuer, then one that is such a code, then the first."""
    if one.issuer == HETU_ROOT:
        return 0
    try:
        parse_hetu(one.value)
    except IdentifierError:
        return 2
    return 1 if not one.issuer else 2


def _name(field: str, marks: _Marks) -> str:
    """XPN (family, given, middle, suffix, prefix) as PN (family, given, middle, prefix, suffix); the first one told."""
    first = field.split(marks.repetition, maxsplit=1)[0]
    parts = [marks.unescape(part).strip() for part in first.split(marks.component)][:5]
    family, given, middle, suffix, prefix = (*parts, *("" for _ in range(5 - len(parts))))
    family = family.split(marks.subcomponent)[0]
    name = "^".join((family, given, middle, prefix, suffix)).rstrip("^")
    usable = len(name) <= _LONGEST and name.isprintable() and not set(name) & set("\\=") and _NULL not in name
    return name if usable and name.strip("^") else ""


def _birth_date(field: str) -> str:
    text = field[:8]
    if len(text) == 8 and text.isascii() and text.isdigit():
        try:
            date(int(text[:4]), int(text[4:6]), int(text[6:]))
        except ValueError:
            return ""
        return text
    return ""
