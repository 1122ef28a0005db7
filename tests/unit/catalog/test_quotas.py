"""The quota of a peer is used up by what the archive does not have, whatever the indexer has still in hand."""

from __future__ import annotations

from typing import Any

from kuva_gateway.config import Configuration
from kuva_gateway.metrics.usage import Usage
from kuva_gateway.quotas import Quotas
from tests.unit.catalog.making import ARCHIVE, MISSING, Hospital


def configured(**limits: Any) -> Configuration:
    peers = [{"name": "ct1", "ae_title": "CT1", "limits": limits}, {"name": "mr1", "ae_title": "MR1"}]
    return Configuration.model_validate({"environment": "test", "peers": peers})


def waiting(usage: Usage) -> int:
    with usage.of("ct1") as meters:
        return meters.waiting


def test_what_is_archived_is_free_and_what_came_since_counts(hospital: Hospital) -> None:
    usage, limited = Usage(), configured(quota="1GiB")
    quotas = Quotas(hospital.catalog, usage)
    hospital.hold("1.2.1", MISSING)
    quotas.look(limited)
    held = waiting(usage)
    assert held > 0
    with usage.of("ct1") as meters:
        meters.store(500)
    assert waiting(usage) == held + 500
    quotas.look(limited)  # the catalog does not have them yet: they are counted beside it
    assert waiting(usage) == held + 500
    quotas.look(limited)  # by now it has, or never will
    assert waiting(usage) == held
    hospital.accept("1.2.2", destinations=(ARCHIVE,))
    quotas.look(limited)
    assert waiting(usage) > held


def test_without_a_quota_nobody_looks() -> None:
    usage = Usage()
    Quotas(None, usage).look(configured(instances_per_minute=3))  # type: ignore[arg-type]
    assert usage._rows == {}
