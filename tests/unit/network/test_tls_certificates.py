"""Whose certificate is taken, in both directions: dates, uses, chains; with DCMTK as the other side."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from kuva_gateway.network import ConnectionLost, TlsFailed, TlsFilesError, client_context, connect, server_context
from tests.certificates import Authority, Issued, rsa_key
from tests.support import dcmtk, dcmtk_environment, free_port, program, wait_until
from tests.unit.network.peers import (
    CT_FILE,
    IMPLICIT,
    QUICK,
    VERIFICATION,
    RecordingServices,
    listening,
    propose,
    target,
)

NAMES = ("localhost", "127.0.0.1")
ROOT = Authority()
BELOW = Authority("Radiology CA", parent=ROOT)
# DCMTK's default profile has RSA keys in view.
KEY = rsa_key()

Make = Callable[[], Issued]
CASES: dict[str, tuple[Make, bool]] = {
    "good": (lambda: ROOT.issue(*NAMES, key=KEY), True),
    "without any use written": (lambda: ROOT.issue(*NAMES, key=KEY, uses=None), True),
    "below an intermediate, which it shows": (lambda: BELOW.issue(*NAMES, key=KEY), True),
    "below an intermediate, which it keeps": (
        lambda: Issued(BELOW.issue(*NAMES, key=KEY).certificate, KEY),
        False,
    ),
    "expired": (lambda: ROOT.issue(*NAMES, key=KEY, days=(-9, -1)), False),
    "not yet valid": (lambda: ROOT.issue(*NAMES, key=KEY, days=(1, 9)), False),
    "of another authority": (lambda: Authority("Other CA").issue(*NAMES, key=KEY), False),
    "of one with the same name": (lambda: Authority(ROOT.name).issue(*NAMES, key=KEY), False),
    "signed by itself": (lambda: Issued(Authority("127.0.0.1", key=KEY).certificate, KEY), False),
    "for signing code": (lambda: ROOT.issue(*NAMES, key=KEY, uses=[ExtendedKeyUsageOID.CODE_SIGNING]), False),
    "with a short key": (lambda: ROOT.issue(*NAMES, key=rsa_key(1024)), False),
}
AS_CALLER = {
    **CASES,
    "for servers alone": (lambda: ROOT.issue(*NAMES, key=KEY, uses=[ExtendedKeyUsageOID.SERVER_AUTH]), False),
    "for clients alone": (lambda: ROOT.issue(*NAMES, key=KEY, uses=[ExtendedKeyUsageOID.CLIENT_AUTH]), True),
}
AS_CALLED = {
    **CASES,
    "for servers alone": (lambda: ROOT.issue(*NAMES, key=KEY, uses=[ExtendedKeyUsageOID.SERVER_AUTH]), True),
    "for clients alone": (lambda: ROOT.issue(*NAMES, key=KEY, uses=[ExtendedKeyUsageOID.CLIENT_AUTH]), False),
    "for another host": (lambda: ROOT.issue("elsewhere.example", key=KEY), False),
}


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ROOT.write(tmp_path_factory.mktemp("ca") / "ca.pem")


def run(name: str, *options: object) -> subprocess.CompletedProcess[str]:
    command = [dcmtk(name), *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, env=dcmtk_environment(), check=False)


@contextmanager
def storescp(files: Path, ca: Path, folder: Path, *options: str) -> Iterator[int]:
    """DCMTK's receiver with TLS, which asks for our certificate."""
    port = free_port()
    command = [dcmtk("storescp"), "+tls", files, files, "+cf", ca, *options, "-od", folder, port]
    with subprocess.Popen([str(one) for one in command], stderr=subprocess.PIPE, env=dcmtk_environment()) as peer:
        try:
            wait_until(lambda: _listens(port), what="storescp")
            yield port
        finally:
            peer.terminate()
            peer.communicate()


def _listens(port: int) -> bool:
    with open("/proc/net/tcp", encoding="ascii") as table, open("/proc/net/tcp6", encoding="ascii") as other:
        return any(f":{port:04X} " in line and " 0A " in line for line in [*table, *other])


@pytest.mark.parametrize("case", AS_CALLER)
def test_who_comes_in_by_its_certificate(case: str, ca: Path, tmp_path: Path) -> None:
    make, inside = AS_CALLER[case]
    caller = make().write(tmp_path / "caller.pem")
    files = ROOT.issue(*NAMES, key=KEY).write(tmp_path / "server.pem")
    services = RecordingServices()
    with listening(services, tls=[server_context(files, files, ca)]) as acceptor:
        # Its own library must not be what refuses; TLS 1.2, so that echoscu hears of the refusal in its handshake.
        options = ["+tls", caller, caller, "-ic", "+cs", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]
        done = run("echoscu", *options, "127.0.0.1", acceptor.ports[0])
        if case == "with a short key":  # DCMTK refuses to show it
            assert done.returncode != 0
            return
        wait_until(lambda: services.requests or services.turned_away, what="a judgement")
    assert (done.returncode == 0, bool(services.requests)) == (inside, inside), done.stderr


@pytest.mark.parametrize("case", AS_CALLED)
def test_whom_we_call_by_its_certificate(case: str, ca: Path, tmp_path: Path) -> None:
    make, inside = AS_CALLED[case]
    ours = ROOT.issue(common_name="gateway").write(tmp_path / "gateway.pem")
    called = make().write(tmp_path / "called.pem")
    files = server_context(called, called, ca) if case != "with a short key" else None
    if files is None:  # tests/unit/network/test_tls_profiles.py calls one
        return
    with listening(tls=[files]) as acceptor:
        context, contexts = client_context(ca, ours), propose((VERIFICATION, IMPLICIT))
        if inside:
            with connect(target(acceptor.ports[0], tls=context), contexts, timers=QUICK) as association:
                assert association.echo() == 0
        else:
            with pytest.raises(TlsFailed, match="CERTIFICATE_VERIFY_FAILED: "):
                connect(target(acceptor.ports[0], tls=context), contexts, timers=QUICK)


@pytest.mark.parametrize("profile", ["+py", "+px", "+pz"], ids=["non-downgrading", "BCP 195", "extended"])
@pytest.mark.parametrize("ours", ["bcp195", "modified-bcp195"])
def test_dcmtk_and_we_understand_each_other_in_every_profile(profile: str, ours: str, ca: Path, tmp_path: Path) -> None:
    files = ROOT.issue(*NAMES, key=KEY).write(tmp_path / "both.pem")
    services = RecordingServices()
    with listening(services, tls=[server_context(files, files, ca, profile=ours)]) as acceptor:  # type: ignore[arg-type]
        options = ["+tls", files, files, "+cf", ca, profile, "127.0.0.1", acceptor.ports[0], CT_FILE]
        done = run("storescu", *options)
        assert done.returncode == 0, done.stderr
    assert services.stored[0].ended == "finished"
    with storescp(files, ca, tmp_path, profile) as port:
        context = client_context(ca, files, profile=ours)  # type: ignore[arg-type]
        with connect(target(port, tls=context), propose((VERIFICATION, IMPLICIT)), timers=QUICK) as association:
            assert association.echo() == 0


def test_an_old_device_of_the_retired_profile_is_refused(ca: Path, tmp_path: Path) -> None:
    files = ROOT.issue(*NAMES, key=KEY).write(tmp_path / "both.pem")
    services = RecordingServices()
    with listening(services, tls=[server_context(files, files, ca)]) as acceptor:
        for retired in ("+pa", "+pn"):  # AES, and unencrypted
            done = run("echoscu", "+tls", files, files, "+cf", ca, retired, "127.0.0.1", acceptor.ports[0])
            assert done.returncode != 0
    assert not services.requests
    with storescp(files, ca, tmp_path, "+pa") as port, pytest.raises(TlsFailed):
        connect(target(port, tls=client_context(ca, files)), propose((VERIFICATION, IMPLICIT)), timers=QUICK)


def test_a_signature_with_sha_1_is_no_use(ca: Path, tmp_path: Path) -> None:
    good = ROOT.issue(common_name="ct1", key=KEY).write(tmp_path / "good.pem")
    Issued(ROOT.certificate, ROOT.key).write(tmp_path / "authority.pem")
    weak = tmp_path / "weak.pem"
    public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "public.pem").write_bytes(public)
    command = [
        program("openssl"),
        "x509",
        "-new",
        "-sha1",
        "-subj",
        "/CN=ct1",
        "-force_pubkey",
        tmp_path / "public.pem",
    ]
    command += ["-CA", tmp_path / "authority.pem", "-CAkey", tmp_path / "authority.pem", "-out", weak]
    subprocess.run([str(one) for one in command], check=True, capture_output=True)
    with pytest.raises(TlsFilesError, match="CA_MD_TOO_WEAK"):
        server_context(weak, good, ca)
    services = RecordingServices()
    files = ROOT.issue(*NAMES).write(tmp_path / "server.pem")
    lax = client_context(ca)
    lax.set_ciphers("DEFAULT:@SECLEVEL=0")
    lax.load_cert_chain(weak, good)
    with listening(services, tls=[server_context(files, files, ca)]) as acceptor:
        with pytest.raises((TlsFailed, ConnectionLost)):
            connect(target(acceptor.ports[0], tls=lax), propose((VERIFICATION, IMPLICIT)), timers=QUICK)
        wait_until(lambda: services.turned_away, what="the server's judgement")
    assert "CA signature digest algorithm too weak" in services.turned_away[0][2]
