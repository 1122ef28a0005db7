"""Code lists into the catalog: one file, one transaction.

Keeps nothing. A file is read whole before anything is written, so a damaged one changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kuva_gateway.catalog import codes as catalog_codes
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.clinical.code_list import BadRow, CodeListError, read_code_list
from kuva_gateway.intake.shipped import STARTER_CODES, shipped_file

MAXIMUM_BYTES: Final = 64 * 1024 * 1024
"""Longest code list that is read; the official one has 2.5 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeImport:
    """What an import changed, in periods of validity, and the rows that it left out."""

    added: int
    changed: int
    ended: int
    unchanged: int
    bad: tuple[BadRow, ...]


def import_codes(
    catalog: Catalog, path: Path, *, strict: bool = False, progress: Callable[[int], None] | None = None
) -> CodeImport:
    """Import a code list in any of its official forms.

    Parameters
    ----------
    strict
        Import nothing when a row is bad; the counts are then 0 and ``bad`` says why.
    progress
        Called now and then with the number of rows read.

    Raises
    ------
    CodeListError
        When the file is no code list or cannot be read.
    CatalogUnavailableError
        When the catalog is away; nothing was imported.
    """
    listed = read_code_list(path.name, _read(path), progress)
    if strict and listed.bad:
        return CodeImport(added=0, changed=0, ended=0, unchanged=0, bad=listed.bad)
    summary = catalog_codes.store(catalog, listed.periods)
    return CodeImport(
        added=summary.added,
        changed=summary.changed,
        ended=summary.ended,
        unchanged=summary.unchanged,
        bad=listed.bad,
    )


def load_starter_codes(catalog: Catalog, path: Path | None = None) -> CodeImport | None:
    """Import the shipped starter list into a catalog that has no code at all; None when it has some.

    Raises
    ------
    NotFoundError
        When ``path`` is None and the starter list was not installed.
    """
    if catalog_codes.count(catalog) > 0:
        return None
    return import_codes(catalog, path or shipped_file(STARTER_CODES), strict=True)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(MAXIMUM_BYTES + 1)
    except OSError as error:
        raise CodeListError(f"{path.name}: the file cannot be read: {error.strerror}") from None
    if len(data) > MAXIMUM_BYTES:
        raise CodeListError(f"{path.name}: the file is longer than {MAXIMUM_BYTES} bytes")
    return data
