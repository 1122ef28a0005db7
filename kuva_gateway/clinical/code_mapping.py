"""A sender's local procedure codes and the national codes that they stand for, out of a CSV file.

Columns, by name in the first line: ``local`` and ``code`` (both needed), ``scheme`` (the local coding scheme's
designator; empty: any) and ``description`` (what follows the code in Study Description; empty: the code list's name).
Keeps nothing. Every fault is told with its line; a file with a fault is not used at all.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from kuva_gateway.clinical.codes import LABORATORY_ECG, looks_like_code
from kuva_gateway.errors import GatewayError

MAXIMUM_BYTES: Final = 8 * 1024 * 1024
_NEEDED: Final = frozenset({"local", "code"})
_COLUMNS: Final = _NEEDED | {"scheme", "description"}
_LONGEST: Final = 64
_ROOM: Final = 58
"""Characters of a description that fit behind a code and a blank (PS3.5 6.2, LO)."""
_MOST_FAULTS: Final = 20


class CodeMappingError(GatewayError):
    """The file is no code mapping; ``faults`` has every fault as line number (None: the whole file) and text."""

    def __init__(self, faults: list[tuple[int | None, str]]) -> None:
        self.faults = tuple(faults[:_MOST_FAULTS])
        super().__init__("; ".join(f"line {line}: {why}" if line else why for line, why in self.faults))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """What a local code stands for; ``line`` is where the file says so."""

    code: str
    description: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeMapping:
    """The codes of one sender: (local code in capitals, scheme in capitals or "") to what it stands for."""

    codes: Mapping[tuple[str, str], Mapped] = field(default_factory=dict)

    def find(self, local: str, scheme: str = "") -> Mapped | None:
        """What a local code stands for; a line for its scheme counts before one for any."""
        key = local.strip().upper()
        return self.codes.get((key, scheme.strip().upper())) or self.codes.get((key, ""))


def read_code_mapping(data: bytes) -> CodeMapping:
    """Read a mapping file: UTF-8, separated by ``;`` or ``,``.

    Raises
    ------
    CodeMappingError
        With every fault.
    """
    if len(data) > MAXIMUM_BYTES:
        raise CodeMappingError([(None, f"the file is longer than {MAXIMUM_BYTES} bytes")])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CodeMappingError([(data.count(b"\n", 0, error.start) + 1, "this is no UTF-8")]) from None
    first = text.split("\n", 1)[0]
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=";" if ";" in first else ",", strict=True)
    faults: list[tuple[int | None, str]] = []
    codes: dict[tuple[str, str], Mapped] = {}
    try:
        names = [name.strip().lower() for name in next(rows, [])]
        _check_header(names)
        for row in rows:
            if any(cell.strip() for cell in row):
                _add(codes, names, [cell.strip() for cell in row], rows.line_num, faults)
    except csv.Error as error:
        faults.append((rows.line_num, f"this is no CSV ({error})"))
    if faults:
        raise CodeMappingError(faults)
    return CodeMapping(codes=codes)


def _check_header(names: list[str]) -> None:
    faults = [f"the column {name} is missing" for name in sorted(_NEEDED - set(names))]
    faults += [f"there is no column {name[:_LONGEST]!r}" for name in names if name not in _COLUMNS]
    faults += [f"the column {name} stands twice" for name in sorted(_COLUMNS) if names.count(name) > 1]
    if faults:
        raise CodeMappingError([(1, one) for one in faults])


def _add(
    codes: dict[tuple[str, str], Mapped],
    names: list[str],
    cells: list[str],
    line: int,
    faults: list[tuple[int | None, str]],
) -> None:
    if len(cells) != len(names):
        faults.append((line, f"expected {len(names)} columns, found {len(cells)}"))
        return
    row = dict(zip(names, cells, strict=True))
    key = row["local"].upper(), row.get("scheme", "").upper()
    description = row.get("description", "")
    if not row["local"]:
        faults.append((line, "the local code is empty"))
    elif key in codes:
        faults.append((line, f"the local code stands in line {codes[key].line} already"))
    elif not looks_like_code(row["code"].upper()) and row["code"] not in LABORATORY_ECG:
        faults.append((line, f"{row['code'][:16]!r} has not the form of a national code"))
    elif len(description) > _ROOM or not description.isprintable() or "\\" in description:
        faults.append((line, f"the description has more than {_ROOM} characters, a control character or a backslash"))
    else:
        codes[key] = Mapped(code=row["code"].upper(), description=description, line=line)
