"""Associations that we open: connect, request, release (PS3.8 7.1, 9.2)."""

from __future__ import annotations

import errno
import os
import select
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import ceil
from types import TracebackType

from kuva_gateway.network import pdus
from kuva_gateway.network.allowance import Allowance
from kuva_gateway.network.association import Association, OnEvent
from kuva_gateway.network.commands import Command
from kuva_gateway.network.errors import (
    Aborted,
    AssociationRejected,
    CannotConnect,
    ConnectionLost,
    NetworkError,
    ProtocolViolation,
    Stopped,
    TimedOut,
    TlsFailed,
)
from kuva_gateway.network.negotiation import agree_as_requestor, read_items, request_bytes
from kuva_gateway.network.opening import LOOK_EVERY, Opening
from kuva_gateway.network.records import AcceptedContext, ProposedContext, Role, Target
from kuva_gateway.network.sending import Part
from kuva_gateway.network.shown import PeerCertificate
from kuva_gateway.network.stream import PduStream
from kuva_gateway.network.timers import Limits, Timers
from kuva_gateway.network.transport import PlainTransport, TlsTransport, Transport, set_options
from kuva_gateway.network.wire import fragment_room

_KERNELS_PATIENCE = 3  # times ours: our own deadline says more, and comes first also after a write that went half-way


class RequestorAssociation(Association):
    """An association that we asked for; as a context manager it is released, or after an exception aborted."""

    certificate: PeerCertificate | None = None
    """What was shown in the TLS handshake."""
    _asking = 0  # calls in progress on the thread that owns the association

    def __enter__(self) -> RequestorAssociation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.release()
        else:
            self.close()

    @property
    def open(self) -> bool:
        """Whether requests can still be sent."""
        return not self.over

    def ended_meanwhile(self) -> bool:
        """Whether the peer ended the association while nothing was asked of it; its release is answered then."""
        if not self.over and self.input_waits():
            self._broken(self.abort_that_waits() or ConnectionLost(phase="idle"))
        return self.over

    def wait_event(self, timeout: float, on_event: OnEvent | None = None) -> bool:
        """Answer one N-EVENT-REPORT with ``on_event`` (or the callable given at connect); False after ``timeout`` s.

        Raises
        ------
        NetworkError
            The association ended; a release by the peer has been answered.
        """
        usual, self.on_event = self.on_event, on_event or self.on_event
        with self._in_use():
            try:
                context, command, allowance = self.read_command(Allowance("event", timeout))
                self._meanwhile(context, command, allowance)
            except NetworkError as error:
                if isinstance(error, TimedOut) and error.phase == "event":
                    return False
                self._broken(error)
                raise
            finally:
                self.on_event = usual
        return True

    def release(self) -> None:
        """A-RELEASE, and close; whatever the peer does, the association is over afterwards."""
        if self.over:
            return
        error: NetworkError | None = None
        allowance = Allowance("release", self.timers.release)
        try:
            with self._in_use():
                self.write(pdus.RELEASE_RQ_BYTES, allowance)
                self._await_release(allowance)
        except NetworkError as caught:
            error = caught
        self._broken(error)

    def close(self) -> None:
        """A-ABORT, and close; harmless when the association is over. For the thread that owns the association."""
        self._broken(Stopped("aborted by the application"))

    def abort(self, reason: str = "aborted by the application") -> None:
        """End with A-ABORT, from any thread; a request in progress meets :class:`Stopped`."""
        with self._lock:
            idle = not self._asking and not self.over
            self.over = self.over or idle
        if idle:
            self.end(Stopped(reason))
        else:
            self.interrupt(Stopped(reason))

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        """Keep :meth:`abort` of another thread from closing the connection under a call in progress."""
        with self._lock:
            if self.over:
                raise Stopped("the association is over")
            self._asking += 1
        try:
            yield
        finally:
            with self._lock:
                self._asking -= 1

    def _exchange(
        self,
        context: AcceptedContext,
        command: Command,
        *,
        data_set: bytes | None = None,
        source: Sequence[Part] | None = None,
    ) -> tuple[Command, bytes | None]:
        with self._in_use():
            return super()._exchange(context, command, data_set=data_set, source=source)

    def _await_release(self, allowance: Allowance) -> None:
        """Wait for A-RELEASE-RP in state 7: answer a colliding A-RELEASE-RQ, drop data (PS3.8 9.2.2, AR-7 to AR-10)."""
        while True:
            self.stream.wait(allowance)
            kind, length = self.stream.header(allowance)
            while length:
                part = min(length, 65_536)
                body = self.stream.body(part, allowance)
                length -= part
            if kind == pdus.RELEASE_RP:
                return
            if kind == pdus.RELEASE_RQ:
                self.write(pdus.RELEASE_RP_BYTES, allowance)
            elif kind == pdus.ABORT:
                raise Aborted(source=body[2], reason=body[3], phase="release")
            elif kind != pdus.P_DATA:
                raise ProtocolViolation("an A-ASSOCIATE PDU came during the release", reason=pdus.UNEXPECTED_PDU)

    def _broken(self, error: NetworkError | None) -> None:
        if not self.over:
            self.over = True
            self.end(error)


def connect(
    target: Target,
    contexts: Sequence[ProposedContext],
    *,
    roles: Mapping[str, Role] | None = None,
    extended: Mapping[str, bytes] | None = None,
    timers: Timers | None = None,
    limits: Limits | None = None,
    on_event: OnEvent | None = None,
    opening: Opening | None = None,
) -> RequestorAssociation:
    """Open an association with ``target``; ``extended`` proposes application information per SOP class.

    ``opening`` lets another thread end it before it is open.

    Raises
    ------
    Stopped
        ``opening`` was stopped.
    AssociationRejected
        The peer does not want us (PS3.8 9.3.4).
    NoAnswer
        Nobody is there: :class:`CannotConnect`, :class:`TimedOut`, :class:`TlsFailed`.
    NetworkError
        The peer hung up, aborted or answered nonsense.
    """
    timers, limits, roles = timers or Timers(), limits or Limits(), roles or {}
    with opening or Opening() as watched:
        transport = _open(target, timers, watched)
        stream = PduStream(transport, limits)
        try:
            opened = _associate(transport, stream, target, contexts, roles, extended or {}, timers, limits, on_event)
            opened.certificate = transport.certificate() if isinstance(transport, TlsTransport) else None
            return opened
        except NetworkError as error:
            stream.release()
            if isinstance(error, ProtocolViolation | TimedOut):
                _farewell(transport, error, timers)
            transport.close()
            raise
        except BaseException:
            transport.close()
            raise


def _open(target: Target, timers: Timers, opening: Opening) -> Transport:
    connection = _connect(target, Allowance("connect", timers.connect), opening)
    # Bytes that nobody acknowledges: the kernel gives up (RFC 5482) where we do not, because we wait for an answer.
    unacknowledged = max(1, round(timers.send_stall * _KERNELS_PATIENCE * 1000))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, unacknowledged)
    if target.tls is None:
        return PlainTransport(connection)
    try:
        wrapped = target.tls.wrap_socket(
            connection, server_hostname=target.server_hostname or target.host, do_handshake_on_connect=False
        )
    except (ssl.SSLError, ValueError, OSError) as error:
        connection.close()
        raise TlsFailed(f"TLS could not be started: {type(error).__name__}") from None
    transport = TlsTransport(wrapped)
    try:
        opening.watch(wrapped)
        transport.handshake(Allowance("handshake", timers.handshake))
        _check_names(target, transport)
    except BaseException:
        transport.close()
        raise
    return transport


def _check_names(target: Target, transport: TlsTransport) -> None:
    """Before anything is said: is it the one that is meant?"""
    if not target.certificate_names:
        return
    shown = transport.certificate()
    if shown is None or not shown.names & target.certificate_names:
        names = ", ".join(sorted(shown.names)) if shown is not None else ""
        raise TlsFailed(f"the certificate is not the one that {target.called_ae} must show: {names[:200] or 'no name'}")


def _connect(target: Target, allowance: Allowance, opening: Opening) -> socket.socket:
    """A TCP connection to the first address that takes one; the resolver's own time limits apply to the name."""
    try:
        addresses = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # UnicodeError: a label that no name can have
        why = error.strerror if isinstance(error, OSError) else type(error).__name__
        raise CannotConnect(f"{target.host} has no address: {why}") from None
    failure = "no address"
    for family, kind, protocol, _, address in addresses:
        connection: socket.socket | None = None
        try:
            connection = socket.socket(family, kind, protocol)
            opening.watch(connection)
            failure = _try_address(connection, address, allowance, opening)
            if not failure:
                set_options(connection)
                return connection
        except OSError as error:  # IPv6 switched off, no descriptor left: this address's failure, not the others'
            failure = error.strerror or type(error).__name__
        except BaseException:
            if connection is not None:
                connection.close()
            raise
        if connection is not None:
            connection.close()
    raise CannotConnect(f"cannot connect to {target.host} port {target.port}: {failure}")


def _try_address(connection: socket.socket, address: object, allowance: Allowance, opening: Opening) -> str:
    """Connect within what is left; "" or why not."""
    connection.setblocking(False)
    code = connection.connect_ex(address)  # type: ignore[arg-type]
    if code == errno.EINPROGRESS:
        poll = select.poll()
        poll.register(connection, select.POLLOUT)
        while not poll.poll(ceil(min(allowance.remaining(), LOOK_EVERY) * 1000)):
            opening.check()
        opening.check()
        code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return os.strerror(code) if code else ""


def _associate(
    transport: Transport,
    stream: PduStream,
    target: Target,
    contexts: Sequence[ProposedContext],
    roles: Mapping[str, Role],
    extended: Mapping[str, bytes],
    timers: Timers,
    limits: Limits,
    on_event: OnEvent | None,
) -> RequestorAssociation:
    allowance = Allowance("associate", timers.associate)
    request = request_bytes(
        called_ae=target.called_ae,
        calling_ae=target.calling_ae,
        contexts=contexts,
        roles=roles,
        length=limits.pdu_length,
        extended=extended,
    )
    transport.send(memoryview(request), allowance)
    stream.wait(allowance)
    kind, length = stream.header(allowance)
    if kind not in (pdus.ASSOCIATE_AC, pdus.ASSOCIATE_RJ, pdus.ABORT):
        raise ProtocolViolation("something else than an answer to A-ASSOCIATE-RQ came", reason=pdus.UNEXPECTED_PDU)
    body = stream.body(length, allowance)
    if kind == pdus.ASSOCIATE_RJ:
        raise AssociationRejected(result=body[1], source=body[2], reason=body[3])
    if kind == pdus.ABORT:
        raise Aborted(source=body[2], reason=body[3], phase="associate")
    proposal = read_items(body, accept=True)
    association = RequestorAssociation(
        transport,
        stream,
        peer=target.called_ae,
        calling_ae=target.calling_ae,
        called_ae=target.called_ae,
        address=target.host,
        contexts=agree_as_requestor(contexts, roles, proposal),
        room=fragment_room(proposal.maximum_length),
        timers=timers,
        limits=limits,
        on_event=on_event,
    )
    association.sent = len(request)
    return association


def _farewell(transport: Transport, error: NetworkError, timers: Timers) -> None:
    reason = error.reason if isinstance(error, ProtocolViolation) else pdus.NOT_SPECIFIED
    try:
        transport.send(memoryview(pdus.abort_bytes(pdus.BY_PROVIDER, reason)), Allowance("closing", timers.closing))
        transport.finish(timers.closing)
    except NetworkError:
        pass
