"""Imaging documents and their links to studies; they come before or after the images, in any order."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.records import Added
from kuva_gateway.clinical.documents import ImagingDocument


def add(catalog: Catalog, document: ImagingDocument, stored_as: str, digest: str, received_at: datetime) -> Added:
    """Add a document, link it, find out what is current, and open the question of the studies concerned again.

    ``stored_as`` is the name of its file, ``digest`` the SHA-256 of that file in hexadecimal. The same OID with the same
    digest changes nothing. The same OID with another digest replaces what was read from it.
    """
    raise NotImplementedError


def listing(catalog: Catalog) -> list[dict[str, Any]]:
    """Documents as JSON objects, the newest first."""
    raise NotImplementedError


def show(catalog: Catalog, identifier: str) -> dict[str, Any]:
    """One document, by OID, with what was read in it and its studies; raises NotFoundError."""
    raise NotImplementedError
