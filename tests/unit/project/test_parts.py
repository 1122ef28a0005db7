"""What parts makes of a configuration."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kuva_gateway.audit.trail import Trail
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.config import Configuration
from kuva_gateway.config.model import Query
from kuva_gateway.dicom.header import Header
from kuva_gateway.errors import ConfigurationError
from kuva_gateway.parts import (
    audit_undelivered,
    calling_depends_on,
    check_configuration,
    checking,
    destination_plans,
    make_immediate,
    make_may_see,
    make_parties_of,
    missing_decoders,
)
from kuva_gateway.parts.auditing import audit_folder
from kuva_gateway.validation.parties import Concerned, Sender

GOOD = Header(
    sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
    sop_instance_uid="1.2.3.1",
    study_instance_uid="1.2",
    series_instance_uid="1.2.3",
    patient_id="010101-999R",
)


def test_what_is_remembered_of_a_good_instance_lets_no_bad_one_in(tmp_path: Path):
    configuration = Configuration.model_validate(
        {
            "environment": "test",
            "state_directory": tmp_path,
            "peers": [
                {"name": "ct1", "ae_title": "CT1", "allow": ["store"]},
                {"name": "ct2", "ae_title": "CT2", "allow": ["store"], "rules": {"ACC-01": "refuse"}},
            ],
        }
    )
    immediate = make_immediate(configuration)
    assert immediate(GOOD, "ct1") is None
    assert immediate(replace(GOOD, sop_instance_uid="1.2.3.2", instance_number="2"), "ct1") is None
    for changes in (
        {"sop_instance_uid": "1.02"},
        {"sop_instance_uid": ""},
        {"series_instance_uid": "x"},
        {"study_instance_uid": "1..2"},
        {"sop_class_uid": "1.2.3.4"},
        {"patient_id": "131052-308T"},  # a personal identity code of the kind that real people have
    ):
        assert immediate(replace(GOOD, **changes), "ct1") is not None, changes
        assert immediate(replace(GOOD, **changes), "ct1") is not None, changes
        assert immediate(GOOD, "ct1") is None
    assert (immediate(GOOD, "ct2") is None) == (make_immediate(configuration)(GOOD, "ct2") is None)


def routed(chosen: dict[str, object]) -> Configuration:
    archive = {"name": "archive", "ae_title": "ARCHIVE", "host": "127.0.0.1", "port": 104, "filter": chosen}
    peers = [{"name": "ct1", "ae_title": "CT1", "urgent": True}, {"name": "ct2", "ae_title": "CT2"}]
    return Configuration.model_validate({"environment": "test", "peers": peers, "destinations": [archive]})


def test_a_filter_that_names_a_peer_which_is_not_there_is_a_fault(tmp_path: Path) -> None:
    check_configuration(routed({"peer": ["ct1", "import"]}), tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        check_configuration(routed({"peer": ["ct3"], "unless": {"peer": ["ct4"]}}), tmp_path)
    assert [str(one) for one in caught.value.problems] == [
        "destinations.archive.filter: there is no peer ct3",
        "destinations.archive.filter: there is no peer ct4",
    ]


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ({"upstream": "nobody"}, "query.upstream: there is no destination or peer nobody"),
        ({"upstream": "ct1"}, "query.upstream: the peer ct1 has no host and port"),
        (
            {"upstream": "archive", "upstream_timeout": 0},
            "query.upstream_timeout: expected more than nothing",
        ),
        ({"fetch_ae_title": "FETCH"}, "query.fetch_ae_title: there is no query.upstream to fetch from"),
        *(
            (
                {"upstream": "archive", "fetch_ae_title": title},
                "query.fetch_ae_title: somebody else has this AE title: it must be used for nothing else",
            )
            for title in ("KUVAGW", "CT1", "ARCHIVE")
        ),
    ],
)
def test_an_upstream_archive_that_cannot_be_asked_is_a_fault(
    tmp_path: Path, query: dict[str, object], why: str
) -> None:
    configuration = routed({})
    check_configuration(configuration.model_copy(update={"query": Query(upstream="archive")}), tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        check_configuration(configuration.model_copy(update={"query": Query.model_validate(query)}), tmp_path)
    assert [str(one) for one in caught.value.problems] == [why]


def test_decompressing_without_decoders_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = routed({})
    monkeypatch.setattr(checking, "find_spec", lambda name: None if name == "gdcm" else object())
    (notice,) = missing_decoders(configuration)
    assert "destinations.archive" in notice
    assert "(gdcm)" in notice
    (archive,) = configuration.destinations
    without = archive.model_copy(update={"decompress": False})
    assert missing_decoders(configuration.model_copy(update={"destinations": (without,)})) == []
    monkeypatch.setattr(checking, "find_spec", lambda name: object())
    assert missing_decoders(configuration) == []


@pytest.mark.parametrize("delivered", ["", "2", "99", "no number"])
def test_undelivered_audit_records_are_those_behind_the_last_delivered_one(tmp_path: Path, delivered: str) -> None:
    known = {"environment": "test", "state_directory": tmp_path}
    alone = Configuration.model_validate(known)
    own = Configuration.model_validate({**known, "audit": {"collector": {"host": "127.0.0.1", "transport": "tcp"}}})
    folder = audit_folder(own)
    folder.mkdir(parents=True)
    Trail(folder).append([(datetime(2026, 11, 22, tzinfo=UTC), "<a/>")] * 5)
    (folder / "delivered").write_text(delivered)
    assert audit_undelivered(alone) == 0
    assert audit_undelivered(own) == {"2": 3, "99": 0}.get(delivered, 5)


def test_destinations_know_whose_studies_are_urgent_and_whether_they_choose() -> None:
    (plan,) = destination_plans(routed({}))
    assert (plan.filter, plan.urgent_peers) == (None, {"ct1"})
    (plan,) = destination_plans(routed({"modality": "CT"}))
    assert plan.filter is not None
    assert plan.filter.modality == ("CT",)


def test_a_producers_view_is_restricted_and_nobody_elses(tmp_path: Path) -> None:
    oid = "1.2.246.10.48484841.10.0"
    configuration = Configuration.model_validate(
        {
            "environment": "test",
            "state_directory": tmp_path,
            "peers": [
                {"name": "pacs", "ae_title": "PACS", "allow": ["find"]},
                {"name": "clinic", "ae_title": "CLINIC", "allow": ["find"], "producer": oid},
                {"name": "ward", "ae_title": "WARD", "register_keeper": "1.2.246.10.48484841.19.0"},
                {"name": "free", "ae_title": "FREE", "producer": oid, "rules": {"OSV-04": "off"}},
            ],
        }
    )
    may_see = make_may_see(configuration)
    catalog = Catalog.open(None, tmp_path / "catalog.sqlite")
    try:
        seen = {name: may_see(catalog, name) for name in ("pacs", "clinic", "free", "nobody")}
    finally:
        catalog.close()
    assert seen["pacs"] == seen["free"] == seen["nobody"]
    assert seen["pacs"].values == ()
    assert {"clinic", "ward", "free", oid} <= set(seen["clinic"].values)
    assert "pacs" not in seen["clinic"].values


@pytest.mark.parametrize("key", ["producer", "register_keeper"])
def test_an_oid_that_is_no_organisations_is_a_fault_of_the_configuration(tmp_path: Path, key: str) -> None:
    peer = {"name": "ct1", "ae_title": "CT1", "allow": ["store"], key: "1.2.3"}
    configuration = Configuration.model_validate(
        {"environment": "test", "state_directory": tmp_path, "peers": [peer], "register_keepers": ["1.2.246.10.x"]}
    )
    with pytest.raises(ConfigurationError) as caught:
        check_configuration(configuration, tmp_path / "c.yaml")
    assert {problem.key for problem in caught.value.problems} == {f"peers.ct1.{key}", "register_keepers"}


def test_a_sender_that_is_not_configured_counts_as_the_producer_that_the_documents_name(tmp_path: Path) -> None:
    own, other = "1.2.246.10.48484841.10.0", "1.2.246.10.777.10.0"
    keeper = "1.2.246.10.99999984.19.0"
    configuration = Configuration.model_validate(
        {
            "environment": "test",
            "state_directory": tmp_path,
            "register_keepers": [keeper],
            "peers": [{"name": "clinic", "ae_title": "CLINIC", "producer": own}, {"name": "ct1", "ae_title": "CT1"}],
        }
    )
    parties_of = make_parties_of(configuration, None)

    def senders(*peers: str, producers: tuple[str, ...] = (other,)) -> tuple[Sender, ...]:
        return parties_of(Concerned(peers, (keeper,), (), producers)).senders

    assert senders("clinic", "ct1") == (Sender(peer="clinic", producer=own), Sender(peer="ct1"))
    assert senders("gone") == (Sender(peer="gone", producer=other),)
    assert senders("") == (Sender(peer="", producer=other),)
    assert senders("gone", producers=()) == (Sender(peer="gone"),)
    assert senders("import") == (Sender(peer="import"),)
    assert parties_of(Concerned((), (keeper,), ())).known_keepers == {keeper}


@pytest.mark.parametrize(
    "change",
    [
        {"ae_title": "OTHER"},
        {"timers": {"response": "1m"}},
        {"limits": {"pdu_length": "64KiB"}},
        {"decoding": {"memory": "2GiB"}},
        {"decoding": {"timeout": "1m"}},
        {"spool": {"minimum_free": "1GiB"}},
        {"destinations": [{"name": "archive", "ae_title": "ARCHIVE", "host": "127.0.0.1", "port": 104, "workers": 1}]},
    ],
    ids=str,
)
def test_whatever_a_delivery_is_made_with_makes_it_anew_when_it_changes(change: dict[str, object]):
    before: dict[str, object] = {
        "environment": "test",
        "destinations": [{"name": "archive", "ae_title": "ARCHIVE", "host": "127.0.0.1", "port": 104}],
    }

    def depends_on(values: dict[str, object]) -> str:
        configuration = Configuration.model_validate(values)
        return calling_depends_on(configuration)(configuration.destinations[0])

    assert depends_on(before) == depends_on({**before, "settle_after": "2m"})
    assert depends_on(before) != depends_on({**before, **change})
