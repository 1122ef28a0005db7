"""Delivery over TLS, both ends authenticated: one gateway is the other one's destination."""

from __future__ import annotations

import re
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme
import yaml

from kuva_gateway import log, parts
from kuva_gateway.catalog import entries, studies
from kuva_gateway.config import load
from kuva_gateway.daemon import Daemon
from kuva_gateway.intake.files import FileReceiver
from tests.studies import make_study
from tests.support import free_port, wait_until


def write_certificates(folder: Path, authority: trustme.CA) -> dict[str, str]:
    """CA, certificate and key files of one end."""
    folder.mkdir()
    own = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    own.cert_chain_pems[0].write_to_path(folder / "certificate.pem")
    own.private_key_pem.write_to_path(folder / "key.pem")
    return {name: str(folder / f"{name}.pem") for name in ("ca", "certificate", "key")}


def configure(folder: Path, **changes: object) -> Path:
    path = folder / "kuva-gateway.yaml"
    quick = {
        "environment": "test",
        "listen": {"port": None},
        "settle_after": "200ms",
        "spool": {"minimum_free": "1MiB"},
        "metrics": {"port": None},
    }
    path.write_text(yaml.safe_dump({**quick, "spool": {"minimum_free": "1MiB"}, **changes}))
    return path


@pytest.fixture
def log_file(tmp_path: Path) -> Iterator[None]:
    with (tmp_path / "gateway.log").open("w") as lines:
        log.configure(form="json", stream=lines)
        yield


@pytest.mark.usefixtures("log_file")
def test_a_study_goes_over_tls_byte_for_byte_and_a_stranger_to_the_ca_does_not(tmp_path: Path) -> None:
    near, far = tmp_path / "near", tmp_path / "far"
    port, near_metrics, far_metrics = free_port(), free_port(), free_port()
    authority = trustme.CA()
    archive = configure(
        _made(far),
        ae_title="ARCHIVE",
        metrics={"port": far_metrics},
        tls={"port": port, **write_certificates(far / "tls", authority)},
        peers=[{"name": "gateway", "ae_title": "KUVAGW", "allow": ["echo", "store"], "require_tls": True}],
    )
    destination = {
        "name": "archive",
        "ae_title": "ARCHIVE",
        "host": "localhost",
        "port": port,
        "tls": True,
        "storage_commitment": False,
        "rest_for": "200ms",
        "rest_at_most": "200ms",
    }
    sender = configure(
        _made(near),
        listen={"port": 0},
        tls=write_certificates(near / "tls", trustme.CA()),
        rules={"DOC-01": "off", "DOC-02": "off"},
        destinations=[destination],
    )
    study = make_study(instances=2)
    with ExitStack() as stack:
        _start(stack, archive)
        uid = _receive(sender, study, near)
        with ExitStack() as wrong:
            _start(wrong, sender)
            reason = wait_until(lambda: _last_error(sender), what="a reason for the wait")
            assert reason["code"] == "tls"
        sender = configure(
            near,
            listen={"port": 0},
            metrics={"port": near_metrics},
            tls=write_certificates(near / "tls2", authority),
            rules={"DOC-01": "off", "DOC-02": "off"},
            destinations=[destination],
        )
        _start(stack, sender)
        wait_until(lambda: _state(sender, uid) == "archived", what="the study at the archive")
        sent, kept = parts.open_spool(load(sender)), parts.open_spool(load(archive))
        wait_until(lambda: set(kept.instances()) == set(sent.instances()), what="the same files at both ends")
        theirs, ours = figures(far_metrics), figures(near_metrics)
    # Until when the certificates of both ends are valid, as each end sees the other one's.
    assert abs(ours["destinations.archive"] - theirs["tls.certificate"]) < 60
    assert abs(theirs["peers.gateway"] - ours["tls.certificate"]) < 60


def figures(port: int) -> dict[str, float]:
    """Seconds that certificates are valid for."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        found = re.findall(rb'\nkuva_gateway_certificate_expiry_seconds{certificate="(.+)"} (\S+)', answer.read())
    return {name.decode(): float(value) for name, value in found}


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _start(stack: ExitStack, config: Path) -> None:
    daemon = Daemon(load(config), threading.Event(), config)
    stack.callback(daemon.stop)
    daemon.start()


def _receive(config: Path, study: object, folder: Path) -> str:
    """Put the study into the spool, where the daemon finds it at its start."""
    configuration = load(config)
    parts.make_state_directory(configuration.state_directory)
    receiver = FileReceiver(parts.open_spool(configuration), peer="import", immediate=lambda header, peer: None)
    for path in study.write(folder / "files"):  # type: ignore[attr-defined]
        receiver.receive(path)
    return str(study.uid)  # type: ignore[attr-defined]


def _state(config: Path, uid: str) -> str:
    catalog = parts.open_catalog(load(config), create=False)
    try:
        found = studies.find(catalog, uid)
        return found.state if found is not None else ""
    finally:
        catalog.close()


def _last_error(config: Path) -> dict[str, str] | None:
    catalog = parts.open_catalog(load(config), create=True)
    try:
        listed = entries.listing(catalog)
        return listed[0]["last_error"] if listed else None
    finally:
        catalog.close()
