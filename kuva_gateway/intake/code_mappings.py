"""Mapping files of local procedure codes, from the disk; keeps nothing."""

from __future__ import annotations

from pathlib import Path

from kuva_gateway.catalog import codes
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.clinical.code_mapping import MAXIMUM_BYTES, CodeMapping, CodeMappingError, read_code_mapping


def load_code_mapping(path: Path) -> CodeMapping:
    """Read one file.

    Raises
    ------
    CodeMappingError
        It cannot be read, or has a fault.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAXIMUM_BYTES + 1)
    except OSError as error:
        raise CodeMappingError([(None, f"the file cannot be read: {error.strerror}")]) from None
    return read_code_mapping(data)


def unlisted(catalog: Catalog, mapping: CodeMapping) -> list[str]:
    """A line for each code that the code list does not have."""
    listed = codes.periods_for(catalog, {one.code for one in mapping.codes.values()})
    return [
        f"line {one.line}: the code {one.code} is not in the code list"
        for one in mapping.codes.values()
        if not listed[one.code]
    ]
