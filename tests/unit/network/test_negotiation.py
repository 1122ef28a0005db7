"""A-ASSOCIATE: what was proposed, what was answered, what must not stop us."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ

from kuva_gateway.network import Answer, ProposedContext, ProtocolViolation, Role, negotiation
from kuva_gateway.network.items import Proposal
from kuva_gateway.network.wire import fragment_room
from tests.unit.network.peers import COMMITMENT, CT, EXPLICIT, IMPLICIT, JPEG_2000, MR, propose

CONTEXTS = [
    ProposedContext(id=1, abstract_syntax=CT, transfer_syntaxes=(IMPLICIT, EXPLICIT, JPEG_2000)),
    ProposedContext(id=255, abstract_syntax=COMMITMENT, transfer_syntaxes=(EXPLICIT,)),
]
ROLES = {COMMITMENT: Role(scu=True, scp=True)}


def request(contexts=CONTEXTS, roles=ROLES) -> bytes:
    return negotiation.request_bytes(
        called_ae="CALLED", calling_ae="CALLING", contexts=contexts, roles=roles, length=262144
    )


def with_items(extra: bytes, *, inside: bool) -> bytes:
    """The body of a request with items added at its end, or inside its User Information."""
    body = request()[6:]
    if not inside:
        return body + extra
    where = body.index(b"\x50\0", 68)
    length = struct.unpack_from(">H", body, where + 2)[0]
    return body[: where + 2] + struct.pack(">H", length + len(extra)) + body[where + 4 :] + extra


def test_pynetdicom_reads_our_request():
    pdu = A_ASSOCIATE_RQ()
    pdu.decode(request())
    assert pdu.called_ae_title.strip() == "CALLED"
    assert [item.context_id for item in pdu.presentation_context] == [1, 255]
    assert pdu.presentation_context[0].transfer_syntax == [IMPLICIT, EXPLICIT, JPEG_2000]
    assert pdu.user_information.maximum_length == 262144
    assert pdu.user_information.role_selection[COMMITMENT].scp_role == 1
    assert pdu.encode() == request()


def test_what_we_ask_is_what_the_other_side_reads():
    body = request()[6:]
    assert negotiation.read_fixed(body) == (1, "CALLED", "CALLING")
    read = negotiation.read_items(body, accept=False)
    assert list(read.contexts) == CONTEXTS
    assert read.roles == ROLES
    assert read.application_context == negotiation.APPLICATION_CONTEXT
    assert read.maximum_length == 262144
    assert read.implementation_version == "KUVAGW"
    assert read.implementation_class_uid.startswith("2.25.")


def test_the_acceptance_gives_titles_back_as_they_came_and_says_what_was_agreed():
    body = bytearray(request()[6:])
    body[4:20] = b" ODD\xe4TITLE\0      "
    answers = {1: Answer(transfer_syntax=JPEG_2000), 255: Answer(result=3)}
    reply = negotiation.accept_bytes(bytes(body), answers, roles={}, length=16384, identity=b"ticket")
    assert reply[10:26] == body[4:20]
    pdu = A_ASSOCIATE_AC()
    pdu.decode(reply[:10] + b"A" * 32 + reply[42:])
    assert [(item.context_id, item.result) for item in pdu.presentation_context] == [(1, 0), (255, 3)]
    assert pdu.presentation_context[0].transfer_syntax == JPEG_2000
    assert pdu.user_information.user_identity.server_response == b"ticket"
    read = negotiation.read_items(reply[6:], accept=True)
    agreed = negotiation.agree_as_requestor(CONTEXTS, {}, read)
    assert {number: context.transfer_syntax for number, context in agreed.items()} == {1: JPEG_2000}


@pytest.mark.parametrize("inside", [False, True])
def test_items_that_nobody_knows_are_passed_over(inside):
    unknown = struct.pack(">BxH", 0x7A, 5) + b"hello"
    read = negotiation.read_items(with_items(unknown, inside=inside), accept=False)
    assert list(read.contexts) == CONTEXTS


def test_a_password_is_read_and_not_remembered():
    item = struct.pack(">BxHBBH", 0x58, 6 + 5 + 4, 2, 1, 5) + b"nurse" + struct.pack(">H", 4) + b"pass"
    body = with_items(item, inside=True)
    negotiation._remembered.cache_clear()
    identity = negotiation.read_items(body, accept=False).user_identity
    assert identity is not None
    assert (identity.type, identity.primary, identity.secondary) == (2, b"nurse", b"pass")
    assert identity.response_requested
    assert "nurse" not in repr(identity)
    assert negotiation._remembered.cache_info().currsize == 0


def test_the_same_request_is_decoded_once():
    negotiation._remembered.cache_clear()
    first = negotiation.read_items(request()[6:], accept=False)
    assert negotiation.read_items(request()[6:], accept=False) is first


@pytest.mark.parametrize("ids", [(2,), (1, 1), (0,)])
def test_context_ids_are_odd_and_used_once(ids):
    contexts = [ProposedContext(id=number, abstract_syntax=CT, transfer_syntaxes=(EXPLICIT,)) for number in ids]
    with pytest.raises(ProtocolViolation):
        negotiation.read_items(request(contexts, {})[6:], accept=False)


@pytest.mark.parametrize(
    ("kind", "content", "said"),
    [
        (0x54, struct.pack(">H", 3) + b"1.2\1", "a role selection is cut off"),
        (0x54, b"\0", "shorter than its fields"),
        (0x56, b"", "shorter than its fields"),
        (0x56, struct.pack(">H", 3) + b"\xff.2", "not ASCII"),
        (0x58, b"\2", "a user identity is cut off"),
        (0x58, b"\2\1\0", "shorter than its fields"),
    ],
)
def test_an_item_that_ends_too_early_is_told(kind, content, said):
    with pytest.raises(ProtocolViolation, match=said):
        negotiation.read_items(with_items(struct.pack(">BxH", kind, len(content)) + content, inside=True), accept=False)


def test_a_user_without_a_second_field_may_leave_its_length_out():
    item = struct.pack(">BxHBBH", 0x58, 9, 1, 0, 5) + b"nurse"
    identity = negotiation.read_items(with_items(item, inside=True), accept=False).user_identity
    assert identity is not None
    assert (identity.type, identity.primary, identity.secondary) == (1, b"nurse", b"")


@pytest.mark.parametrize(
    "items",
    [
        struct.pack(">BxHL", 0x51, 4, 1),
        struct.pack(">BxHH", 0x51, 2, 1),
        struct.pack(">BxH", 0x52, 3) + b"9.9",
        struct.pack(">BxH", 0x55, 3) + b"NEW",
    ],
)
def test_of_items_that_may_stand_once_the_first_counts(items):
    for inside in (True, False):
        whole = items if inside else struct.pack(">BxH", 0x50, len(items)) + items
        assert negotiation.read_items(with_items(whole, inside=inside), accept=False) == negotiation.read_items(
            request()[6:], accept=False
        )


def test_a_name_longer_than_any_uid_is_refused():
    context = ProposedContext(id=1, abstract_syntax="1.2", transfer_syntaxes=("1.3",))
    body = request([context], {})[6:]
    long = b"1.2." + b"9" * 61
    for short in (b"1.2", b"1.3"):
        kind = b"\x30" if short == b"1.2" else b"\x40"
        old, new = (kind + b"\0" + struct.pack(">H", len(uid)) + uid for uid in (short, long))
        where = body.index(b"\x20\0", 68)
        length = struct.unpack_from(">H", body, where + 2)[0]
        grown = body[: where + 2] + struct.pack(">H", length + 62) + body[where + 4 :].replace(old, new)
        with pytest.raises(ProtocolViolation, match="more than 64"):
            negotiation.read_items(grown, accept=False)


def test_hostile_lengths_are_refused():
    for extra in (b"\x20", b"\x20\0\xff\xff", b"\x20\0\0\x01\0", b"\x50\0\0\x04\x51\0\0\xff"):
        with pytest.raises(ProtocolViolation) as caught:
            negotiation.read_items(request()[6:] + extra, accept=False)
        assert caught.value.reason == 6
    with pytest.raises(ProtocolViolation):
        negotiation.read_fixed(b"short")


@given(st.integers(68, 400), st.integers(0, 255), st.booleans())
def test_a_changed_byte_is_read_or_refused(where, value, accept):
    body = bytearray(request()[6:])
    body[68 + where % (len(body) - 68)] = value
    try:
        negotiation.read_items(bytes(body), accept=accept)
    except ProtocolViolation as refused:
        assert refused.reason == 6


@given(st.binary(max_size=120))
def test_any_items_are_read_or_refused(items):
    try:
        negotiation.read_items(bytes(68) + items, accept=False)
    except ProtocolViolation as refused:
        assert refused.reason == 6


@pytest.mark.parametrize(
    ("asked", "granted", "acceptor", "requestor"),
    [
        (None, None, (False, True), (True, False)),
        (Role(scu=True, scp=True), None, (False, True), (True, False)),
        (Role(scu=False, scp=True), Role(scu=False, scp=True), (True, False), (False, True)),
        (Role(scu=True, scp=True), Role(scu=True, scp=True), (True, True), (True, True)),
        (Role(scu=True, scp=False), Role(scu=True, scp=True), (False, True), (True, False)),
        (None, Role(scu=True, scp=True), (False, True), (True, False)),
    ],
)
def test_both_sides_agree_on_roles(asked, granted, acceptor, requestor):
    contexts = propose((COMMITMENT, IMPLICIT))
    wanted = {COMMITMENT: asked} if asked else {}
    answers = {1: Answer(transfer_syntax=IMPLICIT, role=granted)}
    proposal = Proposal(application_context="", contexts=tuple(contexts), roles=wanted)
    ours, roles, _ = negotiation.agree_as_acceptor(contexts, proposal, answers)
    reply = negotiation.accept_bytes(request(contexts, wanted)[6:], answers, roles=roles, length=0, identity=None)
    theirs = negotiation.agree_as_requestor(contexts, wanted, negotiation.read_items(reply[6:], accept=True))
    assert (ours[1].scu, ours[1].scp) == acceptor
    assert (theirs[1].scu, theirs[1].scp) == requestor


@pytest.mark.parametrize(
    ("proposed", "answered", "agreed"),
    [({COMMITMENT: b"\1\1\1"}, b"\1\1\0", b"\1\1\0"), ({COMMITMENT: b"\1"}, None, b""), ({}, b"\1", b"")],
)
def test_both_sides_agree_on_what_was_negotiated_beyond_syntaxes(proposed, answered, agreed):
    contexts = propose((COMMITMENT, IMPLICIT))
    body = negotiation.request_bytes(
        called_ae="CALLED", calling_ae="CALLING", contexts=contexts, roles={}, length=0, extended=proposed
    )[6:]
    proposal = negotiation.read_items(body, accept=False)
    assert proposal.extended == proposed
    answers = {1: Answer(transfer_syntax=IMPLICIT, extended=answered)}
    ours, roles, extended = negotiation.agree_as_acceptor(contexts, proposal, answers)
    reply = negotiation.accept_bytes(body, answers, roles=roles, length=0, identity=None, extended=extended)
    theirs = negotiation.agree_as_requestor(contexts, {}, negotiation.read_items(reply[6:], accept=True))
    assert ours[1].extended == theirs[1].extended == agreed


def test_an_answer_with_a_syntax_we_did_not_offer_is_no_agreement():
    contexts = propose((CT, EXPLICIT), (MR, EXPLICIT))
    answers = {1: Answer(transfer_syntax=JPEG_2000), 3: Answer(transfer_syntax=EXPLICIT), 5: Answer(result=0)}
    proposal = Proposal(application_context="", contexts=(), answers=answers)
    assert list(negotiation.agree_as_requestor(contexts, {}, proposal)) == [3]


def test_fragments_fit_the_peer_and_the_buffer():
    assert fragment_room(0) == fragment_room(1 << 30) == 262_132
    assert fragment_room(16384) == 16378
    assert fragment_room(16383) == 16376
    with pytest.raises(ProtocolViolation):
        fragment_room(7)
