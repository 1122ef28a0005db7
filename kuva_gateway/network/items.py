"""The variable items of an A-ASSOCIATE-RQ or -AC, read (PS3.8 9.3.2, 9.3.3; PS3.7 annex D.3.3).

Anybody may send them, before it is known who he is: they are read in a microsecond or two each, where a general codec
takes twenty. Promises a :class:`Proposal` or one ProtocolViolation for any bytes. Items that nobody knows are passed
over (PS3.8 9.3.1 lets them come); of items that may stand once the first counts.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from kuva_gateway.dicom.uids import MAXIMUM_LENGTH
from kuva_gateway.network import pdus
from kuva_gateway.network.errors import ProtocolViolation
from kuva_gateway.network.records import Answer, ProposedContext, Role, UserIdentity

_ITEM = struct.Struct(">BxH")
_LENGTH = struct.Struct(">H")
_MAXIMUM = struct.Struct(">L")
_APPLICATION_CONTEXT, _CONTEXT_RQ, _CONTEXT_AC, _ABSTRACT, _TRANSFER = 0x10, 0x20, 0x21, 0x30, 0x40
_USER_INFORMATION, _MAXIMUM_LENGTH, _CLASS_UID, _ROLE, _VERSION, _EXTENDED, _IDENTITY = (
    *(0x50, 0x51, 0x52, 0x54, 0x55, 0x56),
    0x58,
)
_LONGEST_VERSION = 16  # PS3.7 D.3.3.2.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """The items of an A-ASSOCIATE-RQ or -AC; ``answers`` by context id for the latter."""

    application_context: str
    contexts: tuple[ProposedContext, ...]
    answers: Mapping[int, Answer] = field(default_factory=dict)
    roles: Mapping[str, Role] = field(default_factory=dict)
    extended: Mapping[str, bytes] = field(default_factory=dict)
    maximum_length: int = 0
    implementation_class_uid: str = ""
    implementation_version: str = ""
    user_identity: UserIdentity | None = None


def decode(raw: bytes, *, accept: bool) -> Proposal:
    """The items ``raw`` of an A-ASSOCIATE-RQ, or with ``accept`` of an -AC.

    Raises
    ------
    ProtocolViolation
        They do not fit into each other, or hold what they may not.
    """
    application: str | None = None
    user = _User()
    contexts: dict[int, ProposedContext] = {}
    answers: dict[int, Answer] = {}
    for kind, value in _items(raw):
        if kind == _CONTEXT_RQ and not accept:
            context = _proposed(value)
            if context.id in contexts:
                raise bad("two presentation contexts have the same id")
            contexts[context.id] = context
        elif kind == _CONTEXT_AC and accept:
            number, answer = _answered(value)
            answers[number] = answer
        elif kind == _APPLICATION_CONTEXT and application is None:
            application = _uid(value)
        elif kind == _USER_INFORMATION:
            user.read(value)
    return user.proposal(application or "", tuple(contexts.values()), answers)


def bad(message: str) -> ProtocolViolation:
    """What a peer gets that sends such items: A-ABORT with "invalid PDU parameter value" (PS3.8 9.3.8)."""
    return ProtocolViolation(message, reason=pdus.INVALID_PARAMETER_VALUE)


def _items(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and content of each item."""
    position, end = 0, len(raw)
    while position < end:
        if end - position < _ITEM.size:
            raise bad("an A-ASSOCIATE PDU ends in the middle of an item")
        kind, length = _ITEM.unpack_from(raw, position)
        position += _ITEM.size
        if length > end - position:
            raise bad("an item is longer than what it is in")
        yield kind, raw[position : position + length]
        position += length


def _proposed(value: bytes) -> ProposedContext:
    if len(value) < 4 or not value[0] % 2:
        raise bad("a presentation context has an id that is even, or none")
    abstract: str | None = None
    transfer: list[str] = []
    for kind, uid in _items(value[4:]):
        if kind == _TRANSFER:
            if uid:
                transfer.append(_uid(uid))
        elif kind == _ABSTRACT and abstract is None:
            abstract = _uid(uid)
    if abstract is None:
        raise bad("a presentation context has no abstract syntax")
    return ProposedContext(id=value[0], abstract_syntax=abstract, transfer_syntaxes=tuple(transfer))


def _answered(value: bytes) -> tuple[int, Answer]:
    if len(value) < 4:
        raise bad("the answer to a presentation context is cut off")
    syntax = next((_uid(uid) for kind, uid in _items(value[4:]) if kind == _TRANSFER), "")
    return value[0], Answer(result=value[2], transfer_syntax=syntax)


class _User:
    """What the User Information item holds."""

    def __init__(self) -> None:
        self._single: dict[int, bytes] = {}
        self._roles: dict[str, Role] = {}
        self._extended: dict[str, bytes] = {}

    def read(self, raw: bytes) -> None:
        """Take the items inside."""
        for kind, value in _items(raw):
            if kind == _ROLE:
                uid, flags = _counted(value)
                if len(flags) < 2:
                    raise bad("a role selection is cut off")
                self._roles[_uid(uid)] = Role(scu=bool(flags[0]), scp=bool(flags[1]))
            elif kind == _EXTENDED:
                uid, application = _counted(value)
                self._extended[_uid(uid)] = application
            else:
                self._single.setdefault(kind, value)

    def proposal(
        self, application_context: str, contexts: tuple[ProposedContext, ...], answers: dict[int, Answer]
    ) -> Proposal:
        """Everything together."""
        length = self._single.get(_MAXIMUM_LENGTH, bytes(_MAXIMUM.size))
        if len(length) != _MAXIMUM.size:
            raise bad("the maximum length is not four bytes long")
        version = self._single.get(_VERSION, b"")[:_LONGEST_VERSION].decode("ascii", "replace")
        return Proposal(
            application_context=application_context,
            contexts=contexts,
            answers=answers,
            roles=self._roles,
            extended=self._extended,
            maximum_length=_MAXIMUM.unpack(length)[0],
            implementation_class_uid=_uid(self._single.get(_CLASS_UID, b"")),
            implementation_version=version.strip("\0 "),
            user_identity=_identity(self._single[_IDENTITY]) if _IDENTITY in self._single else None,
        )


def _identity(value: bytes) -> UserIdentity:
    """PS3.7 D.3.3.7.1."""
    if len(value) < 2:
        raise bad("a user identity is cut off")
    primary, rest = _counted(value[2:])
    secondary, _ = _counted(rest) if rest else (b"", b"")  # some leave its length out where there is none
    return UserIdentity(type=value[0], primary=primary, secondary=secondary, response_requested=bool(value[1]))


def _counted(value: bytes) -> tuple[bytes, bytes]:
    """What a length of two bytes counts, as far as it is there, and what follows it."""
    if len(value) < _LENGTH.size:
        raise bad("an item is shorter than its fields")
    end = _LENGTH.size + _LENGTH.unpack_from(value)[0]
    return value[_LENGTH.size : end], value[end:]


def _uid(value: bytes) -> str:
    """A name of whatever form, without padding; what is one and what is known is for others to judge."""
    try:
        uid = value.decode("ascii").strip("\0 ")
    except UnicodeDecodeError:
        raise bad("a UID is not ASCII") from None
    if len(uid) > MAXIMUM_LENGTH:
        raise bad(f"a UID has more than {MAXIMUM_LENGTH} characters")
    return uid
