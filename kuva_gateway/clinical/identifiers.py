"""Identifiers: personal identity codes (HETU), temporary patient ids, and the OIDs of Finnish health care.

Keeps nothing. No error raised here contains the value it is about, so that every one may be logged.

Source: dvv.fi on the reform of the personal identity code (the separators since 2023); the national code server for
OIDs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

from stdnum.exceptions import ValidationError
from stdnum.fi import hetu as stdnum_hetu

from kuva_gateway.errors import GatewayError

HETU_ROOT: Final = "1.2.246.21"
"""Root of personal identity codes: the issuer that the archive trusts."""
ORGANISATION_ROOT: Final = "1.2.246.10"

_OID = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))+")
_OID_LENGTH: Final = 64
_TEMPORARY_ROOT = re.compile(r"1\.2\.246\.10\.[1-9][0-9]*\.22\.(?:19|20)[0-9]{2}")
_ORGANISATION = re.compile(r"1\.2\.246\.10\.[1-9][0-9]*(?:\.(?:0|[1-9][0-9]*))*")
_REGISTER_KEEPER = re.compile(r"1\.2\.246\.10\.[1-9][0-9]*\.19(?:\.(?:0|[1-9][0-9]*))+")
_FORM = re.compile(r"[0-9]{6}[-+ABCDEFUVWXY][0-9]{3}[0-9A-Y]")
# The separator carries the century of birth; several stand for the same one since 2023.
_CENTURIES: Final = {"+": 1800, **dict.fromkeys("-YXWVU", 1900), **dict.fromkeys("ABCDEF", 2000)}
_FIRST_NUMBER: Final = 2
_FIRST_TEMPORARY_NUMBER: Final = 900


HetuFault = Literal["form", "date", "number", "check"]


class IdentifierError(GatewayError, ValueError):
    """The value is not the identifier it should be; the text says why and never repeats the value.

    Attributes
    ----------
    fault
        What is wrong: the form, the date of birth, the individual number, or the check character.
    """

    def __init__(self, message: str, fault: HetuFault = "form") -> None:
        super().__init__(message)
        self.fault: HetuFault = fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Hetu:
    """A personal identity code that has been checked.

    Attributes
    ----------
    value
        Normalised: upper case, without surrounding spaces, with its own separator (which is part of the identity).
    sex
        DICOM's letter, ``M`` or ``F``.
    temporary
        True for the 900 series: temporary ids, and all test persons.
    """

    value: str
    birth_date: date
    sex: Literal["M", "F"]
    temporary: bool

    def __repr__(self) -> str:
        return f"Hetu(temporary={self.temporary})"


def normalise_hetu(value: str) -> str:
    """The value in upper case without spaces; the separator is never dropped or exchanged."""
    return "".join(value.split()).upper()


def parse_hetu(value: str) -> Hetu:
    """Read and check a personal identity code.

    Raises
    ------
    IdentifierError
        When the form, the date or the check character is wrong.
    """
    text = normalise_hetu(value)
    if _FORM.fullmatch(text) is None:
        raise IdentifierError(
            "the personal identity code does not have the form DDMMYY, separator, NNN, check character"
        )
    try:
        birth_date = date(_CENTURIES[text[6]] + int(text[4:6]), int(text[2:4]), int(text[:2]))
    except ValueError:
        raise IdentifierError("the personal identity code has a birth date that does not exist", "date") from None
    number = int(text[7:10])
    try:
        stdnum_hetu.validate(text, allow_temporary=True)
    except ValidationError:
        if number < _FIRST_NUMBER:
            raise IdentifierError("the personal identity code has an individual number never given", "number") from None
        raise IdentifierError("the personal identity code has a wrong check character", "check") from None
    return Hetu(
        value=text,
        birth_date=birth_date,
        sex="M" if number % 2 else "F",
        temporary=number >= _FIRST_TEMPORARY_NUMBER,
    )


def is_temporary_id(issuer: str) -> bool:
    """Whether an issuer is a root of temporary patient ids: ``1.2.246.10.<organisation>.22.<year>``."""
    return _TEMPORARY_ROOT.fullmatch(issuer.strip()) is not None


def is_oid(value: str) -> bool:
    """Whether ``value`` is a well-formed OID or UID: at most 64 characters, no empty arc, no leading zero."""
    return len(value) <= _OID_LENGTH and _OID.fullmatch(value) is not None


def is_organisation_oid(value: str) -> bool:
    """Whether ``value`` lies under a Finnish organisation: ``1.2.246.10.<organisation>`` and below."""
    return is_oid(value) and _ORGANISATION.fullmatch(value) is not None


def is_register_keeper_oid(value: str) -> bool:
    """Whether ``value`` names a register keeper: ``1.2.246.10.<organisation>.19.n``."""
    return is_oid(value) and _REGISTER_KEEPER.fullmatch(value) is not None


def organisation_of(oid: str) -> str:
    """``1.2.246.10.<organisation>``, below which an OID lies; the OID itself when it lies elsewhere."""
    if not is_organisation_oid(oid):
        return oid
    return ".".join(oid.split(".")[:5])
