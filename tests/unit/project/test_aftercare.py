"""What follows a delivery is wired as the configuration says."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import trustme

from kuva_gateway import parts
from kuva_gateway.aftercare import Aftercare, Hands
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.config import Configuration
from tests.unit.queue.test_resting import Lines


def aftercare(folder: Path, peers: list[dict[str, Any]], **changes: Any) -> tuple[Aftercare, Catalog]:
    values = {"environment": "test", "state_directory": folder, "peers": peers, **changes}
    configuration = Configuration.model_validate(values)
    parts.make_state_directory(folder)
    catalog = parts.open_catalog(configuration, create=True)
    hands = Hands(
        keep_out=lambda uids: None,
        remove=lambda: None,
        indexed=lambda at: True,
        on_receipt=lambda arrival, header: None,
    )
    made = Aftercare(
        configuration,
        catalog,
        parts.open_spool(configuration),
        hands,
        now=lambda: datetime.now(UTC),
        rng=random.Random(1),
        log=Lines(),
    )
    return made, catalog


def test_a_peer_that_must_use_tls_is_called_with_tls_and_one_without_an_address_is_not_called(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(authority)
    commit = {"allow": ["store", "commit"]}
    made, catalog = aftercare(
        tmp_path / "state",
        [
            {"name": "plain", "ae_title": "A", "host": "127.0.0.1", "port": 104, **commit},
            {"name": "safe", "ae_title": "B", "host": "127.0.0.1", "port": 105, "require_tls": True, **commit},
            {"name": "nowhere", "ae_title": "C", **commit, "commit_when": "archived", "commit_give_up_after": "1d"},
            {"name": "other", "ae_title": "D", "allow": ["store"]},
        ],
        tls={"ca": str(authority)},
    )
    try:
        askers = made.answering._askers
        assert sorted(askers) == ["nowhere", "plain", "safe"]
        plain, safe, nowhere = askers["plain"], askers["safe"], askers["nowhere"]
        assert plain.call is not None
        assert plain.call.tls is None
        assert (plain.call.called_ae, plain.call.calling_ae, plain.call.port) == ("A", "KUVAGW", 104)
        assert safe.call is not None
        assert safe.call.tls is not None
        assert (nowhere.call, nowhere.when_archived, nowhere.give_up_after.days) == (None, True, 1)
        assert made.ticks()["retention"].every == 30
    finally:
        catalog.close()


def test_retention_looks_more_often_where_files_are_kept_for_less(tmp_path: Path) -> None:
    made, catalog = aftercare(tmp_path / "state", [], retention={"keep_for": "10s"})
    catalog.close()
    assert made.ticks()["retention"].every == 5
