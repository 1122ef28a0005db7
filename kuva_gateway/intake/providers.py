"""The shipped list of providers into the catalog: names that it lacks are added, what an operator changed stays."""

from __future__ import annotations

from pathlib import Path

from kuva_gateway.catalog import providers as catalog_providers
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.clinical.providers import read_providers
from kuva_gateway.intake.shipped import PROVIDERS, shipped_file


def load_shipped_providers(catalog: Catalog, path: Path | None = None) -> int:
    """Add what is new in the shipped list; returns how many were added.

    Raises
    ------
    NotFoundError
        When ``path`` is None and the list was not installed.
    ProviderListError
        The list is damaged; nothing was added.
    """
    return catalog_providers.store(catalog, read_providers((path or shipped_file(PROVIDERS)).read_bytes()))
