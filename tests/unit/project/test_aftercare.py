"""What follows a delivery is wired as the configuration says."""

from __future__ import annotations

import os
import random
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from kuva_gateway import parts
from kuva_gateway.aftercare import Aftercare, Hands
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.config import Configuration
from kuva_gateway.errors import NoSpaceError
from kuva_gateway.metrics.usage import Usage
from kuva_gateway.spool.awaited import Wanted
from kuva_gateway.spool.fetched import GRACE, FetchedFiles
from kuva_gateway.spool.spool import Spool
from tests.unit.catalog.making import CT, EXPLICIT, data_set, encode
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
        usage=Usage(),
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


def test_copies_of_what_the_archive_has_go_for_want_of_room_before_their_time_but_not_what_somebody_just_asked_for(
    tmp_path: Path,
) -> None:
    for low_water, left in (("0%", 2), ("100%", 1)):
        folder = tmp_path / low_water.rstrip("%")
        made, catalog = aftercare(folder, [], retention={"low_water": low_water}, spool={"minimum_free": 0})
        try:
            spool = Spool(folder / "spool", minimum_free=0)
            files = FetchedFiles(spool, keep_for=86400)
            for number in (1, 2):
                uid = f"1.2.9.1.{number}"
                wanted = Wanted(study="1.2.9", series="1.2.9.1", sop_instance=uid)
                copying = files.begin(wanted, CT, EXPLICIT)
                copying.write(memoryview(encode(data_set("1.2.9", 1, number))))
                path = spool.fetched / copying.keep().digest
                os.utime(path, (time.time() - GRACE - 60,) * 2)
            assert files.find("1.2.9.1.1") is not None
            made.ticks()["retention"].call()
            assert len([one for one in spool.fetched.iterdir() if one.is_file()]) == left
            assert files.find("1.2.9.1.1") is not None
        finally:
            catalog.close()


def test_what_was_never_finished_goes_at_the_start_and_never_while_somebody_writes_it(tmp_path: Path) -> None:
    now = [time.time()]
    spool = Spool(tmp_path, minimum_free=0)
    files = FetchedFiles(spool, keep_for=60, clock=lambda: now[0])
    wanted = Wanted(study="1.2.9", series="1.2.9.1", sop_instance="1.2.9.1.1")
    copying = files.begin(wanted, CT, EXPLICIT)
    now[0] += GRACE + 1
    assert files.sweep() == 0
    assert FetchedFiles(spool, keep_for=60).sweep(starting=True) == 1
    copying.drop()
    assert not list(spool.fetched.iterdir())


def test_copies_leave_more_room_than_receiving_needs(tmp_path: Path) -> None:
    free = Spool(tmp_path, minimum_free=0).free_bytes()
    spool = Spool(tmp_path, minimum_free=int(free * 0.6))
    spool.space.require()
    wanted = Wanted(study="1.2.9", series="1.2.9.1", sop_instance="1.2.9.1.1")
    with pytest.raises(NoSpaceError):
        FetchedFiles(spool, keep_for=60).begin(wanted, CT, EXPLICIT)
    assert not list(spool.fetched.iterdir())
