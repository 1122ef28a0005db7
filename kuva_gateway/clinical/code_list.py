"""The code list's files: the official exports in all their forms, read into periods of validity.

Keeps nothing. Columns are matched by name, never by place; a row that cannot be trusted goes to ``bad`` with its line
and the reason, and no cell of it is used.

Source: the exports and the REST interface of the national code server (:mod:`code_list_forms`).
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from kuva_gateway.clinical.code_list_forms import BadRow, CodeListError, open_rows
from kuva_gateway.clinical.codes import LABORATORY, PROCEDURE_SCHEMES, PROCEDURES, CodePeriod, is_laboratory_number

__all__ = ["BadRow", "CodeList", "CodeListError", "read_code_list"]

_NO_END: Final = frozenset({date(2030, 12, 31), date(2099, 12, 31), date(9999, 12, 31)})
"""Days by which the lists write "no end": procedures, laboratory, and the usual one."""
_ACTIVE: Final = frozenset({"", "1", "ACTIVE"})
_FLAGS: Final = {"": False, "f": False, "false": False, "0": False, "t": True, "true": True, "1": True}
_CODE = re.compile(r"[A-Z0-9_]{1,16}")
_BETWEEN_CODES = re.compile(r"[^A-Z0-9_]+")
_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](.*))?", re.ASCII)
_FINNISH = re.compile(r"(\d{1,2})([./])(\d{1,2})\2(\d{4})", re.ASCII)
_SERIAL = re.compile(r"\d{1,6}(?:\.0*)?", re.ASCII)
_FIRST_SERIAL_AFTER_MISTAKE: Final = 60
"""Spreadsheets count a 29 February 1900 that never was (serial 60)."""
_LAST_SERIAL: Final = 2_958_465
_FINLAND: Final = ZoneInfo("Europe/Helsinki")
_REPORT_EVERY: Final = 500
_WINDOWS: Final = {byte: bytes((byte,)).decode("windows-1252", "replace") for byte in range(0x80, 0xA0)}


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeList:
    """What a file says: its good rows in its order, and its bad ones."""

    periods: tuple[CodePeriod, ...]
    bad: tuple[BadRow, ...] = ()


class _BadRowError(Exception):
    """Why a row is left out."""


def read_code_list(name: str, data: bytes, progress: Callable[[int], None] | None = None) -> CodeList:
    """Read an export.

    Parameters
    ----------
    name
        The file's name, for errors only: the form is told from the content.
    progress
        Called now and then with the number of rows read so far.

    Raises
    ------
    CodeListError
        When the content is no code list, or has not one good row.
    """
    periods: list[CodePeriod] = []
    bad: list[BadRow] = []
    seen: dict[tuple[str, date], int] = {}
    for number, row in enumerate(open_rows(name, data), 1):
        if progress is not None and number % _REPORT_EVERY == 0:
            progress(number)
        if isinstance(row, BadRow):
            bad.append(row)
            continue
        try:
            period = _period(row.cells)
            first = seen.setdefault((period.code, period.valid_from), row.line)
            if first != row.line:
                raise _BadRowError(f"the code and its first day stand in line {first} already")
        except _BadRowError as error:
            bad.append(BadRow(line=row.line, why=str(error)))
        else:
            periods.append(period)
    if not periods:
        why = f"; line {bad[0].line}: {bad[0].why}" if bad else ""
        raise CodeListError(f"{name}: not one row can be used{why}")
    return CodeList(periods=tuple(periods), bad=tuple(bad))


def _period(cells: Mapping[str, Any]) -> CodePeriod:
    code = _cell_text(cells.get("codeid"))
    if not code:
        raise _BadRowError("the code is empty")
    if _CODE.fullmatch(code) is None:
        raise _BadRowError("the code has characters that no code has")
    status = _cell_text(cells.get("status")).upper()
    if status not in _ACTIVE:
        raise _BadRowError("its status is not active")
    abbreviation, short, long = (_cell_text(cells.get(one)) for one in ("abbreviation", "shortname", "longname"))
    valid_from = _day(cells.get("beginningdate"), "BeginningDate")
    valid_to = _day(cells.get("expiringdate"), "ExpiringDate")
    if valid_from is None:
        raise _BadRowError("BeginningDate is empty")
    if valid_to in _NO_END:
        valid_to = None
    if valid_to is not None and valid_to < valid_from:
        raise _BadRowError("it ends before it begins")
    return CodePeriod(
        code=code,
        name=long or short or abbreviation,
        abbreviation=abbreviation,
        valid_from=valid_from,
        valid_to=valid_to,
        replaced_by=_codes(cells.get("korvaava koodi")),
        radiology=_flag(cells, "radiologia"),
        visible_light=_flag(cells, "nakyvakuva"),
        leaf=_flag(cells, "lehtisolmu", otherwise=True),
        level=_level(cells.get("hierarchylevel")),
        scheme=_scheme(code, cells),
    )


def _cell_text(value: Any) -> str:
    """A cell as text on one line; a number that a spreadsheet made of a code loses its ``.0``."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value)
    if not text.isprintable():
        text = _printable(text)
    text = " ".join(text.split())
    return text.removesuffix(".0") if text[:-2].isdigit() else text


def _printable(text: str) -> str:
    """The text without invisible characters.

    The official export has C1 control characters where its author typed the dashes and quotes of Windows-1252.
    """
    text = "".join(one for one in text.translate(_WINDOWS) if unicodedata.category(one) != "Cf")
    if any(unicodedata.category(one) in ("Cc", "Cs") and not one.isspace() for one in text):
        raise _BadRowError("a cell has a control character")
    return text


def _flag(cells: Mapping[str, Any], column: str, *, otherwise: bool = False) -> bool:
    """A column of T and F; empty or missing says ``otherwise``, anything else is a sign of a shifted row."""
    text = _cell_text(cells.get(column)).casefold()
    if not text:
        return otherwise
    if text not in _FLAGS:
        raise _BadRowError(f"the column {column} has neither T nor F")
    return _FLAGS[text]


def _level(value: Any) -> int | None:
    text = _cell_text(value)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 2):
        raise _BadRowError("HierarchyLevel is not a number")
    return int(text)


def _codes(value: Any) -> tuple[str, ...]:
    """Replacing codes: usually a comma list, but some cells have spaces, full stops or the word "ja" (and) between."""
    parts = (part for part in _BETWEEN_CODES.split(_cell_text(value)) if part)
    return tuple(dict.fromkeys(parts))


def _scheme(code: str, cells: Mapping[str, Any]) -> str:
    """The list that a row belongs to: by its own word in the JSON form, else by the code (laboratory's are numbers)."""
    named = _cell_text(cells.get("classificationid"))
    for oid in (*PROCEDURE_SCHEMES, LABORATORY):
        if named == oid or named.startswith(f"{oid}."):
            return oid
    return LABORATORY if is_laboratory_number(code) else PROCEDURES


def _day(value: Any, column: str) -> date | None:
    """A day in any of the forms of the exports; None for an empty cell."""
    try:
        if isinstance(value, datetime):
            return value.date()
        if isinstance(value, date):
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return _day_of_number(value)
        return _day_of_text(_cell_text(value))
    except (ValueError, OverflowError, OSError):
        raise _BadRowError(f"{column} is not a date") from None


def _day_of_number(value: float) -> date:
    """A spreadsheet's serial day, or milliseconds since 1970 as JSON may have them."""
    if not math.isfinite(value) or value < 1:
        raise ValueError
    if value > _LAST_SERIAL:
        return datetime.fromtimestamp(value / 1000, _FINLAND).date()
    serial = int(value)
    return date(1899, 12, 30) + timedelta(days=serial + (serial < _FIRST_SERIAL_AFTER_MISTAKE))


def _day_of_text(text: str) -> date | None:
    if not text:
        return None
    if finnish := _FINNISH.fullmatch(text):
        day, _, month, year = finnish.groups()
        return date(int(year), int(month), int(day))
    if iso := _ISO.fullmatch(text):
        year, month, day, clock = iso.groups()
        if clock and (clock.endswith("Z") or "+" in clock or "-" in clock):
            # A moment with a zone: the day that it is in Finland (21 or 22 Z is the next day there).
            return datetime.fromisoformat(text).astimezone(_FINLAND).date()
        return date(int(year), int(month), int(day))
    if _SERIAL.fullmatch(text):
        return _day_of_number(float(text))
    raise ValueError
