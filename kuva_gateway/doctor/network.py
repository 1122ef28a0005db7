"""The network: our own ports and certificate, and whether those whom we call answer."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

from kuva_gateway.doctor.findings import Diagnosis, Subject, fault, warning, well
from kuva_gateway.errors import GatewayError
from kuva_gateway.monitoring.alerts import span
from kuva_gateway.parts import certificates as expiring
from kuva_gateway.parts import echo_target, revocation_lists, unlisted_authorities

SOON = timedelta(days=30)
AT_ONCE = 16  # calls
_CONNECT = 3.0  # seconds


def certificates(subject: Subject) -> Iterator[Diagnosis]:
    """How long the certificate and the authorities that it and others are measured by are still valid."""
    own = subject.configuration.tls.key
    secret = None if own is None else subject.configuration.path(own)
    with contextlib.suppress(OSError):  # whoever needs it says what is wrong with it
        if secret is not None and secret.stat().st_mode & 0o007:
            yield fault("certificate", f"tls.key {secret} can be read by everybody", f"chmod o= {secret}")
    for key, until in expiring(subject.configuration).items():
        left = until - subject.now
        if left <= timedelta():
            yield fault("certificate", f"{key} has expired", "Install a new one.")
        elif left < SOON:
            yield warning("certificate", f"{key} expires in {left.days} days", "Have it renewed.")
        else:
            yield well("certificate", f"{key} is valid for {left.days} days")


def revocation(subject: Subject) -> Iterator[Diagnosis]:
    """Whether the lists of withdrawn certificates still say anything, and whether there is one of each authority."""
    for key, one in revocation_lists(subject.configuration).items():
        if one.next_update is None or one.due is None:
            continue
        left = one.next_update - subject.now
        if left <= timedelta():
            yield fault("revocation", f"{key} has expired and keeps peers out", "Install the authority's new list.")
        elif one.due < subject.now:
            yield warning("revocation", f"{key} expires in {span(left)}", "Fetch the authority's new list.")
        else:
            yield well("revocation", f"{key} is valid for {span(left)}")
    for notice in unlisted_authorities(subject.configuration):
        yield warning("revocation", notice, "Add the lists of those that sign peers' certificates.")


def ports(subject: Subject) -> Iterator[Diagnosis]:
    """Whether our ports answer while the daemon runs, and can be had while it does not."""
    host = subject.configuration.listen.host
    for key, port in (("listen.port", subject.configuration.listen.port), ("tls.port", subject.configuration.tls.port)):
        if port is None:
            continue
        why = _connect(host, port) if subject.daemon is not None else _bind(host, port)
        if why and subject.daemon is not None:
            yield fault("ports", f"nobody answers at {key} {host}:{port}: {why}", "journalctl -u kuva-gateway")
        elif why:
            yield fault(
                "ports",
                f"{key} {host}:{port} cannot be had: {why}",
                f"Find out who has it (ss -ltnp 'sport = :{port}'), or choose another one.",
            )
        else:
            yield well("ports", f"{key} {host}:{port} {'answers' if subject.daemon is not None else 'is free'}")


def peers(subject: Subject) -> Iterator[Diagnosis]:
    """A C-ECHO to every destination, and to every peer of which we know where it is."""
    if not subject.call:
        return
    own = subject.configuration
    named = [(one.name, one.required) for one in own.destinations]
    named += [(one.name, False) for one in own.peers if one.host is not None and one.port is not None]
    if not own.destinations:
        yield warning("destinations", "none is configured", "Nothing is ever delivered: add one under destinations.")
    if not own.peers:
        yield warning("peers", "none is configured", "Nobody may send: add modalities under peers.")
    yield from _echoes(subject, named)


def _echoes(subject: Subject, named: Sequence[tuple[str, bool]]) -> Iterator[Diagnosis]:
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="doctor") as pool:
        answers = pool.map(partial(_echo, subject), (name for name, _ in named))
        for (name, required), (milliseconds, why) in zip(named, answers, strict=True):
            check = "destinations" if subject.configuration.destination(name) is not None else "peers"
            if not why:
                yield well(check, f"{name} answered in {milliseconds:.0f} ms")
            elif required:
                yield fault(check, why, "Ask those who run it; what is due waits, and goes on by itself.")
            else:
                yield warning(check, why, "If it should be there: its host, port, AE titles and firewall.")


def _echo(subject: Subject, name: str) -> tuple[float, str]:
    try:
        return echo_target(subject.configuration, name), ""
    except GatewayError as error:
        return 0.0, str(error)


def _connect(host: str, port: int) -> str:
    """Why nobody answers there, "" when somebody does; an address for all is asked through the loopback."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
    try:
        socket.create_connection((everywhere.get(host, host), port), timeout=_CONNECT).close()
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""


def _bind(host: str, port: int) -> str:
    """Why the port cannot be had, "" when it can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.strerror or type(error).__name__
    return ""
