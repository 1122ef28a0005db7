"""Whose register a study belongs into."""

from __future__ import annotations

from kuva_gateway.catalog.keepers import register_keeper
from tests.unit.catalog.making import Hospital

ENTRY, REQUEST, PEER = "1.2.246.10.1.19.0", "1.2.246.10.2.19.0", "1.2.246.10.3.19.0"


def test_the_examination_entry_decides_then_the_request_then_the_peer(hospital: Hospital) -> None:
    catalog, by_peer = hospital.catalog, {"ct1": PEER}
    hospital.send()
    assert register_keeper(catalog, "1.2.1", {}) == ""
    assert register_keeper(catalog, "1.2.1", by_peer) == PEER
    hospital.add_document("1.9.1", kind="request", register_keeper=REQUEST)
    assert register_keeper(catalog, "1.2.1", by_peer) == REQUEST
    hospital.add_document("1.9.2", register_keeper=ENTRY)
    assert register_keeper(catalog, "1.2.1", by_peer) == ENTRY


def test_drafts_old_versions_and_documents_without_a_keeper_decide_nothing(hospital: Hospital) -> None:
    hospital.send()
    hospital.add_document("1.9.1", register_keeper=REQUEST, ready=False)
    hospital.add_document("1.9.2", register_keeper=REQUEST)
    hospital.add_document("1.9.3", set_id="1.9.2", version=2, replaces=("1.9.2",), register_keeper="")
    assert register_keeper(hospital.catalog, "1.2.1", {"ct1": PEER}) == PEER


def test_a_study_that_is_not_here_belongs_to_nobody(hospital: Hospital) -> None:
    assert register_keeper(hospital.catalog, "1.2.404", {"ct1": PEER}) == ""
