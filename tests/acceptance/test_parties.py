"""Producers, register keepers and documents that are withdrawn, from the sender to the archive."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from tests.acceptance.conftest import Pair
from tests.acceptance.gateway import Gateway
from tests.authorizations import KEEPER, PRODUCER, build_authorization
from tests.studies import make_study
from tests.support import free_port, wait_until

OTHER_KEEPER = "1.2.246.10.555.19.0"
PEERS = [
    {"name": "ct1", "ae_title": "CT1", "allow": ["echo", "store", "find"]},
    {"name": "clinic", "ae_title": "CLINIC", "allow": ["store", "find"], "producer": PRODUCER},
    {"name": "monitor", "ae_title": "MONITOR", "allow": ["echo"]},
]


def drop_authorization(gateway: Gateway, name: str, **changes: Any) -> Path:
    """Drop one as another system would: under another name first."""
    path = gateway.state / "authorizations" / "incoming" / name
    part = path.with_suffix(".part")
    part.write_bytes(build_authorization(**changes))
    part.rename(path)
    return path


def holding(study: dict[str, Any]) -> list[str]:
    return [one["rule"] for one in study["findings"] if one["severity"] == "hold"]


def found(gateway: Gateway, calling: str) -> set[str]:
    """The Study Instance UIDs that a query for all studies shows to this AE."""
    ae = AE(ae_title=calling)
    ae.add_requested_context(StudyRootQueryRetrieveInformationModelFind)
    association = ae.associate("127.0.0.1", gateway.port, ae_title="KUVAGW")
    assert association.is_established
    keys = Dataset()
    keys.QueryRetrieveLevel, keys.StudyInstanceUID = "STUDY", ""
    try:
        answers = list(association.send_c_find(keys, StudyRootQueryRetrieveInformationModelFind))
    finally:
        association.release()
    assert answers[-1][0].Status == 0x0000
    return {str(shown.StudyInstanceUID) for _, shown in answers if shown is not None}


def test_a_producers_study_is_held_and_goes_under_its_keepers_ae_title_once_it_is_authorized(
    start_pair: Callable[..., Pair], tmp_path: Path
) -> None:
    gateway, archive = start_pair(
        "--report-ae",
        "KUVA_TK",
        peers=PEERS,
        authorizations={"scan_every": "200ms"},
        destination={"calling_ae_titles": {KEEPER: "KUVA_TK"}},
    )
    study = make_study(kind="ct")
    gateway.import_documents(study)
    gateway.send(study, calling="CLINIC")
    held = gateway.wait_state(study.uid, "held")
    (finding,) = [one for one in held["findings"] if one["rule"] == "OSV-01"]
    assert PRODUCER in finding["message"]
    assert "authorizations/incoming" in finding["remedy"]

    bad = drop_authorization(gateway, "bad.xml", valid=("20240101", ""))
    wait_until(lambda: not bad.exists(), what="the rejection of a bad authorization")
    reason = gateway.state / "authorizations" / "rejected" / "bad.xml.reason"
    assert "field 6 (the validity) has no end" in wait_until(lambda: reason.exists() and reason.read_text())
    assert gateway.wait_state(study.uid, "held")["entries"] == []

    drop_authorization(gateway, "good.xml", valid=("20240101", "20401231"))
    gone = gateway.wait_state(study.uid, "archived")
    assert holding(gone) == []
    (shown,) = gateway.json("authorizations", "list")
    assert (shown["current"], shown["has_patient"], shown["producer"]) == (True, False, PRODUCER)

    # The hospital's own study in another keeper's register goes under the gateway's own name, without an authorization.
    own = make_study(kind="ct", accession="A-OWN")
    gateway.import_documents(own, register_keeper=OTHER_KEEPER)
    gateway.send(own)
    gateway.wait_state(own.uid, "archived")
    callers = {one["association"]: one["calling_ae"] for one in archive.events("association")}
    stored = {one["sop_instance_uid"]: callers[one["association"]] for one in archive.events("stored")}
    assert {stored[uid] for uid in study.sop_instance_uids} == {"KUVA_TK"}
    assert {stored[uid] for uid in own.sop_instance_uids} == {"KUVAGW"}

    # Of the other organiser's studies the producer sees nothing, until an authorization gives it a search right.
    assert found(gateway, "CT1") == {study.uid, own.uid}
    assert found(gateway, "CLINIC") == {study.uid}
    other = {"organiser": "1.2.246.10.555.10.0", "keeper": OTHER_KEEPER, "oid": "1.2.246.10.555.91.2024.1"}
    path = tmp_path / "search.xml"
    path.write_bytes(build_authorization(valid=("20240101", "20401231"), **other))
    assert gateway.quick("authorizations", "import", str(path)).status == 0
    assert found(gateway, "CLINIC") == {study.uid, own.uid}
    assert gateway.quick("authorizations", "invalidate", other["oid"], "--by", "anna", "--reason", "ended").status == 0
    assert found(gateway, "CLINIC") == {study.uid}


@pytest.mark.slow
def test_a_document_withdrawn_after_acceptance_stops_a_delivery_that_has_not_begun(tmp_path: Path) -> None:
    with Gateway(tmp_path / "gateway", archive_port=free_port(), peers=PEERS) as gateway:
        study = make_study(kind="ct")
        first = "1.2.246.10.99999984.91.2024.1"
        gateway.import_documents(study, "examination_entry")
        gateway.import_documents(study, "request", oid=first)
        gateway.send(study)
        assert gateway.wait_state(study.uid, "accepted")["entries"][0]["sent"] == 0
        withdrawn = {"oid": f"{first}1", "set_id": first, "version": 2, "replaces": first, "record_status": "5"}
        gateway.drop(study, "request", **withdrawn)
        held = gateway.wait_state(study.uid, "held")
        assert holding(held) == ["DOC-01", "DOC-05"]
        assert [one["state"] for one in held["entries"] if one["state"] in ("queued", "sending")] == []
        assert {one["version"]: one["current"] for one in held["documents"] if one["kind"] == "request"} == {
            1: False,
            2: True,
        }
        # A third version, ready again, lets it go on by itself.
        third = {"oid": f"{first}2", "set_id": first, "version": 3, "replaces": f"{first}1"}
        gateway.drop(study, "request", **third)
        assert holding(gateway.wait_state(study.uid, "accepted")) == []
