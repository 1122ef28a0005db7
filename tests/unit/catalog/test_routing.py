"""Which destinations take a study, and what makes it urgent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kuva_gateway.catalog import entries, studies
from kuva_gateway.catalog.reconcile import Reconciled, reconcile
from kuva_gateway.catalog.records import DestinationPlan
from kuva_gateway.catalog.routing import NORMAL, URGENT, Traits, takes
from kuva_gateway.config.delivery import Filter
from tests.unit.catalog.making import ARCHIVE, Hospital

THORAX = Traits(
    modalities=frozenset({"CT", "SR"}),
    peers=frozenset({"ct1"}),
    procedure_codes=frozenset({"GD1AD"}),
    content_classes=frozenset({"radiology"}),
)


def only(**chosen: Any) -> DestinationPlan:
    return replace(ARCHIVE, filter=Filter.model_validate(chosen))


def destinations(hospital: Hospital, uid: str = "1.2.1") -> list[str]:
    return [entry["destination"] for entry in studies.show(hospital.catalog, uid)["entries"]]


@pytest.mark.parametrize(
    ("chosen", "taken"),
    [
        ({}, True),
        ({"modality": ["CT"]}, True),
        ({"modality": ["MR", "SR"]}, True),
        ({"modality": ["MR"]}, False),
        ({"peer": ["ct1"], "modality": ["CT"]}, True),
        ({"peer": ["ct2"], "modality": ["CT"]}, False),
        ({"procedure_code": ["GD1AD"]}, True),
        ({"procedure_code": ["gd1*"]}, True),
        ({"procedure_code": ["GD2*", "AA1AD"]}, False),
        ({"content_class": ["radiology"]}, True),
        ({"content_class": ["ecg"]}, False),
        ({"unless": {"peer": ["ct1"]}}, False),
        ({"unless": {"peer": ["ct2"]}}, True),
        ({"modality": ["CT"], "unless": {"peer": ["ct1"], "modality": ["MR"]}}, True),
    ],
)
def test_a_filter_takes_what_has_a_value_of_every_key(chosen: dict[str, Any], taken: bool) -> None:
    assert takes(only(**chosen), THORAX) is taken


def test_a_study_goes_where_the_filter_takes_it_and_nowhere_else(hospital: Hospital) -> None:
    mr = replace(ARCHIVE, name="mr-store", filter=Filter(modality=("MR",)))
    ct = replace(ARCHIVE, name="ct-store", filter=Filter(modality=("CT",), procedure_code=("GD1*",)))
    other = replace(ARCHIVE, name="others", filter=Filter(unless=Filter(peer=("ct1",))))
    hospital.accept(destinations=(ARCHIVE, mr, ct, other))
    assert destinations(hospital) == ["archive", "ct-store"]


def test_a_study_that_nobody_required_takes_stays_accepted_and_says_so_once(hospital: Hospital) -> None:
    plans = (only(modality=["MR"]), replace(ARCHIVE, name="copy", required=False))
    hospital.accept(destinations=plans)
    assert destinations(hospital) == ["copy"]
    reconcile(hospital.catalog, plans)
    told = [line for line in studies.trace(hospital.catalog, "1.2.1") if line["event"] == "not_routed"]
    assert [line["detail"]["goes_to"] for line in told] == [["copy"]]
    assert hospital.state() == "accepted"


def test_a_filter_that_opens_takes_accepted_studies_at_the_next_start(hospital: Hospital) -> None:
    closed = only(modality=["MR"])
    for uid in ("1.2.1", "1.2.2", "1.2.3"):
        hospital.accept(uid, destinations=(closed,))
    assert reconcile(hospital.catalog, (closed,)).planned == 0
    assert reconcile(hospital.catalog, (only(modality=["CT"]),)).planned == 3
    assert reconcile(hospital.catalog, (only(modality=["CT"]),)) == Reconciled(changed=0, planned=0, orphaned=0)
    assert hospital.claim() is not None


def test_more_of_a_study_goes_where_its_first_part_went(hospital: Hospital) -> None:
    """The second part alone would have been kept back: a study is whole or not there."""
    hospital.accept(destinations=(only(unless={"modality": ["SR"]}),))
    hospital.receive(instance=9, Modality="SR")
    hospital.index()
    hospital.settle()
    hospital.judge(destinations=(only(unless={"modality": ["SR"]}),))
    assert destinations(hospital) == ["archive", "archive"]


@pytest.mark.parametrize(
    ("request_priority", "urgent_peers", "expected"),
    [
        ("ROUTINE", frozenset(), NORMAL),
        ("STAT", frozenset(), URGENT),
        ("high ", frozenset(), URGENT),
        ("", frozenset({"ct1"}), URGENT),
        ("", frozenset({"ct2"}), NORMAL),
    ],
)
def test_a_study_is_urgent_by_its_request_or_by_its_peer(
    hospital: Hospital, request_priority: str, urgent_peers: frozenset[str], expected: int
) -> None:
    hospital.send(RequestedProcedurePriority=request_priority)
    hospital.settle()
    hospital.judge(destinations=(replace(ARCHIVE, urgent_peers=urgent_peers),))
    (entry,) = entries.listing(hospital.catalog)
    assert entry["priority"] == expected
