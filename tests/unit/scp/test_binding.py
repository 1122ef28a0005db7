"""Who speaks under whose name: a good certificate of one peer opens no door to another one, whoever calls whom."""

from __future__ import annotations

import xml.etree.ElementTree as xml
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kuva_gateway.audit.events import Node
from kuva_gateway.audit.message import Source, to_xml
from kuva_gateway.config import Configuration, Peer
from kuva_gateway.forward.call import echo
from kuva_gateway.metrics.tally import NOBODY, Tally, together
from kuva_gateway.network import Acceptor, AssociationRejected, Listener, client_context, connect, server_context
from kuva_gateway.parts import call_peer, client_tls
from kuva_gateway.scp.dispatch import Dispatcher
from kuva_gateway.spool import Spool
from tests.certificates import Authority, Issued
from tests.support import wait_until
from tests.unit.network.peers import IMPLICIT, QUICK, VERIFICATION, listening, propose, target
from tests.unit.scp.conftest import CONFIGURATION, Asked, Lines

US = Node(ae_title="KUVAGW", address="gateway")


@dataclass
class Site:
    """A gateway that knows CT1 and the PACS by their certificates."""

    folder: Path
    authority: Authority
    port: int = 0
    lines: Lines = field(default_factory=Lines)
    tally: Tally = field(default_factory=Tally)
    audited: list[Any] = field(default_factory=list)

    def associate(self, who: Issued, calling: str) -> int:
        """C-ECHO as ``calling`` with the certificate of ``who``."""
        context = client_context(self.folder / "ca.pem", who.write(self.folder / "caller.pem"))
        called = target(self.port, tls=context, calling_ae=calling, called_ae="KUVAGW")
        with connect(called, propose((VERIFICATION, IMPLICIT)), timers=QUICK) as association:
            return association.echo()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    found = Site(tmp_path, Authority())
    found.authority.write(tmp_path / "ca.pem")
    files = found.authority.issue("localhost", "127.0.0.1").write(tmp_path / "gateway.pem")
    bound = [
        {"name": "ct1", "ae_title": "CT1", "allow": ["echo"], "certificate_subject": "ct1"},
        {"name": "pacs", "ae_title": "PACS", "allow": ["echo"], "certificate_names": ["DNS:pacs.hospital.example"]},
    ]
    dispatcher = Dispatcher(
        Configuration.model_validate({**CONFIGURATION, "peers": bound}),
        Spool(tmp_path / "spool", minimum_free=0),
        on_receipt=lambda arrival, header: None,
        immediate=lambda header, peer: None,
        on_commitment_result=lambda *result: None,
        commitment_requests=Asked(),
        audit=lambda make: found.audited.append(make(US, datetime.now(UTC))),
        tally=found.tally,
        log=found.lines,
    )
    context = server_context(files, files, tmp_path / "ca.pem")
    acceptor = Acceptor([Listener(host="127.0.0.1", port=0, tls=context)], dispatcher, log=found.lines)
    acceptor.start()
    found.port = acceptor.ports[0]
    try:
        yield found
    finally:
        acceptor.drain(5)


def test_a_valid_certificate_of_ct1_cannot_speak_as_the_pacs(site: Site) -> None:
    ct1 = site.authority.issue("ct1.hospital.example", common_name="ct1")
    pacs = site.authority.issue("pacs.hospital.example")
    assert site.associate(ct1, "CT1") == 0
    assert site.associate(pacs, "PACS") == 0
    for who, calling in ((ct1, "PACS"), (pacs, "CT1")):
        with pytest.raises(AssociationRejected) as caught:
            site.associate(who, calling)
        # PS3.8 9.3.4: rejected-permanent, by the service user, calling AE title not recognized.
        assert (caught.value.result, caught.value.source, caught.value.reason) == (1, 1, 3)
    (first, *_) = wait_until(lambda: site.lines.of("association"))
    assert first["tls"] == "TLSv1.3 TLS_AES_256_GCM_SHA384"
    counted = together([site.tally])[NOBODY].associations
    assert counted["rejected"] == 2
    shown = [line["certificate"] for line in site.lines.of("association_rejected")]
    assert shown == ["commonName=ct1 DNS:ct1.hospital.example", "DNS:pacs.hospital.example"]
    told = [xml.fromstring(to_xml(one, Source(identifier="KUVAGW"))) for one in site.audited]
    alerts = [one for one in told if one.find("EventIdentification/EventID").get("csd-code") == "110113"]  # type: ignore[union-attr]
    assert len(alerts) == 2
    assert alerts[0].find("ActiveParticipant[@AlternativeUserID='commonName=ct1']") is not None


@pytest.mark.parametrize(
    ("bound", "well"),
    [
        ({"certificate_names": ["DNS:ct1.hospital.example"]}, True),
        ({"certificate_names": ["URI:urn:oid:1.2.3"]}, True),
        ({"certificate_names": ["CN:ct1"]}, True),
        ({"certificate_names": ["IP:127.0.0.1", "CN:ct2"]}, False),
        ({}, False),
        ({"require_tls": False, "tls": True, "certificate_names": ["CN:ct1"]}, True),
        ({"tls": False}, False),
    ],
)
def test_a_peer_is_called_by_the_name_that_its_certificate_must_carry(
    tmp_path: Path, bound: dict[str, Any], well: bool
) -> None:
    authority = Authority()
    ca = authority.write(tmp_path / "ca.pem")
    files = authority.issue("ct1.hospital.example", "urn:oid:1.2.3", common_name="ct1").write(tmp_path / "ct1.pem")
    own = authority.issue(common_name="gateway").write(tmp_path / "own.pem")
    with listening(tls=[server_context(files, files, ca)]) as acceptor:
        peer = {"name": "ct1", "ae_title": "CT1", "host": "127.0.0.1", "port": acceptor.ports[0], "require_tls": True}
        configuration = Configuration.model_validate(
            {"environment": "test", "tls": {"certificate": own, "key": own, "ca": ca}, "peers": [{**peer, **bound}],
             "timers": {"associate": 1}}
        )  # fmt: skip
        call = call_peer(configuration, configuration.peers[0])
        assert call is not None
        found = echo(call)
        assert (found.code == "0000") is well, found
        if not well and "certificate_names" in bound:
            assert "is not the one that CT1 must show" in found.comment


def test_whoever_is_called_has_the_context_that_fits(tmp_path: Path) -> None:
    authority = Authority()
    files = {"ca": authority.write(tmp_path / "ca.pem")}
    common = {"ae_title": "A", "host": "localhost", "port": 104}
    configuration = Configuration.model_validate(
        {"environment": "test", "tls": files, "peers": [{"name": "plain", **common}], "destinations": [
            {"name": "a", "tls": True, **common}, {"name": "b", "tls": True, "certificate_names": "CN:b", **common},
            {"name": "c", **common}]}
    )  # fmt: skip
    context = client_tls(configuration)
    by_host, by_name, plain = (context(one) for one in configuration.destinations)
    assert by_host is not None
    assert by_name is not None
    assert (by_host.check_hostname, by_name.check_hostname, plain) == (True, False, None)
    assert by_name.verify_mode == by_host.verify_mode
    assert context(Peer(name="plain", ae_title="A")) is None
