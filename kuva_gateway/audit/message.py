"""An audit message and its XML, as the schema of PS3.15 A.5.1 has it.

Keeps nothing. Promises XML that is well-formed and valid whatever others' text holds: characters that XML does not
know are shown as U+FFFD, and values that may be anything go as base64.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address
from xml.sax.saxutils import escape, quoteattr

SUCCESS, MINOR_FAILURE, SERIOUS_FAILURE = 0, 4, 8
"""EventOutcomeIndicator (PS3.15 A.5.2)."""

_MACHINE_NAME, _IP_ADDRESS = "1", "2"
_APPLICATION_SERVER = "4"  # AuditSourceTypeCode
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A coded value: ``DCM 110104 DICOM Instances Transferred``."""

    value: str
    meaning: str
    scheme: str = "DCM"


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """Who took part: a person, or a program on a machine."""

    user: str
    """AE title of a program, or the name that a person gave."""
    requestor: bool = False
    role: Code | None = None
    address: str = ""
    """IP address, or name of the machine; empty: unknown."""
    alternative: str = ""
    """Another name of the same: the subject of its certificate, its process id."""
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What it was done to: a study, a patient, a SOP class that was queried."""

    identifier: str
    identifier_type: Code
    object_type: int
    """1 person, 2 system object."""
    role: int
    """1 patient, 3 report, 13 security resource (PS3.15 A.5.1.2.2)."""
    name: str = ""
    query: bytes | None = None
    details: tuple[tuple[str, bytes], ...] = ()
    accession_numbers: tuple[str, ...] = ()
    sop_classes: Mapping[str, int] = field(default_factory=dict)
    """SOP class UID -> number of instances; an empty UID: of classes that are not told apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One event."""

    event: Code
    action: str
    """C, R, U, D or E: create, read, update, delete, execute."""
    at: datetime
    participants: tuple[Participant, ...]
    subjects: tuple[Subject, ...] = ()
    types: tuple[Code, ...] = ()
    outcome: int = SUCCESS
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Who reports: the gateway, and the organisation whose gateway it is."""

    identifier: str
    site: str = ""


def stamp(at: datetime) -> str:
    """A moment as messages, records and listings have it: ISO 8601, UTC, with microseconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def to_xml(message: Message, source: Source) -> str:
    """The message as one line of XML without a declaration."""
    return (
        "<AuditMessage>"
        + _event(message)
        + "".join(map(_participant, message.participants))
        + _source(source)
        + "".join(map(_subject, message.subjects))
        + "</AuditMessage>"
    )


def _event(message: Message) -> str:
    inside = _code("EventID", message.event) + "".join(_code("EventTypeCode", one) for one in message.types)
    if message.description:
        inside += f"<EventOutcomeDescription>{_text(message.description)}</EventOutcomeDescription>"
    attributes = _attributes(
        EventActionCode=message.action, EventDateTime=stamp(message.at), EventOutcomeIndicator=message.outcome
    )
    return f"<EventIdentification{attributes}>{inside}</EventIdentification>"


def _participant(one: Participant) -> str:
    attributes = _attributes(
        UserID=one.user,
        AlternativeUserID=one.alternative or None,
        UserName=one.name or None,
        UserIsRequestor="true" if one.requestor else "false",
        NetworkAccessPointID=one.address or None,
        NetworkAccessPointTypeCode=_access_point(one.address) if one.address else None,
    )
    inside = "" if one.role is None else _code("RoleIDCode", one.role)
    return f"<ActiveParticipant{attributes}>{inside}</ActiveParticipant>"


def _source(source: Source) -> str:
    attributes = _attributes(AuditEnterpriseSiteID=source.site or None, AuditSourceID=source.identifier)
    kind = f"<AuditSourceTypeCode{_attributes(**{'csd-code': _APPLICATION_SERVER})}/>"
    return f"<AuditSourceIdentification{attributes}>{kind}</AuditSourceIdentification>"


def _subject(one: Subject) -> str:
    attributes = _attributes(
        ParticipantObjectID=one.identifier,
        ParticipantObjectTypeCode=one.object_type,
        ParticipantObjectTypeCodeRole=one.role,
    )
    inside = _code("ParticipantObjectIDTypeCode", one.identifier_type)
    if one.query is None:
        inside += f"<ParticipantObjectName>{_text(one.name)}</ParticipantObjectName>"
    else:
        inside += f"<ParticipantObjectQuery>{_base64(one.query)}</ParticipantObjectQuery>"
    for kind, value in one.details:
        inside += f"<ParticipantObjectDetail{_attributes(type=kind, value=_base64(value))}/>"
    return f"<ParticipantObjectIdentification{attributes}>{inside}{_holds(one)}</ParticipantObjectIdentification>"


def _holds(one: Subject) -> str:
    inside = "".join(f"<Accession{_attributes(Number=number)}/>" for number in one.accession_numbers)
    for uid, number in sorted(one.sop_classes.items()):
        inside += f"<SOPClass{_attributes(UID=uid or None, NumberOfInstances=number)}/>"
    return f"<ParticipantObjectDescription>{inside}</ParticipantObjectDescription>" if inside else ""


def _code(element: str, code: Code) -> str:
    attributes = _attributes(**{"csd-code": code.value, "codeSystemName": code.scheme, "originalText": code.meaning})
    return f"<{element}{attributes}/>"


def _attributes(**values: str | int | None) -> str:
    return "".join(f" {name}={quoteattr(_legal(str(value)))}" for name, value in values.items() if value is not None)


def _text(value: str) -> str:
    return escape(_legal(value))


def _legal(value: str) -> str:
    return _NOT_IN_XML.sub("\ufffd", value)


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _access_point(address: str) -> str:
    try:
        ip_address(address)
    except ValueError:
        return _MACHINE_NAME
    return _IP_ADDRESS
