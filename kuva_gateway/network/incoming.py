"""One incoming connection on its own thread: TLS handshake, A-ASSOCIATE, then the association, then its end.

Until the association is accepted this follows PS3.8 table 9-10, states 2 and 3: what is out of place gets A-ABORT,
silence gets the connection closed (AA-2).
"""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

from kuva_gateway.network import pdus
from kuva_gateway.network.allowance import Allowance
from kuva_gateway.network.association import Association
from kuva_gateway.network.census import Room
from kuva_gateway.network.errors import (
    Aborted,
    ConnectionLost,
    NetworkError,
    ProtocolViolation,
    Released,
    Stopped,
    TlsFailed,
)
from kuva_gateway.network.items import Proposal
from kuva_gateway.network.negotiation import (
    APPLICATION_CONTEXT,
    MOST_CONTEXTS,
    PROTOCOL_VERSION,
    accept_bytes,
    agree_as_acceptor,
    read_fixed,
    read_items,
)
from kuva_gateway.network.records import Admission, Answer, AssociationRequest, Rejection
from kuva_gateway.network.serving import Service
from kuva_gateway.network.stream import PduStream
from kuva_gateway.network.transport import PlainTransport, TlsTransport, Transport, set_options
from kuva_gateway.network.wire import fragment_room

if TYPE_CHECKING:
    from kuva_gateway.network.connections import Connections, Terms

# PS3.8 9.3.4 table 9-21.
_CONGESTION = Rejection(result=2, source=3, reason=1, why="too many associations")
_LOCAL_LIMIT = Rejection(result=2, source=3, reason=2, why="too many associations of this peer")
_FULL = {Room.PEER_FULL: _LOCAL_LIMIT, Room.FULL: _CONGESTION}
_FAULT = Rejection(result=2, source=3, reason=1, why="the admission failed")
_PROTOCOL = Rejection(result=1, source=2, reason=2, why="protocol version not supported")
_CONTEXT_NAME = Rejection(result=1, source=1, reason=2, why="application context name not supported")


class Incoming:
    """One connection, from accept to close."""

    def __init__(
        self, house: Connections, terms: Terms, connection: socket.socket, address: str, listener: int, number: int
    ) -> None:
        set_options(connection)
        self._house = house
        self._terms = terms
        self._connection = connection
        self._tls = terms.tls[listener]
        self.address = address
        self.number = number
        self.association: Association | None = None
        self._transport: Transport | None = None
        self._half_open = True
        self._draining = False

    def run(self) -> None:
        """Everything that the connection's thread does."""
        house = self._house
        try:
            self._run()
        except NetworkError as error:
            house.log.info("connection_ended", address=self.address, how=str(error))
            if isinstance(error, TlsFailed):
                self._terms.services.refused(self.address, None, str(error))
        except Exception as error:  # a fault here must not go unseen, nor leave the connection counted
            house.log.error("connection_failed", address=self.address, error=type(error).__name__)
        finally:
            if self._transport is not None:
                self._transport.close()
            self._connection.close()
            self._arrived()
            house.forget(self)

    def drain(self) -> None:
        """End from another thread: at once, unless a message is in progress."""
        self._draining = True
        if self.association is not None:
            self.association.interrupt(_stopped(), finish_message=True)
        else:
            self.cut()

    def abort(self) -> None:
        """End from another thread: with A-ABORT at the next read or write."""
        if self.association is not None:
            self.association.interrupt(_stopped())
        else:
            self.cut()

    def cut(self) -> None:
        """End from another thread: the connection itself, whatever its thread is doing."""
        with contextlib.suppress(OSError):  # closed meanwhile
            socket.socket.shutdown(self._connection, socket.SHUT_RDWR)

    def give_way(self) -> None:
        """End from another thread, unless it has become an association."""
        if self._half_open:
            self.cut()

    def _arrived(self) -> None:
        if self._half_open:
            self._half_open = False
            self._house.counts.depart(self.number)

    # -- up to the association -----------------------------------------------------------------------------------

    def _run(self) -> None:
        transport = self._transport = self._secure()
        stream = PduStream(transport, self._terms.limits)
        try:
            admitted = self._negotiate(transport, stream)
        except NetworkError as error:
            stream.release()
            self._refuse(transport, error)
            raise
        if admitted is not None:
            self._serve(*admitted)

    def _secure(self) -> Transport:
        if self._tls is None:
            return PlainTransport(self._connection)
        try:
            self._connection = wrapped = self._tls.wrap_socket(
                self._connection, server_side=True, do_handshake_on_connect=False
            )
        except OSError as error:
            raise TlsFailed(f"TLS could not be started: {type(error).__name__}") from None
        transport = TlsTransport(wrapped)
        transport.handshake(Allowance("handshake", self._terms.timers.handshake))
        return transport

    def _refuse(self, transport: Transport, error: NetworkError) -> None:
        """The end of a connection that never became an association (AA-1, AA-2, AA-5)."""
        if not isinstance(error, ProtocolViolation):
            return
        brief = Allowance("closing", self._terms.timers.closing)
        try:
            transport.send(memoryview(pdus.abort_bytes(error.source, error.reason)), brief)
        except NetworkError:
            return
        transport.finish(self._terms.timers.closing)

    def _negotiate(self, transport: Transport, stream: PduStream) -> tuple[Association, Admission] | None:
        """Read A-ASSOCIATE-RQ and answer it; None when the answer was A-ASSOCIATE-RJ."""
        allowance = Allowance("associate", self._terms.timers.associate)
        stream.wait(allowance)
        kind, length = stream.header(allowance)
        if kind == pdus.ABORT:
            body = stream.body(length, allowance)
            raise Aborted(source=body[2], reason=body[3], phase="associate")
        if kind != pdus.ASSOCIATE_RQ:
            raise ProtocolViolation("no association was asked for", source=pdus.BY_USER, reason=0)
        body = stream.body(length, allowance)
        version, called_ae, calling_ae = read_fixed(body)
        proposal = read_items(body, accept=False)
        request = self._describe(transport, called_ae, calling_ae, proposal)
        decision = self._decide(version, request, proposal)
        if isinstance(decision, Rejection):
            self._reject(transport, stream, request, decision)
            return None
        try:
            return self._accept(transport, stream, body, request, proposal, decision), decision
        except BaseException:
            self._house.counts.leave(decision.peer)
            raise

    def _describe(
        self, transport: Transport, called_ae: str, calling_ae: str, proposal: Proposal
    ) -> AssociationRequest:
        return AssociationRequest(
            calling_ae=calling_ae,
            called_ae=called_ae,
            address=self.address,
            tls=isinstance(transport, TlsTransport),
            certificate=transport.certificate() if isinstance(transport, TlsTransport) else None,
            contexts=proposal.contexts,
            roles=proposal.roles,
            extended=proposal.extended,
            user_identity=proposal.user_identity,
            implementation_class_uid=proposal.implementation_class_uid,
            implementation_version=proposal.implementation_version,
            maximum_length=proposal.maximum_length,
        )

    def _decide(self, version: int, request: AssociationRequest, proposal: Proposal) -> Admission | Rejection:
        """Who may come in; an Admission has been counted."""
        house = self._house
        if not version & PROTOCOL_VERSION:
            return _PROTOCOL
        if proposal.application_context != APPLICATION_CONTEXT:
            return _CONTEXT_NAME
        if not 1 <= len(request.contexts) <= min(MOST_CONTEXTS, self._terms.limits.contexts):
            raise ProtocolViolation("no presentation context, or too many", reason=pdus.INVALID_PARAMETER_VALUE)
        try:
            decision = self._terms.services.admit(request)
        except Exception as error:
            house.log.error("admission_failed", address=self.address, error=type(error).__name__)
            return _FAULT
        if isinstance(decision, Admission):
            return _FULL.get(house.counts.join(decision.peer, decision.limit), decision)
        return decision

    def _reject(self, transport: Transport, stream: PduStream, request: AssociationRequest, why: Rejection) -> None:
        house = self._house
        stream.release()
        house.log.warning(
            "association_rejected",
            address=self.address,
            calling_ae=request.calling_ae,
            called_ae=request.called_ae,
            why=why.why,
            **({} if request.certificate is None else {"certificate": str(request.certificate)}),
            result=why.result,
            source=why.source,
            reason=why.reason,
        )
        self._terms.services.refused(self.address, request, why.why)
        brief = Allowance("associate", self._terms.timers.associate)
        transport.send(memoryview(pdus.reject_bytes(why.result, why.source, why.reason)), brief)
        transport.finish(self._terms.timers.closing)

    def _accept(
        self,
        transport: Transport,
        stream: PduStream,
        body: bytes,
        request: AssociationRequest,
        proposal: Proposal,
        admission: Admission,
    ) -> Association:
        answers: dict[int, Answer] = {context.id: admission.accept(context) for context in request.contexts}
        accepted, roles, extended = agree_as_acceptor(request.contexts, proposal, answers)
        association = Association(
            transport,
            stream,
            peer=admission.peer,
            calling_ae=request.calling_ae,
            called_ae=request.called_ae,
            address=self.address,
            contexts=accepted,
            room=fragment_room(proposal.maximum_length),
            timers=self._terms.timers,
            limits=self._terms.limits,
            number=self.number,
            tls=transport.negotiated() if isinstance(transport, TlsTransport) else "",
            certificate_subject=request.certificate_subject,
            user_identity=request.user_identity,
        )
        reply = accept_bytes(
            body,
            answers,
            roles=roles,
            length=self._terms.limits.pdu_length,
            identity=admission.user_identity_response,
            extended=extended,
        )
        self._arrived()
        association.write(reply, Allowance("associate", self._terms.timers.associate))
        return association

    # -- the association -----------------------------------------------------------------------------------------

    def _serve(self, association: Association, admission: Admission) -> None:
        house = self._house
        self.association = association
        if self._draining:  # the drain looked just before there was an association
            association.interrupt(_stopped(), finish_message=True)
        error: NetworkError = Stopped("the gateway failed", source=pdus.BY_PROVIDER)
        try:
            Service(association, self._terms.services, house.log).run()
        except NetworkError as ended:
            error = ended
        finally:
            association.over = True
            house.counts.leave(admission.peer)
            try:
                self._terms.services.closed(association, ending(error))
            finally:
                association.end(error)


def ending(error: NetworkError) -> str:
    """How an association ended, for its log line."""
    if isinstance(error, Released):
        return "released" if error.phase == "idle" else "released in the middle of a message"
    if isinstance(error, Aborted | ConnectionLost | Stopped):
        return str(error)
    return f"aborted by us: {error}"


def _stopped() -> Stopped:
    return Stopped("the gateway stops", source=pdus.BY_PROVIDER)
