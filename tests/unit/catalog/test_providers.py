"""Providers in the catalog: what is shipped is added, what an operator said stays."""

from __future__ import annotations

from datetime import date

import pytest

from kuva_gateway.catalog import providers, studies
from kuva_gateway.clinical.providers import Provider
from kuva_gateway.errors import NotFoundError, StateError
from kuva_gateway.intake.providers import load_shipped_providers
from tests.unit.catalog.making import Hospital

OID = "1.2.246.10.1234567.19.0"


def test_the_shipped_list_is_loaded_and_keeps_what_an_operator_changed(hospital: Hospital) -> None:
    catalog = hospital.catalog
    assert load_shipped_providers(catalog) == 30
    providers.change(catalog, "HUS-yhtymä", oid=OID, joined=date(2021, 1, 1))
    assert load_shipped_providers(catalog) == 0
    (mapped,) = providers.mapped(catalog)
    assert mapped == Provider(name="HUS-yhtymä", sector="public", joined=date(2021, 1, 1), oid=OID)
    assert [one.sector for one in providers.everything(catalog)] == ["private"] * 14 + ["public"] * 16


def test_a_provider_can_be_added_once_and_an_oid_is_one_providers(hospital: Hospital) -> None:
    one = Provider(name="Uusi Oy", sector="private", joined=date(2026, 1, 1), oid=OID)
    providers.add(hospital.catalog, one)
    with pytest.raises(StateError, match="of this name"):
        providers.add(hospital.catalog, one)
    with pytest.raises(StateError, match="Uusi Oy's already"):
        providers.add(hospital.catalog, Provider(name="Muu Oy", sector="private", joined=date(2026, 1, 1), oid=OID))
    providers.change(hospital.catalog, "Uusi Oy", oid=OID)
    assert providers.everything(hospital.catalog) == (one,)


def test_a_change_of_one_that_is_not_there_is_not_found(hospital: Hospital) -> None:
    with pytest.raises(NotFoundError):
        providers.change(hospital.catalog, "Ei ole", oid=OID)


def test_what_an_operator_says_of_providers_has_studies_judged_again(hospital: Hospital) -> None:
    load_shipped_providers(hospital.catalog)
    hospital.hold()
    assert studies.to_judge(hospital.catalog, 10) == []
    providers.change(hospital.catalog, "HUS-yhtymä", oid=OID)
    assert studies.to_judge(hospital.catalog, 10) == ["1.2.1"]
