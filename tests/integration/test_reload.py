"""A reload seen from inside: one daemon in this process that receives by itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from kuva_gateway import log
from kuva_gateway.config import load
from kuva_gateway.daemon import Daemon
from kuva_gateway.network import AssociationRejected, ProposedContext, Target, connect
from tests.support import wait_until
from tests.unit.scp.conftest import CT, EXPLICIT, VERIFICATION, encode, image, store

CONFIGURATION = """
environment: test
listen: {{port: 0, processes: 0}}
settle_after: 200ms
drain_timeout: 5s
spool: {{minimum_free: {minimum_free}}}
documents: {{drop_folder: {drop_folder}, scan_every: 100ms}}
metrics: {{port: null}}
log: {{format: json, level: info}}
peers:
{peers}
"""
CT1 = "  - {name: ct1, ae_title: CT1, allow: [echo, store]}"
US1 = "  - {name: us1, ae_title: US1, allow: [echo, store]}"


class Site:
    """The daemon and its file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "kuva-gateway.yaml"
        self.write()
        self.stop = threading.Event()
        self.daemon = Daemon(load(self.path), self.stop, self.path)

    def write(self, peers: str = CT1, drop_folder: str = "documents/incoming", minimum_free: str = "1MiB") -> None:
        text = CONFIGURATION.format(peers=peers, drop_folder=drop_folder, minimum_free=minimum_free)
        self.path.write_text(text)

    def lets_in(self, calling: str) -> bool:
        try:
            with self.associate(calling) as association:
                return association.echo() == 0
        except AssociationRejected:
            return False

    def associate(self, calling: str):  # type: ignore[no-untyped-def]
        target = Target(host="127.0.0.1", port=self.daemon.ports[0], called_ae="KUVAGW", calling_ae=calling)
        contexts = [
            ProposedContext(id=1, abstract_syntax=CT, transfer_syntaxes=(EXPLICIT,)),
            ProposedContext(id=3, abstract_syntax=VERIFICATION, transfer_syntaxes=(EXPLICIT,)),
        ]
        return connect(target, contexts)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    before = threading.active_count()
    with (tmp_path / "gateway.log").open("w") as lines:
        log.configure(form="json", stream=lines)
        made = Site(tmp_path)
        try:
            made.daemon.start()
            yield made
        finally:
            made.daemon.stop()
            structlog.reset_defaults()
    wait_until(lambda: threading.active_count() <= before, what=f"the end of {threading.enumerate()}")


def test_the_daemon_itself_receives_by_another_configuration(site: Site) -> None:
    assert site.daemon.reloading.reload().changed == ()
    with site.associate("CT1") as early:
        site.write(peers=US1, minimum_free="1000TiB", drop_folder="documents/elsewhere")
        done = site.daemon.reloading.reload()
        assert (done.outcome, done.needs_restart) == ("done", ())
        assert [change.key for change in done.changed] == [
            "spool.minimum_free",
            "documents.drop_folder",
            "peers.us1",
            "peers.ct1",
        ]
        assert not site.lets_in("CT1")
        assert site.lets_in("US1")
        assert early.echo() == 0
    with site.associate("US1") as late:
        wait_until(lambda: store(late, encode(image())).status == 0xA700)
    (site.folder / "var" / "documents" / "elsewhere").mkdir(exist_ok=True, parents=True)
    dropped = site.folder / "var" / "documents" / "elsewhere" / "bad.xml"
    dropped.write_text("<no-cda/>")
    wait_until(lambda: not dropped.exists(), what="the new drop folder to be looked into")
    site.daemon.reloading.ask()
    site.write()
    site.daemon.reloading.ask()
    wait_until(lambda: site.lets_in("CT1"))


def test_nothing_is_taken_on_while_the_gateway_stops(site: Site) -> None:
    site.write(peers=US1)
    site.stop.set()
    refused = site.daemon.reloading.reload()
    assert (refused.outcome, refused.problems) == ("failed", ("the gateway stops",))
    assert site.lets_in("CT1")
    site.daemon.stop()
    site.daemon.reloading.ask()
    assert site.daemon.reloading.reload().outcome == "failed"


def test_a_peer_that_is_gone_is_told_so_when_it_asks_for_commitment(site: Site) -> None:
    assert site.daemon._aftercare is not None
    answering = site.daemon._aftercare.answering
    with pytest.raises(Exception, match="not in the configuration any more"):
        answering.take("gone", "1.2.3", [(CT, "1.2.3.4")])
    assert answering.ready("gone", "1.2.3", 0.0) is None
