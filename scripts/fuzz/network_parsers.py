"""The upper layer and DIMSE: what peers send before and on an association, to either side of it."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from harness import Harness, Input

from kuva_gateway.network import (
    AcceptedContext,
    Answer,
    Association,
    Command,
    CommandError,
    Limits,
    NetworkError,
    ProposedContext,
    ProtocolViolation,
    RequestorAssociation,
    Response,
    Role,
    Timers,
    commands,
    negotiation,
    pdus,
)
from kuva_gateway.network.allowance import Allowance
from kuva_gateway.network.records import Target
from kuva_gateway.network.requestor import _associate
from kuva_gateway.network.serving import Service
from kuva_gateway.network.stream import PduStream

VERIFICATION, CT = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.2"
COMMITMENT, FIND = "1.2.840.10008.1.20.1", "1.2.840.10008.5.1.4.1.2.2.1"
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
CONTEXTS = [
    ProposedContext(id=1, abstract_syntax=VERIFICATION, transfer_syntaxes=(IMPLICIT,)),
    ProposedContext(id=3, abstract_syntax=CT, transfer_syntaxes=(EXPLICIT, IMPLICIT)),
    ProposedContext(id=5, abstract_syntax=COMMITMENT, transfer_syntaxes=(IMPLICIT,)),
    ProposedContext(id=255, abstract_syntax=FIND, transfer_syntaxes=(IMPLICIT,)),
]
ACCEPTED = {
    one.id: AcceptedContext(
        id=one.id, abstract_syntax=one.abstract_syntax, transfer_syntax=one.transfer_syntaxes[0], scu=True, scp=True
    )
    for one in CONTEXTS
}
ROLES = {COMMITMENT: Role(scu=True, scp=True)}
LIMITS = Limits(command_set=4096, data_set=8192)


# -- PDUs -------------------------------------------------------------------------------------------------------------


class Script:
    """A transport that gives out an input piece by piece, keeps what is sent, and ends."""

    def __init__(self, data: bytes, piece: int) -> None:
        self._data, self._piece, self._position = data, piece, 0
        self.sent = bytearray()

    def receive_into(self, view: memoryview, allowance: Allowance) -> int:
        piece = self._data[self._position : self._position + min(self._piece, len(view))]
        view[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def send(self, view: memoryview, allowance: Allowance) -> None:
        self.sent += view

    def readable(self, seconds: float = 0.0) -> bool:
        return True

    def peek(self) -> int | None:
        return self._data[self._position] if self._position < len(self._data) else None

    def acknowledge_soon(self) -> None:
        pass

    def interrupt(self, *, hard: bool = False) -> None:
        pass

    def finish(self, seconds: float) -> None:
        pass

    close = interrupt


class Services:
    """Takes everything, in memory that is bounded by the input."""

    def __init__(self) -> None:
        self.taken = 0

    def store(self, association: Association, context: AcceptedContext, command: Command) -> Services | Response:
        return self if command.affected_instance else Response(status=0x0117)

    def write(self, view: memoryview) -> None:
        self.taken += len(bytes(view))

    def finish(self) -> Response:
        return Response(status=0)

    def failed(self, error: Exception) -> Response:
        raise error

    def abandon(self) -> None:
        pass

    def request(
        self, association: Association, context: AcceptedContext, command: Command, data_set: bytes
    ) -> Iterator[Response]:
        self.taken += len(data_set)
        if command.field == commands.C_FIND_RQ and not association.cancelled(command.message_id or 0):
            yield Response(status=0xFF00, data_set=data_set)
        yield Response(status=0)


class Silence:
    """A log that takes faults of ours for what they are."""

    def info(self, event: str, **fields: object) -> None:
        pass

    warning = info

    def error(self, event: str, **fields: object) -> None:
        raise AssertionError(f"{event}: {fields}")


def check_pdus(data: bytes) -> None:
    """Either side of an association: it ends with a NetworkError, and what is sent is whole PDUs."""
    choices = Input(data)
    asks, piece = choices.number(6), (1, 7, 100, 1 << 20)[choices.number(4)]
    transport, services = Script(choices.rest, piece), Services()
    stream = PduStream(transport, LIMITS)  # type: ignore[arg-type]
    try:
        if asks == 5:
            who = Target(host="localhost", port=104, called_ae="A", calling_ae="B")
            _associate(transport, stream, who, CONTEXTS, ROLES, {}, Timers(), LIMITS, None)  # type: ignore[arg-type]
        else:
            _converse(asks, transport, stream, services)
    except NetworkError:
        pass
    finally:
        stream.release()
    assert stream.received <= len(choices.rest)
    assert services.taken <= len(choices.rest)
    _whole_pdus(bytes(transport.sent))


def _converse(asks: int, transport: Script, stream: PduStream, services: Services) -> None:
    kind = RequestorAssociation if asks else Association
    association = kind(
        transport,  # type: ignore[arg-type]
        stream,
        peer="peer",
        calling_ae="A",
        called_ae="B",
        address="192.0.2.1",
        contexts=ACCEPTED,
        room=16378,
        timers=Timers(),
        limits=LIMITS,
        on_event=lambda command, data_set: 0,
    )
    try:
        if asks == 0:
            Service(association, services, Silence()).run()  # type: ignore[arg-type]
        elif asks == 1:
            association.echo()
        elif asks == 2 and isinstance(association, RequestorAssociation):
            association.release()
        elif asks == 3 and isinstance(association, RequestorAssociation):
            association.wait_event(10)
        else:
            for _ in association.find(ACCEPTED[255], b""):
                pass
    except NetworkError as error:
        if not asks:
            association.end(error)
        raise


def _whole_pdus(sent: bytes) -> None:
    position = 0
    while position < len(sent):
        kind, length = pdus.PDU_HEADER.unpack_from(sent, position)
        assert 1 <= kind <= 7
        position += 6 + length
    assert position == len(sent)


def pdv(context: int, control: int, payload: bytes) -> bytes:
    """One PDV item."""
    return struct.pack(">LBB", len(payload) + 2, context, control) + payload


def p_data(*items: bytes) -> bytes:
    """A P-DATA-TF."""
    return struct.pack(">BxL", 4, sum(map(len, items))) + b"".join(items)


def _command(field: int, **more: object) -> bytes:
    return commands.encode(Command(field=field, **more))  # type: ignore[arg-type]


def _pdu_seeds() -> Iterator[bytes]:
    store = _command(1, message_id=1, affected_class=CT, affected_instance="1.2.3", priority=0, has_data_set=True)
    echo = _command(0x30, message_id=2, affected_class=VERIFICATION)
    find = _command(0x20, message_id=3, affected_class=FIND, priority=0, has_data_set=True)
    cancel = _command(0xFFF, responded_to=3)
    event = _command(0x100, message_id=4, affected_class=COMMITMENT, event_type=1, has_data_set=True)
    release, abort = pdus.RELEASE_RQ_BYTES, pdus.abort_bytes(2, 6)
    for piece in (0, 3):
        yield bytes([0, piece]) + p_data(pdv(3, 3, store), pdv(3, 2, b"data")) + p_data(pdv(1, 3, echo)) + release
        yield bytes([0, piece]) + p_data(pdv(3, 1, store[:9])) + p_data(pdv(3, 3, store[9:]), pdv(3, 0, b"da")) + abort
        yield bytes([0, piece]) + p_data(pdv(255, 3, find), pdv(255, 2, b"keys"), pdv(255, 3, cancel)) + release
        yield bytes([0, piece]) + p_data(pdv(5, 3, event), pdv(5, 2, b"told"))
        yield bytes([1, piece]) + p_data(pdv(1, 3, _command(0x8030, responded_to=1, status=0)))
        yield bytes([1, piece]) + p_data(pdv(5, 3, event), pdv(5, 2, b"told")) + abort
        yield bytes([2, piece]) + p_data(pdv(3, 0, b"late")) + release + pdus.RELEASE_RP_BYTES
        yield bytes([3, piece]) + p_data(pdv(5, 3, event), pdv(5, 2, b"told"))
        pending = _command(0x8020, responded_to=1, status=0xFF00, has_data_set=True)
        final = _command(0x8020, responded_to=1, status=0)
        yield bytes([4, piece]) + p_data(pdv(255, 3, pending), pdv(255, 2, b"match")) + p_data(pdv(255, 3, final))
        yield bytes([5, piece]) + _acceptance()
        yield bytes([5, piece]) + pdus.reject_bytes(1, 1, 7)


# -- negotiation ------------------------------------------------------------------------------------------------------


def check_negotiation(data: bytes) -> None:
    """A request or an acceptance: read or refused, and what was read can be answered."""
    choices = Input(data)
    accept, body = bool(choices.number(2)), choices.rest
    try:
        version, called, calling = negotiation.read_fixed(body)
        proposal = negotiation.read_items(body, accept=accept)
    except ProtocolViolation as refused:
        assert (refused.source, refused.reason) == (2, 6)
        return
    assert len(called) <= 16
    assert len(calling) <= 16
    assert 0 <= version <= 0xFFFF
    assert proposal == negotiation.read_items(body, accept=accept)
    if accept:
        agreed = negotiation.agree_as_requestor(CONTEXTS, ROLES, proposal)
        offered = {one.id: one.transfer_syntaxes for one in CONTEXTS}
        assert all(one.transfer_syntax in offered[number] for number, one in agreed.items())
        return
    ids = [one.id for one in proposal.contexts]
    assert len(set(ids)) == len(ids) <= 128
    assert all(number % 2 and 0 < number < 256 for number in ids)
    answers = {one.id: _answer(one) for one in proposal.contexts}
    accepted, roles, extended = negotiation.agree_as_acceptor(proposal.contexts, proposal, answers)
    reply = negotiation.accept_bytes(body, answers, roles=roles, length=16384, identity=None, extended=extended)
    assert struct.unpack_from(">BxL", reply) == (2, len(reply) - 6)
    told = negotiation.read_items(reply[6:], accept=True)
    assert {number for number, one in told.answers.items() if one.result == 0} == set(accepted)


def _answer(context: ProposedContext) -> Answer:
    """As the policy does: what is accepted, and given a role, is a class that is known; others are refused."""
    syntax = next((one for one in context.transfer_syntaxes if one in (IMPLICIT, EXPLICIT)), None)
    if context.abstract_syntax not in (VERIFICATION, CT, COMMITMENT, FIND):
        return Answer(result=3)
    if syntax is None:
        return Answer(result=4)
    return Answer(transfer_syntax=syntax, role=Role(scu=True, scp=True), extended=b"\1\1")


def _request() -> bytes:
    return negotiation.request_bytes(
        called_ae="CALLED", calling_ae="CALLING", contexts=CONTEXTS, roles=ROLES, length=16384, extended={FIND: b"\1\1"}
    )


def _acceptance() -> bytes:
    answers = {one.id: Answer(transfer_syntax=one.transfer_syntaxes[0]) for one in CONTEXTS}
    return negotiation.accept_bytes(
        _request()[6:], answers, roles=ROLES, length=16384, identity=b"ticket", extended={FIND: b"\1"}
    )


def _negotiation_seeds() -> Iterator[bytes]:
    request = _request()[6:]
    yield b"\0" + request
    yield b"\1" + _acceptance()[6:]
    where = request.index(b"\x50\0", 68)
    length = struct.unpack_from(">H", request, where + 2)[0]
    for item in (
        struct.pack(">BxHBBH", 0x58, 15, 2, 1, 5) + b"nurse" + struct.pack(">H", 4) + b"pass",
        struct.pack(">BxHHH", 0x53, 4, 1, 1),
        struct.pack(">BxHH", 0x57, 8 + 8, 4) + b"1.2.3.4.5.6.7.",
        struct.pack(">BxH", 0x7A, 3) + b"new",
    ):
        inner = struct.pack(">H", length + len(item))
        yield b"\0" + request[: where + 2] + inner + request[where + 4 :] + item


# -- command sets -----------------------------------------------------------------------------------------------------


def check_commands(data: bytes) -> None:
    """A command set: read or refused; written again it is read the same; the short ways write what the long does."""
    try:
        command = commands.decode(data)
    except CommandError:
        return
    texts = (getattr(command, name) for name in ("affected_class", "affected_instance", "requested_class",
             "requested_instance", "error_comment", "move_destination", "move_originator"))  # fmt: skip
    assert all(len(text) <= len(data) for text in texts)
    assert command.name
    again = commands.decode(commands.encode(command))
    if data.isascii():
        assert again == command
    if command.message_id is not None and command.field == commands.C_STORE_RQ:
        said = Command(
            field=commands.C_STORE_RSP, responded_to=command.message_id, status=0,
            affected_class=command.affected_class, affected_instance=command.affected_instance,
        )  # fmt: skip
        assert commands.stored(command) == commands.encode(said)


def _command_seeds() -> Iterator[bytes]:
    yield _command(1, message_id=7, affected_class=CT, affected_instance="1.2.3", priority=0, has_data_set=True,
                   move_originator="PACS", move_originator_id=3)  # fmt: skip
    yield _command(0x8021, responded_to=2, status=0xB000, error_comment="failed", offending=(0x00080018,), remaining=0,
                   completed=2, failed=3, warning=4)  # fmt: skip
    yield _command(0x21, message_id=1, affected_class=FIND, move_destination="DEST", priority=2, has_data_set=True)
    yield _command(0x110, message_id=1, requested_class="1.2", requested_instance="1.2.3", attributes=(0x00100010,))
    yield _command(0xFFF, responded_to=9)


HARNESSES = (
    Harness(
        name="pdus",
        of="PDUs and PDVs, on either side of an association",
        check=check_pdus,
        seeds=_pdu_seeds,
        words=(b"\x04\0\0\0\0", b"\x05\0\0\0\0\4", b"\x07\0\0\0\0\4", b"\xff\xff\xff\xff", b"\0\0\0\x02\x03\x02"),
    ),
    Harness(
        name="negotiation",
        of="A-ASSOCIATE-RQ and -AC",
        check=check_negotiation,
        seeds=_negotiation_seeds,
        words=(*(bytes([kind, 0, 0]) for kind in (0x10, 0x20, 0x21, 0x30, 0x40, 0x50, *range(0x51, 0x5B))), b"1.2.840"),
    ),
    Harness(
        name="commands",
        of="DIMSE command sets",
        check=check_commands,
        seeds=_command_seeds,
        longest=1024,
        words=tuple(struct.pack("<HHL", 0, element, 2) for element in (0x0100, 0x0110, 0x0120, 0x0800, 0x0900)),
    ),
)
