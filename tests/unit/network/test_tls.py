"""TLS: mutual authentication, silent clients, wrong certificates; beside openssl-based DCMTK and our own requestor."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import pytest
import trustme

from kuva_gateway.network import (
    ConnectionLost,
    NetworkError,
    TimedOut,
    Timers,
    TlsFailed,
    TlsFilesError,
    client_context,
    connect,
    server_context,
)
from kuva_gateway.network.sending import FileSlice
from tests.support import dcmtk, dcmtk_environment, wait_until
from tests.unit.network.peers import (
    CT,
    CT_FILE,
    EXPLICIT,
    IMPLICIT,
    QUICK,
    VERIFICATION,
    RawPeer,
    RecordingServices,
    listening,
    propose,
    target,
)


@dataclass(frozen=True)
class Files:
    """Paths of a CA and of the two certificates that it signed, key and chain in one file."""

    ca: Path
    server: Path
    client: Path


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Files:
    folder = tmp_path_factory.mktemp("tls")
    return write(folder, trustme.CA())


def write(folder: Path, authority: trustme.CA) -> Files:
    found = Files(folder / "ca.pem", folder / "server.pem", folder / "client.pem")
    authority.cert_pem.write_to_path(found.ca)
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(found.server)
    client = authority.issue_cert("ct1.hospital.example", common_name="ct1")
    client.private_key_and_cert_chain_pem.write_to_path(found.client)
    return found


@pytest.fixture
def mutual(files) -> ssl.SSLContext:
    return server_context(files.server, files.server, files.ca)


@pytest.fixture
def ours(files) -> ssl.SSLContext:
    return client_context(files.ca, files.client)


def test_both_sides_show_their_certificates_and_data_passes_whole(mutual, ours, tmp_path):
    services = RecordingServices()
    path = tmp_path / "data"
    path.write_bytes(os.urandom(3_000_000))
    with listening(services, tls=[mutual]) as acceptor:
        contexts = propose((VERIFICATION, IMPLICIT), (CT, EXPLICIT))
        with (
            connect(target(acceptor.ports[0], tls=ours), contexts, timers=QUICK) as association,
            path.open("rb") as file,
        ):
            assert association.echo() == 0
            for _ in range(3):
                answer = association.store(
                    association.contexts[3],
                    sop_class=CT,
                    sop_instance="1.2.3",
                    data=[FileSlice(descriptor=file.fileno(), offset=0, length=3_000_000)],
                )
                assert answer.status == 0
        wait_until(lambda: services.ended)
    assert {received.data for received in services.stored} == {path.read_bytes()}
    assert "commonName=ct1" in (services.requests[0].certificate_subject or "")
    assert services.requests[0].tls
    assert services.ended[0][1] == "released"


def test_dcmtk_with_a_certificate_comes_in(mutual, files):
    services = RecordingServices()
    with listening(services, tls=[mutual]) as acceptor:
        command = [dcmtk("storescu"), "+tls", str(files.client), str(files.client), "+cf", str(files.ca)]
        command += ["localhost", str(acceptor.ports[0]), str(CT_FILE)]
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=30, env=dcmtk_environment(), check=False
        )
        assert result.returncode == 0, result.stderr
    assert services.stored[0].ended == "finished"


def test_a_silent_client_does_not_keep_others_out_and_is_closed_itself(mutual, ours):
    with listening(tls=[mutual, None], timers=Timers(handshake=1, closing=0.2)) as acceptor:
        started = monotonic()
        silent = [RawPeer(acceptor.ports[0]) for _ in range(5)]
        silent[1].send(b"\x16\x03\x01")
        for port, context in ((acceptor.ports[0], ours), (acceptor.ports[1], None)):
            with connect(target(port, tls=context), propose((VERIFICATION, IMPLICIT)), timers=QUICK) as association:
                assert association.echo() == 0
        assert monotonic() - started < 0.9
        for peer in silent:
            with peer:
                assert peer.read(1) == b""
        wait_until(lambda: not acceptor.census._half_open)


def test_who_shows_no_certificate_or_a_strangers_stays_out(mutual, files, tmp_path):
    stranger = write(tmp_path, trustme.CA())
    services = RecordingServices()
    with listening(services, tls=[mutual]) as acceptor:
        for context in (client_context(files.ca), client_context(files.ca, stranger.client)):
            # With TLS 1.3 the client's handshake is over before the server has judged its certificate.
            with pytest.raises((TlsFailed, ConnectionLost)):
                connect(target(acceptor.ports[0], tls=context), propose((VERIFICATION, IMPLICIT)), timers=QUICK)
    assert not services.requests
    assert [(address, request) for address, request, _ in services.turned_away] == [("127.0.0.1", None)] * 2


def test_we_talk_to_nobody_whose_certificate_is_a_strangers_or_for_another_name(mutual, ours, tmp_path):
    stranger = write(tmp_path, trustme.CA())
    with listening(tls=[mutual]) as acceptor:
        with pytest.raises(TlsFailed, match="CERTIFICATE_VERIFY_FAILED"):
            connect(target(acceptor.ports[0], tls=client_context(stranger.ca)), propose((VERIFICATION, IMPLICIT)))
        with pytest.raises(TlsFailed, match="CERTIFICATE_VERIFY_FAILED"):
            connect(
                target(acceptor.ports[0], tls=ours, server_hostname="elsewhere.example"),
                propose((VERIFICATION, IMPLICIT)),
            )


def test_old_versions_are_refused(mutual, files):
    old = client_context(files.ca, files.client)
    old.set_ciphers("DEFAULT:@SECLEVEL=0")  # so that our own library does not refuse first
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with listening(tls=[mutual]) as acceptor, pytest.raises(TlsFailed):
        connect(target(acceptor.ports[0], tls=old), propose((VERIFICATION, IMPLICIT)), timers=QUICK)


def test_plain_against_tls_and_tls_against_plain_end_with_a_reason(mutual, ours):
    with listening(tls=[mutual, None]) as acceptor:
        with pytest.raises(NetworkError):
            connect(target(acceptor.ports[0]), propose((VERIFICATION, IMPLICIT)), timers=QUICK)
        with pytest.raises(TlsFailed):
            connect(target(acceptor.ports[1], tls=ours), propose((VERIFICATION, IMPLICIT)), timers=QUICK)


def test_a_server_that_never_shakes_hands_is_left_in_time(ours):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = monotonic()
        with pytest.raises(TimedOut) as caught:
            connect(
                target(silent.getsockname()[1], tls=ours),
                propose((VERIFICATION, IMPLICIT)),
                timers=Timers(handshake=0.3),
            )
        assert monotonic() - started < 2
    assert caught.value.phase == "handshake"


def test_a_tls_peer_that_stops_reading_is_noticed(mutual, ours, files, tmp_path):
    path = tmp_path / "data"
    path.write_bytes(bytes(8_000_000))
    release = threading.Event()
    services = RecordingServices()
    write = services.store

    def store(*arguments):
        sink = write(*arguments)
        sink.write = lambda view: release.wait(20)  # type: ignore[method-assign]
        return sink

    services.store = store  # type: ignore[method-assign]
    timers = Timers(send_stall=0.5, closing=0.2)
    with listening(services, tls=[mutual]) as acceptor:
        association = connect(target(acceptor.ports[0], tls=ours), propose((CT, EXPLICIT)), timers=timers)
        with path.open("rb") as file, pytest.raises(TimedOut) as caught:
            association.store(
                association.contexts[1],
                sop_class=CT,
                sop_instance="1.2",
                data=[FileSlice(descriptor=file.fileno(), offset=0, length=8_000_000)],
            )
        release.set()
    assert (caught.value.phase, caught.value.sent) == ("send", False)


def test_files_that_cannot_be_used_are_named(files, tmp_path):
    with pytest.raises(TlsFilesError, match=r"missing\.pem"):
        server_context(tmp_path / "missing.pem", files.server)
    (tmp_path / "text.pem").write_text("hello")
    with pytest.raises(TlsFilesError, match=r"text\.pem"):
        server_context(files.server, files.server, tmp_path / "text.pem")
    with pytest.raises(TlsFilesError, match="KEY_VALUES_MISMATCH"):
        server_context(files.server, files.client)
    locked = tmp_path / "locked.pem"
    subprocess.run(
        ["openssl", "rsa", "-aes128", "-passout", "pass:secret", "-in", str(files.client), "-out", str(locked)],
        capture_output=True,
        check=False,
    )
    if locked.exists():
        with pytest.raises(TlsFilesError, match=r"locked\.pem"):
            server_context(files.client, locked)
