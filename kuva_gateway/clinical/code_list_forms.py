"""The forms in which the code list is distributed: told by content, opened into rows of cells by column name.

Keeps nothing and judges no cell. What is promised: a cell never comes under another column's name. A line whose
number of columns differs from the header's is a bad row, because the text form has no quoting and a stray ``;`` would
shift it.

Source: the exports and the REST interface of the national code server.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from kuva_gateway.errors import GatewayError

_ZIP: Final = b"PK\x03\x04"
_OLE: Final = b"\xd0\xcf\x11\xe0"
_UTF8_BOM: Final = b"\xef\xbb\xbf"
_UTF16_BOMS: Final = (b"\xff\xfe", b"\xfe\xff")
_LETTERS_IN_UTF8: Final = (b"\xc3\xa4", b"\xc3\xb6", b"\xc3\xa5")
_LARGEST_WORKBOOK: Final = 128 * 1024 * 1024
"""Bytes of a spreadsheet once unpacked; the official one has 30 MB."""
_LARGEST_SHEET: Final = 5_000_000
"""Cells between the first and the farthest one, which are all made by the library that reads them, empty or not."""
_REFERENCE = re.compile(rb"""\sr\s*=\s*["']\s*([A-Za-z]*)([0-9]*)""")
_OTHER_FORMS: Final = frozenset({"content.xml", "xl/workbook.bin"})
"""What tells OpenDocument and binary workbooks, in which a cell's place is not so easily seen."""
_PIECE: Final = 1 << 20
KEY_COLUMN: Final = "codeid"


class CodeListError(GatewayError):
    """The file is no code list in any form that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """A row that was left out: its line in the file (the header is line 1) and why.

    In the JSON form, which has no lines, ``line`` is the number of the code in the file, and 0 the file as a whole.
    """

    line: int
    why: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its line, and its cells by column name (without case, without the prefixes ``A:`` and ``ALONG:``)."""

    line: int
    cells: Mapping[str, Any]


def open_rows(name: str, data: bytes) -> Iterator[Row | BadRow]:
    """The rows of a file, its form told by content; raises CodeListError, possibly only while iterating."""
    if data.startswith((_ZIP, _OLE)):
        return _spreadsheet(name, data)
    text = _decode(name, data)
    if text.lstrip()[:1] in ("{", "["):
        return _pages(name, text)
    return _text(name, text)


def column_name(text: str) -> str:
    """The name by which a column is looked up: the JSON form has no prefixes, the others do."""
    return text.strip().removeprefix("ALONG:").removeprefix("A:").strip().casefold()


def _columns(name: str, header: Sequence[object]) -> list[str]:
    columns = ["" if cell is None else column_name(str(cell)) for cell in header]
    if KEY_COLUMN not in columns:
        raise CodeListError(f"{name}: not a code list: the first line has no column CodeId")
    repeated = sorted(column for column in _OURS if columns.count(column) > 1)
    if repeated:
        raise CodeListError(f"{name}: the column {repeated[0]} stands twice in the first line")
    return columns


_OURS: Final = frozenset(
    {
        KEY_COLUMN,
        "abbreviation",
        "shortname",
        "longname",
        "beginningdate",
        "expiringdate",
        "status",
        "hierarchylevel",
        "korvaava koodi",
        "lehtisolmu",
        "nakyvakuva",
        "radiologia",
    }
)


# -- spreadsheets ------------------------------------------------------------------------------------------------------


def _spreadsheet(name: str, data: bytes) -> Iterator[Row | BadRow]:
    for first, rows in _sheets(name, data):
        for number, header in enumerate(rows):
            if any(isinstance(cell, str) and column_name(cell) == KEY_COLUMN for cell in header):
                columns = _columns(name, header)
                return _cells(columns, rows[number + 1 :], first + number + 1)
            if any(cell not in (None, "") for cell in header):
                break
    raise CodeListError(f"{name}: not a code list: no sheet starts with a row that has a column CodeId")


def _cells(columns: Sequence[str], rows: Iterable[Sequence[Any]], line: int) -> Iterator[Row | BadRow]:
    for number, cells in enumerate(rows, line):
        if any(cell not in (None, "") for cell in cells):
            yield Row(number, dict(zip(columns, cells, strict=False)))


def _sheets(name: str, data: bytes) -> Iterator[tuple[int, list[list[Any]]]]:
    """Each sheet's first line and its rows."""
    _require_bounded(name, data)
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(data))
        sheets = [workbook.get_sheet_by_index(number) for number in range(len(workbook.sheet_names))]
        tables = [((sheet.start or (0, 0))[0] + 1, sheet.to_python(skip_empty_area=True)) for sheet in sheets]
    except (CalamineError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise CodeListError(f"{name}: the spreadsheet cannot be read ({type(error).__name__})") from None
    except BaseException as error:
        # A panic inside the spreadsheet library is no Exception; a damaged file must not stop the daemon.
        if type(error).__name__ != "PanicException":
            raise
        raise CodeListError(f"{name}: the spreadsheet cannot be read (it is damaged)") from None
    yield from tables


def _require_bounded(name: str, data: bytes) -> None:
    if not data.startswith(_ZIP):
        return
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if any(entry.filename.lower() in _OTHER_FORMS for entry in entries):
                raise CodeListError(f"{name}: this form of spreadsheet is not read; save it as .xlsx or as text")
            if sum(entry.file_size for entry in entries) > _LARGEST_WORKBOOK:
                raise CodeListError(f"{name}: the spreadsheet is larger than {_LARGEST_WORKBOOK} bytes when unpacked")
            largest = max((_extent(archive, entry) for entry in entries), default=0)
    except (zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError, RuntimeError, EOFError):
        raise CodeListError(f"{name}: the spreadsheet cannot be read (it is damaged)") from None
    if largest > _LARGEST_SHEET:
        raise CodeListError(f"{name}: a cell of the spreadsheet lies too far away from the first one")


def _extent(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> int:
    """The cells of the smallest table that holds every place named in a part of a workbook (``r="B7"``)."""
    columns, rows, rest = 0, 0, b""
    with archive.open(entry) as part:
        while piece := part.read(_PIECE):
            for letters, digits in set(_REFERENCE.findall(rest + piece)):
                columns = max(columns, _column(letters))
                rows = max(rows, int(digits[:9] or b"0"))
            rest = piece[-64:]
    return max(columns, 1) * rows


def _column(letters: bytes) -> int:
    """1 for A, 27 for AA."""
    number = 0
    for letter in letters[:7].upper():
        number = number * 26 + letter - ord("A") + 1
    return number


# -- text --------------------------------------------------------------------------------------------------------------


def _decode(name: str, data: bytes) -> str:
    """The text in UTF-8, with or without byte order mark, UTF-16 with one, else ISO-8859-1."""
    if data.startswith(_UTF16_BOMS):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError:
            raise CodeListError(f"{name}: the file is damaged: its UTF-16 text ends in the middle") from None
    try:
        return data.removeprefix(_UTF8_BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        if data.startswith(_UTF8_BOM) or any(letter in data for letter in _LETTERS_IN_UTF8):
            line = data.count(b"\n", 0, error.start) + 1
            raise CodeListError(f"{name}: line {line}: the UTF-8 text is damaged") from None
    return data.decode("iso-8859-1")


def _text(name: str, text: str) -> Iterator[Row | BadRow]:
    # Not splitlines(): a control character inside a description ends no line. A final return is stripped as a space.
    lines = text.split("\n")
    start = next((number for number, line in enumerate(lines) if line.strip()), None)
    if start is None:
        raise CodeListError(f"{name}: the file is empty")
    columns = _columns(name, lines[start].split(";"))
    return _fields(columns, lines[start + 1 :], start + 2)


def _fields(columns: Sequence[str], lines: Iterable[str], first: int) -> Iterator[Row | BadRow]:
    for number, line in enumerate(lines, first):
        if not line.strip():
            continue
        cells = line.split(";")
        if len(cells) != len(columns):
            yield BadRow(line=number, why=f"the line has {len(cells)} columns, the first line {len(columns)}")
        else:
            yield Row(number, dict(zip(columns, cells, strict=True)))


# -- pages of the REST interface ---------------------------------------------------------------------------------------

_PAGE_KEYS: Final = {
    "conceptcodeid": KEY_COLUMN,
    "begindate": "beginningdate",
    "expirationdate": "expiringdate",
}


def _pages(name: str, text: str) -> Iterator[Row | BadRow]:
    """The codes of one page, an array of pages, or several pages one after the other."""
    codes: list[Any] = []
    total = 0
    for value in _values(name, text):
        for page in value if isinstance(value, list) else [value]:
            if isinstance(page, dict) and isinstance(page.get("conceptCodes"), list):
                codes += page["conceptCodes"]
                total = max(total, page["totalItems"]) if isinstance(page.get("totalItems"), int) else total
            elif isinstance(page, dict) and "conceptCodeId" in page:
                codes.append(page)
            else:
                _refuse_json(name)
    if not codes:
        _refuse_json(name)
    return _concepts(codes, total)


def _values(name: str, text: str) -> list[Any]:
    decoder = json.JSONDecoder()
    values = []
    position = 0
    try:
        while position < len(text):
            if text[position].isspace():
                position += 1
                continue
            value, position = decoder.raw_decode(text, position)
            values.append(value)
    except json.JSONDecodeError as error:
        raise CodeListError(f"{name}: line {error.lineno}: the JSON is damaged: {error.msg}") from None
    except ValueError:
        # A number with thousands of digits.
        raise CodeListError(f"{name}: the JSON has a number that is too long") from None
    except RecursionError:
        raise CodeListError(f"{name}: the JSON is nested too deep") from None
    return values


def _refuse_json(name: str) -> NoReturn:
    raise CodeListError(f"{name}: not a code list: the JSON has no conceptCodes")


def _concepts(codes: Sequence[Any], total: int) -> Iterator[Row | BadRow]:
    for number, concept in enumerate(codes, 1):
        if isinstance(concept, dict):
            yield Row(number, _concept_cells(concept))
        else:
            yield BadRow(line=number, why="the code is not a JSON object")
    if len(codes) < total:
        yield BadRow(line=0, why=f"pages are missing: the file has {len(codes)} of {total} codes")


def _concept_cells(concept: Mapping[str, Any]) -> dict[str, Any]:
    cells: dict[str, Any] = {}
    attributes = concept.get("attributes")
    for attribute in attributes if isinstance(attributes, list) else ():
        if not isinstance(attribute, dict):
            continue
        values = attribute.get("attributeValue")
        parts = values if isinstance(values, list) else [values]
        text = ",".join(str(part) for part in parts if part is not None)
        cells[column_name(str(attribute.get("attributeName", "")))] = text
    for key, value in concept.items():
        if key != "attributes":
            folded = key.casefold()
            cells[_PAGE_KEYS.get(folded, folded)] = value
    return cells
