"""The list of providers: the shipped one, and what is wrong with others."""

from __future__ import annotations

from collections import Counter
from datetime import date

import pytest

from kuva_gateway.clinical.providers import Provider, ProviderListError, read_providers
from tests.support import ROOT

HEADING = "name;sector;joined;oid\n"


def test_the_shipped_list_has_every_provider_of_the_archives_page() -> None:
    found = {one.name: one for one in read_providers((ROOT / "conf" / "providers.csv").read_bytes())}
    assert Counter(one.sector for one in found.values()) == {"public": 16, "private": 14}
    assert found["HUS-yhtymä"].joined == date(2020, 10, 14)
    assert found["Lapin hyvinvointialue"].joined == date(2023, 1, 1)
    assert found["Helsingin sosiaali-, terveys- ja pelastustoimiala"].joined == date(2022, 6, 7)
    assert found["Fimlab Laboratoriot Oy"] == Provider(
        name="Fimlab Laboratoriot Oy", sector="private", joined=date(2023, 9, 28)
    )
    assert all(one.oid is None for one in found.values())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("name;joined\n", "line 1: expected the columns name;sector;joined;oid"),
        ("name;name;sector;joined\n", "line 1: expected the columns"),
        (HEADING + "A;public;2023-01-01\n", "line 2: 3 columns instead of 4"),
        (HEADING + "A;public;;2023-01-01;\n", "line 2: 5 columns instead of 4"),
        (HEADING + ";public;2023-01-01;\n", "line 2: the name is missing"),
        (HEADING + "A;state;2023-01-01;\n", "line 2: the sector is neither public nor private"),
        (HEADING + "A;public;1.12023;\n", "line 2: the date of joining is not yyyy-mm-dd"),
        (HEADING + "A;public;2023-01-01;1.2.3\n", "line 2: the OID does not lie under"),
        (HEADING + "A;public;2023-01-01;\nA;private;2023-01-01;\n", "line 3: this provider stands twice"),
        (HEADING + 'A;"public;2023-01-01;\n', "line 2: this is no line"),
    ],
)
def test_a_damaged_list_is_refused_with_its_line(text: str, why: str) -> None:
    with pytest.raises(ProviderListError, match=why):
        read_providers(text.encode())


def test_a_list_in_another_encoding_is_refused() -> None:
    with pytest.raises(ProviderListError, match="not UTF-8"):
        read_providers((HEADING + "Länsi;public;2023-01-01;\n").encode("latin-1"))
