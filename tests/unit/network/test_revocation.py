"""Who is taken back stays out, in both directions; a list that has expired lets nobody in (RFC 5280 6.3.3)."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from kuva_gateway.network import (
    ConnectionLost,
    TlsFailed,
    TlsFilesError,
    client_context,
    connect,
    server_context,
)
from kuva_gateway.network.revocation import read_lists
from tests.certificates import Authority, Issued
from tests.support import wait_until
from tests.unit.network.peers import IMPLICIT, QUICK, VERIFICATION, RecordingServices, listening, propose, target

NAMES = ("localhost", "127.0.0.1")


class Site:
    """An authority, a server and a client, and who gets in under a list."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority()
        self.ca = self.authority.write(folder / "ca.pem")
        self.server = self.authority.issue(*NAMES)
        self.client = self.authority.issue(common_name="ct1")
        self.files = self.server.write(folder / "server.pem")

    def context(self, *lists: Path) -> ssl.SSLContext:
        return server_context(self.files, self.files, self.ca, revocation=lists)

    def calls(self, services: RecordingServices, port: int, who: Issued, *lists: Path) -> str:
        """Call as ``who``, measuring the server by ``lists``; returns why it failed."""
        files = who.write(self.folder / "caller.pem")
        ours = client_context(self.ca, files, revocation=lists)
        before = len(services.turned_away)
        try:
            with connect(target(port, tls=ours), propose((VERIFICATION, IMPLICIT)), timers=QUICK) as association:
                assert association.echo() == 0
        except (TlsFailed, ConnectionLost) as error:
            wait_until(lambda: len(services.turned_away) > before, what="the server's judgement")
            return f"{error} / {services.turned_away[-1][2]}"
        return ""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.mark.parametrize("binary", [False, True], ids=["PEM", "DER"])
def test_a_certificate_that_was_taken_back_comes_in_no_more(site: Site, binary: bool) -> None:
    good = site.authority.issue(common_name="ct2")
    site.authority.revoke(site.client)
    withdrawn = site.authority.write_list(site.folder / "list", binary=binary)
    services = RecordingServices()
    with listening(services, tls=[site.context(withdrawn)]) as acceptor:
        assert site.calls(services, acceptor.ports[0], good) == ""
        assert "certificate revoked" in site.calls(services, acceptor.ports[0], site.client)
    assert [one.certificate_subject for one in services.requests] == ["commonName=ct2"]


def test_we_call_nobody_whose_certificate_was_taken_back(site: Site) -> None:
    fresh = site.authority.write_list(site.folder / "fresh")
    site.authority.revoke(site.server)
    withdrawn = site.authority.write_list(site.folder / "list")
    services = RecordingServices()
    with listening(services, tls=[site.context()]) as acceptor:
        assert site.calls(services, acceptor.ports[0], site.client, fresh) == ""
        assert "certificate revoked" in site.calls(services, acceptor.ports[0], site.client, withdrawn)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda site, path: site.authority.write_list(path, days=(-9, -1)), "CRL has expired"),
        (lambda site, path: site.authority.write_list(path, days=(1, 9)), "CRL is not yet valid"),
        (lambda site, path: site.authority.write_list(path, key=Authority().key), "CRL signature failure"),
        (lambda site, path: Authority("Another CA").write_list(path), "unable to get certificate CRL"),
    ],
    ids=["expired", "not yet valid", "forged", "another authority's"],
)
def test_a_list_that_says_nothing_of_a_certificate_lets_it_not_in(
    site: Site, made: Callable[[Site, Path], Path], why: str
) -> None:
    services = RecordingServices()
    with listening(services, tls=[site.context(made(site, site.folder / "list"))]) as acceptor:
        assert why in site.calls(services, acceptor.ports[0], site.client)


def test_with_a_list_of_every_authority_the_chain_is_checked_and_else_its_end(site: Site) -> None:
    below = Authority("Radiology CA", parent=site.authority)
    client = below.issue(common_name="ct1")
    of_below = below.write_list(site.folder / "below")
    fresh = site.authority.write_list(site.folder / "fresh")
    site.authority.revoked.append(below.certificate.serial_number)
    of_root = site.authority.write_list(site.folder / "root")
    services = RecordingServices()
    with listening(
        services, tls=[site.context(of_below), site.context(of_below, fresh), site.context(of_below, of_root)]
    ) as acceptor:
        assert site.calls(services, acceptor.ports[0], client) == ""
        assert site.calls(services, acceptor.ports[1], client) == ""
        assert "certificate revoked" in site.calls(services, acceptor.ports[2], client)


def test_lists_are_read_as_another_program_reads_them(site: Site) -> None:
    path = site.authority.write_list(site.folder / "list", days=(-2, 30))
    other = Authority("Another CA").write_list(site.folder / "other", binary=True)
    theirs = x509.load_pem_x509_crl(path.read_bytes())
    (found,) = read_lists(path)
    assert (found.this_update, found.next_update) == (theirs.last_update_utc, theirs.next_update_utc)
    assert found.issuer == theirs.issuer.public_bytes()[2:]
    both = site.folder / "both"
    both.write_bytes(b"lists of today\n" + path.read_bytes() + read_lists(other)[0].pem.encode())
    assert read_lists(both) == (*read_lists(path), *read_lists(other))
    assert read_lists(both)[1].next_update - read_lists(both)[1].this_update == timedelta(days=8)  # type: ignore[operator]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no list",
        b"-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----",
        b"\x30\x80\x30",
        b"\x30\x05\x30\x03\x02",
    ],
)
def test_what_is_no_list_is_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "list"
    path.write_bytes(content)
    with pytest.raises(TlsFilesError, match="no revocation list that can be understood"):
        read_lists(path)


def test_a_list_that_is_not_there_is_said(site: Site) -> None:
    with pytest.raises(TlsFilesError, match="missing cannot be read"):
        site.context(site.folder / "missing")
