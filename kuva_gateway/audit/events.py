"""What is told of each kind of event: the messages of PS3.15 A.5.3, filled with what DIMSE and the catalog know.

Keeps nothing. The gateway takes part under its AE title, a peer under its own with its address and the subject of its
certificate, a person under the name given with ``--by``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from kuva_gateway.audit.message import (
    MINOR_FAILURE,
    SERIOUS_FAILURE,
    SUCCESS,
    Code,
    Message,
    Participant,
    Subject,
)

APPLICATION_ACTIVITY = Code(value="110100", meaning="Application Activity")
AUDIT_LOG_USED = Code(value="110101", meaning="Audit Log Used")
INSTANCES_ACCESSED = Code(value="110103", meaning="DICOM Instances Accessed")
INSTANCES_TRANSFERRED = Code(value="110104", meaning="DICOM Instances Transferred")
STUDY_DELETED = Code(value="110105", meaning="DICOM Study Deleted")
EXPORT = Code(value="110106", meaning="Export")
IMPORT = Code(value="110107", meaning="Import")
QUERY = Code(value="110112", meaning="Query")
SECURITY_ALERT = Code(value="110113", meaning="Security Alert")

EVENTS: Mapping[str, Code] = {
    "application": APPLICATION_ACTIVITY,
    "audit": AUDIT_LOG_USED,
    "accessed": INSTANCES_ACCESSED,
    "transferred": INSTANCES_TRANSFERRED,
    "deleted": STUDY_DELETED,
    "exported": EXPORT,
    "imported": IMPORT,
    "query": QUERY,
    "alert": SECURITY_ALERT,
}
"""Short names, for ``audit list --event``."""

START, STOP = Code(value="110120", meaning="Application Start"), Code(value="110121", meaning="Application Stop")
NODE_AUTHENTICATION = Code(value="110126", meaning="Node Authentication")

_APPLICATION = Code(value="110150", meaning="Application")
_SENDER = Code(value="110153", meaning="Source Role ID")
_RECEIVER = Code(value="110152", meaning="Destination Role ID")
_DESTINATION_MEDIA = Code(value="110154", meaning="Destination Media")
_SOURCE_MEDIA = Code(value="110155", meaning="Source Media")
_STUDY_UID = Code(value="110180", meaning="Study Instance UID")
_SOP_CLASS_UID = Code(value="110181", meaning="SOP Class UID")
_NODE_ID = Code(value="110182", meaning="Node ID")
_PATIENT_NUMBER = Code(value="2", meaning="Patient Number", scheme="RFC-3881")
_URI = Code(value="12", meaning="URI", scheme="RFC-3881")

_PERSON, _SYSTEM_OBJECT = 1, 2
_PATIENT, _REPORT, _SECURITY_RESOURCE = 1, 3, 13


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A program with an AE title, as far as it is known."""

    ae_title: str
    address: str = ""
    certificate: str = ""
    """Subject of the certificate that it showed."""
    user: str = ""
    """User identity that it negotiated (PS3.7 D.3.3.7)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyTold:
    """A study as an audit message tells it."""

    uid: str
    patient_id: str = ""
    accession_number: str = ""
    sop_classes: Mapping[str, int] = field(default_factory=dict)
    """SOP class UID -> instances; an empty UID: of classes that are not told apart."""


def application(us: Node, at: datetime, *, starts: bool, process: int) -> Message:
    """The gateway starts or stops (A.5.3.1)."""
    own = Participant(
        user=us.ae_title, alternative=str(process), requestor=False, role=_APPLICATION, address=us.address
    )
    return Message(
        event=APPLICATION_ACTIVITY, action="E", at=at, types=(START if starts else STOP,), participants=(own,)
    )


def audit_log_used(us: Node, at: datetime, *, person: str, place: str) -> Message:
    """Somebody read the trail (A.5.3.2)."""
    return Message(
        event=AUDIT_LOG_USED,
        action="R",
        at=at,
        participants=(Participant(user=person, requestor=True, address=us.address), _us(us, None)),
        subjects=(
            Subject(
                identifier=place,
                identifier_type=_URI,
                object_type=_SYSTEM_OBJECT,
                role=_SECURITY_RESOURCE,
                name="Security Audit Log",
            ),
        ),
    )


def backed_up(us: Node, at: datetime, *, person: str, place: str, studies: int, images: int) -> Message:
    """Somebody took a backup (A.5.3.4). It names the backup: each of its studies would be a message of gigabytes."""
    return _copied(EXPORT, "R", us, at, person, place, f"backup of {studies} studies, {images} images")


def restored(us: Node, at: datetime, *, person: str, place: str, studies: int, images: int) -> Message:
    """Somebody brought a backup back (A.5.3.5), which is named as in :func:`backed_up`."""
    return _copied(IMPORT, "C", us, at, person, place, f"restored {studies} studies, {images} images")


def _copied(event: Code, action: str, us: Node, at: datetime, person: str, place: str, what: str) -> Message:
    by_person = Participant(user=person, requestor=True, address=us.address)
    exports = event is EXPORT
    media = Participant(user=place, requestor=False, role=_DESTINATION_MEDIA if exports else _SOURCE_MEDIA)
    subject = Subject(
        identifier=place,
        identifier_type=_URI,
        object_type=_SYSTEM_OBJECT,
        role=_REPORT,
        name="Backup",
    )
    return Message(
        event=event,
        action=action,
        at=at,
        description=what,
        participants=(by_person, _us(us, _SENDER if exports else _RECEIVER), media),
        subjects=(subject,),
    )


def refused(us: Node, at: datetime, *, caller: Node, why: str, times: int = 1) -> Message:
    """An association, or its TLS handshake, was refused (A.5.3.11: Security Alert, Node Authentication)."""
    told = why if times == 1 else f"{why} ({times} times since it was last told)"
    them = _peer(caller, None, requestor=True)
    return _alert(at, told, caller.ae_title or caller.address, (_us(us, None), them), (NODE_AUTHENTICATION,))


def alert(us: Node, at: datetime, *, what: str) -> Message:
    """Something is wrong with the trail itself (A.5.3.11)."""
    return _alert(at, what, us.ae_title, (_us(us, None),))


def _alert(
    at: datetime, what: str, node: str, participants: tuple[Participant, ...], types: tuple[Code, ...] = ()
) -> Message:
    subject = Subject(
        identifier=node,
        identifier_type=_NODE_ID,
        object_type=_SYSTEM_OBJECT,
        role=_SECURITY_RESOURCE,
        name=node,
        details=(("Alert Description", what.encode("utf-8", "replace")),),
    )
    return Message(
        event=SECURITY_ALERT,
        action="E",
        at=at,
        types=types,
        outcome=SERIOUS_FAILURE,
        description=what,
        participants=participants,
        subjects=(subject,),
    )


def received(us: Node, at: datetime, *, sender: Node, study: StudyTold) -> Message:
    """A peer stored instances of a study here (A.5.3.7)."""
    return Message(
        event=INSTANCES_TRANSFERRED,
        action="C",
        at=at,
        participants=(_peer(sender, _SENDER, requestor=True), _us(us, _RECEIVER)),
        subjects=_subjects([study]),
    )


def sent(
    us: Node,
    at: datetime,
    *,
    receiver: Node,
    studies: Iterable[StudyTold],
    asker: Node | None = None,
    failure: str = "",
) -> Message:
    """The gateway sent instances: to a destination by itself, or to somebody because a peer asked (A.5.3.7).

    ``asker`` is the receiver itself for a C-GET. ``failure`` says why not all went.
    """
    asks_itself = asker is not None and asker == receiver
    others = [] if asker is None or asks_itself else [_peer(asker, None, requestor=True)]
    return Message(
        event=INSTANCES_TRANSFERRED,
        action="R",
        at=at,
        outcome=MINOR_FAILURE if failure else SUCCESS,
        description=failure,
        participants=(
            _us(us, _SENDER, requestor=asker is None),
            _peer(receiver, _RECEIVER, requestor=asks_itself),
            *others,
        ),
        subjects=_subjects(studies),
    )


def decided(us: Node, at: datetime, *, person: str, what: str, study: StudyTold) -> Message:
    """A person decided something about a study (A.5.3.6, update)."""
    return Message(
        event=INSTANCES_ACCESSED,
        action="U",
        at=at,
        description=what,
        participants=(Participant(user=person, requestor=True), _us(us, None)),
        subjects=_subjects([study]),
    )


def viewed(us: Node, at: datetime, *, person: str, study: StudyTold) -> Message:
    """A person looked at a study on the gateway's own pages (A.5.3.6, read)."""
    return Message(
        event=INSTANCES_ACCESSED,
        action="R",
        at=at,
        description="looked at on the status pages",
        participants=(Participant(user=person, requestor=True), _us(us, None)),
        subjects=_subjects([study]),
    )


def deleted(us: Node, at: datetime, *, person: str, why: str, study: StudyTold) -> Message:
    """Files of a study were removed (A.5.3.8), by a person or, with ``person`` empty, by the gateway's retention."""
    by_person = (Participant(user=person, requestor=True),) if person else ()
    return Message(
        event=STUDY_DELETED,
        action="D",
        at=at,
        description=why,
        participants=(*by_person, _us(us, None, requestor=not person)),
        subjects=_subjects([study]),
    )


def queried(
    us: Node,
    at: datetime,
    *,
    asker: Node,
    sop_class: str,
    transfer_syntax: str,
    identifier: bytes,
    failure: str = "",
) -> Message:
    """A peer asked what there is (A.5.3.10)."""
    return Message(
        event=QUERY,
        action="E",
        at=at,
        outcome=MINOR_FAILURE if failure else SUCCESS,
        description=failure,
        participants=(_peer(asker, _SENDER, requestor=True), _us(us, _RECEIVER)),
        subjects=(
            Subject(
                identifier=sop_class,
                identifier_type=_SOP_CLASS_UID,
                object_type=_SYSTEM_OBJECT,
                role=_REPORT,
                query=identifier,
                details=(("TransferSyntax", transfer_syntax.encode("utf-8", "replace")),),
            ),
        ),
    )


def _us(us: Node, role: Code | None, *, requestor: bool = False) -> Participant:
    return Participant(user=us.ae_title, requestor=requestor, role=role, address=us.address)


def _peer(node: Node, role: Code | None, *, requestor: bool) -> Participant:
    return Participant(
        user=node.ae_title or node.address or "unknown",
        requestor=requestor,
        role=role,
        address=node.address,
        alternative=node.certificate,
        name=node.user,
    )


def _subjects(studies: Iterable[StudyTold]) -> tuple[Subject, ...]:
    """The studies, then their patients, each once."""
    told = tuple(studies)
    patients = dict.fromkeys(study.patient_id for study in told)
    return (
        *(
            Subject(
                identifier=study.uid,
                identifier_type=_STUDY_UID,
                object_type=_SYSTEM_OBJECT,
                role=_REPORT,
                accession_numbers=(study.accession_number,) if study.accession_number else (),
                sop_classes=study.sop_classes,
            )
            for study in told
        ),
        *(
            Subject(
                identifier=patient or "unknown",
                identifier_type=_PATIENT_NUMBER,
                object_type=_PERSON,
                role=_PATIENT,
            )
            for patient in patients
        ),
    )
