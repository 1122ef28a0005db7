"""Which procedure codes a header names, where, and with what weight.

Keeps nothing. The archive looks at the first five characters of Study Description; the sequences only confirm it. What
counts as a code is decided by :mod:`kuva_gateway.clinical.codes`, with one addition: a laboratory's ECG number (1270)
at the start of the description, which is shorter than five characters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kuva_gateway.clinical.codes import LABORATORY_ECG, code_sources, known_scheme, looks_like_code
from kuva_gateway.dicom.header import CodeItem, Header
from kuva_gateway.validation import tags

CHECKED: Final = 5
"""Characters of Study Description that the archive checks."""


@dataclass(frozen=True, slots=True)
class Named:
    """A code in a sequence; ``national`` when its item names a national code list."""

    code: str
    where: str
    national: bool


def described_code(header: Header) -> str:
    """The code at the start of Study Description, "" when there is none."""
    start = header.study_description.strip()[:CHECKED]
    if looks_like_code(start):
        return start
    number = start.strip()
    return number if number in LABORATORY_ECG else ""


def sequence_codes(header: Header) -> tuple[Named, ...]:
    """The codes of (0008,1032) and (0032,1064): those of national lists, or else those that look like one."""
    items = [(item, tags.PROCEDURE_CODE) for item in header.procedure_codes]
    items += [(item, tags.REQUESTED_CODE) for item in header.requested_procedure_codes]
    national = any(is_national(item) and item.value.strip() for item, _ in items)
    sources = code_sources("", [(item.value, item.scheme, item.scheme_uid, where) for item, where in items])
    return tuple(Named(source.code, source.where, national) for source in sources)


def is_national(item: CodeItem) -> bool:
    """Whether an item's coding scheme is one of the national code lists."""
    return known_scheme(item.scheme, item.scheme_uid) is not None


def named_codes(header: Header) -> set[str]:
    """Every code that has to be looked up for a header."""
    described = described_code(header)
    return {named.code for named in sequence_codes(header)} | ({described} if described else set())
