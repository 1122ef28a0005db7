"""Which versions, suites, curves and keys are taken (PS3.15 B.12, B.13): handshakes with openssl, bytes of our own."""

from __future__ import annotations

import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from kuva_gateway.network import TlsFailed, TlsFilesError, client_context, connect, server_context
from kuva_gateway.network.tls import SUITES, SUITES_1_3
from tests.certificates import Authority, Key, elliptic_key, rsa_key
from tests.support import free_port, program, wait_until
from tests.unit.network.peers import IMPLICIT, QUICK, VERIFICATION, RecordingServices, listening, propose, target

PROFILES = tuple(SUITES)
# IANA's numbers of suites that no profile has: static RSA, RC4, 3DES, export, NULL, anonymous, CBC with every digest,
# DHE with GCM, static ECDH, PSK.
WEAK = {
    "TLS_RSA_WITH_RC4_128_SHA": 0x0005,
    "TLS_RSA_EXPORT_WITH_RC4_40_MD5": 0x0003,
    "TLS_RSA_WITH_NULL_SHA256": 0x003B,
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA": 0x000A,
    "TLS_RSA_WITH_AES_128_CBC_SHA": 0x002F,
    "TLS_RSA_WITH_AES_256_GCM_SHA384": 0x009D,
    "TLS_DH_anon_WITH_AES_128_GCM_SHA256": 0x00A6,
    "TLS_DHE_RSA_WITH_AES_128_CBC_SHA": 0x0033,
    "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384": 0x009F,
    "TLS_ECDH_RSA_WITH_AES_128_GCM_SHA256": 0xC031,
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA": 0xC011,
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": 0xC013,
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": 0xC00A,
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256": 0xC027,
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384": 0xC028,
    "TLS_PSK_WITH_AES_128_GCM_SHA256": 0x00A8,
}


@dataclass(frozen=True)
class Site:
    """One authority; servers' files by the kind of their key; a client's."""

    ca: Path
    servers: dict[str, Path]
    client: Path
    authority: Authority

    def server(self, kind: str = "ECDSA", profile: str = "bcp195"):
        return server_context(self.servers[kind], self.servers[kind], self.ca, profile=profile)

    def ours(self, profile: str = "bcp195"):
        return client_context(self.ca, self.client, profile=profile)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder, authority = tmp_path_factory.mktemp("profiles"), Authority()
    names = ("localhost", "127.0.0.1")
    return Site(
        ca=authority.write(folder / "ca.pem"),
        servers={
            "ECDSA": authority.issue(*names).write(folder / "elliptic.pem"),
            "RSA": authority.issue(*names, key=rsa_key()).write(folder / "rsa.pem"),
        },
        client=authority.issue(common_name="ct1").write(folder / "client.pem"),
        authority=authority,
    )


def s_client(site: Site, port: int, *options: str) -> tuple[bool, str]:
    """Whether openssl came through, and what it told."""
    command = [program("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", "-brief", "-verify_return_error"]
    command += ["-CAfile", str(site.ca), "-cert", str(site.client), "-key", str(site.client), *options]
    done = subprocess.run(command, input=b"", capture_output=True, timeout=20, check=False)
    told = (done.stdout + done.stderr).decode()
    return done.returncode == 0 and "CONNECTION ESTABLISHED" in told, told


@contextmanager
def s_server(files: Path, *options: str) -> Iterator[int]:
    """openssl as the one whom we call; yields its port."""
    port = free_port()
    command = [program("openssl"), "s_server", "-accept", f"127.0.0.1:{port}", "-cert", str(files), "-key", str(files)]
    command += ["-quiet", *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        try:
            wait_until(lambda: _listens(port), what="openssl s_server")
            yield port
        finally:
            server.kill()


def _listens(port: int) -> bool:
    with open("/proc/net/tcp", encoding="ascii") as table:
        return any(f":{port:04X} 00000000:0000 0A" in line for line in table)


def hello(suites: list[int], version: int = 0x0303) -> bytes:
    """A ClientHello (RFC 5246 7.4.1.2) that offers these suites, curves P-256 and X25519 and usual signatures."""
    groups = struct.pack(">HHHHH", 10, 6, 4, 0x0017, 0x001D)
    points = struct.pack(">HHBB", 11, 2, 1, 0)
    signatures = struct.pack(">HHH6H", 13, 14, 12, 0x0401, 0x0403, 0x0501, 0x0503, 0x0804, 0x0201)
    extensions = groups + points + (signatures if version >= 0x0303 else b"")
    listed = b"".join(struct.pack(">H", one) for one in suites)
    body = struct.pack(">H", version) + bytes(32) + b"\0" + struct.pack(">H", len(listed)) + listed + b"\1\0"
    body += struct.pack(">H", len(extensions)) + extensions
    message = b"\1" + len(body).to_bytes(3, "big") + body
    return struct.pack(">BHH", 22, 0x0301, len(message)) + message


def answer(port: int, data: bytes) -> tuple[int, int]:
    """The record that comes back: its type (21 alert, 22 handshake), and an alert's description."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(data)
        head = connection.recv(7, socket.MSG_WAITALL)
    return head[0], head[6] if head[0] == 21 else -1


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("kind", ["ECDSA", "RSA"])
def test_each_suite_of_the_profile_is_taken_and_a_call_offers_it(site: Site, profile: str, kind: str) -> None:
    wanted = {name: own for name, own in SUITES[profile].items() if f"_{kind}_" in name}
    assert wanted
    with listening(tls=[site.server(kind, profile)]) as acceptor:
        for own in wanted.values():
            through, told = s_client(site, acceptor.ports[0], "-tls1_2", "-cipher", own)
            assert (through, f"Ciphersuite: {own}" in told) == (True, True), told
        for name in SUITES_1_3:
            through, told = s_client(site, acceptor.ports[0], "-tls1_3", "-ciphersuites", name)
            assert (through, f"Ciphersuite: {name}" in told) == (True, True), told
    context = site.ours(profile)
    assert {one["name"] for one in context.get_ciphers()} - set(SUITES_1_3) == set(SUITES[profile].values())


def test_tls_1_3_is_preferred_where_both_have_it(site: Site) -> None:
    with listening(tls=[site.server()]) as acceptor:
        assert "Protocol version: TLSv1.3" in s_client(site, acceptor.ports[0])[1]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("kind", ["ECDSA", "RSA"])
def test_every_other_suite_is_refused(site: Site, profile: str, kind: str) -> None:
    good = {"ECDSA": 0xC02B, "RSA": 0xC02F}[kind]
    with listening(tls=[site.server(kind, profile)]) as acceptor:
        assert answer(acceptor.ports[0], hello([good]))[0] == 22, "the greeting itself is understood"
        for name, number in WEAK.items():
            assert answer(acceptor.ports[0], hello([number])) == (21, 40), name  # handshake_failure
        assert answer(acceptor.ports[0], hello([*WEAK.values(), good]))[0] == 22, "among others a good one is found"


@pytest.mark.parametrize("version", [0x0300, 0x0301, 0x0302], ids=["SSL 3.0", "TLS 1.0", "TLS 1.1"])
def test_old_versions_are_refused_whatever_they_offer(site: Site, version: int) -> None:
    with listening(tls=[site.server("RSA")]) as acceptor:
        kind, alert = answer(acceptor.ports[0], hello([0xC02F, 0xC013, 0x002F], version))
    assert kind == 21
    assert alert == (40 if version == 0x0300 else 70)  # handshake_failure, protocol_version


@pytest.mark.parametrize(
    ("options", "inside"),
    [
        (["-groups", "X25519"], True),
        (["-groups", "P-256"], True),
        (["-groups", "P-384"], True),
        (["-tls1_2", "-groups", "P-224"], False),
        (["-tls1_2", "-groups", "P-192"], False),
        (["-tls1_3", "-groups", "ffdhe2048"], True),
        (["-tls1_2", "-sigalgs", "ECDSA+SHA1"], False),
        (["-tls1_2", "-sigalgs", "ECDSA+SHA256"], True),
    ],
)
def test_weak_curves_and_signatures_are_refused(site: Site, options: list[str], inside: bool) -> None:
    with listening(tls=[site.server()]) as acceptor:
        through, told = s_client(site, acceptor.ports[0], "-cipher", "DEFAULT:@SECLEVEL=0", *options)
    assert through is inside, told


@pytest.mark.parametrize(
    "make",
    [lambda: rsa_key(1024), lambda: elliptic_key(ec.SECP224R1()), lambda: elliptic_key(ec.SECP192R1())],
    ids=["RSA 1024", "P-224", "P-192"],
)
def test_who_shows_a_short_key_stays_out(site: Site, make: Callable[[], Key], tmp_path: Path) -> None:
    short = site.authority.issue(common_name="ct1", key=make())
    files = str(short.write(tmp_path / "short.pem"))
    services = RecordingServices()
    with listening(services, tls=[site.server()]) as acceptor:
        for number, version in enumerate(("-tls1_2", "-tls1_3"), start=1):
            options = ["-cipher", "DEFAULT:@SECLEVEL=0", "-cert", files, "-key", files, version]
            s_client(site, acceptor.ports[0], *options, "-ign_eof")
            # With TLS 1.3 the client's handshake is over before the server has judged its certificate.
            wait_until(lambda: len(services.turned_away) == number, what="the server's judgement")  # noqa: B023


def test_an_own_certificate_with_a_short_key_is_no_use(site: Site, tmp_path: Path) -> None:
    files = site.authority.issue("localhost", key=rsa_key(1024)).write(tmp_path / "short.pem")
    with pytest.raises(TlsFilesError, match="EE_KEY_TOO_SMALL"):
        server_context(files, files, site.ca)


@pytest.mark.parametrize(
    "options",
    [
        ("-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA"),
        ("-tls1_2", "-cipher", "ECDHE-RSA-AES256-SHA384"),
        ("-tls1_2", "-cipher", "AES128-GCM-SHA256"),
        ("-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"),
        ("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"),
    ],
)
def test_we_call_nobody_who_has_weak_suites_alone(site: Site, options: tuple[str, ...]) -> None:
    with s_server(site.servers["RSA"], *options) as port, pytest.raises(TlsFailed):
        connect(target(port, tls=site.ours()), propose((VERIFICATION, IMPLICIT)), timers=QUICK)


def test_we_call_nobody_with_a_short_key(site: Site, tmp_path: Path) -> None:
    files = site.authority.issue("localhost", "127.0.0.1", key=rsa_key(1024)).write(tmp_path / "short.pem")
    with (
        s_server(files, "-cipher", "ALL:@SECLEVEL=0") as port,
        pytest.raises(TlsFailed, match="EE certificate key too weak"),
    ):
        connect(target(port, tls=site.ours()), propose((VERIFICATION, IMPLICIT)), timers=QUICK)
