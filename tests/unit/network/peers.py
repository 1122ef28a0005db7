"""Services that remember, and a raw peer that says exactly the bytes it is told to."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import examples
from pydicom.data import get_testdata_file

from kuva_gateway.network import (
    AcceptedContext,
    Acceptor,
    Admission,
    Answer,
    Association,
    AssociationRequest,
    Command,
    Limits,
    Listener,
    ProposedContext,
    Rejection,
    Response,
    Role,
    Target,
    Timers,
    commands,
    pdus,
)
from kuva_gateway.network.negotiation import request_bytes

VERIFICATION = "1.2.840.10008.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
COMMITMENT = "1.2.840.10008.1.20.1"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
JPEG_2000 = "1.2.840.10008.1.2.4.90"

QUICK = Timers(
    connect=2, handshake=1, associate=1, idle=30, message=1, send_stall=1, response=5, release=1, closing=0.5
)


def shipped(name: str) -> Path:
    """A file that comes with pydicom."""
    path = get_testdata_file(name, download=False)
    assert path, name
    return Path(path)


CT_FILE = Path(examples.get_path("ct"))
MR_FILE = Path(examples.get_path("mr"))


@dataclass
class Received:
    """One C-STORE as the sink saw it."""

    command: Command
    context: AcceptedContext
    data: bytes = b""
    ended: str = ""


class MemorySink:
    """Keeps a data set in memory; raises what it is told to, when it is told to."""

    def __init__(self, services: RecordingServices, received: Received) -> None:
        self._services = services
        self._received = received
        self._pieces: list[bytes] = []

    def write(self, view: memoryview) -> None:
        self._services.writing.set()
        if self._services.write_fails:
            raise self._services.write_fails
        self._pieces.append(bytes(view))
        self._services.largest_piece = max(self._services.largest_piece, len(view))

    def finish(self) -> Response:
        self._services.finishing.set()
        if not self._services.may_finish.wait(20):
            raise AssertionError("nobody let the sink finish")
        if self._services.finish_fails:
            raise self._services.finish_fails
        self._end("finished")
        return Response(status=0)

    def failed(self, error: Exception) -> Response:
        self._end(f"failed: {error}")
        return Response(status=0xA700, comment="out of space")

    def abandon(self) -> None:
        self._end("abandoned")

    def _end(self, how: str) -> None:
        self._received.data = b"".join(self._pieces)
        self._received.ended = how
        self._services.stored.append(self._received)


@dataclass
class RecordingServices:
    """Admits everybody, takes everything, remembers it."""

    limit: int = 100
    rejection: Rejection | None = None
    syntaxes: tuple[str, ...] = ()
    roles: Mapping[str, Role] = field(default_factory=dict)
    refuse_store: Response | None = None
    write_fails: Exception | None = None
    finish_fails: Exception | None = None
    on_request: Callable[[Association, AcceptedContext, Command, bytes], Iterable[Response]] | None = None
    requests: list[AssociationRequest] = field(default_factory=list)
    stored: list[Received] = field(default_factory=list)
    asked: list[tuple[Command, bytes]] = field(default_factory=list)
    ended: list[tuple[Association, str]] = field(default_factory=list)
    turned_away: list[tuple[str, str | None, str]] = field(default_factory=list)
    largest_piece: int = 0
    writing: threading.Event = field(default_factory=threading.Event)
    finishing: threading.Event = field(default_factory=threading.Event)
    may_finish: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.may_finish.set()

    def admit(self, request: AssociationRequest) -> Admission | Rejection:
        self.requests.append(request)
        return self.rejection or Admission(peer=request.calling_ae, accept=self.accept, limit=self.limit)

    def accept(self, context: ProposedContext) -> Answer:
        for syntax in context.transfer_syntaxes:
            if not self.syntaxes or syntax in self.syntaxes:
                return Answer(transfer_syntax=syntax, role=self.roles.get(context.abstract_syntax))
        return Answer(result=4)

    def store(self, association: Association, context: AcceptedContext, command: Command) -> MemorySink | Response:
        return self.refuse_store or MemorySink(self, Received(command, context))

    def request(
        self, association: Association, context: AcceptedContext, command: Command, data_set: bytes
    ) -> Iterable[Response]:
        self.asked.append((command, data_set))
        if self.on_request is not None:
            return self.on_request(association, context, command, data_set)
        return [Response(status=0)]

    def refused(self, address: str, request: AssociationRequest | None, why: str) -> None:
        self.turned_away.append((address, None if request is None else request.calling_ae, why))

    def closed(self, association: Association, how: str) -> None:
        self.ended.append((association, how))


@contextmanager
def listening(
    services: RecordingServices | None = None,
    *,
    timers: Timers = QUICK,
    tls=None,
    limits: Limits | None = None,
    log=None,
) -> Iterator[Acceptor]:
    """An acceptor on a free port of the loopback interface, drained at the end."""
    listeners = [Listener(host="127.0.0.1", port=0, tls=context) for context in (tls if tls is not None else [None])]
    acceptor = Acceptor(listeners, services or RecordingServices(), timers=timers, limits=limits, log=log)
    acceptor.start()
    try:
        yield acceptor
    finally:
        acceptor.drain(0)


def target(port: int, **more: object) -> Target:
    """The peer on that port of the loopback interface."""
    return Target(**{"host": "127.0.0.1", "port": port, "called_ae": "GATEWAY", "calling_ae": "TESTER", **more})


def propose(*pairs: tuple[str, str]) -> list[ProposedContext]:
    """Contexts with ids 1, 3, 5 ... for pairs of abstract and transfer syntax."""
    return [
        ProposedContext(id=2 * number + 1, abstract_syntax=abstract, transfer_syntaxes=(syntax,))
        for number, (abstract, syntax) in enumerate(pairs)
    ]


def pdv(context: int, control: int, payload: bytes) -> bytes:
    """One PDV item: control 1 command, 2 last."""
    return struct.pack(">LBB", len(payload) + 2, context, control) + payload


def p_data(*items: bytes) -> bytes:
    """A P-DATA-TF of these PDV items."""
    body = b"".join(items)
    return struct.pack(">BxL", 4, len(body)) + body


def store_command(message_id: int = 1, sop_class: str = CT, sop_instance: str = "1.2.3.4") -> bytes:
    """The command set of a C-STORE-RQ."""
    return commands.encode(
        Command(
            field=commands.C_STORE_RQ,
            message_id=message_id,
            affected_class=sop_class,
            affected_instance=sop_instance,
            priority=0,
            has_data_set=True,
        )
    )


def echo_command(message_id: int = 1) -> bytes:
    """The command set of a C-ECHO-RQ."""
    return commands.encode(Command(field=commands.C_ECHO_RQ, message_id=message_id, affected_class=VERIFICATION))


ECHO = p_data(pdv(1, 3, echo_command()))
STORE = p_data(pdv(3, 3, store_command()))
"""The command alone: its data set is still to come."""


RELEASE = pdus.RELEASE_RQ_BYTES
ABORT = pdus.abort_bytes(0, 0)


class RawPeer:
    """A TCP client that sends bytes and reads PDUs."""

    def __init__(self, port: int, *, timeout: float = 10) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)

    def __enter__(self) -> RawPeer:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *parts: bytes) -> None:
        self.socket.sendall(b"".join(parts))

    def read(self, count: int) -> bytes:
        """Exactly that many bytes, or fewer when the stream ends."""
        data = b""
        while len(data) < count:
            try:
                piece = self.socket.recv(count - len(data))
            except ConnectionResetError:
                break
            if not piece:
                break
            data += piece
        return data

    def pdu(self) -> tuple[int, bytes]:
        """Type and body of the next PDU; (0, b"") at the end of the stream."""
        header = self.read(6)
        if len(header) < 6:
            return 0, b""
        kind, length = struct.unpack(">BxL", header)
        return kind, self.read(length)

    def response(self) -> Command:
        """The next response; fails on anything else."""
        kind, body = self.pdu()
        assert kind == 4, f"PDU type {kind}: {body.hex()}"
        return commands.decode(body[6:])

    def associate(self, *pairs: tuple[str, str], calling: str = "RAW", **more: object) -> RawPeer:
        """Ask for an association and expect it."""
        kind, _ = self.ask(*pairs, calling=calling, **more)
        assert kind == 2, f"A-ASSOCIATE-AC expected, not type {kind}"
        return self

    def ask(self, *pairs: tuple[str, str], calling: str = "RAW", length: int = 16384) -> tuple[int, bytes]:
        """Ask for an association; the answer's type and body."""
        self.send(associate_request(*pairs, calling=calling, length=length))
        return self.pdu()


def associate_request(*pairs: tuple[str, str], calling: str = "RAW", length: int = 16384) -> bytes:
    """An A-ASSOCIATE-RQ; without pairs for verification and CT."""
    return request_bytes(
        called_ae="GATEWAY",
        calling_ae=calling,
        contexts=propose(*(pairs or ((VERIFICATION, IMPLICIT), (CT, EXPLICIT)))),
        roles={},
        length=length,
    )
