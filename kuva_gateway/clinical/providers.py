"""Providers that use the national imaging archive: the form of their list. Keeps nothing.

Source of the shipped list: the archive's own page of providers, as of 2024-01-12; it has names and dates, and no OIDs.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal, get_args

from kuva_gateway.clinical.identifiers import is_organisation_oid
from kuva_gateway.errors import GatewayError

Sector = Literal["public", "private"]
SECTORS: Final[tuple[Sector, ...]] = get_args(Sector)
_COLUMNS: Final = ("name", "sector", "joined", "oid")


class ProviderListError(GatewayError):
    """The file is no list of providers; the text names the line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A provider, when it joined the archive, and its OID (or its register keeper's) as far as it is known."""

    name: str
    sector: Sector
    joined: date
    oid: str | None = None

    def keeps(self, register_keeper: str) -> bool:
        """Whether a register keeper's OID is this provider's, or lies below it."""
        return self.oid is not None and f"{register_keeper}.".startswith(f"{self.oid}.")


def read_providers(data: bytes) -> tuple[Provider, ...]:
    """Read a list: UTF-8, columns ``name;sector;joined;oid`` by name, dates as yyyy-mm-dd.

    Raises
    ------
    ProviderListError
        A column is missing or a line has what it must not have.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ProviderListError("the list is not UTF-8") from None
    rows = csv.reader(io.StringIO(text), delimiter=";", strict=True)
    try:
        heading = [one.strip().lower() for one in next(rows, [])]
        if sorted(heading) != sorted(_COLUMNS):
            raise ProviderListError(f"line 1: expected the columns {';'.join(_COLUMNS)}, each once")
        found: dict[str, Provider] = {}
        for row in rows:
            provider = _provider(rows.line_num, heading, row)
            if provider.name in found:
                raise ProviderListError(f"line {rows.line_num}: this provider stands twice")
            found[provider.name] = provider
    except csv.Error:
        raise ProviderListError(f"line {rows.line_num}: this is no line of such a list") from None
    return tuple(found.values())


def _provider(line: int, heading: list[str], row: list[str]) -> Provider:
    if len(row) != len(heading):
        raise ProviderListError(f"line {line}: {len(row)} columns instead of {len(heading)}")
    values = dict(zip(heading, (one.strip() for one in row), strict=True))
    sector = next((one for one in SECTORS if one == values["sector"]), None)
    if not values["name"]:
        raise ProviderListError(f"line {line}: the name is missing")
    if sector is None:
        raise ProviderListError(f"line {line}: the sector is neither {' nor '.join(SECTORS)}")
    try:
        joined = date.fromisoformat(values["joined"])
    except ValueError:
        raise ProviderListError(f"line {line}: the date of joining is not yyyy-mm-dd") from None
    if values["oid"] and not is_organisation_oid(values["oid"]):
        raise ProviderListError(f"line {line}: the OID does not lie under 1.2.246.10")
    return Provider(name=values["name"], sector=sector, joined=joined, oid=values["oid"] or None)
