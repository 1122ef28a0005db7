"""Certificates, authorities and lists of withdrawn ones are replaced while TLS associations are open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kuva_gateway.network import (
    AssociationRejected,
    ConnectionLost,
    ProposedContext,
    RequestorAssociation,
    Target,
    TlsFailed,
    client_context,
    connect,
)
from tests.acceptance.gateway import Done, Gateway, Json, configuration
from tests.certificates import Authority, Issued
from tests.support import free_port, wait_until
from tests.unit.scp.conftest import CT, EXPLICIT, VERIFICATION, encode, image, store

NAMES = ("localhost", "127.0.0.1")


@dataclass
class Site:
    """A gateway of two receiving processes with a plain and a TLS port, and the files of its authority."""

    folder: Path
    gateway: Gateway
    value: Json
    secured: int
    authority: Authority = field(default_factory=Authority)

    def renew(self, authority: Authority | None = None) -> None:
        """The gateway's own certificate, made anew in the old one's place."""
        (authority or self.authority).issue(*NAMES).write(self.folder / "own.pem")

    def issue(self, name: str) -> Path:
        return self.write(name, self.authority.issue(common_name=name))

    def write(self, name: str, issued: Issued) -> Path:
        return issued.write(self.folder / f"{name}.pem")

    def reload(self) -> Done:
        self.gateway.configure(self.value)
        return self.gateway.quick("config", "reload")

    def associate(self, who: Path, calling: str, *, ca: Path | None = None) -> RequestorAssociation:
        contexts = [
            ProposedContext(id=1, abstract_syntax=CT, transfer_syntaxes=(EXPLICIT,)),
            ProposedContext(id=3, abstract_syntax=VERIFICATION, transfer_syntaxes=(EXPLICIT,)),
        ]
        context = client_context(ca or self.folder / "ca.pem", who)
        called = Target(host="127.0.0.1", port=self.secured, called_ae="KUVAGW", calling_ae=calling, tls=context)
        return connect(called, contexts)

    def lets_in(self, who: Path, calling: str, *, ca: Path | None = None) -> set[str]:
        """What two callers hear, one after the other: they come to different processes."""
        heard = set()
        for _ in range(2):
            try:
                with self.associate(who, calling, ca=ca) as association:
                    heard.add("welcome" if association.echo() == 0 else "?")
            except AssociationRejected:
                heard.add("rejected")
            except (TlsFailed, ConnectionLost):
                heard.add("no TLS")
        return heard


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    port, secured = free_port(), free_port()
    gateway = Gateway(tmp_path, port=port)
    own = str(tmp_path / "own.pem")
    tls = {"port": secured, "certificate": own, "key": own, "ca": str(tmp_path / "ca.pem")}
    tls["revocation"] = str(tmp_path / "list.pem")
    value = configuration(port, None, processes=2, tls=tls)
    bound = [
        {"name": "ct3", "ae_title": "CT3", "allow": ["echo", "store"], "certificate_names": ["CN:ct3"]},
        {"name": "ct4", "ae_title": "CT4", "allow": ["echo", "store"], "certificate_names": ["CN:ct4"]},
    ]
    value["peers"] = [*value["peers"], *bound]
    found = Site(tmp_path, gateway, value, secured)
    found.authority.write(tmp_path / "ca.pem")
    found.authority.write_list(tmp_path / "list.pem")
    found.renew()
    gateway.configure(value)
    with gateway:
        wait_until(lambda: '"event": "started"' in gateway.said(), what="the control socket")
        yield found


def test_what_is_replaced_counts_for_the_next_handshake_and_cuts_nobody_off(site: Site) -> None:
    ct3 = site.authority.issue(common_name="ct3")
    one, other = site.write("ct3", ct3), site.issue("ct4")
    assert (site.lets_in(one, "CT3"), site.lets_in(other, "CT4")) == ({"welcome"}, {"welcome"})
    assert site.lets_in(one, "CT4") == {"rejected"}
    with site.associate(one, "CT3") as open_since_before:
        assert open_since_before.echo() == 0

        site.authority.revoke(ct3)
        site.authority.write_list(site.folder / "list.pem")
        assert site.lets_in(one, "CT3") == {"welcome"}, "until the reload"
        done = site.reload()
        assert "tls.revocation[0]: the file's content has changed" in done.stdout.splitlines(), done.stderr
        assert (site.lets_in(one, "CT3"), site.lets_in(other, "CT4")) == ({"no TLS"}, {"welcome"})

        (site.folder / "list.pem").write_bytes(b"half a lis")
        refused = site.reload()
        assert refused.status == 2
        assert "list.pem has no revocation list" in refused.stderr
        assert (site.lets_in(one, "CT3"), site.lets_in(other, "CT4")) == ({"no TLS"}, {"welcome"})

        site.authority.write_list(site.folder / "list.pem", days=(-9, -1))
        done = site.reload()
        assert (done.status, "the list expired on " in done.stdout + done.stderr) == (0, True)
        assert site.lets_in(other, "CT4") == {"no TLS"}
        health = site.gateway.quick("stats", "--check")
        assert (health.status, "RevocationListExpired" in health.stdout + health.stderr) == (1, True)

        # Another authority altogether, with everything that it signs.
        former, site.authority = site.folder / "former.pem", Authority("New CA")
        (site.folder / "ca.pem").rename(former)
        site.authority.write(site.folder / "ca.pem")
        site.authority.write_list(site.folder / "list.pem")
        site.renew()
        done = site.reload()
        assert done.status == 0, done.stderr
        assert site.lets_in(other, "CT4", ca=site.folder / "ca.pem") == {"no TLS"}
        assert site.lets_in(site.issue("ct4"), "CT4") == {"welcome"}

        data = encode(image(SOPInstanceUID="1.2.3.9"))
        assert store(open_since_before, data, sop_instance="1.2.3.9").status == 0
