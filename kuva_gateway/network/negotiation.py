"""A-ASSOCIATE in and out (PS3.8 9.3.2, 9.3.3; PS3.7 annex D.3), on pynetdicom's codecs.

Items are read by :mod:`kuva_gateway.network.items` and written by pynetdicom. What was read of a request that came
before, byte for byte, is remembered.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from pynetdicom import pdu_items
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ

from kuva_gateway.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from kuva_gateway.network.items import Proposal, bad, decode
from kuva_gateway.network.records import AcceptedContext, Answer, ProposedContext, Role

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
PROTOCOL_VERSION = 1  # PS3.8 9.3.2: bit 0 is the one that counts
MOST_CONTEXTS = 128  # ids are odd and below 256

_FIXED = struct.Struct(">HH16s16s32x")
_IDENTITY = b"\x58\x00"
_REMEMBERED = 16_384  # bytes; longer requests are decoded every time, so that the memory of them stays small


def read_fixed(body: bytes) -> tuple[int, str, str]:
    """Protocol version, called and calling AE title of an A-ASSOCIATE-RQ, titles without padding (PS3.8 9.3.2)."""
    if len(body) < _FIXED.size:
        raise bad("an A-ASSOCIATE PDU is shorter than its fixed part")
    version, _, called, calling = _FIXED.unpack_from(body)
    return version, _title(called), _title(calling)


def read_items(body: bytes, *, accept: bool) -> Proposal:
    """The variable items of an A-ASSOCIATE-RQ, or with ``accept`` of an A-ASSOCIATE-AC.

    Raises
    ------
    ProtocolViolation
        The items do not fit into each other, or hold what they may not.
    """
    if len(body) < _FIXED.size:
        raise bad("an A-ASSOCIATE PDU is shorter than its fixed part")
    items = body[_FIXED.size :]
    if len(items) > _REMEMBERED or _IDENTITY in items:  # somebody's password is not for remembering
        return decode(items, accept=accept)
    return _remembered(items, accept)


@lru_cache(maxsize=64)
def _remembered(items: bytes, accept: bool) -> Proposal:
    return decode(items, accept=accept)


def request_bytes(
    *,
    called_ae: str,
    calling_ae: str,
    contexts: Sequence[ProposedContext],
    roles: Mapping[str, Role],
    length: int,
    extended: Mapping[str, bytes] | None = None,
) -> bytes:
    """An A-ASSOCIATE-RQ; ``length`` is the longest PDU that we take."""
    pdu: Any = A_ASSOCIATE_RQ()
    pdu.called_ae_title = called_ae
    pdu.calling_ae_title = calling_ae
    pdu.variable_items = [pdu_items.ApplicationContextItem()]
    for context in contexts:
        item: Any = pdu_items.PresentationContextItemRQ()
        item.presentation_context_id = context.id
        abstract: Any = pdu_items.AbstractSyntaxSubItem()
        abstract.abstract_syntax_name = context.abstract_syntax
        item.abstract_transfer_syntax_sub_items = [abstract, *map(_syntax_item, context.transfer_syntaxes)]
        pdu.variable_items.append(item)
    pdu.variable_items.append(_user_information(length, roles, None, extended or {}))
    encoded: bytes = pdu.encode()
    return encoded


def accept_bytes(
    body: bytes,
    answers: Mapping[int, Answer],
    *,
    roles: Mapping[str, Role],
    length: int,
    identity: bytes | None,
    extended: Mapping[str, bytes] | None = None,
) -> bytes:
    """The A-ASSOCIATE-AC to the request ``body``, whose AE titles it sends back as they came (PS3.8 9.3.3)."""
    pdu: Any = A_ASSOCIATE_AC()
    pdu.variable_items = [pdu_items.ApplicationContextItem()]
    for number, answer in answers.items():
        item: Any = pdu_items.PresentationContextItemAC()
        item.presentation_context_id = number
        item.result_reason = answer.result
        # "Not significant" when refused, but peers crash on an item without it.
        item.transfer_syntax_sub_item = [_syntax_item(answer.transfer_syntax or "1.2.840.10008.1.2")]
        pdu.variable_items.append(item)
    pdu.variable_items.append(_user_information(length, roles, identity, extended or {}))
    encoded = bytearray(pdu.encode())
    encoded[10:74] = body[4:68]
    return bytes(encoded)


def _syntax_item(uid: str) -> Any:
    item: Any = pdu_items.TransferSyntaxSubItem()
    item.transfer_syntax_name = uid
    return item


def _user_information(
    length: int, roles: Mapping[str, Role], identity: bytes | None, extended: Mapping[str, bytes]
) -> Any:
    longest: Any = pdu_items.MaximumLengthSubItem()
    longest.maximum_length_received = length
    uid: Any = pdu_items.ImplementationClassUIDSubItem()
    uid.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    items = [longest, uid]
    for sop_class, role in roles.items():  # PS3.7 D.3.3.4 stands before the version name: items in ascending order
        item: Any = pdu_items.SCP_SCU_RoleSelectionSubItem()
        item.sop_class_uid = sop_class
        item.scu_role = int(role.scu)
        item.scp_role = int(role.scp)
        items.append(item)
    version: Any = pdu_items.ImplementationVersionNameSubItem()
    version.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    items.append(version)
    for sop_class, application in extended.items():
        negotiation: Any = pdu_items.SOPClassExtendedNegotiationSubItem()
        negotiation.sop_class_uid = sop_class
        negotiation.service_class_application_information = application
        items.append(negotiation)
    if identity is not None:
        response: Any = pdu_items.UserIdentitySubItemAC()
        response.server_response = identity
        items.append(response)
    information: Any = pdu_items.UserInformationItem()
    information.user_data = items
    return information


def agree_as_acceptor(
    contexts: Sequence[ProposedContext], proposal: Proposal, answers: Mapping[int, Answer]
) -> tuple[dict[int, AcceptedContext], dict[str, Role], dict[str, bytes]]:
    """What was agreed, from the acceptor's side: contexts by id, and the role and extended items to send back.

    A role that was not asked for is not granted (PS3.7 D.3.3.4). The first accepted context of a SOP class that says
    something about its roles decides, because the items of the standard know SOP classes only.
    """
    roles: dict[str, Role] = {}
    extended: dict[str, bytes] = {}
    for context in contexts:
        answer = answers[context.id]
        if answer.result == 0 and answer.extended is not None and context.abstract_syntax in proposal.extended:
            extended.setdefault(context.abstract_syntax, answer.extended)
        wanted = proposal.roles.get(context.abstract_syntax)
        if answer.result == 0 and answer.role and wanted and context.abstract_syntax not in roles:
            roles[context.abstract_syntax] = Role(
                scu=wanted.scu and answer.role.scu, scp=wanted.scp and answer.role.scp
            )
    accepted = {
        context.id: _accepted(
            context,
            answers[context.id],
            roles.get(context.abstract_syntax, Role()),
            extended.get(context.abstract_syntax, b""),
            requestor=False,
        )
        for context in contexts
        if answers[context.id].result == 0
    }
    return accepted, roles, extended


def agree_as_requestor(
    contexts: Sequence[ProposedContext], asked: Mapping[str, Role], proposal: Proposal
) -> dict[int, AcceptedContext]:
    """What was agreed, from the requestor's side; an answer that names a syntax we did not offer is no agreement."""
    accepted: dict[int, AcceptedContext] = {}
    for context in contexts:
        answer = proposal.answers.get(context.id)
        if answer is None or answer.result != 0 or answer.transfer_syntax not in context.transfer_syntaxes:
            continue
        wanted, granted = asked.get(context.abstract_syntax), proposal.roles.get(context.abstract_syntax)
        role = Role()
        if wanted is not None and granted is not None:
            role = Role(scu=wanted.scu and granted.scu, scp=wanted.scp and granted.scp)
        agreed = proposal.extended.get(context.abstract_syntax, b"")
        accepted[context.id] = _accepted(context, answer, role, agreed, requestor=True)
    return accepted


def _accepted(
    context: ProposedContext, answer: Answer, role: Role, extended: bytes, *, requestor: bool
) -> AcceptedContext:
    """``role`` is the requestor's; the acceptor's is its mirror image."""
    return AcceptedContext(
        id=context.id,
        abstract_syntax=context.abstract_syntax,
        transfer_syntax=answer.transfer_syntax,
        scu=role.scu if requestor else role.scp,
        scp=role.scp if requestor else role.scu,
        extended=extended,
    )


def _title(raw: bytes) -> str:
    return raw.decode("ascii", "replace").strip(" \0")
