"""The procedure code list: periods of validity per code."""

from __future__ import annotations

from collections.abc import Iterable

from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.records import CodeSummary
from kuva_gateway.clinical.codes import CodePeriod


def store(catalog: Catalog, periods: Iterable[CodePeriod]) -> CodeSummary:
    """Add and change periods (none is removed: an export may be partial); held and accepted studies are judged again."""
    raise NotImplementedError


def periods(catalog: Catalog, code: str) -> tuple[CodePeriod, ...]:
    """The code's periods, the oldest first; () for a code that is not in the list."""
    raise NotImplementedError


def periods_for(catalog: Catalog, codes: Iterable[str]) -> dict[str, tuple[CodePeriod, ...]]:
    """The periods of each of these codes; codes that are not in the list map to ()."""
    raise NotImplementedError


def count(catalog: Catalog) -> int:
    """How many distinct codes the list has."""
    raise NotImplementedError
