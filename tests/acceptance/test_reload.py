"""Another configuration while the gateway runs, with peers on the wire: one gateway of two receiving processes."""

from __future__ import annotations

import copy
import json
import os
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from kuva_gateway.control import ask
from kuva_gateway.network import AssociationRejected, ProposedContext, RequestorAssociation, Target, connect
from tests.acceptance.gateway import Done, Gateway, Json, configuration
from tests.stand_in import StandIn
from tests.studies import make_study
from tests.support import free_port, wait_until
from tests.unit.scp.conftest import CT, EXPLICIT, VERIFICATION, encode, image, store

AUTHORITY = trustme.CA()


class Site:
    """A running gateway, and the configuration that its file has."""

    def __init__(self, gateway: Gateway, value: Json) -> None:
        self.gateway = gateway
        self.first = value
        self.value: Json = copy.deepcopy(value)

    def write(self, **changes: Any) -> None:
        self.value = {**copy.deepcopy(self.first), **changes}
        self.gateway.configure(self.value)

    def reload(self, **changes: Any) -> Done:
        self.write(**changes)
        return self.gateway.quick("config", "reload")

    def peers(self, *more: Json, without: str = "") -> list[Json]:
        return [peer for peer in self.first["peers"] if peer["name"] != without] + list(more)

    def associate(self, calling: str) -> RequestorAssociation:
        contexts = [
            ProposedContext(id=1, abstract_syntax=CT, transfer_syntaxes=(EXPLICIT,)),
            ProposedContext(id=3, abstract_syntax=VERIFICATION, transfer_syntaxes=(EXPLICIT,)),
        ]
        target = Target(host="127.0.0.1", port=self.gateway.port, called_ae="KUVAGW", calling_ae=calling)
        return connect(target, contexts)

    def lets_in(self, calling: str) -> bool:
        try:
            with self.associate(calling) as association:
                return association.echo() == 0
        except AssociationRejected:
            return False

    def lets_in_everywhere(self, calling: str) -> set[bool]:
        """The answers of two associations that are open together: of both receiving processes."""
        try:
            with self.associate(calling) as one, self.associate(calling) as other:
                return {one.echo() == 0, other.echo() == 0}
        except AssociationRejected:
            return {False}

    def shown_certificate(self) -> bytes:
        context = ssl.create_default_context(cafile=str(self.gateway.folder / "ca.pem"))
        port = self.first["tls"]["port"]
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secured,
        ):
            return secured.getpeercert(binary_form=True) or b""

    def new_certificate(self) -> None:
        made = AUTHORITY.issue_cert("localhost")
        made.cert_chain_pems[0].write_to_path(self.gateway.folder / "cert.pem")
        made.private_key_pem.write_to_path(self.gateway.folder / "key.pem")

    def receiving(self) -> list[int]:
        """The process ids of the receiving processes."""
        assert self.gateway.process is not None
        threads = Path(f"/proc/{self.gateway.process.pid}/task").glob("*/children")
        return [int(pid) for children in threads for pid in children.read_text().split()]

    def lines(self, event: str) -> list[Json]:
        found = [json.loads(line) for line in self.gateway.said().splitlines() if line.startswith("{")]
        return [line for line in found if line["event"] == event]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("reload")
    port = free_port()
    files = {"certificate": str(folder / "cert.pem"), "key": str(folder / "key.pem")}
    value = configuration(port, None, processes=2, tls={"port": free_port(), **files})
    gateway = Gateway(folder, port=port)
    site = Site(gateway, value)
    AUTHORITY.cert_pem.write_to_path(folder / "ca.pem")
    site.new_certificate()
    site.write()
    with gateway:
        wait_until(lambda: site.lines("started"), what="the control socket")
        yield site


@pytest.fixture
def site(running: Site) -> Iterator[Site]:
    yield running
    done = running.reload()
    assert done.status == 0, done.stderr


NEW = {"name": "ct2", "ae_title": "CT2", "allow": ["echo", "store"]}


def test_a_peer_that_is_added_is_let_in_and_one_that_is_removed_is_not(site: Site) -> None:
    assert not site.lets_in("CT2")
    done = site.reload(peers=site.peers(NEW, without="mr1"))
    assert done.status == 0, done.stderr
    assert 'peers.ct2: {"name": "ct2", "ae_title": "CT2", "allow": ["echo", "store"]} (new)' in done.stdout
    assert "peers.mr1: removed" in done.stdout
    assert site.lets_in_everywhere("CT2") == {True}
    assert site.lets_in_everywhere("MR1") == {False}
    assert site.reload().status == 0
    assert site.lets_in_everywhere("MR1") == {True}
    assert not site.lets_in("CT2")


def test_an_association_that_sends_during_the_reload_ends_well_under_what_it_came_in_with(site: Site) -> None:
    with site.associate("MR1") as association:
        assert store(association, encode(image(SOPInstanceUID="1.2.3.1")), sop_instance="1.2.3.1").status == 0
        assert site.reload(peers=site.peers(without="mr1")).status == 0
        assert not site.lets_in("MR1")
        assert store(association, encode(image(SOPInstanceUID="1.2.3.2")), sop_instance="1.2.3.2").status == 0
        assert association.echo() == 0
    (line,) = wait_until(lambda: [one for one in site.lines("association") if one["stored"] == 2])
    assert (line["peer"], line["how"]) == ("mr1", "released")


def test_a_file_with_faults_changes_nothing_and_says_its_lines(site: Site) -> None:
    before = len(site.lines("configuration reloaded"))
    done = site.reload(peers=[{**NEW, "allow": ["everything"]}], settle_after="soon")
    assert done.status == 2
    assert "line " in done.stderr
    assert "settle_after" in done.stderr
    assert "peers[0].allow" in done.stderr
    # What the form of the file cannot tell, and by signal.
    site.write(peers=site.peers(NEW), rules={"XXX-99": "hold"})
    assert site.gateway.quick("config", "reload").status == 2
    assert site.gateway.process is not None
    site.gateway.process.send_signal(signal.SIGHUP)
    (line,) = wait_until(lambda: site.lines("configuration not reloaded"))
    assert line["problems"] == ["rules.XXX-99: there is no such rule"]
    assert not site.lets_in("CT2")
    assert site.lets_in("MR1")
    assert len(site.lines("configuration reloaded")) == before


def test_the_signal_reloads_and_the_log_names_what_changed(site: Site) -> None:
    site.write(peers=site.peers(NEW), settle_after="250ms")
    assert site.gateway.process is not None
    site.gateway.process.send_signal(signal.SIGHUP)
    wait_until(lambda: site.lets_in("CT2"))
    change = 'settle_after: "500ms" -> "250ms"'
    wait_until(lambda: any(change in line["changed"] for line in site.lines("configuration reloaded")))


def test_what_needs_a_restart_is_named_and_keeps_its_value(site: Site) -> None:
    other = free_port()
    done = site.reload(listen={**site.first["listen"], "port": other}, ae_title="OTHER", peers=site.peers(NEW))
    assert done.status == 0
    named = [line for line in done.stdout.splitlines() if line.endswith("(after a restart)")]
    assert named == [
        'ae_title: "KUVAGW" -> "OTHER" (after a restart)',
        f"listen.port: {site.gateway.port} -> {other} (after a restart)",
    ]
    assert site.lets_in("CT2")
    again = site.gateway.quick("config", "reload")
    assert again.stdout.splitlines()[:-1] == named, "they are named until the restart"


def test_a_tls_port_that_is_taken_out_is_served_with_tls_until_the_restart(site: Site) -> None:
    shown = site.shown_certificate()
    done = site.reload(tls={}, peers=site.peers(NEW))
    assert "tls.port" in done.stdout
    assert site.lets_in("CT2")
    assert site.shown_certificate() == shown


def test_a_certificate_that_was_replaced_is_shown_in_the_next_handshake(site: Site) -> None:
    before = site.shown_certificate()
    site.new_certificate()
    assert site.shown_certificate() == before
    done = site.reload()
    assert "tls.certificate: the file's content has changed" in done.stdout.splitlines()
    after = {site.shown_certificate() for _ in range(4)}
    assert len(after) == 1
    assert before not in after
    (site.gateway.folder / "key.pem").write_text("nonsense")
    refused = site.gateway.quick("config", "reload")
    assert refused.status == 2
    assert "key.pem" in refused.stderr
    assert {site.shown_certificate() for _ in range(4)} == after
    site.new_certificate()


def test_a_held_study_goes_when_the_rule_that_holds_it_is_switched_off(site: Site) -> None:
    study = make_study(accession="R1")
    site.gateway.send(study)
    held = site.gateway.wait_state(study.uid, "held")
    rules = dict.fromkeys((one["rule"] for one in held["findings"] if one["severity"] == "hold"), "off")
    done = site.reload(rules=rules)
    assert done.status == 0, done.stderr
    assert site.gateway.wait_state(study.uid, "accepted", "archived")["findings"] == []


@pytest.mark.slow
def test_destinations_come_change_and_go(site: Site) -> None:
    study = make_study(accession="R2")
    site.gateway.send(study)
    site.gateway.wait_state(study.uid, "held")
    dead = {"name": "store", "ae_title": "ARCHIVE", "host": "127.0.0.1", "port": free_port(), "rest_for": "1h"}
    assert site.reload(destinations=[dead]).status == 0
    assert site.gateway.quick("studies", "release", study.uid, "--by", "a", "--reason", "b").status == 0

    def rests() -> bool:
        (entry,) = site.gateway.json("queue", "list", "--destination", "store")
        return "rests" in (entry["last_error"] or {}).get("meaning", "")

    wait_until(rests)
    with StandIn("--report-to", f"127.0.0.1:{site.gateway.port}") as archive:
        alive = {**dead, "port": archive.port, "commitment_wait": "200ms", "rest_for": "100ms"}
        done = site.reload(destinations=[alive])
        assert f"destinations.store.port: {dead['port']} -> {archive.port}" in done.stdout
        site.gateway.wait_state(study.uid, "archived")
    other = make_study(accession="R3")
    site.gateway.send(other)
    site.gateway.wait_state(other.uid, "held")
    site.gateway.quick("studies", "release", other.uid, "--by", "a", "--reason", "b")
    # It is tried again and again: in which state it is at this moment, nobody can say.
    (entry,) = [one for one in site.gateway.json("queue", "list") if one["study_instance_uid"] == other.uid]
    assert entry["state"] in ("queued", "deferred", "sending")
    assert site.reload().status == 0

    def leads_nowhere() -> bool:
        (entry,) = [one for one in site.gateway.json("queue", "list") if one["study_instance_uid"] == other.uid]
        return "not in the configuration any more" in (entry["last_error"] or {}).get("meaning", "")

    wait_until(leads_nowhere)


def test_reloads_at_once_follow_each_other(site: Site) -> None:
    site.write(peers=site.peers(NEW))
    answers: list[Json] = []

    threads = [threading.Thread(target=_ask, args=(site, answers)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer["outcome"] for answer in answers] == ["done"] * 4
    assert sorted(len(answer["changed"]) for answer in answers) == [0, 0, 0, 1]
    assert site.lets_in("CT2")


@pytest.mark.slow
def test_receiving_processes_that_die_in_a_reload_are_replaced_by_ones_with_what_counts(site: Site) -> None:
    for number, delay in enumerate((0, 0.01)):
        peer = {**NEW, "name": f"n{number}", "ae_title": f"N{number}"}
        site.write(peers=site.peers(peer))
        found: list[Json] = []
        thread = threading.Thread(target=_ask, args=(site, found))
        processes = wait_until(lambda: site.receiving() if len(site.receiving()) == 2 else None)
        thread.start()
        thread.join(delay)
        for pid in processes:
            os.kill(pid, signal.SIGKILL)
        thread.join()
        assert found[0]["outcome"] == "done", found
        assert site.lets_in_everywhere(peer["ae_title"]) == {True}


def test_the_log_level_changes_in_every_process(site: Site) -> None:
    before = len(site.lines("association"))
    assert site.reload(log={"format": "json", "level": "warning"}).status == 0
    assert site.lets_in_everywhere("CT1") == {True}
    assert site.reload().status == 0
    assert site.lets_in("MR1")
    wait_until(lambda: [one for one in site.lines("association")[before:] if one["peer"] == "mr1"])
    assert not [one for one in site.lines("association")[before:] if one["peer"] == "ct1"]


def test_a_gateway_that_does_not_run_is_not_reloaded(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    done = gateway.quick("config", "reload")
    assert done.status == 1
    assert "not running" in done.stderr


def _ask(site: Site, answers: list[Json]) -> None:
    answers.append(ask(site.gateway.state / "control.sock", {"request": "reload"}, timeout=60))
