"""Audit messages for people: who did what to whose images, read back from the XML of the trail."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime
from xml.etree import ElementTree

from kuva_gateway.audit.events import EVENTS
from kuva_gateway.audit.trail import Record
from kuva_gateway.errors import DamageError

_KINDS = {code.value: kind for kind, code in EVENTS.items()}
_STUDY_UID = "110180"
_PERSON = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One event. ``by`` is who asked for it, ``others`` who else took part."""

    number: int
    at: datetime
    event: str
    action: str
    outcome: int
    description: str
    by: str | None
    address: str | None
    others: tuple[str, ...]
    studies: tuple[str, ...]
    patients: tuple[str, ...]
    instances: int
    details: tuple[str, ...]
    """Details that are text: types of the event, SOP class of a query."""


def read(record: Record) -> Told:
    """What a record tells.

    Raises
    ------
    DamageError
        Its message is none of ours.
    """
    try:
        root = ElementTree.fromstring(record.message)
        event = root.find("EventIdentification")
        assert event is not None
        code = event.find("EventID")
        assert code is not None
        people = [
            (one.attrib, one.attrib.get("UserIsRequestor") == "true") for one in root.findall("ActiveParticipant")
        ]
        subjects = root.findall("ParticipantObjectIdentification")
        asker = next((attributes for attributes, asked in people if asked), None)
        return Told(
            number=record.number,
            at=record.at,
            event=_KINDS.get(code.attrib["csd-code"], code.attrib["originalText"]),
            action=event.attrib["EventActionCode"],
            outcome=int(event.attrib["EventOutcomeIndicator"]),
            description=event.findtext("EventOutcomeDescription") or "",
            by=None if asker is None else asker["UserID"],
            address=None if asker is None else asker.get("NetworkAccessPointID"),
            others=tuple(attributes["UserID"] for attributes, asked in people if not asked),
            studies=tuple(one.attrib["ParticipantObjectID"] for one in subjects if _id_type(one) == _STUDY_UID),
            patients=tuple(
                one.attrib["ParticipantObjectID"]
                for one in subjects
                if one.attrib.get("ParticipantObjectTypeCode") == _PERSON
            ),
            instances=sum(int(one.attrib["NumberOfInstances"]) for one in root.iter("SOPClass")),
            details=(*(one.attrib["originalText"] for one in event.findall("EventTypeCode")), *_queries(subjects)),
        )
    except (ElementTree.ParseError, AssertionError, KeyError, ValueError):
        raise DamageError(f"audit record {record.number} holds no audit message") from None


def _id_type(subject: ElementTree.Element) -> str:
    code = subject.find("ParticipantObjectIDTypeCode")
    return "" if code is None else code.attrib.get("csd-code", "")


def _queries(subjects: list[ElementTree.Element]) -> list[str]:
    found = []
    for one in subjects:
        query = one.findtext("ParticipantObjectQuery")
        if query is not None:
            found.append(f"{one.attrib['ParticipantObjectID']}, {len(base64.b64decode(query))} bytes")
    return found
