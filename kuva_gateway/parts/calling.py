"""How others are called and heard: deadlines, limits, TLS, and peers and destinations by their configured names."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from kuva_gateway.config import Configuration
from kuva_gateway.errors import DeferredError, RefusedError
from kuva_gateway.parts.outside import outside_files

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from kuva_gateway.config import Destination, Peer
    from kuva_gateway.forward.call import Call, Upstream
    from kuva_gateway.network import Limits, Timers


def timers(configuration: Configuration) -> Timers:
    """The deadlines of associations."""
    from kuva_gateway.network import Timers

    own = configuration.timers
    return Timers(
        handshake=own.handshake,
        associate=own.associate,
        idle=own.idle,
        message=own.message,
        minimum_rate=own.minimum_rate,
        send_stall=own.send_stall,
        response=own.response,
    )


def limits(configuration: Configuration) -> Limits:
    """How much of the machine peers may use."""
    from kuva_gateway.network import Limits

    own = configuration.limits
    return Limits(
        associations=own.associations,
        half_open=own.half_open,
        half_open_per_address=own.half_open_per_address,
        pdu_length=own.pdu_length,
    )


def server_tls(configuration: Configuration) -> ssl.SSLContext | None:
    """The TLS context of the listener, None when there is none; raises TlsFilesError."""
    from kuva_gateway.network import tls

    own = configuration.tls
    if own.port is None or own.certificate is None or own.key is None:
        return None
    return tls.server_context(
        configuration.path(own.certificate),
        configuration.path(own.key),
        None if own.ca is None else configuration.path(own.ca),
        profile=own.profile,
        revocation=[configuration.path(path) for path in own.revocation],
    )


def client_tls(configuration: Configuration) -> Callable[[Destination | Peer], ssl.SSLContext | None]:
    """The TLS context for calling somebody, made once; None for whom is called without; raises TlsFilesError."""
    called: list[Destination | Peer] = [one for one in configuration.destinations if one.tls]
    called += [one for one in configuration.peers if one.called_with_tls and one.host is not None]
    made = {
        named: caller_tls(configuration, check_hostname=not named)
        for named in {bool(one.certificate_names) for one in called}
    }

    def context(one: Destination | Peer) -> ssl.SSLContext | None:
        return made[bool(one.certificate_names)] if one in called else None

    return context


def caller_tls(configuration: Configuration, ca: Path | None = None, *, check_hostname: bool = True) -> ssl.SSLContext:
    """The TLS context for a call; ``ca`` stands for tls.ca and has no revocation lists; raises TlsFilesError."""
    from kuva_gateway.network import tls

    own = configuration.tls
    trusted = ca or own.ca
    return tls.client_context(
        None if trusted is None else configuration.path(trusted),
        None if own.certificate is None else configuration.path(own.certificate),
        None if own.key is None else configuration.path(own.key),
        check_hostname=check_hostname,
        profile=own.profile,
        revocation=[configuration.path(path) for path in own.revocation] if ca in (None, own.ca) else (),
    )


def calling_depends_on(configuration: Configuration) -> Callable[[Destination], str]:
    """All that calling a destination depends on, as text: when that is the same, nothing about it has changed."""
    shared = configuration.model_dump_json(
        include={
            "ae_title": True,
            "timezone": True,
            "language": True,
            "timers": True,
            "limits": True,
            "decoding": True,
            "spool": {"minimum_free"},
        }
    )
    keepers = sorted((peer.name, peer.register_keeper) for peer in configuration.peers if peer.register_keeper)
    files = sorted(one for one in outside_files(configuration).items() if one[0].startswith("tls."))
    files.append(("tls.profile", configuration.tls.profile))

    def depends(destination: Destination) -> str:
        secured = files if destination.tls else None
        named = keepers if destination.calling_ae_titles else None
        return repr((destination.model_dump_json(), shared, secured, named))

    return depends


def call_peer(configuration: Configuration, peer: Peer) -> Call | None:
    """How a peer is called, with TLS where it is to be; None: nobody knows where it is."""
    from kuva_gateway.forward.call import Call

    if peer.host is None or peer.port is None:
        return None
    return Call(
        name=peer.name,
        host=peer.host,
        port=peer.port,
        called_ae=peer.ae_title,
        calling_ae=configuration.ae_title,
        tls=_context(configuration, peer) if peer.called_with_tls else None,
        certificate_names=frozenset(peer.certificate_names),
        timers=timers(configuration),
        limits=limits(configuration),
    )


def _context(configuration: Configuration, one: Destination | Peer) -> ssl.SSLContext:
    return caller_tls(configuration, check_hostname=not one.certificate_names)


def make_callee(configuration: Configuration) -> Callable[[str], Call | None]:
    """AE title to the peer that is called so, for C-MOVE: the first with a host and a port."""

    def callee(ae_title: str) -> Call | None:
        calls = (call_peer(configuration, peer) for peer in configuration.peers if peer.ae_title == ae_title)
        return next((call for call in calls if call is not None), None)

    return callee


def call_named(configuration: Configuration, name: str) -> Call | None:
    """How the destination or else the peer of this name is called; None: there is none, or nobody knows where it is."""
    from kuva_gateway.forward.call import Call

    destination, peer = configuration.destination(name), configuration.peer(name)
    if destination is None:
        return None if peer is None else call_peer(configuration, peer)
    return Call(
        name=name,
        host=destination.host,
        port=destination.port,
        called_ae=destination.ae_title,
        calling_ae=destination.calling_ae_title or configuration.ae_title,
        tls=_context(configuration, destination) if destination.tls else None,
        certificate_names=frozenset(destination.certificate_names),
        timers=timers(configuration),
        limits=limits(configuration),
    )


def call_upstream(configuration: Configuration) -> Upstream | None:
    """How the archive is called that is asked as well (``query.upstream``), with deadlines by what it may cost."""
    from kuva_gateway.forward.call import Upstream

    own = configuration.query
    call = None if own.upstream is None else call_named(configuration, own.upstream)
    if call is None:
        return None
    usual, most = call.timers, own.upstream_timeout
    brief = replace(
        usual,
        connect=min(usual.connect, most),
        handshake=min(usual.handshake, most),
        associate=min(usual.associate, most),
        response=min(usual.response, 2 * most),  # who asks stops waiting before that, and cancels
        send_stall=min(usual.send_stall, most),
    )
    return Upstream(query=replace(call, timers=brief), fetch=call)


def echo_target(configuration: Configuration, name: str) -> float:
    """Send a C-ECHO to the peer or destination called ``name``; returns the milliseconds that it took.

    Raises
    ------
    RefusedError, DeferredError
        It did not answer with success; the text says why.
    """
    from kuva_gateway.forward.call import echo

    call = call_named(configuration, name)
    if call is None:
        raise RefusedError(f"{name[:40]} has no host and port in the configuration")
    begun = time.perf_counter()
    found = echo(call)
    if not found.stored:
        raise DeferredError(f"{name} did not answer well: {found}", code=found.code)
    return (time.perf_counter() - begun) * 1000
